//! The log: the fields of its lines as they are written down, and how much is logged while gizad runs.

use std::collections::BTreeSet;
use std::process::Command;

use gizad::telemetry::{CALL, FIELDS, REFUSED};
use serde_json::{Value, json};

use super::rig::{Answer, File, Gateway, operation, unique};

/// Every field that is written stands in the table, and the other way round, with the kind and in the lines that it says.
#[tokio::test]
async fn lines_have_the_fields_of_the_table_and_no_others() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LOG_LEVEL", "debug"), ("GIZAD_CACHE_TTL", "5m")]);
    for path in
        ["/catalog/vps-plans", "/catalog/vps-plans", "/wallet", "/vps/99", "/nothing", "/operations/op_1"]
    {
        gateway.get(path).await;
    }
    gateway.grpc(operation("WalletService.GetWallet"), &json!({})).await.expect("it works");
    let order = json!({"plan_id": 26, "hostname": "a", "password": "StrongPass@123", "os": "ubuntu-22.04", "billing_cycle": "monthly"});
    assert_eq!(gateway.buy(&unique(), "/vps", &order).await.status, 201);
    assert_eq!(gateway.post("/vps", json!({"plan_id": "x"})).await.status, 400);
    gateway.order(json!({"kind": "close_before"})).await;
    assert_eq!(gateway.get("/wallet").await.status, 502);
    gateway
        .order(json!({"kind": "answer", "body": json!({"success": false, "message": "khong"}).to_string()}))
        .await;
    gateway.get("/wallet").await;
    gateway.send("GET", "/wallet", None, &[("authorization", "Bearer nobodys")]).await;
    let seen: Vec<Value> = gateway.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for message in [CALL, REFUSED] {
        let lines: Vec<&Value> = seen.iter().filter(|line| line["message"] == message).collect();
        assert!(lines.len() > 1, "{message}: {}", gateway.log());
        let fields = || FIELDS.iter().filter(|field| field.lines.contains(&message));
        let mut found = BTreeSet::new();
        for line in &lines {
            let object = line.as_object().expect("an object");
            for (name, value) in object {
                let field = fields().find(|field| field.name == name);
                let field =
                    field.unwrap_or_else(|| panic!("{message} has {name}, which is not in the table"));
                let fits = match field.kind {
                    "text" => value.is_string(),
                    _ => value.is_number(),
                };
                assert!(fits, "{message}: {name} is {value}");
                found.insert(field.name);
            }
            for field in fields().filter(|field| field.absent == "never") {
                assert!(object.contains_key(field.name), "{message} lacks {}: {line}", field.name);
            }
            let order: Vec<usize> =
                object.keys().filter_map(|name| fields().position(|field| field.name == name)).collect();
            assert!(order.is_sorted(), "{message} is written in another order: {line}");
        }
        for field in fields() {
            assert!(found.contains(field.name), "{message} never had {}", field.name);
        }
    }
}

async fn level(gateway: &Gateway, method: &str, body: Option<&str>) -> Answer {
    labelled(gateway, method, body, "application/json").await
}

