//! gRPC beyond the calls themselves: statuses with details, unknown methods, bounds, gRPC-Web. Health, reflection
//! and an independent client are in `tests/python`.

use gizad::contract::Effect;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::rig::{Gateway, contract, operation};

#[tokio::test]
async fn a_failure_carries_its_reason_its_fields_and_its_request() {
    let gateway = Gateway::sandbox();
    let status = gateway
        .grpc(operation("VpsService.CreateVps"), &json!({"hostname": "-x"}))
        .await
        .expect_err("invalid");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("VALIDATION_FAILED", "gizad"));
    let fields: Vec<&str> = details
        .bad_request()
        .expect("BadRequest")
        .field_violations
        .iter()
        .map(|v| v.field.as_str())
        .collect();
    assert_eq!(fields, ["plan_id", "hostname", "password", "os", "billing_cycle"]);
    assert!(!details.request_info().expect("RequestInfo").request_id.is_empty());

    gateway.order(json!({"kind": "rate_limited", "retry_after": 3})).await;
    let status = gateway.grpc(operation("WalletService.GetWallet"), &json!({})).await.expect_err("limited");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.retry_info().and_then(|info| info.retry_delay).map(|delay| delay.as_secs()), Some(3));
    let metadata = &details.error_info().expect("ErrorInfo").metadata;
    assert_eq!(metadata.get("upstream_rule").map(String::as_str), Some("http_429"));

    let status =
        gateway.grpc(operation("VpsService.GetVps"), &json!({"vps_id": 99})).await.expect_err("missing");
    assert_eq!(status.code(), Code::NotFound);
}

/// Client libraries repeat UNAVAILABLE by themselves.
#[tokio::test]
async fn an_unknown_outcome_is_never_unavailable_and_asks_not_to_be_repeated() {
    let gateway = Gateway::sandbox();
    let spends = contract().operations().iter().filter(|operation| operation.effect == Effect::Spend);
    for row in super::operations::rows()
        .iter()
        .filter(|row| spends.clone().any(|operation| operation.name == row.operation))
    {
        gateway.order(json!({"kind": "close_after", "action": row.action()})).await;
        let status = row.grpc(&gateway).await.expect_err("unknown");
        assert_eq!(status.code(), Code::FailedPrecondition, "{}", row.operation);
        assert_eq!(status.get_error_details().error_info().expect("ErrorInfo").reason, "OUTCOME_UNKNOWN");
        assert_eq!(
            status.metadata().get("grpc-retry-pushback-ms").map(|v| v.as_bytes()),
            Some(b"-1".as_slice())
        );
    }
}

#[tokio::test]
async fn an_undefined_enum_number_is_refused() {
    let gateway = Gateway::sandbox();
    let status =
        gateway.grpc(operation("VpsService.ListVps"), &json!({"view": 7})).await.expect_err("undefined");
    assert!(status.message().contains("view: must be one of BASIC, FULL"), "{status}");
}

/// Posts raw bytes as gRPC-Web, which works over HTTP/1.1, and returns the trailers.
async fn web(gateway: &Gateway, path: &str, message: &[u8], flag: u8) -> (Vec<u8>, String) {
    let mut body = vec![flag];
    body.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    body.extend(message);
    let request = gateway
        .http
        .post(format!("{}{path}", gateway.api))
        .header("content-type", "application/grpc-web+proto");
    let response = request.body(body).send().await.expect("an answer");
    assert_eq!(response.status(), 200, "gRPC answers in trailers");
    let headers: String = response
        .headers()
        .iter()
        .map(|(n, v)| format!("{n}:{}\n", String::from_utf8_lossy(v.as_bytes())))
        .collect();
    let bytes = response.bytes().await.expect("a body").to_vec();
    let text = headers + &String::from_utf8_lossy(&bytes);
    (bytes, text)
}

#[tokio::test]
async fn grpc_web_answers_and_fails_like_grpc() {
    let gateway = Gateway::sandbox();
    let (bytes, text) = web(&gateway, "/gizad.v1.WalletService/GetWallet", b"", 0).await;
    assert!(text.contains("grpc-status:0"), "{text}");
    // balance_vnd = 5000000, as field 1.
    assert!(bytes.windows(5).any(|window| window == [0x08, 0xc0, 0x96, 0xb1, 0x02]), "{bytes:?}");
    for (path, message, flag, code, words) in [
        ("/gizad.v1.WalletService/GetWalet", &b""[..], 0, 12, "GetWallet"),
        ("/other.Service/Method", b"", 0, 12, "reflection"),
        ("/gizad.v1.WalletService/GetDeposit", b"\xff\xff", 0, 3, "protobuf"),
        ("/gizad.v1.WalletService/GetDeposit", &[0; 70_000], 0, 8, "65536"),
        ("/gizad.v1.WalletService/GetDeposit", b"x", 1, 12, "compress"),
        ("/gizad.v1.WalletService/GetDeposit", b"", 0, 3, "order_id"),
    ] {
        let (_, text) = web(&gateway, path, message, flag).await;
        assert!(text.contains(&format!("grpc-status:{code}")) && text.contains(words), "{path}: {text}");
        assert!(text.contains("grpc-status-details-bin"), "{path}: {text}");
        assert!(text.contains("x-request-id:"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_message_that_does_not_arrive_is_not_waited_for() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_LIMITS_BODY_TIMEOUT", "300ms")]);
    let never = reqwest::Body::wrap(Silence);
    let request = gateway.http.post(format!("{}/gizad.v1.WalletService/GetWallet", gateway.api));
    let response = request
        .header("content-type", "application/grpc-web+proto")
        .body(never)
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.headers().get("grpc-status").map(|value| value.as_bytes()), Some(b"4".as_slice()));
}

/// A body without beginning or end.
struct Silence;

impl hyper::body::Body for Silence {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn grpc_over_http_1_is_told_what_it_needs() {
    let gateway = Gateway::sandbox();
    let answer = gateway
        .send("POST", "/gizad.v1.WalletService/GetWallet", Some(("application/grpc", Vec::new())), &[])
        .await;
    assert_eq!((answer.status, answer.reason().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{}", answer.text);
    assert!(answer.text.contains("HTTP/2"), "{}", answer.text);
}

#[tokio::test]
async fn whoever_watches_the_health_hears_of_the_end_and_does_not_hold_it_up() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let mut gateway = Gateway::sandbox();
    let mut client = HealthClient::new(gateway.channel().await);
    let request = HealthCheckRequest { service: "gizad.v1.VpsService".to_owned() };
    let mut watched = client.watch(request).await.expect("a stream").into_inner();
    let first = watched.message().await.expect("a message").expect("not ended");
    assert_eq!(first.status, 1, "SERVING");
    gateway.signal("TERM");
    let next = watched.message().await.expect("a message").expect("not ended");
    assert_eq!(next.status, 2, "NOT_SERVING");
    assert!(watched.message().await.expect("no failure").is_none(), "then it ends");
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(!gateway.log().contains("stopped early"), "{}", gateway.log());
}
