//! What happens to calls on their way, over real sockets and with the limits that gizad has by default: deadlines, limits,
//! repeats, the breaker. Both ends are looked at: what the caller got, and what the provider saw.

use std::time::{Duration, Instant};

use prost::Message as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::rig::{Answer, File, Gateway, operation};

/// Reads of different servers, which share nothing.
async fn statuses(gateway: &Gateway, times: usize, headers: &[(&str, &str)]) -> Vec<Answer> {
    let mut calls = JoinSet::new();
    for number in 0..times {
        let mut request = gateway.http.get(format!("{}/vps/{}/status", gateway.api, number + 1));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        calls.spawn(async move {
            let response = request.send().await.expect("gizad answers");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, text: response.text().await.expect("a body") }
        });
    }
    calls.join_all().await
}

fn of(answers: &[Answer], reason: &str) -> Vec<usize> {
    let has = |answer: &Answer| answer.status >= 400 && answer.reason() == reason;
    answers.iter().enumerate().filter(|(_, answer)| has(answer)).map(|(index, _)| index).collect()
}

#[tokio::test]
async fn a_caller_has_its_answer_when_its_time_is_up() {
    let gateway = Gateway::as_shipped(&[]);
    gateway.order(json!({"kind": "delay", "ms": 5000, "times": 2})).await;
    let begun = Instant::now();
    let answer = gateway.send("GET", "/wallet", None, &[("request-timeout", "300ms")]).await;
    assert_eq!((answer.status, answer.reason().as_str()), (504, "DEADLINE_EXCEEDED"));
    assert_eq!(answer.json()["sent"], "maybe");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let begun = Instant::now();
    // Not with our client, which would not wait for the answer.
    let request = gateway.http.post(format!("{}/gizad.v1.WalletService/GetWallet", gateway.api));
    let request = request.header("content-type", "application/grpc-web+proto").header("grpc-timeout", "300m");
    let response = request.body(vec![0; 5]).send().await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], (Code::DeadlineExceeded as i32).to_string().as_str());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // With less than can be enough, nothing is sent.
    gateway.forget().await;
    let answer = gateway.send("GET", "/wallet", None, &[("request-timeout", "5ms")]).await;
    assert_eq!((answer.reason().as_str(), &answer.json()["sent"]), ("DEADLINE_EXCEEDED", &json!("never")));
    assert_eq!(gateway.seen().await.len(), 0);
    gateway.logged("DEADLINE_EXCEEDED").await;
}

#[tokio::test]
async fn a_time_that_is_none_is_refused() {
    let gateway = Gateway::as_shipped(&[]);
    let headers = [("request-timeout", "soon"), ("cache-control", "max-age=x")];
    let answer = gateway.send("GET", "/wallet", None, &headers).await;
    assert_eq!((answer.status, answer.reason().as_str()), (400, "INVALID_ARGUMENT"));
    let fields: Vec<Value> =
        answer.json()["violations"].as_array().expect("a list").iter().map(|v| v["field"].clone()).collect();
    assert_eq!(fields, ["request-timeout", "cache-control"], "all at once");
    let metadata = [("grpc-timeout", "5s")];
    let status = gateway.grpc_with(operation("WalletService.GetWallet"), &json!({}), &metadata).await;
    let status = status.expect_err("a small s");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("grpc-timeout"), "{status}");
}

#[tokio::test]
async fn a_purchase_goes_on_when_its_callers_time_is_up() {
    let gateway = Gateway::as_shipped(&[]);
    gateway.order(json!({"kind": "delay", "ms": 6000, "action": "renew_service"})).await;
    let body = json!({"billing_cycle": "monthly"}).to_string().into_bytes();
    let headers = [("request-timeout", "3s"), ("idempotency-key", "k")];
    let answer = gateway.send("POST", "/vps/1/renew", Some(("application/json", body)), &headers).await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("SENDING")), "{}", answer.text);
    assert_eq!(answer.header("retry-after"), "", "nobody is told to try again");
    assert_eq!(gateway.executions().await, 0);
    let ended = gateway.get(&format!("{}?wait=15s", answer.header("location"))).await;
    assert_eq!((ended.status, &ended.json()["state"]), (200, &json!("SUCCEEDED")), "{}", ended.text);
    assert_eq!(gateway.executions().await, 1);
}

