//! How it starts and ends: which signals it hears from when on, and what its callers and its log are told.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::process::{PATIENCE, Process};
use crate::rig::{Folder, Gateway, unique};

/// Whether a process catches a signal, by its number.
fn catches(process: u32, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask =
        status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim).unwrap_or_default();
    u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & 1 << (signal - 1) != 0)
}

fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A gizad whose settings are not all there yet: they come through a pipe.
fn reading(folder: &Folder) -> (Process, String) {
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let pipe = format!("{}/settings", folder.path());
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gizad"));
    let command = command
        .args([
            "serve",
            "--sandbox",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--config",
            &pipe,
        ])
        .env("GIZAD_LOG_FORMAT", "json")
        .env("GIZAD_RELOAD_EVERY", "off");
    let process = Process::start(command);
    until("it listens to no signal", || catches(process.id(), 1) && catches(process.id(), 15));
    (process, pipe)
}

#[test]
fn a_hangup_at_the_start_is_no_end() {
    let folder = Folder::new("early");
    let (process, pipe) = reading(&folder);
    process.signal(Signal::HUP);
    // From now on whoever reads it finds that there is nothing in it. It ends with the tests.
    std::thread::spawn(move || while std::fs::write(&pipe, "").is_ok() {});
    process.logged("\"message\":\"ready\"");
    process.logged("settings taken over");
}

#[test]
fn a_stop_at_the_start_ends_it_with_zero() {
    let folder = Folder::new("early-stop");
    let (mut process, _pipe) = reading(&folder);
    process.signal(Signal::TERM);
    assert_eq!(process.ended(), 0, "{}", process.log());
}

/// What a program that is on its way somewhere else needs: readiness first, and everything else as before for a while.
#[tokio::test]
async fn calls_are_taken_while_readiness_is_off_already() {
    let mut gateway =
        Gateway::sandbox_with(&[("GIZAD_SHUTDOWN_DELAY", "8s"), ("GIZAD_UPSTREAM_TIMEOUT", "5s")]);
    let mut health = HealthClient::new(gateway.channel().await);
    gateway.signal("TERM");
    gateway.logged("stopping").await;
    let mut serving = 1;
    while serving == 1 {
        let asked = HealthCheckRequest { service: String::new() };
        serving = health.check(asked).await.expect("an answer").into_inner().status;
    }
    assert_eq!(serving, 2, "NOT_SERVING");
    let ready = gateway.admin("GET", "/readyz").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("draining")));
    // On a connection of its own.
    let fresh = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = fresh.get(format!("{}/wallet", gateway.api)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());
}

/// A client of HTTP/1 that rests when gizad stops may have sent its next call already.
#[tokio::test]
async fn the_last_call_of_a_connection_is_answered_and_told_that_it_was_the_last() {
    let mut gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "delay", "ms": 1500, "action": "balance"})).await;
    let slow = tokio::spawn(gateway.http.get(format!("{}/wallet", gateway.api)).send());
    gateway.reached("balance").await;
    gateway.signal("TERM");
    gateway.logged("stopping").await;
    let answer = slow.await.expect("no panic").expect("answered");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());
}

/// A connection on which a body arrives slowly: what it asks for comes when it is too late.
#[tokio::test]
async fn what_comes_too_late_is_refused_and_was_not_sent() {
    let mut gateway = Gateway::sandbox();
    let address = gateway.api.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
        .write_all(b"POST /vps/1/reboot HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{")
        .expect("written");
    // Its head is here when another call on the same way is answered.
    assert_eq!(gateway.get("/catalog/vps-plans").await.status, 200);
    gateway.signal("TERM");
    gateway.logged("no more calls are taken").await;
    stream.write_all(b"}").expect("written");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("SHUTTING_DOWN"), "{said}");
    assert!(
        said.contains("\"sent\":\"never\"") && said.to_lowercase().contains("connection: close"),
        "{said}"
    );
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());
}

