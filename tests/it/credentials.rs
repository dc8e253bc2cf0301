//! The provider's key: where it comes from, what becomes of it while the gateway runs, and what is done when the provider
//! refuses it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rig::{Folder, Gateway, PATIENCE, Sandbox};

const IDENTIFIER: &str = "IDENTIFIER-canary-41";
const SECRET: &str = "SECRET-canary-42";
const NEXT: &str = "NEXT-SECRET-canary-43";
/// What every system has for those who may nothing.
const NOBODY: u32 = 65534;

fn server(hostname: &str) -> Value {
    json!({"plan_id": 26, "hostname": hostname, "password": "StrongPass@123", "os": "ubuntu-22.04", "billing_cycle": "monthly"})
}

/// A folder in which files are swapped as Kubernetes does it: `secret` links into `..data`, which links to a folder.
struct Mounted {
    folder: Folder,
    count: u32,
}

impl Mounted {
    fn new(identifier: &str, secret: &str) -> Self {
        let mut mounted = Self { folder: Folder::new("mounted"), count: 0 };
        fs::create_dir_all(mounted.folder.path()).expect("a folder");
        mounted.swap(identifier, secret);
        for name in ["identifier", "secret"] {
            symlink(format!("..data/{name}"), mounted.path(name)).expect("a link");
        }
        mounted
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.path())
    }

    fn swap(&mut self, identifier: &str, secret: &str) {
        self.count += 1;
        let folder = self.path(&format!("..{}", self.count));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(format!("{folder}/identifier"), format!("{identifier}\n")).expect("written");
        fs::write(format!("{folder}/secret"), format!("{secret}\n")).expect("written");
        let next = self.path("..data_tmp");
        symlink(format!("..{}", self.count), &next).expect("a link");
        fs::rename(&next, self.path("..data")).expect("swapped");
    }
}

/// A gateway whose key stands in files, and its provider.
struct House {
    provider: Sandbox,
    mounted: Mounted,
    ledger: Folder,
    gateway: Gateway,
}

impl House {
    fn new() -> Self {
        let provider = Sandbox::start();
        let (mounted, ledger) = (Mounted::new(IDENTIFIER, SECRET), Folder::new("rotated"));
        let gateway = open(&provider, &mounted, &ledger);
        Self { provider, mounted, ledger, gateway }
    }

    /// The provider accepts another secret from now on.
    async fn issue(&self, secret: &str) {
        self.gateway.control("PUT", "/credentials", json!({"secret": secret})).await;
    }

    async fn buy(&self, key: &str) -> u16 {
        self.gateway.buy(key, "/vps", &server(key)).await.status
    }

    async fn operations(&self) -> usize {
        self.gateway.get("/operations").await.json()["operations"].as_array().expect("a list").len()
    }
}

fn open(provider: &Sandbox, mounted: &Mounted, ledger: &Folder) -> Gateway {
    fs::create_dir_all(ledger.path()).expect("a folder");
    let (identifier, secret) = (mounted.path("identifier"), mounted.path("secret"));
    Gateway::start_beside(
        provider,
        &[
            ("GIZAD_CREDENTIALS_IDENTIFIER_FILE", &identifier),
            ("GIZAD_CREDENTIALS_SECRET_FILE", &secret),
            ("GIZAD_LEDGER_DIR", ledger.path()),
        ],
    )
}

#[tokio::test]
async fn a_new_secret_is_tried_before_it_is_used_and_the_ledger_is_read_with_it() {
    let mut house = House::new();
    assert_eq!(house.buy("before").await, 201);

    // One that the provider does not accept is not taken.
    house.mounted.swap(IDENTIFIER, "WRONG-SECRET-canary-44");
    let line = house.gateway.logged("the new secret is not taken").await;
    assert!(line.contains("UPSTREAM_AUTH_FAILED") && line.contains("\"again_in_s\":60"), "{line}");
    assert!(!house.gateway.log().contains("canary"), "{}", house.gateway.log());
    assert_eq!(house.gateway.get("/wallet").await.status, 200, "the old one goes on");
    assert_eq!(house.gateway.admin("GET", "/readyz").await.json()["status"], "ready");

    // Another account is not taken over while it runs, nor is it asked about.
    house.gateway.forget().await;
    house.mounted.swap("IDENTIFIER-canary-99", SECRET);
    house.gateway.logged("that is another account").await;
    assert_eq!(house.gateway.seen().await, Vec::<String>::new());

    // The provider issues a new one; from its first use on, nothing is sent with the old one.
    house.issue(NEXT).await;
    house.mounted.swap(IDENTIFIER, NEXT);
    house.gateway.logged("the provider has accepted the new secret").await;
    house.gateway.forget().await;
    assert_eq!(house.buy("after").await, 201);
    let seen = house.gateway.seen().await;
    assert!(
        !seen.is_empty() && seen.iter().all(|body| !body.contains(SECRET) || body.contains(NEXT)),
        "{seen:?}"
    );
    assert_eq!(house.operations().await, 2, "the ledger goes on");

    // And is read with the new secret alone after a restart.
    let House { provider, mounted, ledger, mut gateway } = house;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let gateway = open(&provider, &mounted, &ledger);
    let house = House { provider, mounted, ledger, gateway };
    assert_eq!(house.operations().await, 2);
    // What was sealed is opened: the same answer as before, and not another purchase.
    assert_eq!(house.buy("before").await, 201);
    assert_eq!(house.gateway.sent("create_vps").await.len(), 1, "sent once since the provider forgot");
}

