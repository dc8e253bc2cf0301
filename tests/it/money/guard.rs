//! What destroys needs a name, and what is protected is not touched.

use serde_json::json;
use tonic::Code;

use super::reason;
use crate::rig::{File, Gateway, operation};

#[tokio::test]
async fn a_disk_is_wiped_only_under_its_servers_name() {
    let gateway = Gateway::sandbox();
    let reinstall = operation("VpsService.ReinstallVps");
    for (name, status, reason_) in [
        ("web-01", 422, "HOSTNAME_MISMATCH"),
        ("db-1", 422, "HOSTNAME_MISMATCH"),
        ("", 422, "VALIDATION_FAILED"),
    ] {
        let rest =
            gateway.post("/vps/2/reinstall", json!({"os": "debian-12", "confirm_hostname": name})).await;
        assert_eq!((rest.status, rest.reason().as_str()), (status, reason_), "{name:?}: {}", rest.text);
        assert_eq!(rest.json()["sent"], "never", "{name:?}");
        let request = json!({"vps_id": 2, "os": "debian-12", "confirm_hostname": name});
        let grpc = gateway.grpc(reinstall, &request).await.expect_err("refused");
        assert_eq!(reason(&grpc), reason_, "{name:?}");
    }
    let missing =
        gateway.post("/vps/99/reinstall", json!({"os": "debian-12", "confirm_hostname": "db-01"})).await;
    assert_eq!((missing.status, missing.reason().as_str()), (404, "NOT_FOUND"), "{}", missing.text);
    let before = gateway.control("GET", "/state", json!({})).await.to_string();
    assert!(before.contains("\"reinstalls\":0") && !before.contains("\"reinstalls\":1"), "{before}");
    let rest =
        gateway.post("/vps/2/reinstall", json!({"os": "debian-12", "confirm_hostname": "DB-01 "})).await;
    assert_eq!(rest.status, 200, "{}", rest.text);
    // Until it is installed.
    gateway.control("POST", "/advance", json!({"seconds": 60})).await;
    let request = json!({"vps_id": 2, "os": "debian-12", "confirm_hostname": "db-01"});
    gateway.grpc(reinstall, &request).await.expect("reinstalled");
    let after = gateway.control("GET", "/state", json!({})).await.to_string();
    assert!(after.contains("\"reinstalls\":2"), "{after}");
    // If the name cannot be looked up, nothing is wiped.
    gateway.order(json!({"kind": "error500", "action": "list_vps"})).await;
    let unknown =
        gateway.post("/vps/2/reinstall", json!({"os": "debian-12", "confirm_hostname": "db-01"})).await;
    assert_eq!((unknown.reason().as_str(), &unknown.json()["sent"]), ("UPSTREAM_FAILED", &json!("never")));
    assert!(gateway.control("GET", "/state", json!({})).await.to_string().contains("\"reinstalls\":2"));
}

#[tokio::test]
async fn a_protected_server_is_left_alone_by_number_and_by_name() {
    for (protected, changed) in
        [("1", false), ("web-01", false), ("WEB-01", false), ("web-01, 7", false), ("2, other", true)]
    {
        let gateway = Gateway::sandbox_with(&[("GIZAD_PROTECTED_VPS", protected)]);
        for (path, body) in [
            ("/vps/1/reboot", json!({})),
            ("/vps/1/stop", json!({})),
            ("/vps/1/reinstall", json!({"os": "debian-12", "confirm_hostname": "web-01"})),
        ] {
            let rest = gateway.post(path, body).await;
            let action = if path.ends_with("reinstall") { "\"os\":\"debian-12\"" } else { "vps_action" };
            let sent = gateway.seen().await.iter().filter(|seen| seen.contains(action)).count();
            if changed {
                assert_eq!(rest.status, 200, "{protected}, {path}: {}", rest.text);
                assert!(sent > 0, "{protected}, {path}");
            } else {
                assert_eq!(
                    (rest.status, rest.reason().as_str()),
                    (403, "SERVER_PROTECTED"),
                    "{protected}, {path}: {}",
                    rest.text
                );
                assert_eq!((&rest.json()["sent"], sent), (&json!("never"), 0), "{protected}, {path}");
            }
        }
        gateway.control("POST", "/advance", json!({"seconds": 60})).await;
        // To start it again, to renew it and to rename it does no harm.
        assert_eq!(gateway.rest("POST", "/vps/1/start", None).await.status, 200, "{protected}");
        assert_eq!(gateway.buy("k", "/vps/1/renew", &json!({})).await.status, 200, "{protected}");
        let status = gateway
            .grpc(operation("VpsService.StopVps"), &json!({"vps_id": if changed { 2 } else { 1 }}))
            .await;
        let status = status.expect_err("protected");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "SERVER_PROTECTED"));
    }
}

#[tokio::test]
async fn what_is_protected_is_taken_over_while_it_runs() {
    let file = File::new("protected", "[protected]\nvps = []\n");
    let gateway = Gateway::start(&["--sandbox", "--config", file.path()], &[]);
    assert_eq!(gateway.rest("POST", "/vps/1/stop", None).await.status, 200);
    std::fs::write(file.path(), "[protected]\nvps = [\"web-01\"]\n").expect("written");
    gateway.signal("HUP");
    gateway.logged("settings taken over").await;
    assert_eq!(gateway.rest("POST", "/vps/1/stop", None).await.reason(), "SERVER_PROTECTED");
    assert_eq!(gateway.sent("vps_action").await.len(), 1);
}
