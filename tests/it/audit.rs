//! Who did what: a line before and one after, nothing of what is secret, and what is found when somebody meddles with them.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::access::{House, order, token};
use super::money::room::Disk;
use super::operations::rows;
use super::rig::{Folder, Gateway, PATIENCE, operation};

/// A file in a folder that is gone with the test.
struct Place {
    folder: Folder,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::new("audit");
        fs::create_dir_all(folder.path()).expect("a folder");
        Self { folder }
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.path())
    }

    fn log(&self) -> String {
        self.file("audit.log")
    }

    /// The lines of a file, once there are so many of them.
    async fn lines(&self, name: &str, least: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(self.file(name)).unwrap_or_default();
            if text.lines().count() >= least {
                return text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            }
            assert!(begun.elapsed() < PATIENCE, "{least} lines were expected: {text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Checks files with the sandbox's secret.
    fn verify(&self, names: &[&str]) -> (bool, String) {
        let files: Vec<String> = names.iter().map(|name| self.file(name)).collect();
        verify(&files, &[])
    }
}

fn verify(files: &[String], environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
    command.args(["audit", "verify", "--sandbox"]).args(files).envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert_eq!(status.success(), said.ends_with("the audit log is sound\n"), "{said}");
    (status.success(), said)
}

fn shop(place: &Place, environment: &[(&str, &str)]) -> Gateway {
    let log = place.log();
    let mut all = vec![("GIZAD_AUDIT_FILE", log.as_str())];
    all.extend(environment);
    Gateway::sandbox_with(&all)
}

/// What a line says, without what is new every time.
fn plain(line: &Value) -> Value {
    let mut line = line.clone();
    let members = line.as_object_mut().expect("an object");
    for name in ["seq", "time", "mac", "before", "key", "version"] {
        members.remove(name);
    }
    line
}

#[tokio::test]
async fn each_call_that_changes_or_reveals_leaves_its_lines_and_no_other() {
    let ((ann, a), (bob, b)) = (token("ann", "read,sensitive,write,spend"), token("bob", "read,admin"));
    let place = Place::new();
    let log = place.log();
    let house = House::new(&[&*a, &b].concat(), &[("GIZAD_AUDIT_FILE", &log)]);
    let named = async |token: &str, key: &str, id: &str, method: &str, path: &str, body: Option<Value>| {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str()), ("x-request-id", id)];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        house.gateway.send(method, path, body, &headers).await
    };
    // Nothing of what only reads, or only asks.
    assert_eq!(house.get("", "/catalog/vps-plans").await.status, 200);
    assert_eq!(house.get(&ann, "/wallet").await.status, 200);
    let mut asks = order("ann-1");
    asks["validate_only"] = json!(true);
    assert_eq!(named(&ann, "", "asks", "POST", "/vps", Some(asks)).await.status, 200);

    assert_eq!(named(&ann, "", "stops", "POST", "/vps/1/stop", None).await.status, 200);
    assert_eq!(named(&ann, "", "looks", "POST", "/vps/1/vnc", None).await.status, 200);
    let bought = named(&ann, "k", "buys", "POST", "/vps", Some(order("ann-1"))).await;
    assert_eq!(bought.status, 201, "{}", bought.text);
    let id = bought.json()["operation_id"].as_str().expect("text").to_owned();
    assert_eq!(named(&ann, "k", "again", "POST", "/vps", Some(order("ann-1"))).await.status, 201);
    let path = format!("/operations/{id}/approve");
    assert_eq!(named(&bob, "", "consents", "POST", &path, None).await.status, 409);
    assert_eq!(named(&bob, "", "lacks", "POST", "/vps/2/stop", None).await.status, 403);
    let forged = token("ann", "read").0;
    assert_eq!(named(&forged, "", "forged", "GET", "/wallet", None).await.status, 401);
    let stop = operation("VpsService.StopVps");
    house.gateway.grpc(stop, &json!({"vps_id": 2})).await.expect_err("no token");

    let lines = place.lines("audit.log", 1 + 2 * 5 + 3).await;
    let of = |id: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["request_id"] == id).map(plain).collect()
    };
    let print = |line: &Value| line["fingerprint"].as_str().expect("text").to_owned();
    let both = |id: &str, common: Value, further: Value| {
        let found = of(id);
        assert_eq!(found.len(), 2, "{found:?}");
        let made = |event: &str, further: &Value| {
            let mut made = json!({"event": event, "request_id": id});
            let all = [&common, &json!({"fingerprint": print(&found[0])}), further];
            let members = all.iter().flat_map(|part| part.as_object().expect("an object").clone());
            made.as_object_mut().expect("an object").extend(members);
            made
        };
        assert_eq!(found, [made("intent", &json!({})), made("outcome", &further)], "{id}");
        print(&found[0])
    };
    let ended = json!({"outcome": "OK", "sent": "answered"});
    let common = |caller: &str, operation: &str, effect: &str| json!({"caller": caller, "face": "rest", "operation": operation, "effect": effect});
    let on = |mut common: Value, name: &str, value: &str| {
        common["resource"] = json!({name: value});
        common
    };
    both("stops", on(common("ann", "VpsService.StopVps", "converge"), "vps_id", "1"), ended.clone());
    both("looks", on(common("ann", "VpsService.OpenVpsConsole", "secret"), "vps_id", "1"), ended.clone());
    let mut recorded = ended.clone();
    (recorded["price_vnd"], recorded["operation_id"]) = (json!(149_000), json!(id));
    let purchase = common("ann", "VpsService.CreateVps", "spend");
    let first = both("buys", purchase.clone(), recorded.clone());
    assert_eq!(both("again", purchase, recorded), first, "the same request is known again");
    let consent = on(common("bob", "OperationService.ApproveOperation", "converge"), "operation_id", &id);
    both("consents", consent, json!({"outcome": "OPERATION_STATE", "sent": "never", "operation_id": id}));

    let refusal = |mut common: Value, id: &str, outcome: &str| {
        for (name, value) in
            [("event", "refused"), ("request_id", id), ("outcome", outcome), ("sent", "never")]
        {
            common[name] = json!(value);
        }
        common
    };
    let lacks = on(common("bob", "VpsService.StopVps", "converge"), "vps_id", "2");
    assert_eq!(of("lacks"), [refusal(lacks, "lacks", "SCOPE_MISSING")]);
    let mut claims = common("", "WalletService.GetWallet", "read");
    claims.as_object_mut().expect("an object").remove("caller");
    claims["claimed"] = json!("ann");
    assert_eq!(of("forged"), [refusal(claims, "forged", "UNAUTHENTICATED")]);
    let nobody: Vec<&Value> = lines.iter().filter(|line| line["face"] == "grpc").collect();
    assert_eq!(
        (nobody.len(), &nobody[0]["caller"], &nobody[0]["event"]),
        (1, &json!("anonymous"), &json!("refused"))
    );
    assert_eq!(lines.len(), 1 + 2 * 5 + 3);
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=14).collect::<Vec<u64>>());

    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(place.log()).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (sound, said) = place.verify(&["audit.log"]);
    assert!(sound && said.starts_with("14 lines checked\nit ends with line 14, "), "{said}");
}

