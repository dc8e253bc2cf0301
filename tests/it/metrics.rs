//! What `/metrics` says after what has happened, who may read it, and that nothing that a caller chooses becomes part of it.

use std::collections::BTreeMap;
use std::process::Command;

use gizad::fault::Reason;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::access::token;
use super::rig::{Answer, File, Gateway, Sandbox, contract, operation, unique, until};

/// Everything that one scrape says: the values by name and labels.
pub struct Scrape(BTreeMap<Series, f64>);

/// A name and its labels.
type Series = (String, BTreeMap<String, String>);

impl Scrape {
    pub async fn of(gateway: &Gateway) -> Self {
        let answer = gateway.admin("GET", "/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self::read(&answer.text)
    }

    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect())
    }

    /// The value with exactly these labels, if it is there.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(label, word)| ((*label).to_owned(), (*word).to_owned()));
        self.0.get(&(name.to_owned(), labels.collect())).copied()
    }

    /// The sum of all values of a name.
    pub fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|((known, _), _)| known == name).map(|(_, value)| value).sum()
    }

    fn of_requests(&self, operation: &str, face: &str, caller: &str, outcome: &str) -> f64 {
        let labels = [("operation", operation), ("face", face), ("caller", caller), ("outcome", outcome)];
        self.get("gizad_requests_total", &labels).unwrap_or(0.0)
    }
}

/// A line of the text format, whose label values here have nothing that would have to be escaped.
fn sample(line: &str) -> Option<(Series, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}')?;
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, word) = pair.trim_end_matches('"').split_once("=\"")?;
        Some((label.to_owned(), word.to_owned()))
    });
    Some(((name.to_owned(), pairs.collect::<Option<_>>()?), value.parse().ok()?))
}

const WALLET: &str = "WalletService.GetWallet";
const PLANS: &str = "CatalogService.ListVpsPlans";