#[tokio::test]
async fn a_secret_is_looked_at_at_once_on_a_sighup() {
    let mut house = House::new();
    house.mounted.swap(IDENTIFIER, "WRONG-SECRET-canary-44");
    house.gateway.logged("the new secret is not taken").await;
    house.issue("WRONG-SECRET-canary-44").await;
    // It rests for a minute now, unless it is asked.
    house.gateway.signal("HUP");
    house.gateway.logged("the provider has accepted the new secret").await;
    assert_eq!(house.gateway.get("/wallet").await.status, 200);
}

/// The number of the lines with these words in the log.
fn lines(gateway: &Gateway, words: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains(words)).count()
}

async fn refused(gateway: &Gateway) {
    let begun = Instant::now();
    while gateway.admin("GET", "/readyz").await.json()["reasons"] != json!(["UPSTREAM_AUTH_FAILED"]) {
        assert!(begun.elapsed() < PATIENCE, "not said: {}", gateway.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_provider_that_refuses_the_key_is_left_alone_until_there_is_another() {
    let mut house = House::new();
    house.issue(NEXT).await;
    let first = house.gateway.get("/wallet").await;
    assert_eq!((first.status, first.reason().as_str()), (502, "UPSTREAM_AUTH_FAILED"));
    assert_eq!(first.json()["sent"], "answered");
    refused(&house.gateway).await;
    house.gateway.forget().await;
    for _ in 0..50 {
        let told = house.gateway.get("/vps").await;
        assert_eq!((told.status, told.reason().as_str()), (502, "UPSTREAM_AUTH_FAILED"));
        let body = told.json();
        assert_eq!(
            (&body["sent"], &body["upstream_message"]),
            (&json!("never"), &json!("Authentication Failed"))
        );
        assert!(body["detail"].as_str().expect("text").contains("nothing is sent"), "{body}");
        assert!((1..=60).contains(&told.header("retry-after").parse::<u64>().expect("a number")), "{body}");
    }
    let status = house.gateway.grpc(super::rig::operation("WalletService.GetWallet"), &json!({})).await;
    assert_eq!(status.expect_err("refused").code(), tonic::Code::FailedPrecondition);
    // A purchase is not begun, and nothing is written down.
    let bought = house.gateway.buy("k", "/vps", &server("k")).await;
    assert_eq!((bought.status, bought.json()["sent"].clone()), (502, json!("never")), "{}", bought.text);
    assert_eq!(house.operations().await, 0);
    // But for the price, which everybody may ask.
    let seen = house.gateway.seen().await;
    assert!(seen.iter().all(|seen| seen == "/api?action=list_plans"), "nothing was sent: {seen:?}");
    // What needs no key is asked.
    assert_eq!(house.gateway.get("/catalog/vps-plans").await.status, 200);
    assert_eq!(house.gateway.admin("GET", "/status").await.json()["credentials"], "UPSTREAM_AUTH_FAILED");
    let ready = house.gateway.admin("GET", "/readyz").await;
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"status": "degraded", "reasons": ["UPSTREAM_AUTH_FAILED"]}))
    );
    assert_eq!(lines(&house.gateway, "the provider refuses gizad's credentials"), 1);
    let said = |line: &&str| line.contains("UPSTREAM_AUTH_FAILED") && !line.contains("\"INFO\"");
    let loud = house.gateway.log().lines().filter(said).count();
    assert_eq!(loud, 2, "the first refusal and the shutting: {}", house.gateway.log());

    house.mounted.swap(IDENTIFIER, NEXT);
    house.gateway.logged("the provider has accepted the new secret").await;
    assert_eq!(house.gateway.get("/wallet").await.status, 200);
    assert_eq!(house.gateway.admin("GET", "/readyz").await.json(), json!({"status": "ready", "reasons": []}));
    assert_eq!(house.gateway.admin("GET", "/status").await.json()["credentials"], "accepted");
    assert_eq!(house.buy("k").await, 201, "the same key is free");
}

