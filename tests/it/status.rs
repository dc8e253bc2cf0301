//! How it stands, as JSON to the last field, and the page that shows it.

use serde_json::{Value, json};

use super::money::{PRICE, server};
use super::rig::{File, Gateway, unique};

/// Where a value changes from one run to the next, its kind stands instead of it.
fn without_chance(mut status: Value) -> Value {
    fn kind(value: &mut Value) {
        *value = json!(match value {
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            _ => panic!("{value} is neither"),
        });
    }
    let each = |list: &mut Value, names: &[&str]| {
        for one in list.as_array_mut().expect("a list") {
            names.iter().for_each(|name| kind(&mut one[*name]));
        }
    };
    for name in ["up_s", "provider"] {
        kind(&mut status[name]);
    }
    kind(&mut status["cache"]["bytes"]);
    each(&mut status["kept"], &["bytes", "youngest_s", "oldest_s"]);
    each(&mut status["purchases"]["list"], &["id", "created", "age_s", "changed_s"]);
    each(&mut status["calls"], &["at", "ms"]);
    for caller in status["callers"].as_array_mut().expect("a list") {
        kind(&mut caller["quota"]["whole_again_in_s"]);
    }
    status
}

fn purchase(state: &str, rest: &Value) -> Value {
    let mut purchase = json!({
        "id": "a text", "operation": "VpsService.CreateVps", "caller": "anonymous", "state": state, "in_doubt": false,
        "created": "a text", "age_s": "a number", "changed_s": "a number", "price_vnd": PRICE, "held_vnd": 0, "posted_vnd": 0,
        "reason": null, "findings": [], "by": null,
    });
    for (name, value) in rest.as_object().expect("an object") {
        purchase[name] = value.clone();
    }
    purchase
}

fn call(operation: &str, effect: &str, outcome: &str, from: &str) -> Value {
    json!({"at": "a text", "operation": operation, "effect": effect, "face": "rest", "caller": "anonymous",
           "outcome": outcome, "from": from, "ms": "a number"})
}

