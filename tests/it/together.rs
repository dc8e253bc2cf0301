//! Who runs gizads that share an account sees all of them from each: on the status page, among the metrics, by the doctor.

use std::process::Command;

use serde_json::{Value, json};

use super::ledger::server;
use super::rig::{Gateway, Sandbox};

/// One of at most three.
fn replica(provider: &Sandbox) -> Gateway {
    Gateway::beside(provider, &[("GIZAD_SHARED_URL", &server()), ("GIZAD_SHARED_MAX_REPLICAS", "3")])
}

/// Waits until one sees so many.
async fn sees(gateway: &Gateway, many: usize) -> Value {
    let all = |shown: &Value| shown["replicas"]["list"].as_array().map(Vec::len) == Some(many);
    gateway.shows("all", |shown| all(shown) && shown["replicas"]["lease"] == "held").await["replicas"].clone()
}

fn doctor(provider: &Sandbox) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .arg("doctor")
        .envs([("GIZAD_SHARED_URL", server().as_str()), ("GIZAD_SHARED_MAX_REPLICAS", "3")])
        .envs([
            ("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41"),
            ("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42"),
        ])
        .envs([
            ("GIZAD_UPSTREAM_URL", provider.url.as_str()),
            ("GIZAD_STATE_DIR", ""),
            ("GIZAD_AUDIT_FILE", "off"),
        ])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    told.lines().find(|line| line.contains("are there")).unwrap_or(&told).to_owned()
}

#[tokio::test]
async fn each_shows_all_who_share_the_account() {
    let provider = Sandbox::start();
    let (one, mut two) = (replica(&provider), replica(&provider));
    for gateway in [&one, &two] {
        let seen = sees(gateway, 2).await;
        let own = seen["own"].as_str().expect("a name");
        let list = seen["list"].as_array().expect("a list");
        let mine = list.iter().find(|replica| replica["name"] == own).expect("itself among them");
        assert_eq!(format!("http://{}", mine["api"].as_str().expect("an address")), gateway.api);
        assert!(list.iter().all(|replica| replica["silent"] == json!(false)), "{seen}");
        assert_eq!((&seen["max_replicas"], &seen["alone_for_s"]), (&json!(3), &Value::Null), "{seen}");
        let metrics = gateway.admin("GET", "/metrics").await.text;
        for figure in [
            "gizad_shared_up 1",
            "gizad_shared_replicas 2",
            "gizad_shared_max_replicas 3",
            "gizad_pace_share_ratio ",
        ] {
            assert!(metrics.contains(figure), "{figure} in {metrics}");
        }
        assert!(gateway.log().contains("shares its account with other replicas"), "{}", gateway.log());
    }
    let told = doctor(&provider);
    assert!(told.contains("2 of 3 are there") && told.contains("% of the rate"), "{told}");
    // Who says farewell is gone at once.
    two.signal("TERM");
    assert!(two.ended().await.success());
    sees(&one, 1).await;
    // Who is killed is silent, and its place is kept for it.
    let mut three = replica(&provider);
    sees(&one, 2).await;
    three.signal("KILL");
    three.ended().await;
    one.sees_one_silent().await;
    let told = doctor(&provider);
    assert!(told.contains("1 of 3 are there") && told.contains("1 of them silent"), "{told}");
}

/// Who has the account for itself says nothing of others.
#[tokio::test]
async fn one_alone_shows_nobody() {
    let gateway = Gateway::sandbox();
    assert_eq!(gateway.admin("GET", "/status").await.json()["replicas"], Value::Null);
    let metrics = gateway.admin("GET", "/metrics").await.text;
    assert!(!metrics.contains("\ngizad_shared_up"), "{metrics}");
}
