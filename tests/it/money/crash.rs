//! The end of the process, in every way: nothing is lost, nothing is sent twice, nothing is left in clear on the disk.

use std::process::Command;

use serde_json::json;

use super::{HASTY, PRICE, ended, server, spoil, stands, states, told};
use crate::ledger::server as server_of_the_ledgers;
use crate::rig::{Folder, Gateway, Sandbox};

/// The order in flight, when the provider has it.
async fn in_flight(
    gateway: &Gateway,
    key: &'static str,
    hostname: &str,
) -> tokio::task::JoinHandle<reqwest::Result<reqwest::Response>> {
    let request =
        gateway.http.post(format!("{}/vps", gateway.api)).header("content-type", "application/json");
    let request = request.header("idempotency-key", key).body(server(hostname).to_string());
    let running = tokio::spawn(request.send());
    gateway.reached("create_vps").await;
    running
}

#[tokio::test]
async fn asked_to_stop_it_waits_for_a_purchase_and_knows_it_afterwards() {
    let (provider, folder) = (Sandbox::start(), Folder::new("stop"));
    let environment = [("GIZAD_LEDGER_DIR", folder.path())];
    let mut gateway = Gateway::beside(&provider, &environment);
    spoil(&gateway, json!({"kind": "delay", "ms": 1500})).await;
    let running = in_flight(&gateway, "k", "a").await;
    gateway.signal("TERM");
    let answer = running.await.expect("no panic").expect("answered");
    assert_eq!(answer.status(), 201);
    let text = answer.text().await.expect("a body");
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());

    let gateway = Gateway::beside(&provider, &environment);
    let again = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, again.text), (201, text));
    assert_eq!(gateway.executions().await, 1);
}

/// The heart of it: killed while the provider was at it, and nobody ever told what came of it.
#[tokio::test]
async fn killed_in_the_middle_it_finds_out_by_itself_and_sends_nothing_again() {
    let (provider, folder) = (Sandbox::start(), Folder::new("kill"));
    let environment = [("GIZAD_LEDGER_DIR", folder.path()), HASTY[0]];
    let mut gateway = Gateway::beside(&provider, &environment);
    spoil(&gateway, json!({"kind": "stall"})).await;
    let running = in_flight(&gateway, "k", "a").await;
    gateway.executed(1).await;
    gateway.signal("KILL");
    assert!(!gateway.ended().await.success());
    assert!(running.await.expect("no panic").is_err(), "its caller knows nothing");

    let gateway = Gateway::beside(&provider, &environment);
    assert!(gateway.log().contains("purchases are in doubt"), "{}", gateway.log());
    let twin = gateway.buy("k2", "/vps", &server("a")).await;
    let all = gateway.get("/operations").await.json();
    assert_eq!(all["operations"].as_array().map(Vec::len), Some(1), "{all}");
    let id = all["operations"][0]["operation_id"].as_str().expect("text").to_owned();
    let end = ended(&gateway, &format!("/operations/{id}")).await;
    assert_eq!(
        (&end["state"], &end["done"], &end["attempts"]),
        (&json!("FOUND"), &json!(true), &json!(1)),
        "{end}"
    );
    assert_eq!(states(&end), ["SENDING", "IN_DOUBT", "FOUND"]);
    assert_eq!((&end["held_vnd"], &end["posted_vnd"]), (&json!(0), &json!(PRICE)));
    assert_eq!(end["evidence"]["service_ids"].as_array().map(Vec::len), Some(1), "{end}");
    assert_eq!(twin.reason(), "TWIN_IN_DOUBT", "{}", twin.text);
    let again = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, &again.json()["state"]), (201, &json!("FOUND")), "{}", again.text);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