async fn labelled(gateway: &Gateway, method: &str, body: Option<&str>, kind: &str) -> Answer {
    let mut request =
        gateway.http.request(method.parse().expect("a method"), format!("{}/log-level", gateway.admin));
    if let Some(body) = body {
        request = request.header("content-type", kind).body(body.to_owned());
    }
    let response = request.send().await.expect("it answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// Whether answers from memory are logged, which are at the level `debug`.
async fn logs_hits(gateway: &Gateway) -> bool {
    let ids = [unique(), unique()];
    // The second is one that is always logged, and later.
    gateway.send("GET", "/catalog/vps-plans", None, &[("x-request-id", &ids[0])]).await;
    gateway.send("GET", "/nothing", None, &[("x-request-id", &ids[1])]).await;
    gateway.logged(&format!("\"{}\"", ids[1])).await;
    gateway.log().contains(&format!("\"{}\"", ids[0]))
}

#[tokio::test]
async fn the_level_is_changed_while_gizad_runs_and_goes_back_by_itself() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_CACHE_TTL", "5m")]);
    gateway.get("/catalog/vps-plans").await;
    assert_eq!(
        level(&gateway, "GET", None).await.json(),
        json!({"filter": "info", "settings": "info", "left_s": null})
    );
    assert!(!logs_hits(&gateway).await);
    let asked = level(&gateway, "PUT", Some(r#"{"filter": "info, gizad::policy=debug"}"#)).await;
    assert_eq!(
        asked.json(),
        json!({"filter": "info,gizad::policy=debug", "settings": "info", "left_s": null})
    );
    assert!(logs_hits(&gateway).await);
    gateway.logged("log level changed").await;

    let asked = level(&gateway, "PUT", Some(r#"{"filter": "debug", "for": "1h"}"#)).await.json();
    assert!(asked["left_s"].as_u64().is_some_and(|left| left > 3000), "{asked}");
    // Whatever was asked for last counts, and its time.
    level(&gateway, "PUT", Some(r#"{"filter": "trace", "for": "200ms"}"#)).await;
    gateway.logged("the time for it is over").await;
    assert_eq!(
        level(&gateway, "GET", None).await.json(),
        json!({"filter": "info", "settings": "info", "left_s": null})
    );
    assert!(!logs_hits(&gateway).await);
    level(&gateway, "PUT", Some(r#"{"filter": "debug"}"#)).await;
    assert_eq!(level(&gateway, "DELETE", None).await.json()["filter"], "info");
}

#[tokio::test]
async fn what_cannot_be_logged_is_refused_and_changes_nothing() {
    let gateway = Gateway::sandbox();
    for (body, said) in [
        (r#"{"filter": "loud"}"#, "filter: \\\"loud\\\" is no level"),
        (r#"{"filter": "info,gizad=loud"}"#, "filter: \\\"loud\\\" is no level"),
        (r#"{"filter": "debug", "for": "soon"}"#, "for: expected a duration"),
        (r#"{"filter": "debug", "until": "10m"}"#, "unknown field `until`"),
        (r#"{"for": "10m"}"#, "missing field `filter`"),
        ("debug", "expected {"),
        ("", "expected {"),
    ] {
        let answer = level(&gateway, "PUT", Some(body)).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, "application/problem+json"),
            "{body}"
        );
        assert!(answer.text.contains(said), "{body}: {}", answer.text);
    }
    let long = format!("{{\"filter\": \"debug{}\"}}", " ".repeat(5000));
    assert_eq!(level(&gateway, "PUT", Some(&long)).await.status, 400);
    let plain = labelled(&gateway, "PUT", Some(r#"{"filter": "debug"}"#), "text/plain").await;
    assert_eq!(plain.status, 400, "no page can say what a form can say");
    let page =
        gateway.http.put(format!("{}/log-level", gateway.admin)).header("origin", "https://evil.example");
    let page = page.header("content-type", "application/json").body(r#"{"filter": "trace"}"#).send().await;
    assert_eq!(page.expect("an answer").status(), 403);
    assert_eq!(level(&gateway, "POST", Some("{}")).await.status, 405);
    assert_eq!(level(&gateway, "GET", None).await.json()["filter"], "info");
}

#[tokio::test]
async fn a_reload_takes_another_level_over() {
    let file = File::new(&format!("levels-{}", unique()), "[log]\nlevel = \"info\"\n");
    let gateway = Gateway::start(&["--sandbox", "--config", file.path()], &[]);
    level(&gateway, "PUT", Some(r#"{"filter": "warn"}"#)).await;
    std::fs::write(file.path(), "[log]\nlevel = \"gizad=debug,info\"\n").expect("written");
    gateway.signal("HUP");
    gateway.logged("the settings have changed").await;
    let expected = json!({"filter": "gizad=debug,info", "settings": "gizad=debug,info", "left_s": null});
    assert_eq!(level(&gateway, "GET", None).await.json(), expected);
    let taken: Value = serde_json::from_str(&gateway.logged("settings taken over").await).expect("JSON");
    assert_eq!(taken["changed"], "log.level");
    assert!(!gateway.log().contains("only taken over by a restart"));
}

#[tokio::test]
async fn the_command_does_the_same() {
    let gateway = Gateway::sandbox();
    let admin = gateway.admin.trim_start_matches("http://").to_owned();
    let run = |arguments: &[&str]| {
        let mut gizad = Command::new(env!("CARGO_BIN_EXE_gizad"));
        let output = gizad
            .arg("log-level")
            .args(arguments)
            .args(["--admin-listen", &admin])
            .output()
            .expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").trim_end().to_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run(&[]), (Some(0), "info".into(), String::new()));
    assert_eq!(
        run(&["info,h2=debug"]),
        (Some(0), "info,h2=debug (the settings say info)".into(), String::new())
    );
    let (code, told, _) = run(&["debug", "--for", "10m"]);
    assert!(code == Some(0) && told.starts_with("debug (for ") && told.ends_with(" s, then info)"), "{told}");
    assert_eq!(run(&["--reset"]), (Some(0), "info".into(), String::new()));
    let (code, _, why) = run(&["loud"]);
    assert!(code == Some(1) && why.contains("\"loud\" is no level"), "{why}");
    let (code, _, why) = run(&["debug", "--for", "soon"]);
    assert!(code == Some(1) && why.contains("expected a duration"), "{why}");
}