#[tokio::test]
async fn the_whole_api_leaves_no_password_no_link_and_no_token() {
    let gateway = Gateway::start(&["--sandbox", "--config", "tests/it/actions.toml"], &[]);
    let mut hidden = vec!["sandbox-secret".to_owned()];
    let mut expected = 1;
    for row in rows() {
        let answer = row.rest(&gateway).await;
        let shown = |json: &Value| ["password", "url", "items"].map(|name| json[name].clone());
        for value in row.body.iter().flat_map(shown).chain(shown(&answer.json())) {
            hidden.extend(value.as_str().map(str::to_owned));
        }
        use gizad::contract::Effect;
        expected += if matches!(row.effect(), Effect::Public | Effect::Read) { 0 } else { 2 };
    }
    assert!(hidden.len() > 6, "{hidden:?}");
    let begun = Instant::now();
    while gateway.audited().lines().count() < expected {
        assert!(begun.elapsed() < PATIENCE, "{expected} lines: {}", gateway.audited());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let log = gateway.audited();
    assert_eq!(log.lines().count(), expected);
    for hidden in hidden.iter().filter(|hidden| !hidden.is_empty()) {
        assert!(!log.contains(hidden.as_str()), "{hidden} in {log}");
    }
}

#[tokio::test]
async fn whatever_is_changed_taken_doubled_or_moved_is_found_at_its_line() {
    let place = Place::new();
    let gateway = shop(&place, &[]);
    for number in 1..=3 {
        assert_eq!(gateway.post(&format!("/vps/{}/start", number % 2 + 1), json!({})).await.status, 200);
    }
    place.lines("audit.log", 7).await;
    drop(gateway);
    let whole = fs::read_to_string(place.log()).expect("a log");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let check = |text: &str, line: usize, words: &str| {
        fs::write(place.file("meddled"), text).expect("written");
        let (sound, said) = place.verify(&["meddled"]);
        assert!(
            !sound && said.contains(&format!("meddled, line {line}: ")) && said.contains(words),
            "{said}"
        );
    };
    assert!(place.verify(&["audit.log"]).0);
    for at in 0..lines.len() {
        let mut meddled: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        meddled[at] = meddled[at].replace("\"time\":\"20", "\"time\":\"19");
        check(&meddled.concat(), at + 1, "it was changed");
        meddled.clone_from(&lines.iter().map(|line| (*line).to_owned()).collect());
        meddled.insert(at, lines[at].to_owned());
        check(&meddled.concat(), at + 2, "missing, doubled or moved");
        meddled.remove(at);
        meddled.remove(at);
        if at == 0 {
            check(&meddled.concat(), 1, "what is before this one is missing");
        } else if at + 1 < lines.len() {
            check(&meddled.concat(), at + 1, "missing, doubled or moved");
            let mut moved = lines.clone();
            moved.swap(at, at + 1);
            check(&moved.concat(), at + 1, "missing, doubled or moved");
        }
    }
    // Every byte counts.
    let middle = lines[..3].concat().len();
    for at in middle..middle + lines[3].len() - 1 {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] ^= 1;
        fs::write(place.file("meddled"), bytes).expect("written");
        if at % 16 == 0 {
            assert!(!place.verify(&["meddled"]).0, "byte {at}");
        }
    }
    check(&whole[..whole.len() - 9], 7, "cut off in the middle");
    let (sound, said) = verify(&[place.log()], &[("GIZAD_SANDBOX_SECRET", "another")]);
    assert!(!sound && said.contains("line 1: from here on it is signed with another API secret"), "{said}");
}

