//! REST as it must be when something is wrong, and the life of the daemon around it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use gizad::call::Token;
use serde_json::{Value, json};

use super::rig::{Gateway, PATIENCE};

fn order() -> Value {
    json!({"plan_id": 26, "hostname": "a", "password": "p", "os": "ubuntu-22.04", "billing_cycle": "monthly"})
}

/// The order under a key, for a caller that can be cut off.
fn keyed(client: &reqwest::Client, gateway: &Gateway) -> reqwest::RequestBuilder {
    let request = client.post(format!("{}/vps", gateway.api)).header("content-type", "application/json");
    request.header("idempotency-key", "k").body(order().to_string())
}

/// Everything every problem has.
fn assert_problem(answer: &super::rig::Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let json = answer.json();
    for member in ["type", "title", "detail", "code", "sent"] {
        assert!(json[member].is_string(), "{member}: {}", answer.text);
    }
    assert_eq!(json["status"], status);
    assert_eq!(json["type"], format!("/errors/{reason}"));
    assert_eq!(json["request_id"], answer.header("x-request-id"), "{}", answer.text);
}

#[tokio::test]
async fn every_failure_is_a_problem_that_says_what_is_wrong_and_where() {
    let gateway = Gateway::sandbox();
    let json_type = "application/json";
    type Case =
        (&'static str, &'static str, Option<(&'static str, &'static str)>, u16, &'static str, &'static str);
    let cases: Vec<Case> = vec![
        ("GET", "/nothing", None, 404, "ROUTE_NOT_FOUND", "no such path"),
        ("GET", "/walet", None, 404, "ROUTE_NOT_FOUND", "did you mean /wallet?"),
        ("GET", "/v1/walet", None, 404, "ROUTE_NOT_FOUND", "did you mean /wallet?"),
        ("GET", "/vps/", None, 404, "ROUTE_NOT_FOUND", ""),
        ("DELETE", "/vps/1", None, 405, "METHOD_NOT_ALLOWED", "GET, HEAD, PATCH"),
        ("POST", "/errors/BUSY", None, 405, "METHOD_NOT_ALLOWED", "GET, HEAD"),
        ("POST", "/vps", Some(("text/plain", "{}")), 415, "UNSUPPORTED_MEDIA_TYPE", "text/plain"),
        (
            "POST",
            "/vps",
            Some(("application/x-www-form-urlencoded", "a=1")),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "",
        ),
        ("POST", "/vps", Some((json_type, "{\"plan_id\":\n 26,}")), 400, "MALFORMED_BODY", "line 2 column 5"),
        ("POST", "/vps", Some((json_type, "[]")), 400, "MALFORMED_BODY", "must be a JSON object, not a list"),
        (
            "POST",
            "/vps",
            Some((json_type, "{\"plan_id\":1,\"plan_id\":2}")),
            400,
            "MALFORMED_BODY",
            "stands twice",
        ),
        ("POST", "/vps", Some((json_type, "\u{feff}{}")), 400, "MALFORMED_BODY", ""),
        (
            "POST",
            "/vps",
            Some((json_type, "{\"planId\":1}")),
            400,
            "INVALID_ARGUMENT",
            "did you mean plan_id?",
        ),
        (
            "POST",
            "/vps",
            Some((json_type, "{\"plan_id\":1.5}")),
            400,
            "INVALID_ARGUMENT",
            "plan_id: must be a whole number",
        ),
        (
            "POST",
            "/vps",
            Some((json_type, "{\"plan_id\":9223372036854775808}")),
            400,
            "INVALID_ARGUMENT",
            "64 bits",
        ),
        (
            "POST",
            "/vps",
            Some((json_type, "{\"hostname\":{}}")),
            400,
            "INVALID_ARGUMENT",
            "hostname: must be a text, not an object",
        ),
        ("POST", "/vps", Some((json_type, "{}")), 422, "VALIDATION_FAILED", "hostname: is required"),
        ("POST", "/vps?os=x", Some((json_type, "{}")), 400, "INVALID_ARGUMENT", "not read from the query"),
        (
            "POST",
            "/vps/1/start",
            Some((json_type, "{\"vps_id\":2}")),
            400,
            "INVALID_ARGUMENT",
            "vps_id: is given by the path",
        ),
        (
            "POST",
            "/vps/1/start",
            Some((json_type, "{\"force\":true}")),
            400,
            "INVALID_ARGUMENT",
            "force: is no field",
        ),
        (
            "POST",
            "/tickets",
            Some((json_type, "{\"subject\":\"s\",\"message\":\"m\",\"attachment_urls\":[\"https://a\",7]}")),
            400,
            "INVALID_ARGUMENT",
            "attachment_urls[1]: must be a text",
        ),
        (
            "POST",
            "/tickets",
            Some((
                json_type,
                "{\"subject\":\"s\",\"message\":\"m\",\"attachment_urls\":[\"file:///etc/passwd\"]}",
            )),
            422,
            "VALIDATION_FAILED",
            "attachment_urls[0]: must match",
        ),
        ("GET", "/vps/abc", None, 400, "INVALID_ARGUMENT", "vps_id: must be a whole number"),
        ("GET", "/vps/0", None, 422, "VALIDATION_FAILED", "vps_id: is required and must be greater than 0"),
        ("GET", "/vps/%ff", None, 400, "INVALID_ARGUMENT", "path"),
        ("GET", "/vps?view=huge", None, 400, "INVALID_ARGUMENT", "view: must be one of BASIC, FULL"),
        ("GET", "/vps?veiw=full", None, 400, "INVALID_ARGUMENT", "did you mean view?"),
        ("GET", "/tickets?page=1&page=2", None, 400, "INVALID_ARGUMENT", "page: is given twice"),
        ("GET", "/wallet?verbose=1", None, 400, "INVALID_ARGUMENT", "verbose"),
    ];
    for (method, path, body, status, reason, words) in cases {
        let body = body.map(|(kind, text)| (kind, text.as_bytes().to_vec()));
        let answer = gateway.send(method, path, body, &[]).await;
        assert_problem(&answer, status, reason);
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(words), "{method} {path}: {detail}");
        if status == 405 {
            assert_eq!(answer.header("allow"), words);
        }
    }
    assert_eq!(gateway.seen().await.len(), 0, "nothing wrong was sent on");
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let gateway = Gateway::sandbox();
    let body = json!({"planid": 26, "hostname": "-x", "os": 7, "billing_cycle": ""});
    let answer = gateway.post("/vps", body).await;
    assert_problem(&answer, 400, "INVALID_ARGUMENT");
    let named: Vec<String> = answer.json()["violations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| v["field"].as_str().unwrap_or_default().to_owned())
        .collect();
    for field in ["planid", "plan_id", "hostname", "os", "password", "billing_cycle"] {
        assert!(named.iter().any(|name| name == field), "{field} in {named:?}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_in_size_depth_and_time() {
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_LIMITS_BODY_TIMEOUT", "300ms"),
        ("GIZAD_LIMITS_HEAD_TIMEOUT", "300ms"),
    ]);
    let long = format!("{{\"subject\":\"{}\"}}", "x".repeat(65_536));
    assert_problem(
        &gateway.send("POST", "/tickets", Some(("application/json", long.into_bytes())), &[]).await,
        413,
        "BODY_TOO_LARGE",
    );
    let deep = format!("{{\"hostname\":\"x\",\"extra\":{}1{}}}", "{\"a\":".repeat(40), "}".repeat(40));
    let answer = gateway.send("PATCH", "/vps/1", Some(("application/json", deep.into_bytes())), &[]).await;
    assert_problem(&answer, 400, "MALFORMED_BODY");
    assert!(answer.text.contains("deeper"), "{}", answer.text);

    // Raw sockets, for what no client sends.
    let talk = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(gateway.api.trim_start_matches("http://")).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.write_all(bytes).expect("written");
        let mut text = Vec::new();
        let _reset = socket.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let head =
        "POST /vps HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let slow = talk(format!("{head}content-length: 10\r\n\r\n{{").as_bytes());
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("BODY_TOO_SLOW"), "{slow}");
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n", 70_000, "x".repeat(70_000));
    assert!(talk(chunked.as_bytes()).starts_with("HTTP/1.1 413"));
    // A head that never ends is closed.
    assert!(!talk(b"GET /wallet HTTP/1.1\r\nhost: localhost\r\n").contains("200 OK"));
}

#[tokio::test]
async fn an_empty_body_needs_no_label_and_numbers_may_be_text() {
    let gateway = Gateway::sandbox();
    for (kind, body) in [
        ("application/json", ""),
        ("application/json", "{}"),
        ("application/json; charset=utf-8", " {} "),
        ("text/plain", ""),
    ] {
        let answer = gateway.send("POST", "/vps/1/start", Some((kind, body.as_bytes().to_vec())), &[]).await;
        assert_eq!(answer.status, 200, "{kind} {body:?}: {}", answer.text);
    }
    for amount in ["500000", "\"500000\"", "500000.0", "5e5"] {
        let body = format!("{{\"amount_vnd\":{amount}}}");
        let answer = gateway
            .send("POST", "/wallet/deposits", Some(("application/json", body.into_bytes())), &[])
            .await;
        assert_eq!((answer.status, &answer.json()["amount_vnd"]), (201, &json!(500_000)), "{amount}");
    }
    for view in ["full", "FULL", "Full"] {
        assert_eq!(gateway.get(&format!("/vps?view={view}")).await.json()["vps"][0]["node"], "hcm-node-03");
    }
}

#[tokio::test]
async fn a_request_keeps_its_name_in_answer_and_log() {
    let gateway = Gateway::sandbox();
    let answer = gateway.send("GET", "/wallet", None, &[("x-request-id", "my-call.7")]).await;
    assert_eq!(answer.header("x-request-id"), "my-call.7");
    let line: Value = serde_json::from_str(&gateway.logged("my-call.7").await).expect("JSON");
    assert_eq!(
        (&line["operation"], &line["outcome"], &line["rule"], &line["face"]),
        (&json!("WalletService.GetWallet"), &json!("OK"), &json!("success_flag"), &json!("rest"))
    );
    // One that could break a log is not taken.
    let answer = gateway.send("GET", "/nope", None, &[("x-request-id", "a b\"c")]).await;
    assert_eq!(answer.header("x-request-id").len(), 32);
    gateway.logged(answer.header("x-request-id")).await;
}

#[tokio::test]
async fn secrets_are_not_stored_by_anybody() {
    let gateway = Gateway::sandbox();
    for (method, path) in
        [("POST", "/vps/1/vnc"), ("GET", "/hosting/3/login"), ("GET", "/wallet"), ("GET", "/vps")]
    {
        assert_eq!(gateway.rest(method, path, None).await.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn a_purchase_needs_a_key_that_is_one_and_a_read_none() {
    let gateway = Gateway::sandbox();
    assert_problem(&gateway.post("/vps", order()).await, 400, "IDEMPOTENCY_KEY_REQUIRED");
    let send = async |headers: &[(&str, &str)], body: Value| {
        gateway.send("POST", "/vps", Some(("application/json", body.to_string().into_bytes())), headers).await
    };
    let named = |name: &str| {
        let mut order = order();
        order["request_id"] = json!(name);
        order
    };
    let long = "k".repeat(129);
    for headers in [
        &[("idempotency-key", "")][..],
        &[("idempotency-key", "\"\"")],
        &[("idempotency-key", "a b")],
        &[("idempotency-key", &long)],
        &[("idempotency-key", "a"), ("idempotency-key", "a")],
    ] {
        let answer = send(headers, order()).await;
        assert_problem(&answer, 400, "INVALID_ARGUMENT");
        assert_eq!(answer.json()["violations"][0]["field"], "idempotency-key", "{}", answer.text);
    }
    let answer = send(&[("idempotency-key", "a")], named("b")).await;
    assert_problem(&answer, 400, "INVALID_ARGUMENT");
    assert_eq!(answer.json()["violations"][0]["field"], "request_id", "{}", answer.text);
    assert_eq!((send(&[], named(&long)).await.status, gateway.executions().await), (422, 0));
    assert_eq!(gateway.seen().await.len(), 0, "nothing was even looked at");
    let read = gateway.send("GET", "/wallet", None, &[("idempotency-key", "a b")]).await;
    assert_eq!(read.status, 200, "a read needs no promise");
    // Bare, quoted, and as a field of the body it is one and the same.
    let bare = send(&[("idempotency-key", "a-1")], order()).await;
    assert_eq!((bare.status, bare.header("idempotent-replayed")), (201, ""), "{}", bare.text);
    for again in [send(&[("idempotency-key", "\"a-1\"")], order()).await, send(&[], named("a-1")).await] {
        assert_eq!((again.status, &again.text), (201, &bare.text));
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
    assert_eq!(gateway.executions().await, 1);
}

#[tokio::test]
async fn health_is_on_its_own_listener_and_does_not_ask_the_provider() {
    let gateway = Gateway::towards("http://127.0.0.1:9/api", &[]);
    for path in ["/livez", "/readyz", "/startupz"] {
        let status =
            gateway.http.get(format!("{}{path}", gateway.admin)).send().await.expect("an answer").status();
        assert_eq!(status, 200, "{path}");
    }
    let elsewhere = gateway.http.get(format!("{}/wallet", gateway.admin)).send().await.expect("an answer");
    assert_eq!(elsewhere.status(), 404);
}

#[tokio::test]
async fn asked_to_stop_it_finishes_what_runs_and_ends_with_zero() {
    let mut gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "delay", "ms": 600, "action": "create_vps"})).await;
    let running = tokio::spawn(keyed(&gateway.http, &gateway).send());
    gateway.reached("create_vps").await;
    gateway.signal("TERM");
    gateway.logged("stopping").await;
    let ready = gateway.http.get(format!("{}/readyz", gateway.admin)).send().await.expect("an answer");
    assert_eq!(ready.status(), 503, "no new work is wanted");
    assert_eq!(running.await.expect("no panic").expect("answered").status(), 201);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_purchase_goes_on_when_its_caller_hangs_up() {
    let mut gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "delay", "ms": 400, "action": "create_vps"})).await;
    let running = tokio::spawn(keyed(&gateway.http, &gateway).send());
    gateway.reached("create_vps").await;
    running.abort();
    assert!(running.await.is_err(), "it hung up");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let line = gateway.logged("\"operation\":\"VpsService.CreateVps\"").await;
    assert!(line.contains("\"outcome\":\"OK\""), "{line}");
}

