//! What must never be seen: the key, tokens, passwords and consoles, in any log at any level, in any answer that is not about
//! them, in any file, on the command line and in the environment.

use std::fs;
use std::path::Path;
use std::process::Command;

use gizad::contract::Effect;
use serde_json::json;

use super::access::token;
use super::canaries::{Search, spellings};
use super::operations::rows;
use super::rig::{File, Folder, Gateway, Sandbox, operation, unique};

/// Every operation over both faces, while the provider is well, echoes the key, answers garbage and hangs up.
#[tokio::test]
async fn canaries_are_found_nowhere() {
    let (secret, identifier, password) =
        ("SECRET-canary-42", "IDENTIFIER-canary-41", "Passw0rd-canary-51/+\"x");
    let (token, lines) = token("canary", "read,sensitive,write,spend,admin");
    let lines = format!("{lines}\n[actions]\nvps_rdns = \"converge\"\n[purchase]\ntime = \"3s\"\n");
    let settings = File::new("canaries", &lines);
    let (provider, state, ledger) =
        (Sandbox::start(), Folder::new("canary-state"), Folder::new("canary-ledger"));
    for folder in [&state, &ledger] {
        fs::create_dir_all(folder.path()).expect("a folder");
    }
    let environment = [
        ("GIZAD_UPSTREAM_URL", provider.url.as_str()),
        ("GIZAD_CREDENTIALS_IDENTIFIER", identifier),
        ("GIZAD_CREDENTIALS_SECRET", secret),
        ("GIZAD_LOG_LEVEL", "trace"),
        ("GIZAD_STATE_DIR", state.path()),
        ("GIZAD_LEDGER_DIR", ledger.path()),
    ];
    let mut gateway = Gateway::start(&["--config", settings.path()], &environment);
    gateway.control = Some(provider.control.clone());
    let canaries = [secret, identifier, password, token.as_str()].map(str::to_owned).to_vec();
    let mut search = Search::of(canaries);
    let bearer: &'static str = format!("Bearer {token}").leak();

    let both = json!({"identifier": identifier, "secret": secret});
    let said = format!("bad key {secret} of {identifier}, {}", json!(password));
    let ways = [
        json!(null),
        json!({"kind": "answer", "body": json!({"success": true, "data": {"echo": both, secret: 1}}).to_string()}),
        json!({"kind": "answer", "body": json!({"success": false, "message": said}).to_string()}),
        json!({"kind": "answer", "status": 500, "body": format!("<html><title>{said}</title>")}),
        json!({"kind": "answer", "status": 302, "headers": [["Location", format!("https://x.vn/?s={secret}")]]}),
        json!({"kind": "answer", "body_hex": "00ff00fe"}),
        json!({"kind": "close_before"}),
    ];
    for mut way in ways {
        let well = way.is_null();
        if !well {
            way["times"] = json!(100_000);
            gateway.order(way.clone()).await;
        }
        for mut row in rows() {
            for given in [row.body.as_mut(), Some(&mut row.request)].into_iter().flatten() {
                if let Some(given) = given.get_mut("password") {
                    *given = json!(password);
                }
            }
            let answer = row.rest_with(&gateway, &[("authorization", bearer)]).await;
            let mut request = row.request.clone();
            if row.effect() == Effect::Spend {
                request["request_id"] = json!(unique());
            }
            let reply =
                gateway.grpc_with(operation(row.operation), &request, &[("authorization", bearer)]).await;
            if well && row.effect() == Effect::Secret {
                // What the caller asked to see: in its answer, and nowhere else.
                let told = [answer.json(), reply.expect("it works")];
                let shown = told.iter().flat_map(|told| ["password", "url"].map(|name| told[name].clone()));
                search.canaries.extend(shown.filter_map(|text| Some(text.as_str()?.to_owned())));
            } else {
                let name = format!("{} while {way}", row.operation);
                search.look_into(&format!("{name}, REST"), format!("{:?} {}", answer.headers, answer.text));
                search.look_into(&format!("{name}, gRPC"), format!("{reply:?}"));
            }
        }
        gateway.control("DELETE", "/faults", json!({})).await;
    }
    search.canaries.retain(|canary| !canary.is_empty());
    assert!(search.canaries.len() > 8, "passwords and consoles were shown: {:?}", search.canaries);
    for path in ["/status", "/readyz", "/livez", "/metrics"] {
        search.look_into(path, gateway.admin("GET", path).await.text);
    }
    for name in ["environ", "cmdline", "comm", "status", "limits"] {
        // As another user than root it cannot even be read.
        let read = fs::read(format!("/proc/{}/{name}", gateway.id()));
        search.look_into(name, read.unwrap_or_default());
    }
    for arguments in [
        &["check"][..],
        &["ledger", "list"],
        &["ledger", "export", "--format", "json"],
        &["ledger", "verify"],
    ] {
        let mut gizad = Command::new(env!("CARGO_BIN_EXE_gizad"));
        let output = gizad.args(arguments).args(["--config", settings.path()]).envs(environment).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        search.look_into(&arguments.join(" "), [output.stdout, output.stderr].concat());
    }
    gateway.signal("TERM");
    gateway.ended().await;
    search.look_below(Path::new(state.path()));
    search.look_below(Path::new(ledger.path()));
    let log = gateway.log();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is at trace level");
    search.look_into("the log", log);
    let largest =
        search.places.iter().filter(|(name, bytes)| name.contains("ledger") && bytes.len() > 4096).count();
    assert!(largest > 0, "the ledger was looked into");
    let hits = search.hits();
    assert!(hits.is_empty(), "{} hits: {hits:#?}", hits.len());
}