#[tokio::test]
async fn the_figures_are_what_has_happened() {
    // At a finer level everything goes through the layers.
    let level = ("GIZAD_LOG_LEVEL", "info");
    let gateway =
        Gateway::as_shipped(&[level, ("GIZAD_RETRY_BASE", "1ms"), ("GIZAD_BUDGET_DAY_VND", "1000000")]);
    let before = Scrape::of(&gateway).await;
    assert_eq!(before.of_requests(PLANS, "rest", "anonymous", "OK"), 0.0);
    assert_eq!(before.get("gizad_purchases_in_doubt_age_seconds", &[]), None, "nothing is in doubt");
    assert_eq!(before.get("gizad_audit_up", &[]), Some(1.0));
    let day = [("caller", "anonymous"), ("period", "day")];
    assert_eq!(before.get("gizad_budget_remaining_vnd", &day), Some(1_000_000.0));

    for _ in 0..3 {
        assert_eq!(gateway.get("/wallet").await.status, 200);
    }
    // The first is asked for; then past all layers; with a query and over gRPC, past them on another way; and through them,
    // for somebody who shows a token.
    for _ in 0..4 {
        assert_eq!(gateway.get("/catalog/vps-plans").await.status, 200);
    }
    assert_eq!(gateway.send("GET", "/catalog/vps-plans", None, &[("x-other", "1")]).await.status, 200);
    gateway.grpc(operation(PLANS), &json!({})).await.expect("a hit");
    let headers = [("authorization", "Bearer gzd_nobody_0000")];
    assert_eq!(gateway.send("GET", "/catalog/vps-plans", None, &headers).await.status, 401);
    // Sent twice.
    gateway.order(json!({"kind": "error500", "action": "list_vps"})).await;
    assert_eq!(gateway.get("/vps").await.status, 200);
    assert_eq!(gateway.get("/no/such/path").await.status, 404);
    assert_eq!(gateway.rest("DELETE", "/wallet", None).await.status, 405);
    let body = Some(("application/json", b"{".to_vec()));
    assert_eq!(gateway.send("POST", "/vps/1/reinstall", body, &[]).await.status, 400);
    gateway.grpc(operation("VpsService.StartVps"), &json!({"vps_id": 1})).await.expect("it works");
    let cycle = json!({"billing_cycle": "monthly"});
    assert_eq!(gateway.buy("k1", "/vps/1/renew", &cycle).await.status, 200);
    gateway.order(json!({"kind": "close_after", "action": "renew_service"})).await;
    assert_eq!(gateway.buy("k2", "/vps/2/renew", &cycle).await.reason(), "OUTCOME_UNKNOWN");

    // Two lines each of the power command and both purchases, and one of the refusal, for which nobody waits.
    let lines = Some(before.sum("gizad_audit_lines_total") + 7.0);
    let written = async || Scrape::of(&gateway).await.get("gizad_audit_lines_total", &[]) >= lines;
    until("all lines are written", written).await;
    let after = Scrape::of(&gateway).await;
    for (operation, face, caller, outcome, count) in [
        (WALLET, "rest", "anonymous", "OK", 3.0),
        (PLANS, "rest", "anonymous", "OK", 5.0),
        (PLANS, "grpc", "anonymous", "OK", 1.0),
        (PLANS, "rest", "(unknown)", "UNAUTHENTICATED", 1.0),
        ("VpsService.ListVps", "rest", "anonymous", "OK", 1.0),
        ("(none)", "rest", "(unknown)", "ROUTE_NOT_FOUND", 1.0),
        ("(none)", "rest", "(unknown)", "METHOD_NOT_ALLOWED", 1.0),
        ("(none)", "rest", "(unknown)", "MALFORMED_BODY", 1.0),
        ("VpsService.StartVps", "grpc", "anonymous", "OK", 1.0),
        ("VpsService.RenewVps", "rest", "anonymous", "OK", 1.0),
        ("VpsService.RenewVps", "rest", "anonymous", "OUTCOME_UNKNOWN", 1.0),
    ] {
        let counted = after.of_requests(operation, face, caller, outcome);
        assert_eq!(counted, count, "{operation} {face} {caller} {outcome}");
    }
    assert_eq!(after.sum("gizad_requests_total"), 17.0, "and nothing else");
    // What memory answers at once and what never became a call are not measured.
    assert_eq!(after.sum("gizad_request_duration_seconds_count"), 17.0 - 5.0 - 3.0);
    let taken = |operation, taken| {
        after.get("gizad_cache_answers_total", &[("operation", operation), ("taken", taken)])
    };
    assert_eq!((taken(PLANS, "miss"), taken(PLANS, "hit")), (Some(1.0), Some(5.0)));
    assert_eq!(taken(WALLET, "bypass"), Some(3.0));
    assert_eq!(after.get("gizad_cache_entries", &[]), Some(1.0));
    let sent = |operation, outcome| {
        after.get("gizad_upstream_requests_total", &[("operation", operation), ("outcome", outcome)])
    };
    assert_eq!(sent(PLANS, "OK"), Some(1.0));
    assert_eq!(sent("VpsService.ListVps", "UPSTREAM_FAILED"), Some(1.0));
    assert_eq!(sent("VpsService.RenewVps", "OK"), Some(1.0));
    assert_eq!(sent("VpsService.RenewVps", "UPSTREAM_FAILED"), Some(1.0));
    let again = [("operation", "VpsService.ListVps"), ("reason", "UPSTREAM_FAILED")];
    assert_eq!(after.get("gizad_retries_total", &again), Some(1.0));
    let became = |state| {
        let labels = [("operation", "VpsService.RenewVps"), ("state", state), ("caller", "anonymous")];
        after.get("gizad_purchases_total", &labels)
    };
    assert_eq!(
        (became("SENDING"), became("SUCCEEDED"), became("IN_DOUBT")),
        (Some(2.0), Some(1.0), Some(1.0))
    );
    let open = |state| after.get("gizad_purchases_open", &[("state", state)]);
    assert_eq!((open("IN_DOUBT"), open("SENDING")), (Some(1.0), Some(0.0)));
    assert!(after.get("gizad_purchases_in_doubt_age_seconds", &[]).expect("one is") >= 0.0);
    let spent = 1_000_000.0 - after.get("gizad_budget_remaining_vnd", &day).expect("a budget");
    assert!(spent > 0.0, "what is in doubt counts, too");
    assert_eq!(after.get("gizad_audit_lines_total", &[]), lines);
    assert_eq!(after.get("gizad_audit_unwritten_total", &[]), Some(0.0));
    assert!(after.get("gizad_ledger_duration_seconds_count", &[("access", "append")]) >= Some(4.0));
    assert_eq!(after.get("gizad_ledger_failures_total", &[("access", "append")]), Some(0.0));
    assert_eq!(after.get("gizad_connections", &[("listener", "admin")]), Some(1.0));
    assert!(after.get("process_resident_memory_bytes", &[]) > Some(1e6));
    assert!(after.get("process_open_fds", &[]) > Some(3.0));
    assert!(after.get("process_cpu_seconds_total", &[]).is_some());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let lives = now.as_secs_f64() - after.get("process_start_time_seconds", &[]).expect("it was started");
    assert!((-2.0..600.0).contains(&lives), "{lives}");
    assert_eq!(after.sum("gizad_account_balance_vnd"), 0.0);
    assert_eq!(after.get("gizad_account_balance_vnd", &[]), None, "nobody asked for it");
    assert_eq!(after.get("gizad_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
}

#[tokio::test]
async fn limits_and_the_breaker_are_counted_where_they_refuse() {
    let gateway = Gateway::as_shipped(&[
        ("GIZAD_QUOTA_RATE", "60/h"),
        ("GIZAD_QUOTA_BURST", "6"),
        ("GIZAD_RETRY_ATTEMPTS", "1"),
        ("GIZAD_BREAKER_REST", "1h"),
        ("GIZAD_BREAKER_FAILURES", "2"),
    ]);
    gateway.order(json!({"kind": "rate_limited", "retry_after": 1})).await;
    assert_eq!(gateway.get("/wallet").await.reason(), "UPSTREAM_RATE_LIMITED");
    let paused = Scrape::of(&gateway).await;
    assert_eq!(paused.get("gizad_pace_complaints_total", &[]), Some(1.0));
    assert_eq!(paused.get("gizad_pace_ratio", &[]), Some(0.25));
    assert!(paused.get("gizad_pace_pause_seconds", &[]) > Some(0.0));
    assert_eq!(paused.get("gizad_degraded", &[("reason", "UPSTREAM_RATE_LIMITED")]), Some(1.0));
    let refused = gateway.send("GET", "/wallet", None, &[("request-timeout", "100ms")]).await;
    assert_eq!(refused.reason(), "PACE_EXCEEDED");
    assert_eq!(gateway.get("/wallet").await.status, 200, "after its turn");
    gateway.order(json!({"kind": "error500", "times": 1000})).await;
    for reason in ["UPSTREAM_FAILED", "UPSTREAM_FAILED", "CIRCUIT_OPEN", "QUOTA_EXCEEDED"] {
        assert_eq!(gateway.get("/wallet").await.reason(), reason);
    }
    let after = Scrape::of(&gateway).await;
    assert_eq!(after.get("gizad_pace_refusals_total", &[("lane", "read")]), Some(1.0));
    assert_eq!(after.get("gizad_pace_wait_seconds_count", &[("lane", "read")]), Some(4.0));
    assert_eq!(after.get("gizad_quota_refusals_total", &[("caller", "anonymous")]), Some(1.0));
    assert_eq!(after.get("gizad_breaker_openings_total", &[]), Some(1.0));
    let state = |state| after.get("gizad_breaker_state", &[("state", state)]);
    assert_eq!([state("open"), state("closed"), state("half_open")], [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(after.get("gizad_degraded", &[("reason", "CIRCUIT_OPEN")]), Some(1.0));
    assert_eq!(after.get("gizad_degraded", &[("reason", "UPSTREAM_RATE_LIMITED")]), Some(0.0));
    assert_eq!(after.of_requests(WALLET, "rest", "anonymous", "CIRCUIT_OPEN"), 1.0);
    assert_eq!(after.get("gizad_ready", &[]), Some(1.0));
}

#[tokio::test]
async fn settings_that_are_not_taken_over_are_seen() {
    let file = File::new("reloaded", "");
    let gateway = Gateway::run(&["--sandbox", "--config", file.path()], &[("GIZAD_STATE_DIR", "")]);
    let reloads = |scrape: &Scrape| {
        let of = |result| scrape.get("gizad_reloads_total", &[("result", result)]);
        (of("success"), of("failure"), scrape.get("gizad_last_reload_successful", &[]))
    };
    let time = |scrape: &Scrape| scrape.get("gizad_last_reload_success_timestamp_seconds", &[]);
    let started = Scrape::of(&gateway).await;
    assert_eq!(reloads(&started), (Some(0.0), Some(0.0), Some(1.0)));
    std::fs::write(file.path(), "[quota]\nrate = \"often\"\n").expect("written");
    gateway.signal("HUP");
    gateway.logged("settings not taken over").await;
    let wrong = Scrape::of(&gateway).await;
    assert_eq!(reloads(&wrong), (Some(0.0), Some(1.0), Some(0.0)));
    assert_eq!(time(&wrong), time(&started));
    std::fs::write(file.path(), "[quota]\nrate = \"6/m\"\n").expect("written");
    gateway.signal("HUP");
    gateway.logged("settings taken over").await;
    let mended = Scrape::of(&gateway).await;
    assert_eq!(reloads(&mended), (Some(1.0), Some(1.0), Some(1.0)));
    assert!(time(&mended) > time(&started));
}

/// The account is looked at when it is wanted, as a poll that pays from a quota of its own, and what was not told is absent.
#[tokio::test]
async fn the_account_is_looked_at_when_that_is_wanted() {
    let gateway = Gateway::as_shipped(&[("GIZAD_METRICS_ACCOUNT_INTERVAL", "1m")]);
    let looked = async |gateway: &Gateway, result: &str| loop {
        let scrape = Scrape::of(gateway).await;
        if scrape.get("gizad_account_looks_total", &[("result", result)]) >= Some(1.0) {
            return scrape;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let scrape = looked(&gateway, "success").await;
    assert_eq!(scrape.get("gizad_account_balance_vnd", &[]), Some(5_000_000.0));
    let servers = gateway.get("/vps").await.json();
    let active =
        servers["vps"].as_array().expect("a list").iter().filter(|vps| vps["state"] == "ACTIVE").count();
    let services = |kind, state| scrape.get("gizad_account_services", &[("kind", kind), ("state", state)]);
    assert_eq!(services("vps", "ACTIVE"), Some(active as f64), "{servers}");
    assert_eq!(services("vps", "SUSPENDED"), Some(0.0));
    assert!(scrape.get("gizad_account_next_expiry_seconds", &[("kind", "vps")]) > Some(0.0));
    assert!(scrape.get("gizad_account_last_success_timestamp_seconds", &[]).is_some());
    // Behind everybody else, and no request of anybody.
    assert_eq!(scrape.get("gizad_pace_wait_seconds_count", &[("lane", "poll")]), Some(4.0));
    assert_eq!(scrape.sum("gizad_requests_total"), 0.0);

    // A provider that is down has an unknown balance, and not an empty wallet.
    let gateway = Gateway::towards("http://127.0.0.1:9/api", &[("GIZAD_METRICS_ACCOUNT_INTERVAL", "1m")]);
    let scrape = looked(&gateway, "failure").await;
    for absent in ["gizad_account_balance_vnd", "gizad_account_services", "gizad_account_next_expiry_seconds"]
    {
        assert!(scrape.0.keys().all(|(name, _)| name != absent), "{absent}");
    }
}

/// Whoever sends what it likes makes no new series: every label is one of a closed list.
#[tokio::test]
async fn nothing_that_a_caller_chooses_becomes_a_label() {
    let (good, lines) = token("shop", "read");
    let settings = File::new("hostile", &lines);
    let gateway = Gateway::run(&["--sandbox", "--config", settings.path()], &[("GIZAD_STATE_DIR", "")]);
    let mut series = 0;
    for round in 0..3 {
        for number in 0..20 {
            let word = format!("canary-{round}-{number}");
            let forged = good.replace("gzd_shop", &format!("gzd_{word}"));
            let forged = format!("Bearer {forged}");
            let headers = [
                ("authorization", forged.as_str()),
                ("x-request-id", word.as_str()),
                ("user-agent", word.as_str()),
                ("cache-control", word.as_str()),
            ];
            let host = [("host", "localhost"), ("x-forwarded-for", word.as_str())];
            let answers: [Answer; 6] = [
                gateway.get(&format!("/{word}")).await,
                gateway.rest(&word.to_uppercase(), "/wallet", None).await,
                gateway.send("GET", "/wallet", None, &headers).await,
                gateway.send("GET", &format!("/wallet?{word}={word}"), None, &host).await,
                gateway.post(&format!("/actions/{word}"), json!({&word: word})).await,
                gateway
                    .send(
                        "POST",
                        &format!("/gizad.v1.{word}/{word}"),
                        Some(("application/grpc", vec![])),
                        &[],
                    )
                    .await,
            ];
            assert!(answers.iter().all(|answer| answer.status >= 400), "{answers:?}");
            let bearer = format!("Bearer {good}");
            let own = [("authorization", bearer.as_str()), ("x-request-id", word.as_str())];
            assert_eq!(gateway.send("GET", "/catalog/vps-plans", None, &own).await.status, 200);
        }
        let scrape = Scrape::of(&gateway).await;
        assert!(round == 0 || scrape.0.len() == series, "{} series after {series}", scrape.0.len());
        series = scrape.0.len();
    }
    let operations = contract().all().map(|operation| operation.name.as_str());
    let known: Vec<&str> = operations
        .chain(Reason::ALL.iter().map(|reason| reason.as_str()))
        .chain(gizad::purchase::State::ALL.map(|state| state.as_str()))
        .chain([
            "(none)",
            "(unknown)",
            "OK",
            "CANCELLED",
            "rest",
            "grpc",
            "anonymous",
            "owner",
            "shop",
            "gizad",
        ])
        .chain([
            "hit",
            "revalidating",
            "stale",
            "miss",
            "expired",
            "requested",
            "bypass",
            "write",
            "read",
            "poll",
        ])
        .chain(["open", "closed", "half_open", "day", "month", "append", "api", "socket", "admin"])
        .chain(["success", "failure", env!("CARGO_PKG_VERSION")])
        .collect();
    for (name, labels) in Scrape::of(&gateway).await.0.keys() {
        for (label, word) in labels.iter().filter(|(label, _)| *label != "le") {
            assert!(known.contains(&word.as_str()), "{name} {label}={word}");
        }
    }
}

#[tokio::test]
async fn both_formats_are_there_and_no_page_reads_them() {
    let gateway = Gateway::sandbox();
    let scrape = async |headers: &[(&str, &str)]| {
        let mut request = gateway.http.get(format!("{}/metrics", gateway.admin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    };
    let plain = scrape(&[]).await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(plain.header("cache-control"), "no-store");
    assert!(plain.text.contains("# TYPE gizad_requests_total counter\n"), "{}", plain.text);
    let open = scrape(&[("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")]).await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.text.contains("# TYPE gizad_requests counter\n") && open.text.ends_with("# EOF\n"));
    for page in
        [("origin", "https://evil.example"), ("host", "evil.example"), ("sec-fetch-site", "cross-site")]
    {
        assert_eq!(scrape(&[page]).await.status, 403, "{page:?}");
    }
    assert_eq!(gateway.admin("POST", "/metrics").await.status, 405);
}

#[tokio::test]
async fn probes_say_all_the_reasons() {
    let mut gateway = Gateway::as_shipped(&[
        ("GIZAD_RETRY_ATTEMPTS", "1"),
        ("GIZAD_BREAKER_FAILURES", "1"),
        ("GIZAD_BREAKER_REST", "1h"),
        ("GIZAD_PURCHASE_LOOK_EVERY", "24h"),
    ]);
    let ready = async || gateway.admin("GET", "/readyz").await;
    assert_eq!(ready().await.json(), json!({"status": "ready", "reasons": []}));
    // Nobody knows what became of it, and the breaker opens, too.
    gateway.order(json!({"kind": "close_after", "action": "renew_service"})).await;
    let bought = gateway.buy("k", "/vps/1/renew", &json!({"billing_cycle": "monthly"})).await;
    assert_eq!(bought.reason(), "OUTCOME_UNKNOWN");
    // Looked at once a second.
    let expected = json!({"status": "degraded", "reasons": ["CIRCUIT_OPEN", "PURCHASES_IN_DOUBT"]});
    while ready().await.json() != expected {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(ready().await.status, 200);
    assert_eq!(gateway.admin("GET", "/startupz").await.json(), json!({"status": "started"}));
    // A stop is said whatever else there is, and everything that was said before.
    let running = slow_start(&gateway).await;
    gateway.signal("TERM");
    gateway.logged("stopping").await;
    let stopping = ready().await;
    let expected = json!({"status": "draining", "reasons": ["CIRCUIT_OPEN", "PURCHASES_IN_DOUBT"]});
    assert_eq!((stopping.status, stopping.json()), (503, expected));
    assert_eq!(Scrape::of(&gateway).await.get("gizad_ready", &[]), Some(0.0));
    drop(running);
    assert!(gateway.ended().await.success());
}

/// A connection with a request under way, which a stop waits for.
async fn slow_start(gateway: &Gateway) -> TcpStream {
    let address = gateway.api.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let head = "POST /vps/1/start HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

/// Both the ledger and the audit log are below a file where a folder is needed.
#[tokio::test]
async fn what_cannot_be_written_is_a_reason() {
    let blocked = File::new(&format!("blocked-{}", unique()), "");
    let provider = Sandbox::start();
    let usual = [
        ("GIZAD_AUDIT_FILE", "auto"),
        ("GIZAD_LEDGER_DIR", "auto"),
        ("STATE_DIRECTORY", ""),
        ("XDG_STATE_HOME", blocked.path()),
    ];
    let gateway = Gateway::beside(&provider, &usual);
    assert_eq!(gateway.rest("POST", "/vps/1/start", None).await.status, 200, "{}", gateway.log());
    let ready = gateway.admin("GET", "/readyz").await;
    let expected = json!({"status": "degraded", "reasons": ["LEDGER_UNAVAILABLE", "AUDIT_UNAVAILABLE"]});
    assert_eq!((ready.status, ready.json()), (200, expected));
    let scrape = Scrape::of(&gateway).await;
    assert_eq!(scrape.get("gizad_audit_up", &[]), Some(0.0));
    assert!(scrape.get("gizad_audit_unwritten_total", &[]) >= Some(1.0));
    assert_eq!(scrape.get("gizad_ledger_up", &[]), Some(0.0));
    assert_eq!(scrape.get("gizad_purchases_open", &[("state", "IN_DOUBT")]), None, "not known, and not 0");
    assert_eq!(scrape.get("gizad_degraded", &[("reason", "LEDGER_UNAVAILABLE")]), Some(1.0));
    // Who wants no ledger lacks none.
    let without = Gateway::sandbox_with(&[("GIZAD_LEDGER_DIR", "")]);
    assert_eq!(without.admin("GET", "/readyz").await.json(), json!({"status": "ready", "reasons": []}));
    assert_eq!(Scrape::of(&without).await.get("gizad_ledger_up", &[]), None);
}

/// `gizad health` beside a gateway, or beside nothing.
fn health(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut gizad = Command::new(env!("CARGO_BIN_EXE_gizad"));
    let output = gizad.arg("health").args(arguments).envs(environment.iter().copied()).output();
    let output = output.expect("it runs");
    assert!(output.stdout.is_empty(), "whoever looks at a probe reads standard error");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_probe_that_is_a_command_says_the_same() {
    let mut gateway = Gateway::as_shipped(&[("GIZAD_BREAKER_FAILURES", "1"), ("GIZAD_BREAKER_REST", "1h")]);
    let admin = gateway.admin.trim_start_matches("http://").to_owned();
    // Without a key, and with whatever else may be in the environment.
    let here = [("GIZAD_LISTEN_ADMIN", admin.as_str()), ("GIZAD_CREDENTIALS_SECRET_FILE", "/nowhere")];
    assert_eq!(health(&[], &here), (Some(0), "gizad: ready\n".to_owned()));
    assert_eq!(health(&["--live", "--admin-listen", &admin], &[]), (Some(0), "gizad: alive\n".to_owned()));
    gateway.order(json!({"kind": "error500", "times": 9})).await;
    assert_eq!(gateway.get("/wallet").await.reason(), "UPSTREAM_FAILED");
    assert_eq!(health(&[], &here), (Some(0), "gizad: degraded: CIRCUIT_OPEN\n".to_owned()));
    let running = slow_start(&gateway).await;
    gateway.signal("TERM");
    gateway.logged("stopping").await;
    let (code, said) = health(&[], &here);
    assert_eq!((code, said.as_str()), (Some(1), "gizad: draining: CIRCUIT_OPEN (503 Service Unavailable)\n"));
    assert_eq!(health(&["--live"], &here).0, Some(0), "it still lives");
    drop(running);
    gateway.ended().await;
    let (code, said) = health(&[], &here);
    assert!(code == Some(1) && said.contains(&format!("no gizad answers at {admin}")), "{said}");
}

#[test]
fn a_probe_has_no_patience_and_says_what_is_wrong_with_its_settings() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let (code, said) = health(&["--timeout", "50ms", "--admin-listen", &address], &[]);
    assert!(code == Some(1) && said.contains("no answer from"), "{said}");
    let somebody = std::thread::spawn(move || {
        // The first has lost its patience.
        let _gone = silent.accept().expect("somebody");
        let (mut stream, _) = silent.accept().expect("somebody else");
        let _read = std::io::Read::read(&mut stream, &mut [0; 1024]);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        std::io::Write::write_all(&mut stream, answer.as_bytes()).expect("answered");
    });
    let (code, said) = health(&["--admin-listen", &address], &[]);
    assert!(code == Some(1) && said.contains("something else does"), "{said}");
    somebody.join().expect("no panic");
    for wrong in [
        &["--admin-listen", "localhost"][..],
        &["--timeout", "soon"],
        &["--admin-listen", "127.0.0.1:0"],
        &["--alive"],
    ] {
        let (code, said) = health(wrong, &[]);
        assert!(code == Some(64) && !said.is_empty(), "{wrong:?}: {said}");
    }
}