/// The library that tells HTTP/1 from HTTP/2 would wait for ever.
#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_and_takes_no_place_for_long() {
    let gateway =
        Gateway::sandbox_with(&[("GIZAD_LIMITS_HEAD_TIMEOUT", "300ms"), ("GIZAD_LIMITS_CONNECTIONS", "2")]);
    let address = gateway.api.trim_start_matches("http://").to_owned();
    let said: [&[u8]; 2] = [b"", b"PRI * HTTP/2.0\r\n"];
    let mut sockets: Vec<TcpStream> = said
        .iter()
        .map(|bytes| {
            let mut socket = TcpStream::connect(&address).expect("a connection");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            socket.write_all(bytes).expect("written");
            socket
        })
        .collect();
    for socket in &mut sockets {
        let ended = socket.read(&mut [0; 16]).map_err(|error| error.kind());
        assert!(matches!(ended, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{ended:?}");
    }
    assert_eq!(gateway.get("/wallet").await.status, 200);
}

#[tokio::test]
async fn a_read_whose_caller_hangs_up_is_logged_too() {
    let gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "stall"})).await;
    let impatient =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(150)).build().expect("a client");
    let request = impatient.get(format!("{}/wallet", gateway.api)).header("x-request-id", "hung-up-1");
    assert!(request.send().await.is_err());
    let line = gateway.logged("hung-up-1").await;
    assert!(line.contains("\"outcome\":\"CANCELLED\""), "{line}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_says_what_was_cut_off() {
    let mut gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "stall"})).await;
    let (client, url) = (gateway.http.clone(), format!("{}/vps/1/reboot", gateway.api));
    tokio::spawn(async move { client.post(url).send().await.map(|response| response.status()) });
    while gateway.seen().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway.signal("TERM");
    gateway.logged("stopping").await;
    gateway.signal("INT");
    assert!(gateway.ended().await.code().is_some());
    let line = gateway.logged("stopped early").await;
    assert!(line.contains("\"cut_off\":1"), "{line}");
}

