//! A provider that is away, slow, lying or pointing elsewhere: one clear error in bounded time, nothing sent twice.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gizad::contract::Effect;
use serde_json::json;

use super::operations::{Row, rows};
use super::rig::{Gateway, PATIENCE, Sandbox, operation};

fn rows_of(repeatable: bool) -> Vec<Row> {
    let fits = |row: &Row| {
        operation(row.operation).effect.is_repeatable() == repeatable && row.path != "/actions/vps_rdns"
    };
    rows().into_iter().filter(fits).collect()
}

#[tokio::test]
async fn what_must_not_run_twice_is_sent_once_whatever_happens() {
    for kind in [
        "close_before",
        "close_after",
        "truncate",
        "error500",
        "html",
        "wrong_shape",
        "stall",
        "rate_limited",
    ] {
        // What is in doubt stands in the way of the next of its kind, so each has a gateway of its own.
        let gateway = Gateway::sandbox_with(&[("GIZAD_UPSTREAM_TIMEOUT", "300ms")]);
        for row in rows_of(false) {
            gateway.control("POST", "/reset", json!({})).await;
            gateway.order(json!({"kind": kind, "action": row.action()})).await;
            let answer = row.rest(&gateway).await;
            let what = format!("{kind}, {}: {}", row.operation, answer.text);
            assert_eq!((answer.status, answer.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{what}");
            assert_eq!(answer.json()["sent"], "maybe", "{what}");
            assert_eq!(gateway.sent(&row.action()).await.len(), 1, "{what}");
            assert!(gateway.executions().await <= 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_late_execution_is_an_unknown_outcome_too() {
    let gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "execute_late", "ms": 200, "action": "create_vps"})).await;
    let row = rows_of(false).into_iter().find(|row| row.operation == "VpsService.CreateVps").expect("a row");
    let answer = row.rest(&gateway).await;
    assert_eq!(answer.reason(), "OUTCOME_UNKNOWN");
    let begun = Instant::now();
    while gateway.executions().await == 0 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_may_be_repeated_fails_with_one_clear_error() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_UPSTREAM_TIMEOUT", "300ms")]);
    for (kind, status, reason) in [
        ("close_before", 502, "UPSTREAM_FAILED"),
        ("truncate", 502, "UPSTREAM_FAILED"),
        ("error500", 502, "UPSTREAM_FAILED"),
        ("html", 503, "UPSTREAM_MAINTENANCE"),
        ("wrong_shape", 502, "UPSTREAM_SHAPE_UNKNOWN"),
        ("stall", 504, "UPSTREAM_TIMEOUT"),
        ("rate_limited", 429, "UPSTREAM_RATE_LIMITED"),
    ] {
        for row in rows_of(true) {
            gateway.control("POST", "/reset", json!({})).await;
            gateway.order(json!({"kind": kind})).await;
            let begun = Instant::now();
            let answer = gateway.rest(row.method, row.path, row.body.as_ref()).await;
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (status, reason),
                "{kind}, {}: {}",
                row.operation,
                answer.text
            );
            assert!(begun.elapsed() < PATIENCE, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_away_proves_that_nothing_was_sent() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let gateway = Gateway::towards(&format!("http://127.0.0.1:{port}/api"), &[]);
    for row in rows().iter().filter(|row| row.path != "/actions/vps_rdns") {
        let answer = row.rest(&gateway).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (503, "UPSTREAM_UNREACHABLE"),
            "{}: {}",
            row.operation,
            answer.text
        );
        assert_eq!(answer.json()["sent"], "never", "{}", row.operation);
    }
}

/// A provider that answers every connection with the same bytes and keeps all it received.
pub struct Raw {
    pub url: String,
    pub received: Arc<Mutex<Vec<u8>>>,
    pub connections: Arc<AtomicUsize>,
}

/// What is understood and says nothing.
const MUTE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\nconnection: close\r\n\r\n{\"success\":true}";

impl Raw {
    pub fn answering(bytes: Vec<u8>) -> Self {
        Self::choosing(move |_| Some(bytes.clone()))
    }

    /// One that answers the order of a server so, says nothing to anything else, and counts the orders.
    pub fn selling(bytes: Vec<u8>) -> Self {
        Self::choosing(move |request| request.contains("\"create_vps\"").then(|| bytes.clone()))
    }

    /// The bytes for a request, if it counts.
    fn choosing(answer: impl Fn(&str) -> Option<Vec<u8>> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/api", listener.local_addr().expect("an address"));
        let (received, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (kept, counted) = (received.clone(), connections.clone());
        std::thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                let (kept, answer, counted) = (kept.clone(), answer.clone(), counted.clone());
                std::thread::spawn(move || {
                    let mut buffer = [0; 16_384];
                    let mut request = Vec::new();
                    // A head, and then a body if there is one, may come in two.
                    while !is_whole(&request) {
                        match socket.read(&mut buffer) {
                            Ok(length) if length > 0 => request.extend_from_slice(&buffer[..length]),
                            _ => break,
                        }
                    }
                    kept.lock().unwrap().extend_from_slice(&request);
                    let answer = answer(&String::from_utf8_lossy(&request));
                    counted.fetch_add(usize::from(answer.is_some()), Ordering::SeqCst);
                    let _gone = socket.write_all(&answer.unwrap_or_else(|| MUTE.to_vec()));
                });
            }
        });
        Self { url, received, connections }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

/// Whether this is a whole request: a head, and as much body as it announces.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    announced.is_none_or(|length| length.trim().parse().is_ok_and(|length: usize| body.len() >= length))
}

/// RFC 9110 would have 307 and 308 repeat the body, which holds the key.
#[tokio::test]
async fn a_redirect_is_never_followed_and_leaks_nothing() {
    for status in [301, 302, 303, 307, 308] {
        let trap =
            Raw::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"success\":true}".to_vec());
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}?stolen=1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            trap.url
        );
        let provider = Raw::answering(answer.into_bytes());
        let gateway = Gateway::towards(&provider.url, &[]);
        for row in rows().iter().filter(|row| row.path != "/actions/vps_rdns") {
            let answer = row.rest(&gateway).await;
            // What is looked at first is read, and so nothing else was sent.
            let looks = row.effect() == Effect::Spend || row.operation.ends_with("ReinstallVps");
            let expected =
                if row.effect().is_repeatable() || looks { "UPSTREAM_REDIRECTED" } else { "OUTCOME_UNKNOWN" };
            assert_eq!(answer.reason(), expected, "{status}, {}: {}", row.operation, answer.text);
            assert!(
                !looks || answer.json()["sent"] == "never",
                "{status}, {}: {}",
                row.operation,
                answer.text
            );
            assert!(!answer.text.contains("canary") && !answer.text.contains("stolen"), "{}", answer.text);
        }
        let gateway = Gateway::sandbox();
        for row in rows().iter().filter(|row| row.effect() == Effect::Spend) {
            let headers = [["Location", &format!("{}?stolen=1", trap.url)]];
            gateway
                .order(
                    json!({"kind": "answer", "status": status, "headers": headers, "action": row.action()}),
                )
                .await;
            let answer = row.rest(&gateway).await;
            assert_eq!(answer.reason(), "OUTCOME_UNKNOWN", "{status}, {}: {}", row.operation, answer.text);
            assert!(!answer.text.contains("stolen"), "{}", answer.text);
        }
        assert_eq!(trap.connections.load(Ordering::SeqCst), 0, "{status}: nobody went there");
        assert_eq!(trap.text(), "");
        assert!(provider.text().contains("SECRET-canary-42"), "the provider itself got it");
    }
}

#[tokio::test]
async fn the_catalog_is_read_without_credentials() {
    let gateway = Gateway::sandbox();
    for row in rows().iter().filter(|row| operation(row.operation).effect == Effect::Public) {
        assert_eq!(gateway.rest(row.method, row.path, None).await.status, 200);
    }
    let wire = gateway.control("GET", "/wire", json!({})).await.to_string();
    assert!(wire.contains("GET /api?action=list_plans HTTP/1.1"), "{wire}");
    for canary in ["sandbox-secret", "identifier", "secret", "authorization"] {
        assert!(!wire.to_lowercase().contains(canary), "{canary} in {wire}");
    }
}

#[tokio::test]
async fn the_installation_names_itself_when_told_to() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_UPSTREAM_FRONTEND_SOURCE", "app.example.vn")]);
    gateway.get("/wallet").await;
    gateway.get("/catalog/vps-plans").await;
    let seen = gateway.seen().await;
    assert_eq!(
        seen[0],
        r#"{"action":"balance","identifier":"sandbox","secret":"sandbox-secret","frontend_source":"app.example.vn"}"#
    );
    assert_eq!(seen[1], "/api?action=list_plans&frontend_source=app.example.vn");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let megabytes = "x".repeat(3 * 1024 * 1024);
    let gateway = Gateway::sandbox();
    for (path, reason) in [("/wallet", "UPSTREAM_FAILED"), ("/vps/1/reboot", "OUTCOME_UNKNOWN")] {
        gateway
            .order(json!({"kind": "answer", "body": format!("{{\"success\":true,\"pad\":\"{megabytes}\"}}")}))
            .await;
        let method = if path == "/wallet" { "GET" } else { "POST" };
        let answer = gateway.rest(method, path, None).await;
        assert_eq!(
            (answer.reason().as_str(), &answer.json()["upstream_rule"]),
            (reason, &json!("answer_too_long")),
            "{}",
            answer.text
        );
    }
}

