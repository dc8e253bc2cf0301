//! The doctor: what is right, what is wrong and what to do about it; what the provider's answers look like; and answers that
//! nobody has seen, recognised with a line in the settings.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::rig::{File, Folder, Gateway, Sandbox, unique};

/// What tells the sandbox's account apart, none of which may be kept or shown.
const VALUES: [&str; 12] = [
    "canary",
    "web-01",
    "db-01",
    "an.nguyen",
    "Nguyễn",
    "0901234567",
    "203.0.113",
    "149000",
    "149.000",
    "5000000",
    "ubuntu",
    "VPS SSD",
];

fn doctor(provider: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let (identifier, secret) = key_files();
    Command::new(env!("CARGO_BIN_EXE_gizad"))
        .arg("doctor")
        .args(arguments)
        .env("GIZAD_UPSTREAM_URL", provider)
        .env("GIZAD_CREDENTIALS_IDENTIFIER_FILE", identifier.path())
        .env("GIZAD_CREDENTIALS_SECRET_FILE", secret.path())
        .env("GIZAD_PACE_RATE", "1000/s")
        .env("GIZAD_LISTEN_ADMIN", "127.0.0.1:1")
        .env("GIZAD_LEDGER_DIR", "")
        .env("GIZAD_STATE_DIR", "")
        .env("GIZAD_AUDIT_FILE", "off")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

/// The key of a sandbox that runs alone, in files of the user's own.
fn key_files() -> (File, File) {
    let files = (
        File::new(&format!("doctor-id-{}", unique()), "IDENTIFIER-canary-41"),
        File::new(&format!("doctor-secret-{}", unique()), "SECRET-canary-42"),
    );
    for file in [&files.0, &files.1] {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    files
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The verdict on one thing, and what to do about it.
fn verdict(output: &Output, check: &str) -> (String, String) {
    let json: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", out(output)));
    let found =
        json["findings"].as_array().expect("findings").iter().filter(|finding| finding["check"] == check);
    let worst = found.max_by_key(|finding| {
        ["ok", "skipped", "warning", "wrong"].iter().position(|word| finding["verdict"] == *word)
    });
    let worst = worst.unwrap_or_else(|| panic!("nothing about {check}: {json}"));
    (
        worst["verdict"].as_str().expect("a word").to_owned(),
        worst["advice"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_right_is_said_to_be() {
    let provider = Sandbox::start();
    let output = doctor(&provider.url, &["--json"], &[]);
    assert!(output.status.success(), "{}", out(&output));
    for check in ["settings", "credentials", "permissions", "DNS", "address family", "clock", "key"] {
        let (verdict, _) = verdict(&output, check);
        assert!(matches!(verdict.as_str(), "ok" | "skipped"), "{check} is {verdict}: {}", out(&output));
    }
    assert_eq!(verdict(&output, "key").0, "ok");
    let text = doctor(&provider.url, &[], &[]);
    assert!(out(&text).contains("ok       key"), "{}", out(&text));
    for output in [output, text] {
        let all = format!("{}{}", out(&output), String::from_utf8_lossy(&output.stderr));
        assert!(!all.contains("canary"), "{all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_comes_with_what_to_do() {
    let provider = Sandbox::start();
    // A key that the provider does not take, in a file that everybody may read.
    let secret = File::new(&format!("doctor-open-{}", unique()), "SECRET-canary-43");
    std::fs::set_permissions(secret.path(), std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let output = doctor(&provider.url, &["--json"], &[("GIZAD_CREDENTIALS_SECRET_FILE", secret.path())]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    for check in ["credentials", "key"] {
        let (verdict, advice) = verdict(&output, check);
        assert!(verdict == "wrong" && !advice.is_empty(), "{check}: {}", out(&output));
    }
    assert!(!out(&output).contains("canary"));
    // Nobody there, nobody of that name, and settings with mistakes: all of them.
    let output = doctor("http://127.0.0.1:1/api", &["--json"], &[]);
    assert_eq!(verdict(&output, "address family").0, "wrong");
    let output = doctor("https://nobody.invalid/api", &["--json"], &[]);
    assert_eq!(verdict(&output, "DNS").0, "wrong");
    let output = doctor("ftp://x", &["--json"], &[("GIZAD_PACE_BURST", "0"), ("GIZAD_LISTEN_AIP", "x")]);
    let text = out(&output);
    assert!(
        output.status.code() == Some(1)
            && text.contains("upstream.url")
            && text.contains("pace.burst")
            && text.contains("GIZAD_LISTEN_API"),
        "{text}"
    );
    // A file that others may change could send the key anywhere.
    let config = File::new(&format!("doctor-config-{}", unique()), "");
    std::fs::set_permissions(config.path(), std::fs::Permissions::from_mode(0o666)).expect("a mode");
    let output = doctor(&provider.url, &["--json", "--config", config.path()], &[]);
    assert_eq!(verdict(&output, "permissions").0, "wrong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_noticed() {
    let answer = "HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\ncontent-length: 16\r\nconnection: close\r\n\r\n{\"success\":true}";
    let provider = super::provider::Raw::answering(answer.as_bytes().to_vec());
    let output = doctor(&provider.url, &["--json"], &[]);
    let (verdict, advice) = verdict(&output, "clock");
    assert!(verdict == "wrong" && advice.contains("timedatectl"), "{}", out(&output));
    // What was asked to learn that carries no key.
    let seen = String::from_utf8_lossy(&provider.received.lock().expect("unpoisoned")).into_owned();
    let first = seen.split("POST").next().unwrap_or_default();
    assert!(first.starts_with("GET /api?action=") && !first.contains("canary"), "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_looked_at_before_anything_is_sent() {
    let provider = super::tls::provider("localhost").await;
    let ca = File::new(&format!("doctor-ca-{}", unique()), &provider.ca_pem);
    let url = |host: &str| format!("https://{host}:{}/api", provider.address.port());
    let trusted = [("GIZAD_UPSTREAM_CA_FILE", ca.path())];
    let seen = doctor(&url("localhost"), &["--json"], &trusted);
    assert_eq!(verdict(&seen, "TLS").0, "ok", "{}", out(&seen));
    assert!(out(&seen).contains("the certificate is for localhost"), "{}", out(&seen));
    for (host, environment, advice) in
        [("localhost", &[][..], "upstream.ca_file"), ("127.0.0.1", &trusted[..], "upstream.url")]
    {
        let seen = doctor(&url(host), &["--json"], environment);
        let (verdict, told) = verdict(&seen, "TLS");
        assert!(verdict == "wrong" && told.contains(advice), "{host}: {}", out(&seen));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_read_while_a_daemon_writes_it() {
    let provider = Sandbox::start();
    let folder = Folder::new("doctor-ledger");
    let gateway = Gateway::beside(&provider, &[("GIZAD_LEDGER_DIR", folder.path())]);
    let order = json!({"plan_id": 26, "hostname": "a", "password": "p", "os": "ubuntu-22.04", "billing_cycle": "monthly"});
    assert_eq!(gateway.buy("k1", "/vps", &order).await.status, 201);
    let admin = gateway.admin.trim_start_matches("http://").to_owned();
    let with = [("GIZAD_LEDGER_DIR", folder.path()), ("GIZAD_LISTEN_ADMIN", &admin)];
    let output = doctor(&provider.url, &["--json"], &with);
    assert_eq!(verdict(&output, "ledger").0, "ok", "{}", out(&output));
    assert_eq!(verdict(&output, "daemon").0, "ok", "{}", out(&output));
    // Another secret does not open it.
    let other = File::new(&format!("doctor-other-{}", unique()), "SECRET-canary-43");
    std::fs::set_permissions(other.path(), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let output = doctor(
        &provider.url,
        &["--json"],
        &[&with[..], &[("GIZAD_CREDENTIALS_SECRET_FILE", other.path())]].concat(),
    );
    let (found, advice) = verdict(&output, "ledger");
    assert!(found == "wrong" && advice.contains("former_secret_file"), "{}", out(&output));
}

fn http() -> reqwest::Client {
    let _chosen = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// What the provider was asked for.
async fn actions(provider: &Sandbox) -> Vec<String> {
    let http = http();
    let seen = http
        .get(format!("{}/requests", provider.control))
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    let action = |request: &Value| {
        let body: Value = serde_json::from_str(request["body"].as_str().expect("text")).unwrap_or_default();
        let target = request["target"].as_str().expect("text");
        body["action"].as_str().map(str::to_owned).or_else(|| {
            target.split("action=").nth(1).map(|rest| rest.split('&').next().unwrap_or_default().to_owned())
        })
    };
    seen.as_array().expect("a list").iter().filter_map(action).collect()
}

async fn speak(provider: &Sandbox, personality: &str) {
    let http = http();
    let body = json!({"personality": personality}).to_string();
    let told =
        http.put(format!("{}/personality", provider.control)).body(body).send().await.expect("an answer");
    assert!(told.status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_learned_without_what_they_say() {
    let provider = Sandbox::start();
    let folder = Folder::new("doctor-shapes");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let kept = format!("{}/shapes.json", folder.path());
    let arguments = ["--calibrate", "--shapes", kept.as_str()];
    for personality in ["boolean", "whmcs", "status", "virtualizor", "bare"] {
        let _anew = std::fs::remove_file(&kept);
        speak(&provider, personality).await;
        let output = doctor(&provider.url, &arguments, &[]);
        let text = out(&output);
        assert!(output.status.success(), "{personality}: {text}");
        let shapes = std::fs::read_to_string(&kept).expect("shapes");
        for value in VALUES {
            assert!(
                !text.contains(value) && !shapes.contains(value),
                "{personality}: {value:?} in {text}{shapes}"
            );
        }
        assert!(
            text.contains("VpsService.ListVps (list_vps): understood")
                && text.contains("found: billing_cycle, "),
            "{text}"
        );
        let mode = std::fs::metadata(&kept).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let json: Value = serde_json::from_str(&shapes).expect("JSON");
        let known = json["answers"].as_object().expect("answers");
        assert!(known.contains_key("list_vps_with_node") && known.contains_key("vps_status"), "{shapes}");
    }
    // Only what is harmless was asked.
    let harmless: Vec<String> = super::rig::contract()
        .operations()
        .iter()
        .filter(|row| row.effect.is_read() && row.effect != gizad::contract::Effect::Secret)
        .flat_map(|row| row.upstream.names())
        .map(str::to_owned)
        .collect();
    for action in actions(&provider).await {
        assert!(harmless.contains(&action), "{action} was asked");
    }
    // The same again is no difference; another provider is one, with a code of its own.
    let output = doctor(&provider.url, &arguments, &[]);
    assert!(output.status.success() && out(&output).contains("Nothing has changed"), "{}", out(&output));
    speak(&provider, "virtualizor").await;
    let output = doctor(&provider.url, &[&arguments[..], &["--json"]].concat(), &[]);
    assert_eq!(output.status.code(), Some(6), "{}", out(&output));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["calibration"]["drifted"], true);
}

/// An answer in words that nobody has seen.
const STRANGE: &str = r#"{"success":true,"danh_sach_may":[{"ma_may":7,"ten_may":"la-01","dia_chi":"198.51.100.7","tinh_trang":"Ngon lành"}]}"#;

const ROWS: &str = r#"
[[upstream.mapping]]
action = "list_vps"
under = ["danh_sach_may"]
[[upstream.mapping]]
action = "list_vps"
field = "vps_id"
from = ["ma_may"]
[[upstream.mapping]]
action = "list_vps"
field = "ip_addresses"
from = ["dia_chi"]
[[upstream.mapping]]
action = "list_vps"
field = "state"
from = ["tinh_trang"]
value = "ACTIVE"
words = ["ngon lành"]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strange_answer_is_recognised_with_a_line_in_the_settings() {
    let folder = Folder::new("doctor-mapping");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let config = format!("{}/gizad.toml", folder.path());
    std::fs::write(&config, "").expect("written");
    let gateway = Gateway::start(&["--sandbox", "--config", &config], &[]);
    gateway.order(json!({"kind": "answer", "action": "list_vps", "body": STRANGE, "times": 100})).await;
    let before = gateway.get("/vps").await;
    assert_eq!(before.reason(), "UPSTREAM_SHAPE_UNKNOWN", "{}", before.text);
    std::fs::write(&config, ROWS).expect("written");
    gateway.signal("HUP");
    let line = gateway.logged("settings taken over").await;
    assert!(line.contains("upstream.mapping"), "{line}");
    let after = gateway.get("/vps").await;
    assert_eq!(after.status, 200, "{}", after.text);
    let vps = &after.json()["vps"][0];
    assert_eq!(
        (&vps["vps_id"], &vps["ip_addresses"], &vps["state"]),
        (&json!(7), &json!(["198.51.100.7"]), &json!("ACTIVE")),
        "{vps}"
    );
    assert_eq!(vps["extra"], json!({"ten_may": "la-01"}), "what has no row is kept");
    // The one that is picked from the list, too.
    assert_eq!(gateway.get("/vps/7").await.status, 200);
}

/// Whether it worked is for the contract to say: a row that reads a refusal's code as an order's number makes no purchase of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_the_settings_turns_no_refusal_into_a_success() {
    let rows = "[[upstream.mapping]]\naction = \"create_vps\"\nfield = \"order_id\"\nfrom = [\"code\"]\n";
    let config = File::new(&format!("doctor-refusal-{}", unique()), rows);
    let gateway = Gateway::start(&["--sandbox", "--config", config.path()], &[]);
    let refusal = json!({"code": 422, "message": "Plan is gone"}).to_string();
    gateway.order(json!({"kind": "answer", "action": "create_vps", "body": refusal})).await;
    let order = super::access::order("api-1");
    let refused = gateway.buy("k", "/vps", &order).await;
    assert_eq!((refused.status, refused.reason().as_str()), (409, "UPSTREAM_REFUSED"), "{}", refused.text);
}

#[test]
fn rows_that_say_nothing_are_named() {
    let config = File::new(
        &format!("doctor-rows-{}", unique()),
        r#"
[[upstream.mapping]]
action = "list_vpss"
field = "hostname"
from = ["ten"]
[[upstream.mapping]]
action = "list_vps"
field = "hostnam"
from = ["ten"]
[[upstream.mapping]]
action = "VpsService.ListVps"
field = "state"
value = "RUNNING"
words = ["x"]
"#,
    );
    let output = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["check", "--sandbox", "--config", config.path()])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{text}");
    for expected in [
        "upstream.mapping[0].action: expected an action or an operation",
        "did you mean list_vps?",
        "upstream.mapping[1].field: expected a field",
        "did you mean hostname?",
        "upstream.mapping[2].value: expected one of",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}