#[tokio::test]
async fn the_status_says_how_everything_stands() {
    let callers = File::new(
        &format!("status-{}", unique()),
        "[callers.ci]\nuid = 4242\nscopes = [\"read\", \"spend\"]\noperations = [\"WalletService.*\"]\n\
         expires = \"2001-02-03T04:05:06Z\"\nquota.rate = \"2/s\"\nquota.burst = 10\n\
         [budget]\nday_vnd = 500000\nmonth_vnd = 5000000\n[budget.callers.ci]\nday_vnd = 7\n",
    );
    // At a finer level what is kept is answered through the layers, and is among the calls.
    let level = ("GIZAD_LOG_LEVEL", "info");
    let slow = [level, ("GIZAD_QUOTA_RATE", "1/m"), ("GIZAD_QUOTA_BURST", "20"), ("GIZAD_STATE_DIR", "")];
    let gateway = Gateway::run(&["--sandbox", "--config", callers.path()], &slow);
    for path in ["/catalog/vps-plans", "/wallet"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    // Answered from memory, past the log.
    assert_eq!(gateway.get("/catalog/vps-plans").await.status, 200);
    assert_eq!(gateway.buy("a", "/vps", &server("one")).await.status, 201);
    assert_eq!(gateway.buy("a", "/vps", &server("one")).await.status, 201);
    gateway.order(json!({"kind": "close_before", "action": "create_vps"})).await;
    assert_eq!(gateway.buy("b", "/vps", &server("two")).await.reason(), "OUTCOME_UNKNOWN");
    assert_eq!(gateway.get("/operations").await.status, 200);

    let status = without_chance(gateway.admin("GET", "/status").await.json());
    let told = &gateway.admin("GET", "/status").await.json()["purchases"]["list"][0]["id"];
    let looked_at = format!("POST /operations/{}/reconcile", told.as_str().expect("text"));
    let wallet = |today: i64, day: i64, month: Option<i64>| {
        json!({"purchase_vnd": null, "day_vnd": day, "month_vnd": month,
        "spent_today_vnd": today, "spent_this_month_vnd": today})
    };
    let expected = json!({
        "state": "ready", "degraded": null, "version": env!("CARGO_PKG_VERSION"), "up_s": "a number", "provider": "a text",
        "sandbox": true,
        "pace": {"per_second": 5.0, "part_of_the_configured_rate": 0.5, "paused_for_s": null,
                 "waiting": {"writes": 0, "reads": 0, "polls": 0}},
        "breaker": "closed",
        "credentials": "accepted",
        "cache": {"answers": 1, "bytes": "a number"},
        // What was bought may have changed what is in stock, so it is not fresh any more.
        "kept": [{"operation": "CatalogService.ListVpsPlans", "answers": 1, "fresh": 0, "bytes": "a number",
                  "youngest_s": "a number", "oldest_s": "a number"}],
        "purchases": {"trouble": null, "in_doubt": 1, "list": [
            purchase("IN_DOUBT", &json!({"in_doubt": true, "held_vnd": PRICE, "reason": "OUTCOME_UNKNOWN", "by": looked_at,
                "to_do": "Wait: gizad looks for it by itself. Do not buy the same again. It can be looked at now."})),
            purchase("SUCCEEDED", &json!({"posted_vnd": PRICE, "to_do": "Nothing."})),
        ]},
        "callers": [
            {"name": "anonymous", "scopes": ["read", "sensitive", "write", "spend", "admin"], "operations": null,
             "expires": null, "expired": false, "budget": wallet(2 * PRICE, 500_000, Some(5_000_000)),
             "quota": {"left": 16, "of": 20, "window_s": 1200.0, "whole_again_in_s": "a number"}},
            {"name": "ci", "scopes": ["read", "spend"], "operations": 6, "expires": "2001-02-03T04:05:06Z", "expired": true,
             "budget": wallet(0, 7, None), "quota": {"left": 10, "of": 10, "window_s": 5.0, "whole_again_in_s": "a number"}},
        ],
        "replicas": null,
        "settings_taken_over": true,
        "latency": status["latency"],
        "calls": [
            call("OperationService.ListOperations", "read", "OK", "record"),
            call("VpsService.CreateVps", "spend", "OUTCOME_UNKNOWN", "provider"),
            call("VpsService.CreateVps", "spend", "OK", "record"),
            call("VpsService.CreateVps", "spend", "OK", "provider"),
            call("WalletService.GetWallet", "read", "OK", "provider"),
            call("CatalogService.ListVpsPlans", "public", "OK", "provider"),
        ],
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&status[name], value, "{name}");
    }
    assert_eq!(status.as_object().expect("an object").len(), expected.as_object().expect("an object").len());
    let spans = status["latency"]["spans"].as_array().expect("a list");
    assert_eq!((spans.len(), status["latency"]["span_s"].as_u64()), (60, Some(10)));
    let sum = |name: &str| spans.iter().filter_map(|span| span[name].as_u64()).sum::<u64>();
    assert_eq!((sum("calls"), sum("failed")), (6, 1));
    let last = spans.iter().rev().find(|span| span["calls"] != 0).expect("one");
    assert!(last["p50_ms"].as_f64().expect("a time") <= last["p99_ms"].as_f64().expect("a time"), "{last}");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_is_said_and_the_rest_is_shown() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LEDGER_DIR", "")]);
    let status = gateway.admin("GET", "/status").await.json();
    let trouble = status["purchases"]["trouble"].as_str();
    assert!(trouble.is_some_and(|trouble| !trouble.is_empty()), "{status}");
    assert_eq!((&status["purchases"]["in_doubt"], &status["breaker"]), (&Value::Null, &json!("closed")));
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_script_and_asks_nobody_else() {
    let gateway = Gateway::sandbox();
    let page = gateway.admin("GET", "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    let nonce = policy
        .split_once("script-src 'nonce-")
        .and_then(|(_, rest)| rest.split_once('\''))
        .expect("a nonce")
        .0;
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    );
    assert_eq!(page.text.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    // No address of anybody, but for the name of a format.
    let elsewhere = page.text.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("//www") && !elsewhere.contains("://"), "{elsewhere}");
    for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
        assert!(!page.text.contains(sink), "{sink}");
    }
    let again = gateway.admin("GET", "/").await;
    assert!(!again.text.contains(nonce), "another one every time");
    assert_eq!(gateway.admin("POST", "/").await.status, 405);
}