/// Each call of what must not run twice has a connection of its own; the others share.
#[tokio::test]
async fn the_lanes_are_two() {
    let gateway = Gateway::sandbox();
    for _ in 0..5 {
        gateway.get("/wallet").await;
    }
    let connections =
        async || gateway.control("GET", "/wire", json!({})).await.as_array().expect("a list").len();
    assert_eq!(connections().await, 1, "reads share a connection");
    for _ in 0..5 {
        gateway.rest("POST", "/vps/1/reboot", None).await;
    }
    assert_eq!(connections().await, 6, "each reboot had its own");
}

/// T15: a provider that stops half-way through its answer, at every byte of it.
#[tokio::test]
async fn an_answer_cut_at_any_byte_is_never_a_success() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 44\r\n\r\n{\"success\":true,\"order_id\":1,\"invoice_id\":2}";
    let order =
        json!({"plan_id": 26, "hostname": "a", "password": "p", "os": "o", "billing_cycle": "monthly"});
    for cut in 0..=whole.len() {
        let provider = Raw::selling(whole.as_bytes()[..cut].to_vec());
        let gateway = Gateway::towards(&provider.url, &[]);
        let answer = gateway.buy("k", "/vps", &order).await;
        if cut == whole.len() {
            assert_eq!(answer.status, 201, "{}", answer.text);
        } else {
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (409, "OUTCOME_UNKNOWN"),
                "cut at {cut}: {}",
                answer.text
            );
        }
        assert_eq!(provider.connections.load(Ordering::SeqCst), 1, "cut at {cut}: sent once");
    }
}

