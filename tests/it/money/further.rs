//! What happens at once: several in doubt, callers that come and go, a memory, a stop.

use serde_json::{Value, json};

use super::{HASTY, PRICE, ended, server, spoil, stands};
use crate::rig::{File, Folder, Gateway};

#[tokio::test]
async fn several_in_doubt_are_told_apart() {
    let gateway = Gateway::sandbox_with(&HASTY[..1]);
    let mut places = Vec::new();
    for hostname in ["a", "b", "c"] {
        spoil(&gateway, json!({"kind": "close_after"})).await;
        let doubt = gateway.buy(hostname, "/vps", &server(hostname)).await;
        assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
        places.push(doubt.header("location").to_owned());
    }
    let mut services = std::collections::BTreeSet::new();
    for place in &places {
        let end = ended(&gateway, place).await;
        assert_eq!(end["state"], "FOUND", "{end}");
        services.insert(end["evidence"]["service_ids"][0].to_string());
    }
    assert_eq!((services.len(), gateway.executions().await), (3, 3));
}

#[tokio::test]
async fn a_late_one_is_told_from_those_that_came_after_it() {
    let gateway = Gateway::sandbox_with(&[HASTY[0], ("GIZAD_PURCHASE_QUIET", "7s")]);
    spoil(&gateway, json!({"kind": "execute_late", "ms": 2000})).await;
    let late = gateway.buy("late", "/vps", &server("late")).await;
    assert_eq!(late.reason(), "OUTCOME_UNKNOWN", "{}", late.text);
    assert_eq!(gateway.buy("k1", "/vps", &server("a")).await.status, 201);
    spoil(&gateway, json!({"kind": "close_before"})).await;
    let never = gateway.buy("never", "/vps", &server("never")).await;
    assert_eq!(never.reason(), "OUTCOME_UNKNOWN", "{}", never.text);
    gateway.executed(2).await;
    assert_eq!(gateway.buy("k2", "/vps", &server("b")).await.status, 201);
    let found = ended(&gateway, late.header("location")).await;
    assert_eq!(found["state"], "FOUND", "{found}");
    let end = ended(&gateway, never.header("location")).await;
    assert_eq!((&end["state"], gateway.executions().await), (&json!("ABSENT"), 3), "{end}");
}

#[tokio::test]
async fn the_same_request_in_another_spelling_is_the_same_request() {
    let gateway = Gateway::sandbox();
    let first = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let spelled = r#" { "billing_cycle":"monthly", "os":"ubuntu-22.04","plan_id" : "26",
        "password":"Passw0rd-canary-51", "hostname":"\u0061", "request_id": "k", "max_price_vnd": "1000000" } "#;
    let body = Some(("application/json; charset=utf-8", spelled.as_bytes().to_vec()));
    let again = gateway.send("POST", "/v1/vps", body, &[]).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(gateway.executions().await, 1);
}

#[tokio::test]
async fn whoever_has_no_time_for_the_look_buys_nothing_and_the_key_is_free() {
    let gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "delay", "ms": 2000, "action": "balance"})).await;
    let body = Some(("application/json", server("a").to_string().into_bytes()));
    let headers = [("idempotency-key", "k"), ("request-timeout", "500ms")];
    let late = gateway.send("POST", "/vps", body, &headers).await;
    assert_eq!((late.status, late.reason().as_str()), (504, "DEADLINE_EXCEEDED"), "{}", late.text);
    assert_eq!((&late.json()["sent"], late.header("location")), (&json!("never"), ""));
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (0, 0));
    let again = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, gateway.executions().await), (201, 1), "{}", again.text);
    assert_eq!(gateway.get("/operations").await.json()["operations"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_was_found_is_in_every_list_even_if_lists_are_kept() {
    let file = File::new(
        "kept",
        "[cache.operations]\nVpsService.ListVps.ttl = \"60s\"\nWalletService.GetWallet.ttl = \"60s\"\n",
    );
    let gateway = Gateway::start(&["--sandbox", "--config", file.path()], &[HASTY[0]]);
    let hosts = async |path: &str| gateway.get(path).await.json()["vps"].as_array().map(Vec::len);
    assert_eq!((hosts("/vps").await, hosts("/vps?view=full").await), (Some(2), Some(2)));
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.status, 201);
    assert_eq!((hosts("/vps").await, hosts("/vps?view=full").await), (Some(3), Some(3)));
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5_000_000 - PRICE);
    spoil(&gateway, json!({"kind": "execute_late", "ms": 1500})).await;
    let doubt = gateway.buy("k2", "/vps", &server("b")).await;
    assert_eq!((hosts("/vps").await, hosts("/vps?view=full").await), (Some(3), Some(3)));
    assert_eq!(ended(&gateway, doubt.header("location")).await["state"], "FOUND");
    assert_eq!((hosts("/vps").await, hosts("/vps?view=full").await), (Some(4), Some(4)));
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5_000_000 - 2 * PRICE);
}