#[tokio::test]
async fn a_purchase_whose_caller_hangs_up_while_it_waits_for_its_turn_is_never_sent() {
    let gateway = Gateway::as_shipped(&[("GIZAD_PACE_RATE", "2/s"), ("GIZAD_PACE_BURST", "1")]);
    assert_eq!(gateway.get("/wallet").await.status, 200);
    gateway.forget().await;
    let impatient =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(150)).build().expect("a client");
    let request = impatient.post(format!("{}/vps/1/renew", gateway.api)).header("x-request-id", "hung-up-2");
    let body = r#"{"billing_cycle":"monthly"}"#;
    let request = request.header("content-type", "application/json").header("idempotency-key", "k");
    assert!(request.body(body).send().await.is_err());
    // Its turn has come and gone.
    assert_eq!(gateway.get("/vps").await.status, 200);
    assert_eq!(gateway.get("/vps/1").await.status, 200);
    assert_eq!(gateway.executions().await, 0);
    assert_eq!(gateway.get("/operations").await.json()["operations"], json!([]), "and never written down");
    assert!(gateway.logged("hung-up-2").await.contains("\"sent\":\"never\""), "{}", gateway.log());
}

#[tokio::test]
async fn a_flood_is_paced_and_the_rest_refused_with_all_that_helps() {
    let gateway = Gateway::as_shipped(&[
        ("GIZAD_PACE_RATE", "40/s"),
        ("GIZAD_PACE_BURST", "5"),
        ("GIZAD_PACE_QUEUE", "10"),
    ]);
    gateway.forget().await;
    let begun = Instant::now();
    let answers = statuses(&gateway, 60, &[]).await;
    let (took, seen) = (begun.elapsed().as_secs_f64(), gateway.seen().await.len());
    // It begins with half of it all: three at once, and twenty a second.
    assert!(seen as f64 <= 3.0 + 20.0 * took + 1.0, "{seen} in {took} s");
    let refused = of(&answers, "PACE_EXCEEDED");
    assert!(
        (1..=50).contains(&refused.len()) && seen == 60 - refused.len(),
        "{} refused, {seen} seen",
        refused.len()
    );
    let answer = &answers[refused[0]];
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["violated-policies"], json!(["account"]));
    assert!(answer.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    assert_eq!(answer.header("ratelimit-policy"), "\"account\";q=3;w=1");
    assert!(answer.header("ratelimit").starts_with("\"account\";r=0;t="), "{}", answer.header("ratelimit"));
}

#[tokio::test]
async fn grpc_says_which_limit_it_was_and_when_to_try_again() {
    let gateway = Gateway::as_shipped(&[("GIZAD_QUOTA_RATE", "6/m"), ("GIZAD_QUOTA_BURST", "2")]);
    for remaining in [1, 0] {
        let answer = gateway.get("/wallet").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"caller\";q=2;w=20");
        assert!(answer.header("ratelimit").starts_with(&format!("\"caller\";r={remaining};t=")));
    }
    let status = gateway.grpc(operation("WalletService.GetWallet"), &json!({})).await.expect_err("a third");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().expect("info").reason, "QUOTA_EXCEEDED");
    assert_eq!(details.quota_failure().expect("which limit").violations[0].subject, "caller");
    let wait = details.retry_info().expect("when").retry_delay.expect("a time");
    assert!(wait > Duration::from_secs(8) && wait <= Duration::from_secs(10), "{wait:?}");
    let metadata = |name: &str| status.metadata().get(name).expect(name).to_str().expect("text").to_owned();
    assert_eq!(metadata("ratelimit-policy"), "\"caller\";q=2;w=20");
    assert!(metadata("ratelimit").starts_with("\"caller\";r=0;t="));
    // What comes from memory is free, once it is there.
    assert_eq!(gateway.get("/catalog/vps-plans").await.reason(), "QUOTA_EXCEEDED");
}