/// `gizad sandbox` alone, in a process of its own that can be killed like a real provider can fail.
#[tokio::test]
async fn a_provider_that_is_killed_gives_one_clear_error_at_once() {
    let mut sandbox = Sandbox::start();
    let gateway = Gateway::beside(&sandbox, &[]);
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5_000_000);
    assert_eq!(gateway.rest("POST", "/vps/1/reboot", None).await.status, 200);
    sandbox.kill();
    for (method, path) in
        [("GET", "/wallet"), ("GET", "/vps"), ("POST", "/vps/1/start"), ("POST", "/vps/1/reboot")]
    {
        let begun = Instant::now();
        let answer = gateway.rest(method, path, None).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (503, "UPSTREAM_UNREACHABLE"),
            "{path}: {}",
            answer.text
        );
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_wrong_key_is_the_gateways_fault_and_not_the_callers() {
    let sandbox = Gateway::sandbox();
    let provider = sandbox.control("GET", "/wire", json!({})).await;
    assert_eq!(provider, json!([]), "nothing was sent yet");
    sandbox.order(json!({"kind": "answer", "status": 401, "body": r#"{"success":false,"message":"Authentication Failed"}"#})).await;
    let answer = sandbox.get("/wallet").await;
    assert_eq!((answer.status, answer.reason().as_str()), (502, "UPSTREAM_AUTH_FAILED"), "{}", answer.text);
}