#[tokio::test]
async fn a_refusal_that_repeats_the_password_is_not_written_down_in_clear() {
    let folder = Folder::new("echo");
    let gateway = Gateway::sandbox_with(&[("GIZAD_LEDGER_DIR", folder.path())]);
    let echo = json!({"success": false, "message": "mật khẩu Passw0rd-canary-51 quá yếu"}).to_string();
    spoil(&gateway, json!({"kind": "answer", "body": echo})).await;
    let refused = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(stands(&gateway, refused.header("location")).await["state"], "REFUSED");
    let found = super::crash::walk(folder.path().as_ref()).into_iter();
    let found: Vec<_> =
        found.filter(|(_, bytes)| super::crash::contains(bytes, b"Passw0rd-canary-51")).collect();
    assert!(found.is_empty(), "in {:?}", found.iter().map(|(path, _)| path).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_waits_for_an_end_does_not_hold_up_the_stop() {
    let mut gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "close_before"})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    let url = format!("{}{}?wait=60s", gateway.api, doubt.header("location"));
    let waiting = tokio::spawn(gateway.http.get(url).header("request-timeout", "2m").send());
    for _ in 0..20 {
        assert_eq!(gateway.get("/wallet").await.status, 200);
    }
    gateway.signal("TERM");
    assert!(gateway.ended().await.success(), "{}", gateway.log());
    assert!(!gateway.log().contains("stopped early"), "{}", gateway.log());
    // One that came too late is not answered at all.
    let Ok(answer) = waiting.await.expect("no panic") else { return };
    let shown: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    assert_eq!(shown["state"], "IN_DOUBT");
}

#[tokio::test]
async fn how_it_ended_is_logged_also_when_its_caller_was_answered_before() {
    let gateway =
        Gateway::sandbox_with(&[("GIZAD_UPSTREAM_TIMEOUT", "3s"), ("GIZAD_PURCHASE_LOOK_EVERY", "1h")]);
    for (fault, hostname, state) in [
        (json!({"kind": "stall"}), "a", "IN_DOUBT"),
        (json!({"kind": "delay", "ms": 2500}), "b", "SUCCEEDED"),
    ] {
        spoil(&gateway, fault).await;
        let body = Some(("application/json", server(hostname).to_string().into_bytes()));
        let headers = [("idempotency-key", hostname), ("request-timeout", "2s"), ("x-request-id", hostname)];
        let answer = gateway.send("POST", "/vps", body, &headers).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let id = answer.header("location").trim_start_matches("/operations/").to_owned();
        let line: Value =
            serde_json::from_str(&gateway.logged(&format!("\"operation\":\"{id}\"")).await).expect("JSON");
        assert_eq!(line["state"], state, "{line}");
        let call = gateway.logged(&format!("\"request_id\":\"{hostname}\"")).await;
        assert!(call.contains("\"sent\":\"maybe\""), "{call}");
    }
}
