//! The OpenAPI document: made anew from the contract, its comments and what the sandbox answers, compared with the committed
//! one (see `tables.rs`), and served.

use std::collections::BTreeSet;

use gizad::contract::Comments;
use gizad::edge::openapi::{Example, Examples, openapi};
use serde_json::{Value, json};

use super::operations::{gathered_rows, local_rows, rows};
use super::rig::{Gateway, contract};

/// What changes from one run to the next, as something that does not.
fn without_chance(name: &str, value: &mut Value) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| without_chance(name, value)),
        Value::Array(items) => {
            items.iter_mut().for_each(|item| without_chance(name, item));
            // Which of them expires first is a matter of the second in which it was bought.
            if items.iter().all(|item| item.get("days_left").is_some()) {
                items.sort_by_key(|item| item["service_id"].as_i64());
            }
        }
        Value::String(text) => {
            let fixed = match name {
                "password" => "of-the-sandbox",
                "url" => "https://203.0.113.250:8443/",
                "items" => "KEY-0001",
                "operation_id" => "op_01a20fdc452a1db7b7f4a55aff76",
                "request_id" => "3f1c9e7a",
                "time" | "until" | "covered_until" => "2026-11-28T08:00:00Z",
                _ if name.ends_with("_time") => "2026-11-28T08:00:00Z",
                _ => return,
            };
            fixed.clone_into(text);
        }
        _ => {}
    }
}

/// Every operation once, in the sandbox.
async fn examples() -> Examples {
    let gateway = Gateway::start(&["--sandbox", "--config", "tests/it/actions.toml"], &[]);
    let mut examples = Examples::new();
    let mut told = |operation: &str, request: Option<Value>, mut answer: Value| {
        without_chance("", &mut answer);
        let _first = examples.entry(operation.to_owned()).or_insert(Example { request, answer });
    };
    for row in rows().into_iter().chain(gathered_rows()) {
        let answer = row.rest(&gateway).await;
        assert!(answer.status < 300, "{}: {}", row.operation, answer.text);
        told(row.operation, row.body, answer.json());
    }
    let mut listed = gateway.get("/operations?states=SUCCEEDED").await.json();
    let first = listed["operations"].as_array().expect("a list").last().expect("one")["operation_id"].clone();
    let shown = gateway.get(&format!("/operations/{}", first.as_str().expect("text"))).await.json();
    listed["operations"] = json!([shown]);
    told("OperationService.ListOperations", None, listed);
    // What there is nothing to do about in the sandbox answers with the same.
    for row in local_rows() {
        told(row.operation, row.body, shown.clone());
    }
    examples
}

/// The document as it is to be committed.
pub async fn document() -> String {
    let document = openapi(contract(), &Comments::embedded(), &examples().await);
    serde_json::to_string_pretty(&document).expect("JSON") + "\n"
}

#[test]
fn every_operation_is_in_the_committed_document() {
    let text = std::fs::read_to_string("docs/openapi.json").expect("committed");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let verbs = paths.flat_map(|path| path.as_object().expect("verbs").values());
    // Beside the pictures of an answer, whose names are longer by one part.
    let names = verbs.filter_map(|operation| operation["operationId"].as_str());
    let listed: BTreeSet<&str> = names.filter(|name| name.matches('.').count() == 1).collect();
    let declared: BTreeSet<&str> = contract().all().map(|operation| operation.name.as_str()).collect();
    assert_eq!(listed, declared);
    assert!(!text.contains("canary") && !text.contains("sandbox-secret"));
}

#[tokio::test]
async fn it_is_served_to_everyone_who_may_come_in() {
    let gateway = Gateway::sandbox();
    let committed = std::fs::read_to_string("docs/openapi.json").expect("committed");
    let json = gateway.get("/openapi.json").await;
    assert_eq!((json.status, json.header("content-type")), (200, "application/json"));
    assert_eq!(json.text, committed);
    let yaml = gateway.get("/openapi.yaml").await;
    assert_eq!((yaml.status, yaml.header("content-type")), (200, "application/yaml"));
    assert!(yaml.text.starts_with("openapi: \"3.1.1\"\ninfo:\n  title: \"gizad\"\n"), "{}", yaml.text);
    for path in ["/openapi.json", "/openapi.yaml"] {
        let refused = gateway.rest("POST", path, None).await;
        assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
        let page = gateway.send("GET", path, None, &[("sec-fetch-site", "cross-site")]).await;
        assert_eq!((page.status, page.reason().as_str()), (403, "CROSS_SITE"));
    }
}