#[tokio::test]
async fn a_moved_file_is_followed_by_a_new_one_and_a_crash_leaves_a_sign() {
    let place = Place::new();
    let mut gateway = shop(&place, &[]);
    let start = async |gateway: &Gateway| gateway.post("/vps/1/start", json!({})).await.status;
    assert_eq!(start(&gateway).await, 200);
    place.lines("audit.log", 3).await;
    fs::rename(place.log(), place.file("audit.log.1")).expect("moved");
    assert_eq!(start(&gateway).await, 200, "between the move and the signal");
    place.lines("audit.log.1", 5).await;
    gateway.signal("HUP");
    gateway.logged("goes on in a new file").await;
    assert_eq!(start(&gateway).await, 200);
    place.lines("audit.log", 3).await;
    let (sound, said) = place.verify(&["audit.log.1", "audit.log"]);
    assert!(sound && said.starts_with("8 lines checked\nit ends with line 8,"), "{said}");
    let (sound, said) = place.verify(&["audit.log"]);
    assert!(sound && said.contains("it goes on behind line 5 of an earlier file"), "{said}");
    assert!(!place.verify(&["audit.log", "audit.log.1"]).0, "in another order");

    // Killed in the middle of a line.
    gateway.signal("KILL");
    gateway.ended().await;
    let torn = "{\"seq\":9,\"time\":\"2026-";
    let mut text = fs::read_to_string(place.log()).expect("a log");
    text += torn;
    fs::write(place.log(), text).expect("written");
    assert!(!place.verify(&["audit.log.1", "audit.log"]).0);
    let mut gateway = shop(&place, &[]);
    let opened = place.lines("audit.log", 4).await.pop().expect("a line");
    assert_eq!(
        (&opened["event"], &opened["cut_off"], &opened["seq"]),
        (&json!("opened"), &json!(torn), &json!(9))
    );

    // Moved away while nobody was there.
    gateway.signal("TERM");
    gateway.ended().await;
    fs::rename(place.log(), place.file("audit.log.2")).expect("moved");
    let gateway = shop(&place, &[]);
    assert_eq!(start(&gateway).await, 200);
    place.lines("audit.log", 3).await;
    let (sound, said) = place.verify(&["audit.log.1", "audit.log.2", "audit.log"]);
    assert!(sound && said.starts_with("12 lines checked\nit ends with line 12,"), "{said}");
}