/// A rounded amount would move other money than was asked for.
#[tokio::test]
async fn nothing_is_rounded_or_taken_twice() {
    let gateway = Gateway::sandbox();
    for amount in ["499999.99999999999999", "5e-1", "{\"$serde_json::private::Number\":\"500000\"}"] {
        let body = format!("{{\"amount_vnd\":{amount}}}");
        let answer = gateway
            .send("POST", "/wallet/deposits", Some(("application/json", body.into_bytes())), &[])
            .await;
        assert_eq!(answer.status, 400, "{amount}: {}", answer.text);
    }
    for path in ["/vps/1e3", "/vps/1.0", "/wallet/transactions?extra.a=1&extra.a=2"] {
        assert_problem(&gateway.get(path).await, 400, "INVALID_ARGUMENT");
    }
    // What has a field with rules of its own cannot be slipped past them.
    let long = "x".repeat(220);
    for (path, body) in [
        ("/vps/1/renew", json!({"extra": {"billingcycle": long}})),
        ("/vps/1/renew", json!({"extra": {"type": "email"}})),
        ("/keys", json!({"product_id": "x", "extra": {"quantity": 100_000}})),
    ] {
        assert_problem(&gateway.buy(&super::rig::unique(), path, &body).await, 400, "INVALID_ARGUMENT");
    }
    // A purchase looks before it sends.
    for action in ["renew_service", "key_buy"] {
        assert_eq!(gateway.sent(action).await.len(), 0);
    }
}