#[tokio::test]
async fn the_provider_asks_for_a_pause_and_the_whole_account_keeps_it_also_over_a_restart() {
    let folder = std::env::temp_dir().join(format!("gizad-traffic-{}", std::process::id()));
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let environment = [
        ("GIZAD_STATE_DIR", folder.to_str().expect("text")),
        ("GIZAD_SANDBOX_LISTEN", &port.to_string()),
        ("GIZAD_RETRY_ATTEMPTS", "1"),
    ];
    let mut gateway = Gateway::as_shipped(&environment);
    gateway.order(json!({"kind": "rate_limited", "retry_after": 600})).await;
    assert_eq!(gateway.get("/wallet").await.reason(), "UPSTREAM_RATE_LIMITED");
    gateway.forget().await;
    for (method, path) in [("GET", "/vps"), ("POST", "/vps/1/start"), ("GET", "/catalog/vps-plans")] {
        let answer = gateway.rest(method, path, None).await;
        assert_eq!((answer.status, answer.reason().as_str()), (429, "PACE_EXCEEDED"), "{path}");
        assert_eq!(answer.json()["violated-policies"], json!(["upstream"]), "{path}");
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((590..=600).contains(&wait), "{wait}");
    }
    assert_eq!(gateway.seen().await.len(), 0);
    let status = gateway.admin("GET", "/status").await.json();
    assert_eq!(status["pace"]["part_of_the_configured_rate"], 0.25, "{status}");
    assert!(status["pace"]["paused_for_s"].as_u64().expect("a pause") > 590, "{status}");
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());

    let gateway = Gateway::as_shipped(&environment);
    assert_eq!(gateway.get("/vps").await.json()["violated-policies"], json!(["upstream"]));
    let status = gateway.admin("GET", "/status").await.json();
    assert_eq!(status["pace"]["part_of_the_configured_rate"], 0.25, "{status}");
    std::fs::remove_dir_all(folder).expect("it was there");
}

#[tokio::test]
async fn a_pause_may_also_be_a_date_by_the_providers_own_clock() {
    let gateway = Gateway::as_shipped(&[("GIZAD_RETRY_ATTEMPTS", "1")]);
    let headers =
        [["Date", "Sun, 06 Nov 1994 08:49:37 GMT"], ["Retry-After", "Sun, 06 Nov 1994 08:54:37 GMT"]];
    gateway.order(json!({"kind": "answer", "status": 429, "headers": headers, "body": "{}"})).await;
    assert_eq!(gateway.get("/wallet").await.reason(), "UPSTREAM_RATE_LIMITED");
    let wait: u64 = gateway.get("/vps").await.header("retry-after").parse().expect("seconds");
    assert!((290..=300).contains(&wait), "{wait}");
}

#[tokio::test]
async fn reads_are_sent_again_and_money_is_not() {
    let gateway = Gateway::as_shipped(&[("GIZAD_RETRY_BASE", "10ms")]);
    for (kind, method, path, status, sent) in [
        ("close_before", "GET", "/wallet", 200, 2),
        ("error500", "POST", "/vps/1/start", 200, 2),
        ("close_before", "POST", "/vps/1/reboot", 409, 1),
    ] {
        gateway.forget().await;
        gateway.order(json!({"kind": kind})).await;
        let answer = gateway.rest(method, path, None).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(gateway.seen().await.len(), sent, "{path}");
        // A repeat a second is paid for.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    gateway.logged("trying again").await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_and_found_again() {
    let gateway = Gateway::as_shipped(&[
        ("GIZAD_RETRY_ATTEMPTS", "1"),
        ("GIZAD_BREAKER_REST", "500ms"),
        ("GIZAD_CACHE_STALE_WHILE_REVALIDATE", "0s"),
        ("GIZAD_CACHE_TTL", "1s"),
    ]);
    assert_eq!(gateway.get("/catalog/vps-plans").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    gateway.order(json!({"kind": "error500", "times": 1000})).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/wallet").await.reason(), "UPSTREAM_FAILED");
    }
    gateway.forget().await;
    for (method, path) in [("GET", "/wallet"), ("POST", "/invoices/1/pay")] {
        let answer = gateway.send(method, path, None, &[("idempotency-key", "k1")]).await;
        assert_eq!((answer.status, answer.reason().as_str()), (503, "CIRCUIT_OPEN"), "{path}");
        assert_eq!(answer.json()["sent"], "never");
        assert_eq!(answer.header("retry-after"), "1");
    }
    // Reads that may be old are answered.
    let stale = gateway.get("/catalog/vps-plans").await;
    assert_eq!(stale.status, 200);
    // Nothing was forwarded, so it is a hit (RFC 9211).
    assert!(stale.header("cache-status").starts_with("gizad; hit; ttl="), "{}", stale.header("cache-status"));
    assert!(stale.header("cache-status").contains("detail=CIRCUIT_OPEN"), "{}", stale.header("cache-status"));
    assert_eq!(gateway.seen().await.len(), 0);
    assert_eq!(gateway.admin("GET", "/status").await.json()["breaker"], "open");
    let ready = gateway.admin("GET", "/readyz").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("degraded")));

    gateway.control("DELETE", "/faults", json!({})).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    // A purchase is not the one that tries.
    gateway.forget().await;
    let _either = gateway.buy("k2", "/invoices/1/pay", &json!({})).await;
    let seen = gateway.seen().await;
    assert!(!seen.is_empty() && !seen[0].contains("pay_invoice"), "{seen:?}");
    assert_eq!(gateway.get("/wallet").await.status, 200);
    assert_eq!(gateway.admin("GET", "/status").await.json()["breaker"], "closed");
    assert_eq!(gateway.admin("GET", "/readyz").await.json()["status"], "ready");
}

