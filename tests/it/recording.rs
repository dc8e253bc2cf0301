//! What is said to the provider and by it, written down without anything that is somebody's, and played again.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::operations::rows;
use super::rig::{File, Folder, Gateway, unique};

/// What is in the requests and in the sandbox's answers and is nobody else's business. The address of the bank and of the
/// consoles have names that no recording has.
const PRIVATE: [&str; 14] = [
    "sandbox-secret",
    "StrongPass",
    "An0ther",
    "an.nguyen",
    "Nguyễn",
    "0901234567",
    "0907654321",
    "Lê Lợi",
    "web-01",
    "db-01",
    "vnc.example.vn",
    "panel.example.vn",
    "0900123456789",
    "shop.vn",
];

/// The one file in a folder.
fn only(folder: &str) -> String {
    let mut files = std::fs::read_dir(folder).expect("a folder");
    let file = files.next().expect("a file").expect("an entry").path();
    assert!(files.next().is_none());
    file.to_str().expect("a path").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_is_private_and_can_be_played() {
    let folder = Folder::new("recording");
    let settings = File::new(&format!("recording-{}", unique()), include_str!("actions.toml"));
    let mut expected = Vec::new();
    let mut secrets: Vec<String> = PRIVATE.map(str::to_owned).to_vec();
    {
        let gateway =
            Gateway::start(&["--sandbox", "--record", folder.path(), "--config", settings.path()], &[]);
        gateway.logged("is recorded").await;
        for row in rows() {
            let answer = row.rest(&gateway).await;
            expected.push((row.operation, answer.status));
            if row.effect() == gizad::contract::Effect::Secret {
                for name in ["password", "url", "username"] {
                    secrets.extend(
                        answer.json()[name].as_str().filter(|text| text.len() > 5).map(str::to_owned),
                    );
                }
            }
            let items = answer.json()["purchase"]["items"].as_array().cloned().unwrap_or_default();
            secrets.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    let file = only(folder.path());
    let text = std::fs::read_to_string(&file).expect("a recording");
    for secret in &secrets {
        assert!(
            !text.contains(secret.as_str()),
            "{secret} in {}",
            text.lines().find(|line| line.contains(secret.as_str())).unwrap_or_default()
        );
    }
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert!(text.contains(r#""action":"create_vps""#) && text.contains(r#""status":200"#));

    // The same calls get the same verdicts from it.
    let gateway = Gateway::start(&["--sandbox", "--replay", &file, "--config", settings.path()], &[]);
    let mut played = Vec::new();
    for row in rows() {
        played.push((row.operation, row.rest(&gateway).await.status));
    }
    // The hostname that confirms it is one of the things that a recording does not tell.
    for (operation, status) in &mut expected {
        if *operation == "VpsService.ReinstallVps" {
            *status = 422;
        }
    }
    assert_eq!(played, expected);
    // What is not in it is not made up.
    let unknown = gateway.get("/vps/4711/status").await;
    assert_eq!((unknown.status, unknown.reason().as_str()), (409, "UPSTREAM_REFUSED"), "{}", unknown.text);
    assert!(unknown.text.contains("the recording has no further answer to vps_status"), "{}", unknown.text);
    let again = gateway.rest("POST", "/vps/1/reboot", Some(&json!({}))).await;
    assert_eq!(again.reason(), "OUTCOME_UNKNOWN", "{}", again.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_recorded_and_played_too() {
    let folder = Folder::new("recording-failures");
    let orders = [
        json!({"kind": "html", "action": "list_vps"}),
        json!({"kind": "close_after", "action": "hoadon"}),
        json!({"kind": "rate_limited", "retry_after": 7, "action": "user_profile"}),
        json!({"kind": "answer", "action": "balance", "body": r#"{"success":false,"message":"Authentication Failed"}"#}),
    ];
    let paths = ["/vps", "/invoices", "/profile", "/wallet"];
    let mut reasons = Vec::new();
    {
        let gateway = Gateway::start(&["--sandbox", "--record", folder.path()], &[]);
        for order in orders {
            gateway.order(order).await;
        }
        for path in paths {
            reasons.push(gateway.get(path).await.reason());
        }
    }
    assert!(reasons.iter().all(|reason| !reason.is_empty()), "{reasons:?}");
    let file = only(folder.path());
    let gateway = Gateway::start(&["--sandbox", "--replay", &file], &[]);
    for (path, reason) in paths.iter().zip(&reasons) {
        assert_eq!(gateway.get(path).await.reason(), *reason, "{path}");
    }
}

#[test]
fn what_cannot_be_played_is_refused_at_start() {
    let file = File::new(&format!("recording-none-{}", unique()), "{\"format\": 9}\n");
    for (path, words) in [(file.path(), "no recording of gizad"), ("/nowhere/at-all", "No such file")] {
        let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
            .args([
                "serve",
                "--sandbox",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--replay",
                path,
            ])
            .env("GIZAD_LOG_FORMAT", "json")
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("sandbox.replay") && text.contains(words), "{text}");
    }
}
