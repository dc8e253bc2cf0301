//! In a pod of Kubernetes: what a folder holds that is gone with the pod is no ledger.

use std::process::Command;

use super::ledger::server;
use super::market::buy;
use super::rig::{Gateway, Sandbox, unique};

/// Says to a container that it is in a pod; it holds the address of the API there.
const IN_A_POD: (&str, &str) = ("KUBERNETES_SERVICE_HOST", "10.96.0.1");

/// A folder in memory, as an `emptyDir` of the medium Memory is.
fn fleeting() -> String {
    format!("/dev/shm/gizad-pod-{}", unique())
}

#[tokio::test]
async fn a_sidecar_without_anything_that_outlives_it_buys_nothing_and_says_why() {
    let (provider, folder) = (Sandbox::start(), fleeting());
    let settings = [IN_A_POD, ("GIZAD_LEDGER_DIR", folder.as_str())];
    let gateway = Gateway::beside(&provider, &settings);
    let refused = buy(&gateway, "k", "web-01").await;
    assert_eq!((refused.status, refused.reason().as_str()), (503, "LEDGER_UNAVAILABLE"), "{}", refused.text);
    let why = ["gone with the pod", "shared.url", "persistent volume"];
    assert!(why.iter().all(|why| refused.text.contains(why)), "{}", refused.text);
    assert_eq!(gateway.executions().await, 0);
    // It is what its operator has set up, so nothing is missing for the rest.
    assert_eq!(gateway.get("/wallet").await.status, 200);
    let ready = gateway.admin("GET", "/readyz").await;
    assert!(ready.status == 200 && !ready.text.contains("LEDGER"), "{}", ready.text);
    assert!(gateway.log().contains("nothing is bought"), "{}", gateway.log());
    assert!(!std::path::Path::new(&folder).exists(), "nothing is made there either");
}

#[tokio::test]
async fn it_buys_with_what_is_shared_or_what_its_operator_vouches_for() {
    let (folder, url) = (fleeting(), server());
    for further in [("GIZAD_LEDGER_PERSISTENT", "yes"), ("GIZAD_SHARED_URL", url.as_str())] {
        let provider = Sandbox::start();
        let gateway = Gateway::beside(&provider, &[IN_A_POD, ("GIZAD_LEDGER_DIR", &folder), further]);
        let bought = buy(&gateway, "k", "web-01").await;
        assert_eq!((bought.status, gateway.executions().await), (201, 1), "{further:?}: {}", bought.text);
    }
    let _gone = std::fs::remove_dir_all(&folder);
}

#[test]
fn the_doctor_says_so_before_it_is_started() {
    let folder = fleeting();
    let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["doctor"])
        .envs([IN_A_POD, ("GIZAD_LEDGER_DIR", &folder)])
        .envs([("GIZAD_CREDENTIALS_IDENTIFIER", "someone"), ("GIZAD_CREDENTIALS_SECRET", "something-long-1")])
        .envs([
            ("GIZAD_UPSTREAM_URL", "http://127.0.0.1:1/api"),
            ("GIZAD_STATE_DIR", ""),
            ("GIZAD_AUDIT_FILE", "off"),
        ])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("nothing is bought") && told.contains("ledger.persistent"), "{told}");
}
