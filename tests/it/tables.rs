//! What is generated is committed and compared: the table of operations, the OpenAPI document, and one file for
//! each reason of a fault.
//! `UPDATE=1 tests/run` writes them anew.

use std::fs;
use std::path::Path;

use gizad::edge::columns;
use gizad::fault::Reason;

use super::rig::contract;

pub fn assert_golden(path: &str, actual: &str) {
    assert_same(&format!("tests/golden/{path}"), actual);
}

/// Compares what was generated with what is committed.
pub fn assert_same(path: &str, actual: &str) {
    let path = Path::new(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, actual).expect("written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(expected == actual, "{} differs; UPDATE=1 tests/run writes it anew:\n{actual}", path.display());
}

#[test]
fn the_table_of_operations() {
    assert_golden("operations.txt", &contract().table());
}

#[tokio::test]
async fn the_openapi_document() {
    assert_same("docs/openapi.json", &super::openapi::document().await);
}

#[test]
fn gizad_routes_prints_it() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_gizad")).arg("routes").output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), contract().table());
}

#[test]
fn what_each_reason_means() {
    for reason in Reason::ALL {
        let row = columns(*reason);
        let text = format!(
            "{}\nHTTP {}\ngRPC {:?}\n{}\n{}\n",
            reason.as_str(),
            row.http.as_u16(),
            row.grpc,
            row.title,
            row.advice
        );
        assert_golden(&format!("faults/{}.txt", reason.as_str()), &text);
    }
    let files = fs::read_dir("tests/golden/faults").expect("a folder").count();
    assert_eq!(files, Reason::ALL.len(), "a file for a reason that is gone");
}

#[test]
fn what_each_figure_means() {
    assert_same("docs/metrics.md", &gizad::metrics::documentation());
}

/// The page is written by hand, but for the table in it.
#[test]
fn what_each_field_of_the_log_means() {
    const MARKS: [&str; 2] = ["<!-- fields: written anew with the tables -->\n", "<!-- end of fields -->"];
    let page = fs::read_to_string("docs/logs.md").expect("a page");
    let (before, rest) = page.split_once(MARKS[0]).expect("a beginning");
    let (_, after) = rest.split_once(MARKS[1]).expect("an end");
    let table = gizad::telemetry::table();
    assert_same("docs/logs.md", &format!("{before}{}\n{table}\n{}{after}", MARKS[0], MARKS[1]));
}

/// The actions of the guide, each reached by an operation.
#[test]
fn all_38_actions_are_there() {
    let mut actions: Vec<&str> = contract().actions().collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions.len(), 38, "{actions:?}");
}

/// What is a credential is marked, so that nothing that prints fields can show it.
#[test]
fn credentials_are_marked_in_the_contract() {
    for operation in contract().operations() {
        for field in operation.input.fields.iter().chain(&operation.output.fields) {
            if field.name.contains("password") || field.name == "items" {
                let options = field.descriptor.options();
                let marked = options.get_field_by_name("debug_redact").and_then(|flag| flag.as_bool());
                assert_eq!(marked, Some(true), "{}.{}", operation.name, field.name);
            }
        }
    }
}
