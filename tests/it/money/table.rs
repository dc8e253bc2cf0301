//! What a caller is told: every situation there is, over REST and over gRPC.

use serde_json::json;
use tonic::Code;

use super::{PRICE, buy_grpc, ended, line, named, reason, server, spoil, stands, told};
use crate::rig::{Gateway, assert_has, operation};

#[tokio::test]
async fn what_is_done_in_time_is_an_operation_with_what_it_brought() {
    let gateway = Gateway::sandbox();
    let has = json!({"operation_id": "<any>", "method": "VpsService.CreateVps", "caller": "anonymous", "state": "SUCCEEDED",
                     "done": true, "attempts": 1, "price_vnd": PRICE, "held_vnd": 0, "posted_vnd": PRICE,
                     "create_time": "<any>", "update_time": "<any>", "error": null, "evidence": null, "preview": null,
                     "purchase": {"order_id": "<any>", "service_ids": ["<any>"], "amount_vnd": PRICE}});
    let rest = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.header("idempotent-replayed")), (201, ""), "{}", rest.text);
    assert_has(&rest.json(), &has, "REST");
    assert_eq!(rest.json()["request_id"], "k1");
    let (grpc, metadata) = buy_grpc(&gateway, "k2", &server("b")).await.expect("bought");
    let grpc = crate::rig::plain(&grpc);
    assert_eq!(
        (&grpc["state"], &grpc["done"], &grpc["posted_vnd"]),
        (&json!("SUCCEEDED"), &json!(true), &json!(PRICE))
    );
    for (address, told) in [(rest.header("location"), &rest.json()), (line(&metadata, "location"), &grpc)] {
        assert_eq!(*address, format!("/operations/{}", told["operation_id"].as_str().expect("text")));
        assert_eq!(stands(&gateway, address).await["purchase"]["order_id"], told["purchase"]["order_id"]);
    }
    // What makes nothing new is 200.
    assert_eq!(gateway.buy("k3", "/vps/1/renew", &json!({})).await.status, 200);
    assert_eq!(gateway.executions().await, 3);
    let wallet = gateway.get("/wallet").await.json();
    assert_eq!(wallet["balance_vnd"], 5_000_000 - 3 * PRICE);
}

#[tokio::test]
async fn what_outlasts_the_wait_is_accepted_and_ends_at_its_address() {
    let gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "delay", "ms": 3000})).await;
    let body = Some(("application/json", server("a").to_string().into_bytes()));
    let headers = [("idempotency-key", "k1"), ("request-timeout", "2s")];
    let rest = gateway.send("POST", "/vps", body, &headers).await;
    assert_eq!(
        (rest.status, &rest.json()["state"], &rest.json()["done"]),
        (202, &json!("SENDING"), &json!(false))
    );
    assert_eq!(gateway.executions().await, 0, "the provider was still at it");
    let end = ended(&gateway, rest.header("location")).await;
    assert_eq!((&end["state"], &end["purchase"]["amount_vnd"]), (&json!("SUCCEEDED"), &json!(PRICE)));
    assert_eq!(gateway.executions().await, 1);

    spoil(&gateway, json!({"kind": "delay", "ms": 3000})).await;
    let mut request = server("b");
    request["request_id"] = json!("k2");
    let create = operation("VpsService.CreateVps");
    let (grpc, metadata) =
        gateway.grpc_whole(create, &request, &[("grpc-timeout", "2S")]).await.expect("accepted");
    assert_eq!((&grpc["state"], &grpc["done"]), (&json!("SENDING"), &json!(false)));
    assert_eq!(ended(&gateway, line(&metadata, "location")).await["state"], "SUCCEEDED");
    assert_eq!((gateway.executions().await, gateway.sent("create_vps").await.len()), (2, 2));
}

#[tokio::test]
async fn without_a_key_nothing_is_bought_unless_the_settings_say_so() {
    let gateway = Gateway::sandbox();
    let rest = gateway.post("/vps", server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (400, "IDEMPOTENCY_KEY_REQUIRED"), "{}", rest.text);
    assert_eq!((&rest.json()["sent"], rest.header("location")), (&json!("never"), ""));
    let grpc = gateway.grpc(operation("VpsService.CreateVps"), &server("a")).await.expect_err("no key");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REQUIRED"));
    assert_eq!((gateway.seen().await.len(), gateway.executions().await), (0, 0));

    let gateway = Gateway::sandbox_with(&[("GIZAD_PURCHASE_REQUIRE_KEY", "false")]);
    for executions in 1..=2 {
        let bought = gateway.post("/vps", server("a")).await;
        assert_eq!((bought.status, bought.json()["request_id"].as_str()), (201, Some("")), "{}", bought.text);
        assert_eq!(gateway.executions().await, executions, "without a key each call is one of its own");
    }
}