#[tokio::test]
async fn at_trace_level_the_whole_api_logs_no_secret() {
    let (secret, password) = ("S3cret-canary-9f27c1", "Passw0rd-canary-51");
    let gateway = Gateway::sandbox_with(&[("GIZAD_LOG_LEVEL", "trace"), ("GIZAD_SANDBOX_SECRET", secret)]);
    let mut answers = String::new();
    for mut row in rows() {
        if let Some(given) = row.body.as_mut().and_then(|body| body.get_mut("password")) {
            *given = json!(password);
        }
        let answer = row.rest(&gateway).await;
        let revealed = answer.text.clone();
        if row.operation.contains("Login") || row.operation.contains("Console") {
            // What the caller asked to see: in the answer, never in the log.
            for field in ["password", "url"] {
                let shown = answer.json()[field].as_str().unwrap_or_default().to_owned();
                assert!(!shown.is_empty() && !gateway.log().contains(&shown), "{}: {shown}", row.operation);
            }
        }
        answers += &revealed;
    }
    // A provider that echoes what it was sent, whole or in pieces.
    for body in [
        json!({"success": true, "data": {"balance": 1, "echo": secret}}),
        json!({"success": false, "message": format!("bad key {secret}")}),
    ] {
        gateway.order(json!({"kind": "answer", "body": body.to_string()})).await;
        answers += &gateway.get("/wallet").await.text;
    }
    gateway
        .order(
            json!({"kind": "answer", "status": 403, "body": format!("<html><title>{secret}</title></html>")}),
        )
        .await;
    answers += &gateway.get("/wallet").await.text;
    let log = gateway.log();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is at trace level");
    for secret in [secret, password] {
        for spelling in spellings(secret) {
            assert!(!log.contains(&spelling), "{spelling} in the log");
            assert!(!answers.contains(&spelling), "{spelling} in an answer");
        }
    }
}

/// PHP escapes slashes, pages escape quotes, redirects escape everything.
#[tokio::test]
async fn an_echo_in_another_spelling_is_taken_out_too() {
    let secret = "ab/cd\"EF&gh=ij";
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_SECRET", secret)]);
    let echoes = [
        json!({"body": "you sent ab\\/cd\\\"EF&gh=ij"}),
        json!({"body": r#"{"success":false,"message":"bad: ab\\/cd\\\"EF&gh=ij"}"#}),
        json!({"body": r#"{"success":true,"data":{"balance":1,"x":"ab\/cd\"EF&gh=ij"}}"#}),
        json!({"status": 403, "body": "<html><title>ab/cd&quot;EF&amp;gh=ij</title></html>"}),
        json!({"status": 302, "headers": [["Location", "https://x.example/ab%2Fcd%22EF%26gh%3Dij"]]}),
    ];
    for mut echo in echoes {
        echo["kind"] = json!("answer");
        gateway.order(echo.clone()).await;
        let answer = gateway.get("/wallet").await;
        let shown = answer.text.clone() + &gateway.log();
        assert!(answer.text.contains("[redacted]"), "{echo}: {}", answer.text);
        for piece in ["EF&", "EF&amp;", "EF%26"] {
            assert!(!shown.contains(piece), "{echo}: {shown}");
        }
    }
}