#[tokio::test]
async fn killed_again_and_again_it_stays_one_purchase() {
    let (provider, folder) = (Sandbox::start(), Folder::new("kills"));
    let environment = [("GIZAD_LEDGER_DIR", folder.path()), HASTY[0]];
    let mut gateway = Gateway::beside(&provider, &environment);
    spoil(&gateway, json!({"kind": "close_after"})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN");
    for _ in 0..4 {
        gateway.signal("KILL");
        gateway.ended().await;
        gateway = Gateway::beside(&provider, &environment);
        let again = gateway.buy("k", "/vps", &server("a")).await;
        assert!(matches!(again.status, 201 | 409), "{}", again.text);
        assert_eq!(again.header("location"), doubt.header("location"));
    }
    let end = ended(&gateway, doubt.header("location")).await;
    assert_eq!(states(&end), ["SENDING", "IN_DOUBT", "FOUND"]);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

/// Two replicas on one ledger: what one is sending, the other does not call unsent.
#[tokio::test]
async fn a_replica_joins_what_another_is_sending() {
    let provider = Sandbox::start();
    let ledger = ("GIZAD_SHARED_URL", server_of_the_ledgers());
    let (one, two) = (
        Gateway::beside(&provider, &[(ledger.0, &ledger.1)]),
        Gateway::beside(&provider, &[(ledger.0, &ledger.1)]),
    );
    spoil(&one, json!({"kind": "delay", "ms": 4000})).await;
    let running = in_flight(&one, "k", "a").await;
    let body = Some(("application/json", server("a").to_string().into_bytes()));
    let headers = [("idempotency-key", "k"), ("request-timeout", "2s")];
    let joined = two.send("POST", "/vps", body, &headers).await;
    let first = running.await.expect("no panic").expect("answered");
    let place = first.headers()["location"].to_str().expect("text").to_owned();
    assert_eq!((first.status().as_u16(), joined.status), (201, 202), "{}", joined.text);
    assert_eq!((joined.header("location"), &joined.json()["state"]), (place.as_str(), &json!("SENDING")));
    let again = two.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, &again.text), (201, &first.text().await.expect("a body")));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = two.buy("k", "/vps", &server("b")).await;
    assert_eq!(other.reason(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(one.executions().await, 1);
}

/// Killed while it sends, the other finds out.
#[tokio::test]
async fn a_replica_finds_out_what_another_left_behind() {
    let provider = Sandbox::start();
    let url = server_of_the_ledgers();
    let environment = [("GIZAD_SHARED_URL", url.as_str()), HASTY[0]];
    let (mut one, two) = (Gateway::beside(&provider, &environment), Gateway::beside(&provider, &environment));
    spoil(&one, json!({"kind": "stall"})).await;
    let running = in_flight(&one, "k", "a").await;
    one.executed(1).await;
    one.signal("KILL");
    assert!(!one.ended().await.success());
    assert!(running.await.expect("no panic").is_err());
    let all = two.get("/operations").await.json();
    let id = all["operations"][0]["operation_id"].as_str().expect("text").to_owned();
    let end = ended(&two, &format!("/operations/{id}")).await;
    assert_eq!((&end["state"], two.executions().await), (&json!("FOUND"), 1), "{end}");
    assert_eq!(two.buy("k", "/vps", &server("a")).await.json()["state"], "FOUND");
}

#[tokio::test]
async fn two_cannot_write_one_ledger() {
    let (provider, folder) = (Sandbox::start(), Folder::new("two"));
    let environment = [("GIZAD_LEDGER_DIR", folder.path())];
    let gateway = Gateway::beside(&provider, &environment);
    let second = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("GIZAD_LEDGER_DIR", folder.path())
        .env("GIZAD_STATE_DIR", "")
        .env("GIZAD_UPSTREAM_URL", &provider.url)
        .env("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41")
        .env("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains("ledger.dir"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.status, 201, "the first goes on");
}

/// Whoever has the disk has neither the key of the account nor the password of a server.
#[tokio::test]
async fn the_ledger_holds_no_secret_in_clear() {
    let (provider, folder) = (Sandbox::start(), Folder::new("clear"));
    let mut gateway = Gateway::beside(&provider, &[("GIZAD_LEDGER_DIR", folder.path())]);
    assert_eq!(gateway.buy("k1", "/vps", &server("a")).await.status, 201);
    spoil(&gateway, json!({"kind": "close_after"})).await;
    assert_eq!(gateway.buy("k2", "/vps", &server("b")).await.status, 409);
    let sold = gateway.buy("k3", "/keys", &json!({"product_id": "proxy-vn-dc"})).await;
    let item = sold.json()["purchase"]["items"][0].as_str().expect("a credential").to_owned();
    let reinstall = json!({"os": "debian-12", "password": "Passw0rd-canary-51", "confirm_hostname": "db-01"});
    assert_eq!(gateway.buy("k4", "/vps/2/reinstall", &reinstall).await.status, 200);
    let secrets = ["Passw0rd-canary-51", "SECRET-canary-42", "IDENTIFIER-canary-41", item.as_str()];
    let look = || {
        let files = walk(folder.path().as_ref());
        assert!(
            files.iter().any(|(_, bytes)| contains(bytes, b"VpsService.CreateVps")),
            "the records are there"
        );
        for (path, bytes) in &files {
            for secret in secrets {
                assert!(!contains(bytes, secret.as_bytes()), "{secret} in {}", path.display());
            }
        }
    };
    look();
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    look();
    assert!(secrets.iter().all(|secret| !gateway.log().contains(secret)), "{}", gateway.log());
    // And yet it is told again to whoever bought it.
    let gateway = Gateway::beside(&provider, &[("GIZAD_LEDGER_DIR", folder.path())]);
    let again = gateway.buy("k3", "/keys", &json!({"product_id": "proxy-vn-dc"})).await;
    assert_eq!(told(&again), told(&sold));
    assert!(again.text.contains(&item));
    let shown = stands(&gateway, sold.header("location")).await;
    assert_eq!(shown["purchase"]["items"][0], item.as_str());
}

/// With another secret the ledger cannot be opened; with the former one at hand it is sealed anew.
#[tokio::test]
async fn a_new_secret_needs_the_former_once() {
    let (provider, folder) = (Sandbox::start(), Folder::new("secret"));
    let place = ("GIZAD_LEDGER_DIR", folder.path());
    let mut gateway = Gateway::beside(&provider, &[place]);
    let bought = gateway.buy("k", "/vps", &server("a")).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let start = |former: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.env(place.0, place.1).env("GIZAD_STATE_DIR", "").env("GIZAD_UPSTREAM_URL", &provider.url);
        command.env("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41");
        command.env("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-43");
        command.envs(former.map(|file| ("GIZAD_CREDENTIALS_FORMER_SECRET_FILE", file)));
        command
    };
    let refused = start(None).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("ledger.dir") && !said.contains("canary"), "{said}");
    let former = crate::rig::File::new("former", "SECRET-canary-42\n");
    let secret = ("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-43");
    let mut gateway =
        Gateway::beside(&provider, &[place, secret, ("GIZAD_CREDENTIALS_FORMER_SECRET_FILE", former.path())]);
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.text, bought.text);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let gateway = Gateway::beside(&provider, &[place, secret]);
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.text, bought.text, "and not again");
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub fn walk(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let read = files.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a file")));
    read.chain(folders.iter().flat_map(|folder| walk(folder))).collect()
}