#[tokio::test]
async fn what_must_leave_a_trace_is_not_done_without_one() {
    let place = Place::new();
    // The usual place is a file where a folder is needed.
    let home = place.file("state");
    fs::write(&home, "").expect("written");
    let provider = super::rig::Sandbox::start();
    let gateway = Gateway::beside(&provider, &[("GIZAD_AUDIT_FILE", "auto"), ("XDG_STATE_HOME", &home)]);
    gateway.logged("the audit log cannot be written").await;
    let refused = gateway.buy("k", "/vps", &order("a")).await;
    assert_eq!((refused.status, refused.reason().as_str()), (503, "AUDIT_UNAVAILABLE"), "{}", refused.text);
    let revealed = gateway.post("/vps/1/vnc", json!({})).await;
    assert_eq!((revealed.status, &revealed.json()["sent"]), (503, &json!("never")), "{}", revealed.text);
    let consent = gateway.post("/operations/op_1/approve", json!({})).await;
    assert_eq!(consent.reason(), "AUDIT_UNAVAILABLE");
    let vnc = operation("VpsService.OpenVpsConsole");
    let over_grpc = gateway.grpc(vnc, &json!({"vps_id": 1})).await.expect_err("refused");
    assert_eq!(over_grpc.code(), tonic::Code::Unavailable);
    assert_eq!((gateway.executions().await, gateway.seen().await.len()), (0, 0), "nothing was sent");
    assert_eq!(gateway.get("/wallet").await.status, 200, "what only reads needs no trace");
    assert_eq!(gateway.post("/vps/1/stop", json!({})).await.status, 200, "and a server can be stopped");

    fs::remove_file(&home).expect("removed");
    assert_eq!(gateway.buy("k", "/vps", &order("a")).await.status, 201);
    let account =
        fs::read_dir(format!("{home}/gizad")).expect("a folder").next().expect("one").expect("readable");
    let path = account.path().join("audit.log");
    let text = fs::read_to_string(&path).expect("a log");
    let second: Value = serde_json::from_str(text.lines().nth(1).expect("a line")).expect("JSON");
    // Four intents that were refused, and two lines of a server that was stopped.
    assert_eq!((&second["event"], &second["unwritten"]), (&json!("intent"), &json!(6)), "{text}");
}

