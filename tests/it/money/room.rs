//! What cannot be written down is not bought, and everything else goes on.

use std::process::Command;

use serde_json::json;
use tonic::Code;

use super::{buy_grpc, reason, server, told};
use crate::rig::{Folder, Gateway};

/// Nothing is bought, and reads go on.
async fn assert_buys_nothing(gateway: &Gateway) {
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (503, "LEDGER_UNAVAILABLE"), "{}", rest.text);
    assert_eq!(rest.json()["sent"], "never");
    let grpc = buy_grpc(gateway, "k", &server("a")).await.expect_err("no ledger");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::Unavailable, "LEDGER_UNAVAILABLE"));
    let ticket = gateway.buy("t", "/tickets", &json!({"subject": "s", "message": "m"})).await;
    assert_eq!(
        ticket.reason(),
        "LEDGER_UNAVAILABLE",
        "nor anything that was to be recorded: {}",
        ticket.text
    );
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (0, 0));
    for path in ["/wallet", "/vps", "/catalog/vps-plans"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    assert_eq!(gateway.rest("POST", "/vps/1/start", None).await.status, 200);
    assert_eq!(
        gateway.rest("POST", "/vps/1/reboot", None).await.status,
        200,
        "without a key it is not recorded"
    );
}

#[tokio::test]
async fn without_a_place_nothing_is_bought() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LEDGER_DIR", "")]);
    assert_buys_nothing(&gateway).await;
    assert_eq!(gateway.get("/operations").await.reason(), "LEDGER_UNAVAILABLE");
}

#[tokio::test]
async fn if_the_usual_place_cannot_be_used_nothing_is_bought_and_the_log_says_why() {
    let provider = crate::rig::Sandbox::start();
    let blocked = crate::rig::File::new("blocked", "a file where a folder should be");
    let state = [("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", blocked.path()), ("GIZAD_LEDGER_DIR", "auto")];
    let gateway = Gateway::beside(&provider, &state);
    assert_buys_nothing(&gateway).await;
    assert!(gateway.log().contains("purchases cannot be written down"), "{}", gateway.log());
}

#[test]
fn a_place_that_was_asked_for_must_be_usable() {
    let blocked = crate::rig::File::new("asked-for", "a file where a folder should be");
    let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("GIZAD_LEDGER_DIR", blocked.path())
        .env("GIZAD_STATE_DIR", "")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("ledger.dir"), "{said}");
}

/// A disk of a few megabytes, if this may mount one; taken away with the test.
pub struct Disk(pub Folder);

impl Disk {
    pub fn new() -> Option<Self> {
        let folder = Folder::new("disk");
        std::fs::create_dir_all(folder.path()).expect("made");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs", folder.path()]).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(format!("{}/filling", self.0.path())).expect("made");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    pub fn empty(&self) {
        std::fs::remove_file(format!("{}/filling", self.0.path())).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").args(["-l", self.0.path()]).status();
    }
}

#[tokio::test]
async fn a_full_disk_strikes_before_anything_is_sent() {
    let Some(disk) = Disk::new() else {
        eprintln!("left out: this may not mount a disk");
        return;
    };
    let gateway = Gateway::sandbox_with(&[("GIZAD_LEDGER_DIR", disk.0.path())]);
    let before = gateway.buy("before", "/vps", &server("before")).await;
    assert_eq!(before.status, 201, "{}", before.text);
    disk.fill();
    // What is set aside for outcomes is not there for new purchases; however many are tried, none is sent unrecorded.
    let mut bought = 0;
    loop {
        let hostname = format!("s{bought}");
        let rest = gateway.buy(&hostname, "/vps", &server(&hostname)).await;
        if rest.status != 201 {
            assert_eq!((rest.status, rest.reason().as_str()), (503, "LEDGER_UNAVAILABLE"), "{}", rest.text);
            assert_eq!(rest.json()["sent"], "never");
            break;
        }
        bought += 1;
        assert!(bought < 30, "a full disk is not noticed");
    }
    assert_eq!(
        (gateway.sent("create_vps").await.len(), gateway.executions().await),
        (1 + bought, 1 + bought)
    );
    assert_eq!(gateway.get("/wallet").await.status, 200);
    let again = gateway.buy("before", "/vps", &server("before")).await;
    assert_eq!(told(&again), told(&before), "what is known is still told");
    disk.empty();
    let hostname = format!("s{bought}");
    let rest = gateway.buy(&hostname, "/vps", &server(&hostname)).await;
    assert_eq!((rest.status, gateway.executions().await), (201, 2 + bought), "{}", rest.text);
}

/// What a stand-in has sold is worth nothing, and leaves nothing behind.
#[tokio::test]
async fn the_ledger_of_a_sandbox_is_gone_with_it() {
    let mut gateway = Gateway::sandbox_with(&[("GIZAD_LEDGER_DIR", "auto")]);
    let folder = std::env::temp_dir().join(format!("gizad-sandbox-{}", gateway.id()));
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.status, 201);
    assert!(folder.is_dir(), "{}", folder.display());
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert!(!folder.exists(), "{}", folder.display());
}