/// A page in the operator's browser can send simple requests to loopback, and rebind a name of its own to it.
#[tokio::test]
async fn a_web_page_of_another_site_moves_no_money_and_reads_nothing() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LISTEN_HOSTS", "gizad.default.svc, other")]);
    for (name, value, status, reason) in [
        ("host", "rebind.evil.example", 421, "HOST_NOT_ALLOWED"),
        ("host", "169.254.169.254", 421, "HOST_NOT_ALLOWED"),
        ("origin", "http://evil.example", 403, "CROSS_SITE"),
        ("origin", "null", 403, "CROSS_SITE"),
        ("referer", "http://evil.example/page", 403, "CROSS_SITE"),
        ("sec-fetch-site", "cross-site", 403, "CROSS_SITE"),
        ("x-forwarded-for", "127.0.0.1", 403, "PROXY_NOT_TRUSTED"),
    ] {
        let rows = super::operations::rows().into_iter().chain(super::operations::local_rows());
        let rows = rows.chain(super::operations::gathered_rows());
        for row in rows.filter(|row| row.path != "/actions/vps_rdns") {
            assert_problem(&row.rest_with(&gateway, &[(name, value)]).await, status, reason);
        }
        let rpc = Some(("application/grpc-web+proto", vec![0; 5]));
        let answer = gateway.send("POST", "/gizad.v1.WalletService/GetWallet", rpc, &[(name, value)]).await;
        assert_eq!(answer.header("grpc-status"), "7", "{name}: {value}");
    }
    assert_eq!(gateway.seen().await.len(), 0);
    for host in ["localhost", "[::1]:80", "gizad.default.svc:7070", "OTHER"] {
        assert_eq!(gateway.send("GET", "/wallet", None, &[("host", host)]).await.status, 200, "{host}");
    }
}