#[tokio::test]
async fn settings_are_taken_over_while_it_runs_and_mistakes_are_not() {
    let file = File::new("reload", "[quota]\nrate = \"6/m\"\nburst = 2\n");
    let gateway = Gateway::run(
        &["--sandbox", "--config", file.path()],
        &[("GIZAD_STATE_DIR", ""), ("GIZAD_LIMITS_BODY_TIMEOUT", "9s")],
    );
    while gateway.get("/wallet").await.status == 200 {}
    // A mistake: everything stays.
    std::fs::write(file.path(), "[quota]\nrate = \"often\"\n").expect("written");
    gateway.signal("HUP");
    gateway.logged("settings not taken over").await;
    assert!(gateway.log().contains("quota.rate"), "{}", gateway.log());
    assert_eq!(gateway.get("/wallet").await.reason(), "QUOTA_EXCEEDED");
    // A higher limit: taken over, and no burst comes with it.
    std::fs::write(file.path(), "[quota]\nrate = \"30/m\"\nburst = 1000\n[limits]\nconnections = 7\n")
        .expect("written");
    gateway.signal("HUP");
    let line = gateway.logged("settings taken over").await;
    assert!(line.contains("quota.burst, quota.rate"), "{line}");
    let line = gateway.logged("only taken over by a restart").await;
    assert!(line.contains("limits.connections"), "{line}");
    let answer = gateway.get("/wallet").await;
    assert_eq!(answer.reason(), "QUOTA_EXCEEDED");
    assert_eq!(answer.header("ratelimit-policy"), "\"caller\";q=1000;w=2000");
    assert!(answer.header("retry-after").parse::<u64>().expect("seconds") <= 2);
}

#[tokio::test]
async fn purging_is_for_programs_and_takes_names_that_exist() {
    let gateway = Gateway::as_shipped(&[]);
    for path in ["/catalog/vps-plans", "/catalog/email-plans"] {
        assert_eq!(gateway.get(path).await.status, 200);
    }
    let purged = gateway.admin("POST", "/cache/purge?operation=CatalogService.ListVpsPlans").await;
    assert_eq!(purged.json()["forgotten"], 1);
    let wrong = gateway.admin("POST", "/cache/purge?operation=CatalogService.Lst").await;
    assert_eq!(wrong.status, 400);
    assert_eq!(gateway.admin("GET", "/cache/purge").await.status, 405);
    let url = format!("{}/cache/purge", gateway.admin);
    let page =
        gateway.http.post(&url).header("origin", "https://evil.example").send().await.expect("an answer");
    assert_eq!(page.status(), 403);
    let rebound = gateway.http.post(&url).header("host", "evil.example").send().await.expect("an answer");
    assert_eq!(rebound.status(), 403);
    assert_eq!(gateway.admin("POST", "/cache/purge").await.json()["forgotten"], 1);
}

/// The library's own reading of a detail, to be sure that ours is one.
#[tokio::test]
async fn a_refusal_is_a_google_rpc_status() {
    let gateway = Gateway::as_shipped(&[("GIZAD_QUOTA_RATE", "6/m"), ("GIZAD_QUOTA_BURST", "1")]);
    gateway.get("/wallet").await;
    let status = gateway.grpc(operation("WalletService.GetWallet"), &json!({})).await.expect_err("refused");
    let whole = tonic_types::pb::Status::decode(status.details()).expect("a status");
    let kinds: Vec<&str> =
        whole.details.iter().map(|any| any.type_url.rsplit('.').next().expect("a name")).collect();
    assert!(kinds.contains(&"QuotaFailure") && kinds.contains(&"RetryInfo"), "{kinds:?}");
}
