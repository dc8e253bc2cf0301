//! Every answer that APIs of this family are known to give, with the verdict it must get.

use gizad::contract::Effect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::operations::rows;
use super::rig::{Gateway, assert_has, operation};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    id: String,
    call: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    body_hex: Option<String>,
    http: u16,
    reason: Option<String>,
    rule: String,
    has: Option<String>,
    sent: Option<String>,
    detail: Option<String>,
    retry_after: Option<String>,
}

fn ok() -> u16 {
    200
}

fn fixtures() -> Vec<Fixture> {
    #[derive(Deserialize)]
    struct All {
        answer: Vec<Fixture>,
    }
    toml::from_str::<All>(include_str!("answers.toml")).expect("sound fixtures").answer
}

/// The variants that the research lists; none may go missing here. T15 is about connections and stands in
/// `provider.rs`.
#[test]
fn every_known_variant_has_a_fixture() {
    let listed = [("W", 1..=16), ("V", 1..=9), ("S", 1..=5), ("H", 1..=2), ("P", 1..=22), ("T", 1..=14)];
    let fixtures = fixtures();
    for (family, numbers) in listed {
        for number in numbers {
            let id = format!("{family}{number} ");
            assert!(fixtures.iter().any(|fixture| fixture.id.starts_with(&id)), "no fixture for {id}");
        }
    }
}

#[tokio::test]
async fn every_answer_gets_its_verdict() {
    let mut gateway = Gateway::sandbox();
    let rows = rows();
    for fixture in fixtures() {
        let id = &fixture.id;
        let row = rows.iter().find(|row| row.operation == fixture.call).expect("a row for every operation");
        gateway
            .order(json!({
                "kind": "answer", "action": row.action(), "times": 3, "status": fixture.status, "headers": fixture.headers,
                "body": fixture.body, "body_hex": fixture.body_hex.as_ref().map(|hex| hex.replace(' ', ""))
            }))
            .await;
        gateway.forget().await;
        let answer = row.rest(&gateway).await;
        assert_eq!(answer.status, fixture.http, "{id}: {}", answer.text);
        assert!(!answer.text.contains("sandbox-secret"), "{id}: {}", answer.text);
        let json = answer.json();
        let expected_reason = fixture.reason.as_ref().map_or(Value::Null, |reason| json!(reason));
        assert_eq!(json["reason"], expected_reason, "{id}: {}", answer.text);
        if let Some(has) = &fixture.has {
            let told = if row.effect() == Effect::Spend { &json["purchase"] } else { &json };
            assert_has(told, &serde_json::from_str(has).expect("JSON"), id);
        }
        if let Some(detail) = &fixture.detail {
            let shown = json["detail"].as_str().unwrap_or_default();
            assert!(shown.contains(detail), "{id}: {shown}");
        }
        // If the provider does not say when there is a turn again, the account's pace does; and a purchase that was proven
        // not to be sent may be sent at once.
        let unsent = row.effect() == Effect::Spend && json["sent"] == "never";
        let own = if unsent || json["reason"] == "UPSTREAM_RATE_LIMITED" { "1" } else { "" };
        assert_eq!(answer.header("retry-after"), fixture.retry_after.as_deref().unwrap_or(own), "{id}");
        // The rule is in the error and in the log.
        if fixture.reason.is_some() {
            assert_eq!(json["upstream_rule"], fixture.rule, "{id}: {}", answer.text);
            let certain =
                !operation(row.operation).effect.is_repeatable() && answer.reason() != "OUTCOME_UNKNOWN";
            let sent = json["sent"].as_str().unwrap_or_default();
            assert!(!certain || sent != "maybe", "{id}: a doubt that is not called one");
            assert_eq!(fixture.sent.as_deref().unwrap_or(sent), sent, "{id}");
        }
        let line: Value =
            serde_json::from_str(&gateway.logged(answer.header("x-request-id")).await).expect("JSON");
        assert_eq!(line["rule"], fixture.rule, "{id}: {line}");
        gateway.control("DELETE", "/faults", json!({})).await;
        // Whatever came, it was asked for once; again only where it never got there.
        let times = if unsent && json["reason"] == "UPSTREAM_UNREACHABLE" { 3 } else { 1 };
        let asked = if row.path.starts_with("/catalog") {
            gateway.seen().await
        } else {
            gateway.sent(&row.action()).await
        };
        // Who refuses the key is asked once more, to be sure; and then nothing for a minute.
        let refused = ["UPSTREAM_AUTH_FAILED", "UPSTREAM_IP_NOT_ALLOWED"].contains(&answer.reason().as_str());
        assert!(asked.len() == times || refused && asked.len() == 2, "{id}: {asked:?}");
        // What is in doubt would stand in the way of the next of its kind.
        if let Some(operation) = json["operation"].as_str().filter(|_| answer.reason() == "OUTCOME_UNKNOWN") {
            let (path, outcome) =
                (format!("{operation}/resolve"), json!({"outcome": "ABSENT", "note": "made up"}));
            let stated = gateway.post(&path, outcome).await;
            assert_eq!(stated.json()["state"], "ABSENT", "{id}: {}", stated.text);
        }
        if refused {
            gateway = Gateway::sandbox();
        }
    }
}