/// A proxy makes everybody's calls its own, so one that nobody knows of is not let in, on any listener.
#[tokio::test]
async fn a_proxy_is_let_in_when_it_is_trusted() {
    let handed_on = [("forwarded", "for=10.1.2.3"), ("via", "1.1 nginx"), ("x-forwarded-proto", "https")];
    let plain = Gateway::sandbox();
    let trusting = Gateway::sandbox_with(&[("GIZAD_LISTEN_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")]);
    for header in handed_on {
        assert_problem(&plain.send("GET", "/wallet", None, &[header]).await, 403, "PROXY_NOT_TRUSTED");
        assert_eq!(trusting.send("GET", "/wallet", None, &[header]).await.status, 200, "{header:?}");
        for (gateway, path, expected) in [
            (&plain, "/livez", 403),
            (&trusting, "/livez", 200),
            (&plain, "/status", 403),
            (&trusting, "/status", 403),
        ] {
            let url = format!("{}{path}", gateway.admin);
            let asked = gateway.http.get(url).header(header.0, header.1).send().await.expect("an answer");
            assert_eq!(
                asked.status().as_u16(),
                expected,
                "{path} {header:?}: beyond probes only this machine itself"
            );
        }
    }
    assert_eq!(plain.seen().await.len(), 0);
}

/// A page can send a body without a type; whoever shows a token is no page.
#[tokio::test]
async fn a_body_without_a_type_is_for_those_who_are_no_pages() {
    let gateway = Gateway::sandbox();
    let asked = async |headers: &[(&str, &str)]| {
        let mut request =
            gateway.http.post(format!("{}/wallet/deposits", gateway.api)).body("{\"amount_vnd\":500000}");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(asked(&[]).await, 415);
    assert_eq!(asked(&[("authorization", "Basic YTpi")]).await, 415);
    assert_eq!(asked(&[("content-type", "application/json")]).await, 201);
    let (_, token) = Token::new("nobody").expect("randomness");
    let bearer = format!("Bearer {token}");
    assert_eq!(asked(&[("authorization", &bearer)]).await, 401, "its body is read, and nobody knows it");
    assert_eq!(asked(&[("authorization", &bearer), ("content-type", "text/plain")]).await, 415);
}