#[tokio::test]
async fn the_same_key_and_request_gets_the_same_answer_over_either_face() {
    let gateway = Gateway::sandbox();
    let first = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""), "{}", first.text);
    for _ in 0..3 {
        let again = gateway.buy("k", "/vps", &server("a")).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(
            (again.header("idempotent-replayed"), again.header("location")),
            ("true", first.header("location"))
        );
        let (grpc, metadata) = buy_grpc(&gateway, "k", &server("a")).await.expect("replayed");
        assert_eq!(grpc["operation_id"], first.json()["operation_id"]);
        assert_eq!(grpc["purchase"]["order_id"], first.json()["purchase"]["order_id"]);
        assert_eq!(
            (line(&metadata, "idempotent-replayed"), line(&metadata, "location")),
            ("true", first.header("location"))
        );
    }
    // The terms are no part of what is asked for.
    let mut other_terms = server("a");
    other_terms["max_price_vnd"] = json!(PRICE);
    assert_eq!(gateway.buy("k", "/vps", &other_terms).await.text, first.text);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

#[tokio::test]
async fn a_key_stands_for_one_request_down_to_its_password() {
    let gateway = Gateway::sandbox();
    let first = gateway.buy("k", "/vps", &server("a")).await;
    let mut others = vec![("/vps/1/renew", json!({}))];
    for (field, value) in
        [("hostname", json!("b")), ("password", json!("An0ther-1")), ("os", json!("debian-12"))]
    {
        let mut other = server("a");
        other[field] = value;
        others.push(("/vps", other));
    }
    for (path, other) in others {
        let rest = gateway.buy("k", path, &other).await;
        assert_eq!(
            (rest.status, rest.reason().as_str()),
            (422, "IDEMPOTENCY_KEY_REUSED"),
            "{other}: {}",
            rest.text
        );
        assert_eq!(
            (rest.header("location"), &rest.json()["sent"]),
            (first.header("location"), &json!("never"))
        );
        assert!(!rest.text.contains("service_ids"), "nothing of the other request is told: {}", rest.text);
    }
    let grpc = buy_grpc(&gateway, "k", &server("b")).await.expect_err("reused");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(named(&grpc), first.header("location"));
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

#[tokio::test]
async fn a_key_is_not_another_request_while_it_runs_either() {
    let gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "delay", "ms": 1500})).await;
    let order = server("a");
    let (first, other) = tokio::join!(gateway.buy("k", "/vps", &order), async {
        gateway.reached("create_vps").await;
        gateway.buy("k", "/vps", &server("b")).await
    });
    assert_eq!((first.status, other.status, other.reason().as_str()), (201, 422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(other.header("location"), first.header("location"));
    assert_eq!(gateway.executions().await, 1);
}

#[tokio::test]
async fn a_refusal_is_definite_and_stays_one() {
    for (message, status, reason_, code) in [
        ("Số dư không đủ", 402, "INSUFFICIENT_BALANCE", Code::FailedPrecondition),
        ("Hết hàng", 409, "OUT_OF_STOCK", Code::FailedPrecondition),
        ("Không thể tạo dịch vụ", 409, "UPSTREAM_REFUSED", Code::FailedPrecondition),
    ] {
        let gateway = Gateway::sandbox();
        let refusal = json!({"success": false, "message": message}).to_string();
        spoil(&gateway, json!({"kind": "answer", "body": refusal, "times": 2})).await;
        let rest = gateway.buy("k1", "/vps", &server("a")).await;
        assert_eq!((rest.status, rest.reason().as_str()), (status, reason_), "{}", rest.text);
        assert_eq!(
            (&rest.json()["sent"], &rest.json()["upstream_message"]),
            (&json!("answered"), &json!(message))
        );
        let stands = stands(&gateway, rest.header("location")).await;
        assert_eq!((&stands["state"], &stands["error"]["reason"]), (&json!("REFUSED"), &json!(reason_)));
        assert_eq!((&stands["held_vnd"], &stands["posted_vnd"]), (&json!(0), &json!(0)));
        let again = gateway.buy("k1", "/vps", &server("a")).await;
        assert_eq!((told(&again), again.header("idempotent-replayed")), (told(&rest), "true"));

        let grpc = buy_grpc(&gateway, "k2", &server("b")).await.expect_err("refused");
        assert_eq!((grpc.code(), reason(&grpc).as_str()), (code, reason_));
        let again = buy_grpc(&gateway, "k2", &server("b")).await.expect_err("refused as before");
        assert_eq!((again.code(), reason(&again), named(&again)), (code, reason_.to_owned(), named(&grpc)));
        assert_eq!(line(again.metadata(), "idempotent-replayed"), "true");
        assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (2, 0));
        // A new key is a new try.
        assert_eq!(gateway.buy("k3", "/vps", &server("a")).await.status, 201);
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_called_one_as_often_as_it_is_asked_for() {
    let gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "close_before", "times": 2})).await;
    let rest = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{}", rest.text);
    assert_eq!((&rest.json()["sent"], rest.header("retry-after")), (&json!("maybe"), ""));
    assert_eq!(rest.json()["operation"], rest.header("location"));
    let doubt = stands(&gateway, rest.header("location")).await;
    assert_eq!(
        (&doubt["state"], &doubt["done"], &doubt["held_vnd"]),
        (&json!("IN_DOUBT"), &json!(false), &json!(PRICE))
    );
    let again = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!((again.status, again.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{}", again.text);
    assert_eq!(
        (again.header("location"), again.header("idempotent-replayed")),
        (rest.header("location"), "true")
    );

    let grpc = buy_grpc(&gateway, "k2", &server("b")).await.expect_err("unknown");
    for status in [&grpc, &buy_grpc(&gateway, "k2", &server("b")).await.expect_err("still")] {
        assert_eq!((status.code(), reason(status).as_str()), (Code::FailedPrecondition, "OUTCOME_UNKNOWN"));
        assert_eq!(line(status.metadata(), "grpc-retry-pushback-ms"), "-1");
        assert_eq!(
            (named(status), line(status.metadata(), "location")),
            (named(&grpc), named(&grpc).as_str())
        );
    }
    assert_eq!(
        (gateway.sent("create_vps").await.len(), gateway.executions().await),
        (2, 0),
        "each was sent once"
    );
}

#[tokio::test]
async fn a_new_key_does_not_help_while_the_same_is_in_doubt() {
    let gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "close_after"})).await;
    let doubt = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
    let mut alike = server("A ".trim());
    alike["password"] = json!("An0ther-1");
    for (key, order) in [("k2", server("a")), ("k3", alike)] {
        let rest = gateway.buy(key, "/vps", &order).await;
        assert_eq!((rest.status, rest.reason().as_str()), (409, "TWIN_IN_DOUBT"), "{}", rest.text);
        assert_eq!(
            (rest.header("location"), &rest.json()["sent"]),
            (doubt.header("location"), &json!("never"))
        );
    }
    let grpc = buy_grpc(&gateway, "k4", &server("a")).await.expect_err("a twin");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::FailedPrecondition, "TWIN_IN_DOUBT"));
    assert_eq!(named(&grpc), doubt.header("location"));
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
    // Another server is another matter; and so is the same one, once it is known.
    assert_eq!(gateway.buy("k5", "/vps", &server("b")).await.status, 201);
    let found = ended(&gateway, doubt.header("location")).await;
    assert_eq!(found["state"], "FOUND", "{found}");
    assert_eq!(gateway.buy("k2", "/vps", &server("a")).await.status, 201, "wanted twice after all");
    assert_eq!(gateway.executions().await, 3);
}

#[tokio::test]
async fn a_caller_that_hangs_up_stops_nothing() {
    let gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "delay", "ms": 1000})).await;
    let request =
        gateway.http.post(format!("{}/vps", gateway.api)).header("content-type", "application/json");
    let request = request.header("idempotency-key", "k").body(server("a").to_string());
    let running = tokio::spawn(request.send());
    gateway.reached("create_vps").await;
    running.abort();
    assert!(running.await.is_err(), "it hung up");
    let all = gateway.get("/operations?request_id=k").await.json();
    let id = all["operations"][0]["operation_id"].as_str().expect("written down").to_owned();
    let end = ended(&gateway, &format!("/operations/{id}")).await;
    assert_eq!((&end["state"], gateway.executions().await), (&json!("SUCCEEDED"), 1));
    let again = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(gateway.executions().await, 1);
    gateway.logged("nobody waited for it any more").await;
}
