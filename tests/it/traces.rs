//! Traces as far as they are seen without a collector: the context that comes in, the names in the log and in answers, and that the
//! provider learns nothing of it. What a collector gets is in `tests/python/test_traces.py`.

use serde_json::{Value, json};

use super::rig::{Gateway, Sandbox, operation, unique};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers(context: &'static str, id: &str) -> [(&'static str, &'static str); 4] {
    let id: &'static str = id.to_owned().leak();
    [
        ("traceparent", context),
        ("tracestate", "rojo=canary-state"),
        ("baggage", "k=canary-baggage"),
        ("x-request-id", id),
    ]
}

/// The line of a request.
async fn line(gateway: &Gateway, id: &str) -> Value {
    serde_json::from_str(&gateway.logged(&format!("\"request_id\":\"{id}\"")).await).expect("JSON")
}

#[tokio::test]
async fn a_context_is_in_the_log_and_answered_over_both_faces() {
    let gateway = Gateway::sandbox();
    let answer = gateway.send("GET", "/wallet", None, &headers(PARENT, "over-rest")).await;
    let told = line(&gateway, "over-rest").await;
    assert_eq!(told["trace_id"], TRACE);
    let span = told["span_id"].as_str().expect("a span");
    assert!(span.len() == 16 && span != "00f067aa0ba902b7", "{span} is gizad's own");
    // Nothing is recorded here, and that is said.
    assert_eq!(answer.header("traceresponse"), format!("00-{TRACE}-{span}-00"));

    let wallet = operation("WalletService.GetWallet");
    let (_, metadata) =
        gateway.grpc_whole(wallet, &json!({}), &headers(PARENT, "over-grpc")).await.expect("it works");
    let told = line(&gateway, "over-grpc").await;
    assert_eq!(told["trace_id"], TRACE);
    let response = metadata.get("traceresponse").expect("there").to_str().expect("text");
    assert_eq!(response, format!("00-{TRACE}-{}-00", told["span_id"].as_str().expect("a span")));
    let refused = gateway.send("GET", "/nothing", None, &headers(PARENT, "refused")).await;
    assert_eq!((refused.status, line(&gateway, "refused").await["trace_id"].clone()), (404, json!(TRACE)));
    assert!(refused.header("traceresponse").starts_with(&format!("00-{TRACE}-")));
}

#[tokio::test]
async fn without_a_context_or_with_a_malformed_one_a_trace_begins_here() {
    let gateway = Gateway::sandbox();
    let answer = gateway.get("/wallet").await;
    let id = answer.header("x-request-id").to_owned();
    assert_eq!(line(&gateway, &id).await["trace_id"], id.as_str(), "the request has the name of its trace");
    assert_eq!(answer.header("traceresponse"), "", "and so nothing else has to be said");
    let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
    for (place, wrong) in ["", "garbage", zeros, "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
        .into_iter()
        .enumerate()
    {
        let id = format!("malformed-{place}");
        let answer = gateway.send("GET", "/wallet", None, &headers(wrong, &id)).await;
        assert_eq!((answer.status, answer.header("traceresponse")), (200, ""), "{wrong}");
        let told = line(&gateway, &id).await;
        let trace = told["trace_id"].as_str().expect("a trace");
        assert!(trace.len() == 32 && trace != TRACE && trace != "0".repeat(32), "{wrong}: {trace}");
    }
}

/// The stand-in remembers every byte of every connection.
#[tokio::test]
async fn the_provider_never_learns_of_a_trace() {
    let provider = Sandbox::start();
    // A collector that is not there: spans are recorded all the same.
    let gateway = Gateway::beside(&provider, &[("GIZAD_TRACES_ENDPOINT", "http://127.0.0.1:9")]);
    let order = json!({"plan_id": 26, "hostname": "a", "password": "StrongPass@123", "os": "ubuntu-22.04", "billing_cycle": "monthly"});
    let body = Some(("application/json", order.to_string().into_bytes()));
    let key = unique();
    let mut with = headers(PARENT, "buys").to_vec();
    with.push(("idempotency-key", &key));
    assert_eq!(gateway.send("POST", "/vps", body, &with).await.status, 201);
    for (method, path) in [
        ("GET", "/wallet"),
        ("GET", "/catalog/vps-plans"),
        ("POST", "/vps/1/start"),
        ("POST", "/vps/1/reboot"),
    ] {
        let answer = gateway.send(method, path, None, &headers(PARENT, "reads")).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
    }
    let list = operation("VpsService.ListVps");
    gateway.grpc_with(list, &json!({}), &headers(PARENT, "lists")).await.expect("it works");
    let told = line(&gateway, "buys").await;
    let span = told["span_id"].as_str().expect("a span").to_owned();
    let wire = gateway.control("GET", "/wire", json!({})).await.to_string().to_lowercase();
    for action in ["create_vps", "balance", "list_plans", "vps_action", "list_vps"] {
        assert!(wire.contains(action), "{action} was sent");
    }
    let spellings = [
        "trace",
        "baggage",
        "canary-state",
        "canary-baggage",
        "b3:",
        "x-b3",
        "x-request-id",
        "uber-",
        "rojo",
        "00f067aa0ba902b7",
        TRACE,
        &span,
    ];
    for word in spellings {
        assert!(!wire.contains(word), "{word} was sent to the provider");
    }
}