#[tokio::test]
async fn a_purchase_that_is_refused_by_a_lie_ends_as_without_it_and_shuts_nothing() {
    let house = House::new();
    let lie = json!({"success": false, "message": "Authentication Failed"});
    let order =
        json!({"kind": "answer_after", "action": "create_vps", "status": 401, "body": lie.to_string()});
    house.gateway.order(order).await;
    let told = house.gateway.buy("k", "/vps", &server("k")).await;
    // It was carried out, and the account shows it: not failed.
    assert!(!told.text.contains("\"state\":\"REFUSED\"") && told.json()["sent"] != "never", "{}", told.text);
    assert_eq!(house.gateway.executions().await, 1);
    assert_eq!(house.gateway.get("/wallet").await.status, 200);
    assert_eq!(house.gateway.admin("GET", "/readyz").await.json()["status"], "ready");
    assert_eq!(lines(&house.gateway, "the provider refuses gizad's credentials"), 0);
    let again = house.gateway.buy("k", "/vps", &server("k")).await;
    assert_eq!(house.gateway.executions().await, 1, "{}", again.text);
}

/// What a process was started with, as everybody with its rights can read it.
fn environ(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).expect("readable for root"))
        .into_owned()
}

#[tokio::test]
async fn what_is_secret_in_the_environment_is_taken_out_of_it() {
    let provider = Sandbox::start();
    let gateway = Gateway::beside(&provider, &[("GIZAD_LOG_LEVEL", "trace")]);
    assert_eq!(gateway.get("/wallet").await.status, 200);
    if process_owner(gateway.id()) == 0 && fs::metadata("/proc/self").expect("there").uid() != 0 {
        // It cannot even be read.
        return;
    }
    let (environment, line) = (environ(gateway.id()), fs::read(format!("/proc/{}/cmdline", gateway.id())));
    let line = String::from_utf8_lossy(&line.expect("readable")).into_owned();
    assert!(environment.contains("GIZAD_LOG_LEVEL=trace"), "what is no secret stays: {environment}");
    assert!(!environment.contains("canary") && !line.contains("canary"), "{environment} {line}");
    assert!(line.contains("serve\x00--listen\x00127.0.0.1:0"), "it begins anew as it was called: {line}");
    assert!(!environ(provider.id()).contains(SECRET), "nor in that of the stand-in");
    // And is still there when the settings are read again.
    gateway.signal("HUP");
    gateway.logged("settings taken over").await;
    assert_eq!(gateway.get("/wallet").await.status, 200);
}

fn process_owner(pid: u32) -> u32 {
    fs::metadata(format!("/proc/{pid}/environ")).expect("a process").uid()
}

/// Its memory is read by nobody with the same rights, and no core is written of it.
#[tokio::test]
async fn its_memory_is_its_own() {
    let as_root = fs::metadata("/proc/self").expect("there").uid() == 0;
    let gateway = if as_root { Gateway::as_user(NOBODY) } else { Gateway::sandbox() };
    assert_eq!(gateway.get("/wallet").await.status, 200);
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.id())).expect("readable");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    // The files of a process that may be dumped belong to its user (proc(5)).
    assert_eq!(process_owner(gateway.id()), 0);
    for file in ["environ", "mem", "maps"] {
        let path = format!("/proc/{}/{file}", gateway.id());
        let mut read = Command::new("head");
        read.args(["-c", "1", &path]).stdout(Stdio::null()).stderr(Stdio::piped());
        if as_root {
            read.uid(NOBODY).gid(NOBODY);
        }
        let output = read.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("ermission denied"), "{path}: {said}");
    }
}

#[test]
fn systemd_hands_the_key_over_in_files() {
    let mounted = Mounted::new(IDENTIFIER, SECRET);
    let check = |folder: &str| {
        let mut gizad = Command::new(env!("CARGO_BIN_EXE_gizad"));
        gizad.arg("check").env("CREDENTIALS_DIRECTORY", folder).output().expect("it runs")
    };
    let output = check(mounted.folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let nothing = check("/nowhere");
    let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert_eq!(nothing.status.code(), Some(64));
    assert!(
        said.contains("credentials.identifier: expected") && said.contains("credentials.secret: expected"),
        "{said}"
    );
}

/// What is printed to be read by a person holds neither half.
#[test]
fn the_settings_are_shown_without_the_key() {
    let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .arg("check")
        .env("GIZAD_CREDENTIALS_IDENTIFIER", IDENTIFIER)
        .env("GIZAD_CREDENTIALS_SECRET", SECRET)
        .output()
        .expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("identifier = \"[masked]\"  # from GIZAD"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn a_file_that_everybody_may_read_is_warned_about() {
    let provider = Sandbox::start();
    let (mounted, ledger) = (Mounted::new(IDENTIFIER, SECRET), Folder::new("exposed"));
    let change = |name: &str, mode: u32| {
        fs::set_permissions(mounted.path(name), fs::Permissions::from_mode(mode)).expect("changed");
    };
    change("identifier", 0o440);
    for (mode, warnings) in [(0o400, 0), (0o444, 1)] {
        change("secret", mode);
        let gateway = open(&provider, &mounted, &ledger);
        assert_eq!(gateway.get("/wallet").await.status, 200);
        let warned = lines(&gateway, "every user of this machine may read this file");
        assert_eq!(warned, warnings, "{mode:o}: {}", gateway.log());
    }
}
