//! What errors lead to: every reason has its section in `docs/errors.md`, which says what the code says, and its page at gizad.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gizad::edge::{code_name, columns};
use gizad::fault::Reason;
use serde_json::{Value, json};
use tonic_types::StatusExt as _;

use super::rig::{Gateway, operation};
use super::tables::assert_same;

const ERRORS: &str = "docs/errors.md";
const TABLE: &str = "## All reasons\n";

/// What the code says of a reason: the first two paragraphs of its section.
fn said(reason: Reason) -> String {
    let row = columns(reason);
    let sent: Vec<&str> = row.sent.iter().map(|sent| sent.as_str()).collect();
    format!(
        "**{}.** HTTP {} · gRPC `{}` · `sent`: {} · call again: {}\n\n{}\n",
        row.title,
        row.http.as_u16(),
        code_name(row.grpc),
        sent.join(", "),
        row.again.as_str(),
        row.advice
    )
}

/// The document with all of that in it, whatever was there of it before.
fn whole(document: &str) -> String {
    let mut sections = document.split("\n### ");
    let mut table = format!("{TABLE}\n| reason | HTTP | gRPC | call again |\n| --- | --- | --- | --- |\n");
    let mut rest = String::new();
    for section in sections.by_ref().skip(1) {
        let (name, text) = section.split_once("\n\n").expect("a section has a name");
        let reason = Reason::named(name).unwrap_or_else(|| panic!("{name} is no reason"));
        let row = columns(reason);
        let _infallible = writeln!(
            table,
            "| [{name}](#{}) | {} | `{}` | {} |",
            name.to_lowercase(),
            row.http.as_u16(),
            code_name(row.grpc),
            row.again.as_str()
        );
        let own =
            if text.starts_with("**") { text.splitn(3, "\n\n").nth(2).unwrap_or_default() } else { text };
        let _infallible = write!(rest, "\n### {name}\n\n{}\n{own}", said(reason));
    }
    let begin = document.split("\n### ").next().expect("a beginning");
    let (before, after) = begin.split_once(TABLE).expect("a place for the table");
    let group = after.find("\n## ").map_or("", |at| &after[at..]);
    format!("{before}{table}{group}{rest}")
}

#[test]
fn every_reason_has_its_section_and_nothing_else_has() {
    let document = std::fs::read_to_string(ERRORS).expect("a document");
    let mut sections: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    sections.sort_unstable();
    reasons.sort_unstable();
    assert_eq!(sections, reasons);
    assert_same(ERRORS, &whole(&document));
}

#[tokio::test]
async fn the_type_of_an_error_leads_to_its_page() {
    let gateway = Gateway::sandbox();
    let document = std::fs::read_to_string(ERRORS).expect("a document");
    let failed = gateway.get("/vps/99").await.json();
    assert_eq!(failed["reason"], "NOT_FOUND");
    let page = gateway.get(failed["type"].as_str().expect("text")).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/markdown; charset=utf-8"));
    assert!(
        page.text.starts_with("# NOT_FOUND\n\n**The provider knows no such thing.** HTTP 404"),
        "{}",
        page.text
    );
    for reason in Reason::ALL {
        let name = reason.as_str();
        let section = document.split("\n### ").find(|section| section.starts_with(&format!("{name}\n")));
        let path = format!("/errors/{name}");
        let text = gateway.get(&path).await.text;
        // Links lead elsewhere on a page; the words are the same.
        let first = section.expect("a section").lines().nth(2).expect("a line");
        assert!(text.starts_with(&format!("# {name}\n\n{first}\n")), "{text}");
        assert!(!text.contains("](#") && !text.contains(".md#"), "a link of {name} leads nowhere");
        let shown = gateway.send("GET", &path, None, &[("accept", "text/html,application/xhtml+xml")]).await;
        assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
        assert!(shown.text.contains(&format!("<title>{name} · gizad</title>")), "{}", shown.text);
        assert!(shown.header("content-security-policy").starts_with("default-src 'none'"));
    }
}

#[tokio::test]
async fn the_pages_lead_to_each_other() {
    let gateway = Gateway::sandbox();
    let mut paths: Vec<String> = vec!["/errors".into(), "/runbook".into(), "/errors/page.css".into()];
    paths.extend(Reason::ALL.iter().map(|reason| format!("/errors/{}", reason.as_str())));
    let mut pages = BTreeMap::new();
    for path in paths {
        pages.insert(path.clone(), gateway.send("GET", &path, None, &[("accept", "text/html")]).await.text);
    }
    for (path, page) in &pages {
        for link in page.split(" href=\"").skip(1).map(|rest| rest.split('"').next().expect("its end")) {
            if link.starts_with("http") || link.starts_with("data:") || link == "/docs" {
                continue;
            }
            let (to, anchor) = link.split_once('#').unwrap_or((link, ""));
            let there = pages.get(to).unwrap_or_else(|| panic!("{path} leads to {link}"));
            assert!(
                anchor.is_empty() || there.contains(&format!(" id=\"{anchor}\"")),
                "{path} leads to {link}"
            );
        }
    }
    let missing = gateway.get("/errors/OUTCOME_UNKOWN").await;
    assert_eq!((missing.status, missing.reason().as_str()), (404, "ROUTE_NOT_FOUND"));
    assert!(missing.text.contains("did you mean /errors/OUTCOME_UNKNOWN?"), "{}", missing.text);
}

#[tokio::test]
async fn pages_of_ones_own_are_linked_to_from_both_faces() {
    let request = json!({"vps_id": 99});
    let stop = operation("VpsService.GetVps");
    for (pages, link) in [
        ("/errors/", None),
        ("https://wiki.example.vn/gizad/", Some("https://wiki.example.vn/gizad/NOT_FOUND")),
    ] {
        let gateway = Gateway::sandbox_with(&[("GIZAD_ERRORS_PAGES", pages)]);
        assert_eq!(gateway.get("/vps/99").await.json()["type"], Value::from(format!("{pages}NOT_FOUND")));
        let status = gateway.grpc(stop, &request).await.expect_err("there is none");
        let help = status.get_details_help().map(|help| help.links[0].url.clone());
        assert_eq!(help.as_deref(), link);
        assert_eq!(gateway.get("/errors/NOT_FOUND").await.status, 200);
    }
}