/// A disk that is full in the middle of its life: what needs a trace waits, nothing is sent, and the log is whole afterwards.
#[tokio::test]
async fn a_full_disk_stops_what_must_leave_a_trace_and_nothing_else() {
    let Some(disk) = Disk::new() else {
        eprintln!("left out: this may not mount a disk");
        return;
    };
    let file = format!("{}/audit.log", disk.0.path());
    let gateway = Gateway::sandbox_with(&[("GIZAD_AUDIT_FILE", &file)]);
    assert_eq!(gateway.buy("before", "/vps", &order("before")).await.status, 201);
    disk.fill();
    // What is left of the last page is there for a line or two.
    let mut bought = 0;
    let refused = loop {
        let answer = gateway.buy(&format!("k{bought}"), "/vps", &order(&format!("s{bought}"))).await;
        if answer.status != 201 {
            break answer;
        }
        bought += 1;
        assert!(bought < 30, "a full disk is not noticed");
    };
    assert_eq!((refused.status, refused.reason().as_str()), (503, "AUDIT_UNAVAILABLE"), "{}", refused.text);
    assert_eq!(refused.json()["sent"], "maybe", "of a key nobody knows what became of it before");
    assert_eq!(gateway.post("/vps/1/vnc", json!({})).await.reason(), "AUDIT_UNAVAILABLE");
    assert_eq!(gateway.executions().await, 1 + bought, "nothing else was bought");
    assert_eq!(gateway.get("/wallet").await.status, 200);
    disk.empty();
    let key = format!("k{bought}");
    assert_eq!(gateway.buy(&key, "/vps", &order(&format!("s{bought}"))).await.status, 201, "the same key");
    drop(gateway);
    let (sound, said) = verify(&[file], &[]);
    assert!(sound, "{said}");
}

/// What a gateway says that cannot start with this file.
fn check_start(file: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
    command.args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let output = command.env("GIZAD_AUDIT_FILE", file).output().expect("it runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_settings_of_the_audit_are_read_strictly_and_one_file_has_one_writer() {
    let check = |environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gizad"));
        let output = command.args(["check", "--sandbox"]).envs(environment.iter().copied()).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check(&[("GIZAD_AUDIT_FILE", "audit.log"), ("GIZAD_AUDIT_REQUIRED", "spend,read")]);
    assert_eq!(code, Some(64), "{said}");
    assert!(
        said.contains("audit.file: expected a file by its whole path, or one of auto, stderr and off"),
        "{said}"
    );
    assert!(
        said.contains("audit.required: expected a list of some of secret, converge, once, spend"),
        "{said}"
    );

    let place = Place::new();
    let _first = shop(&place, &[]);
    let said = check_start(&place.log());
    assert!(said.contains("another gizad writes it"), "{said}");
}

#[tokio::test]
async fn a_new_secret_signs_what_comes_after_it() {
    let (place, provider) = (Place::new(), super::rig::Sandbox::start());
    let (log, secret, former) = (place.log(), place.file("secret"), place.file("former"));
    for file in [&secret, &former] {
        fs::write(file, "SECRET-canary-42").expect("written");
    }
    let gateway = Gateway::start_beside(
        &provider,
        &[
            ("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41"),
            ("GIZAD_CREDENTIALS_SECRET_FILE", &secret),
            ("GIZAD_AUDIT_FILE", &log),
        ],
    );
    assert_eq!(gateway.post("/vps/1/stop", json!({})).await.status, 200);
    gateway.control("PUT", "/credentials", json!({"secret": "NEXT-canary-43"})).await;
    fs::write(&secret, "NEXT-canary-43").expect("written");
    gateway.signal("HUP");
    gateway.logged("the provider has accepted the new secret").await;
    assert_eq!(gateway.post("/vps/1/stop", json!({})).await.status, 200);
    let lines = place.lines("audit.log", 6).await;
    let opened: Vec<&Value> = lines.iter().filter(|line| line["event"] == "opened").collect();
    assert!(opened.len() == 2 && opened[0]["key"] != opened[1]["key"], "{lines:?}");
    let files = [log];
    let next = ("GIZAD_SANDBOX_SECRET", "NEXT-canary-43");
    let (sound, said) = verify(&files, &[next, ("GIZAD_CREDENTIALS_FORMER_SECRET_FILE", &former)]);
    assert!(sound && said.starts_with("6 lines checked\n"), "{said}");
    for (environment, line) in [(&[next][..], 1), (&[("GIZAD_SANDBOX_SECRET", "SECRET-canary-42")], 4)] {
        let (sound, said) = verify(&files, environment);
        assert!(!sound && said.contains(&format!("line {line}: from here on it is signed")), "{said}");
    }
}
