//! One key, however often and whenever it is used: one send, one answer.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{buy_grpc, ended, line, sent_as, server, spoil, told};
use crate::codec::Dynamic;
use crate::rig::{Folder, Gateway, Sandbox, message, operation};

#[tokio::test]
async fn a_thousand_callers_with_one_key_are_one_purchase_and_hear_the_same() {
    let gateway = Gateway::sandbox();
    spoil(&gateway, json!({"kind": "delay", "ms": 2000})).await;
    let mut order = server("a");
    let (mut rest, mut grpc) = (JoinSet::new(), JoinSet::new());
    let channel = gateway.channel().await;
    for _ in 0..500 {
        let request =
            gateway.http.post(format!("{}/vps", gateway.api)).header("content-type", "application/json");
        let request = request.header("idempotency-key", "k").body(order.to_string());
        rest.spawn(async move {
            let response = request.send().await.expect("gizad answers");
            let place = response.headers()["location"].to_str().expect("text").to_owned();
            (response.status().as_u16(), place, response.text().await.expect("a body"))
        });
    }
    order["request_id"] = json!("k");
    let create = operation("VpsService.CreateVps");
    for _ in 0..500 {
        let mut client = tonic::client::Grpc::new(channel.clone());
        let codec = Dynamic::new(create.output.descriptor.clone());
        let request = tonic::Request::new(message(create, &order));
        let path = create.grpc_path.parse().expect("a path");
        grpc.spawn(async move {
            client.ready().await.expect("a connection");
            let reply = client.unary(request, path, codec).await.expect("bought");
            let id = reply.get_ref().get_field_by_name("operation_id").expect("a field").into_owned();
            (line(reply.metadata(), "location").to_owned(), id.as_str().expect("text").to_owned())
        });
    }
    let rest = rest.join_all().await;
    let (status, place, text) = rest[0].clone();
    assert_eq!(status, 201, "{text}");
    assert!(rest.iter().all(|answer| *answer == (201, place.clone(), text.clone())), "{rest:?}");
    let id = place.trim_start_matches("/operations/").to_owned();
    let grpc = grpc.join_all().await;
    assert!(grpc.len() == 500 && grpc.iter().all(|reply| *reply == (place.clone(), id.clone())), "{grpc:?}");
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
    assert_eq!(gateway.get("/operations").await.json()["operations"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn different_keys_at_once_are_bought_one_after_the_other() {
    let gateway = Gateway::sandbox();
    let mut all = JoinSet::new();
    for number in 0..8 {
        let request =
            gateway.http.post(format!("{}/vps", gateway.api)).header("content-type", "application/json");
        let request = request.header("idempotency-key", format!("k{number}"));
        let request = request.body(server(&format!("s{number}")).to_string());
        all.spawn(async move {
            let text = request.send().await.expect("gizad answers").text().await.expect("a body");
            serde_json::from_str::<Value>(&text).expect("JSON")
        });
    }
    let mut balances: Vec<i64> = Vec::new();
    for bought in all.join_all().await {
        assert_eq!(bought["state"], "SUCCEEDED", "{bought}");
        balances.push(bought["purchase"]["balance_after_vnd"].as_i64().expect("an amount"));
    }
    balances.sort_unstable();
    let expected: Vec<i64> = (1..=8).rev().map(|count| 5_000_000 - count * super::PRICE).collect();
    assert_eq!((balances, gateway.executions().await), (expected, 8));
}

#[tokio::test]
async fn a_key_is_known_after_a_restart_whatever_it_ended_with() {
    let (provider, folder) = (Sandbox::start(), Folder::new("restart"));
    let environment = [("GIZAD_LEDGER_DIR", folder.path())];
    let mut gateway = Gateway::beside(&provider, &environment);
    let bought = gateway.buy("bought", "/vps", &server("a")).await;
    assert_eq!(bought.status, 201, "{}", bought.text);
    let refusal = json!({"success": false, "message": "Hết hàng"}).to_string();
    spoil(&gateway, json!({"kind": "answer", "body": refusal})).await;
    let refused = gateway.buy("refused", "/vps", &server("b")).await;
    assert_eq!(refused.reason(), "OUT_OF_STOCK", "{}", refused.text);
    spoil(&gateway, json!({"kind": "close_before"})).await;
    let unknown = gateway.buy("unknown", "/vps", &server("c")).await;
    assert_eq!(unknown.reason(), "OUTCOME_UNKNOWN", "{}", unknown.text);
    let ticket = json!({"subject": "s", "message": "m"});
    let opened = gateway.buy("opened", "/tickets", &ticket).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let (sent, executions) = (gateway.sent("create_vps").await.len(), gateway.executions().await);
    assert_eq!((sent, executions), (3, 1));
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());

    let gateway = Gateway::beside(&provider, &environment);
    for (key, path, order, before) in [
        ("bought", "/vps", server("a"), &bought),
        ("refused", "/vps", server("b"), &refused),
        ("unknown", "/vps", server("c"), &unknown),
        ("opened", "/tickets", ticket, &opened),
    ] {
        let again = gateway.buy(key, path, &order).await;
        assert_eq!(told(&again), told(before), "{key}");
        if before.status < 300 {
            assert_eq!(again.text, before.text, "{key}, byte for byte");
        }
        assert_eq!(
            (again.header("idempotent-replayed"), again.header("location")),
            ("true", before.header("location"))
        );
        let names = |answer: &crate::rig::Answer| {
            let names = answer.headers.keys().map(|name| name.as_str().to_owned());
            names.filter(|name| name != "idempotent-replayed").collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&again), names(before), "{key}");
    }
    let reused = gateway.buy("bought", "/vps", &server("z")).await;
    assert_eq!(reused.reason(), "IDEMPOTENCY_KEY_REUSED");
    let grpc = buy_grpc(&gateway, "bought", &server("a")).await.expect("replayed").0;
    assert_eq!(grpc["operation_id"], bought.json()["operation_id"]);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (sent, executions));
}