/// A call and a purchase that nobody answers.
async fn stalled(environment: &[(&str, &str)]) -> Gateway {
    let gateway = Gateway::sandbox_with(environment);
    gateway.order(json!({"kind": "stall", "times": 1, "action": "vps_action"})).await;
    gateway.order(json!({"kind": "stall", "times": 1, "action": "create_vps"})).await;
    let url = format!("{}/vps/1/reboot", gateway.api);
    tokio::spawn(gateway.http.post(url).header("x-request-id", "left-1").send());
    let order = json!({"plan_id": 26, "hostname": "left-01", "password": "Passw0rd-canary-51", "os": "ubuntu-22.04",
                       "billing_cycle": "monthly"});
    let url = format!("{}/vps", gateway.api);
    tokio::spawn(
        gateway
            .http
            .post(url)
            .header("idempotency-key", "left")
            .header("content-type", "application/json")
            .body(order.to_string())
            .send(),
    );
    gateway.reached("create_vps").await;
    gateway.reached("vps_action").await;
    gateway
}

async fn names_what_is_left(gateway: &Gateway) {
    let call = gateway.logged("\"request_id\":\"left-1\"").await;
    assert!(call.contains("a call is cut off") && call.contains("VpsService.RebootVps"), "{call}");
    let purchase = gateway.logged("a purchase is cut off").await;
    assert!(
        purchase.contains("\"operation_id\":\"op_") && purchase.contains("\"state\":\"SENDING\""),
        "{purchase}"
    );
    let line = gateway.logged("stopped early").await;
    assert!(line.contains("\"cut_off\":2") && line.contains("\"purchases\":1"), "{line}");
    assert!(!gateway.log().contains("canary-51"), "{}", gateway.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_names_what_is_left() {
    for (second, code) in [("TERM", 143), ("INT", 130)] {
        let mut gateway = stalled(&[]).await;
        gateway.signal("TERM");
        gateway.logged("stopping").await;
        gateway.signal(second);
        assert_eq!(gateway.ended().await.code(), Some(code), "{}", gateway.log());
        names_what_is_left(&gateway).await;
    }
}

/// A read that is sent again and again outlives the bound, though no single exchange does.
#[tokio::test]
async fn what_does_not_end_within_the_bound_is_named_and_the_exit_code_says_so() {
    let mut gateway = Gateway::sandbox_with(&[
        ("GIZAD_UPSTREAM_TIMEOUT", "1s"),
        ("GIZAD_SHUTDOWN_GRACE", "1s"),
        ("GIZAD_RETRY_ATTEMPTS", "10"),
    ]);
    gateway.order(json!({"kind": "stall", "times": 10, "action": "balance"})).await;
    let url = format!("{}/wallet", gateway.api);
    tokio::spawn(gateway.http.get(url).header("x-request-id", "slow-1").send());
    gateway.reached("balance").await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(75), "{}", gateway.log());
    gateway.logged("the time to finish ran out").await;
    let call = gateway.logged("a call is cut off").await;
    assert!(call.contains("\"request_id\":\"slow-1\"") && call.contains("WalletService.GetWallet"), "{call}");
}

/// A sandbox that was killed leaves a folder; the next one takes it away, and no folder of one that lives.
#[tokio::test]
async fn what_a_killed_sandbox_left_is_gone_after_the_next_start() {
    let below = Folder::new(&format!("swept-{}", unique()));
    std::fs::create_dir_all(below.path()).expect("a folder");
    let start = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gizad"));
        let process = Process::start(
            command
                .args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
                .env("TMPDIR", below.path())
                .env("GIZAD_LOG_FORMAT", "json"),
        );
        process.logged("\"message\":\"ready\"");
        process
    };
    let folder = |process: &Process| format!("{}/gizad-sandbox-{}", below.path(), process.id());
    let (mut killed, living) = (start(), start());
    killed.signal(Signal::KILL);
    assert_eq!(killed.ended(), -9);
    let left = folder(&killed);
    assert!(std::fs::metadata(&left).is_ok(), "it had no time to remove it");
    let mut next = start();
    assert!(std::fs::metadata(&left).is_err(), "removed");
    assert!(std::fs::metadata(folder(&living)).is_ok() && std::fs::metadata(folder(&next)).is_ok());
    next.signal(Signal::INT);
    assert_eq!(next.ended(), 0);
    assert!(std::fs::metadata(folder(&next)).is_err(), "gone with it");
}