/// What moves no money is recorded too, if its caller names it.
#[tokio::test]
async fn a_call_that_must_not_run_twice_runs_once_under_its_key() {
    let gateway = Gateway::sandbox();
    let ticket = json!({"subject": "s", "message": "m"});
    for (key, path, body, status) in [
        ("t", "/tickets", &ticket, 201),
        ("r", "/vps/1/reboot", &json!({}), 200),
        ("d", "/wallet/deposits", &json!({"amount_vnd": 500_000}), 201),
    ] {
        let action = sent_as(path);
        let first = gateway.buy(key, path, body).await;
        assert_eq!(
            (first.status, first.header("idempotent-replayed")),
            (status, ""),
            "{path}: {}",
            first.text
        );
        assert!(first.header("location").starts_with("/operations/op_"), "{path}");
        let again = gateway.buy(key, path, body).await;
        assert_eq!((again.status, &again.text), (status, &first.text), "{path}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_eq!(gateway.sent(&action).await.len(), 1, "{path}");
        assert_eq!(gateway.rest("POST", path, Some(body)).await.status, status, "{path}, without a key");
        assert_eq!(gateway.sent(&action).await.len(), 2, "{path}: without a key each call is one of its own");
    }
    let other = gateway.buy("t", "/tickets", &json!({"subject": "s", "message": "other"})).await;
    assert_eq!((other.status, other.reason().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    // Its outcome may be unknown as well, and nothing that can be seen of the account says more.
    gateway.order(json!({"kind": "close_after", "action": "vps_action"})).await;
    for replayed in ["", "true"] {
        let answer = gateway.buy("r2", "/vps/1/reboot", &json!({})).await;
        assert_eq!((answer.status, answer.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{}", answer.text);
        assert_eq!(answer.header("idempotent-replayed"), replayed);
    }
    assert_eq!(gateway.sent("vps_action").await.len(), 3);
}

#[tokio::test]
async fn metadata_may_carry_the_key_too_and_must_not_contradict() {
    let gateway = Gateway::sandbox();
    let create = operation("VpsService.CreateVps");
    let metadata = [("idempotency-key", "k")];
    let (first, _) = gateway.grpc_whole(create, &server("a"), &metadata).await.expect("bought");
    assert_eq!((&first["request_id"], &first["state"]), (&json!("k"), &json!("SUCCEEDED")));
    let (again, told) = buy_grpc(&gateway, "k", &server("a")).await.expect("replayed");
    assert_eq!((&again, line(&told, "idempotent-replayed")), (&first, "true"));
    let mut other = server("a");
    other["request_id"] = json!("other");
    let status = gateway.grpc_with(create, &other, &metadata).await.expect_err("two keys");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert_eq!(gateway.executions().await, 1);
    let end =
        ended(&gateway, &format!("/operations/{}", first["operation_id"].as_str().expect("text"))).await;
    assert_eq!(end["state"], "SUCCEEDED");
}
