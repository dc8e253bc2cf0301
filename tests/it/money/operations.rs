//! The record that gizad keeps: listed, read, waited for, looked at, decided.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tonic::Code;

use super::{reason, server, spoil, stands, states};
use crate::rig::{Gateway, operation, plain};

fn keys(list: &Value) -> Vec<String> {
    let all = list["operations"].as_array().expect("a list").iter();
    all.map(|operation| operation["request_id"].as_str().expect("text").to_owned()).collect()
}

/// Five: two that were carried out, one refused, one in doubt, one that moved no money.
async fn five() -> Gateway {
    let gateway = Gateway::sandbox();
    assert_eq!(gateway.buy("k1", "/vps", &server("a")).await.status, 201);
    let refusal = json!({"success": false, "message": "Hết hàng"}).to_string();
    spoil(&gateway, json!({"kind": "answer", "body": refusal})).await;
    assert_eq!(gateway.buy("k2", "/vps", &server("b")).await.status, 409);
    assert_eq!(gateway.buy("k3", "/tickets", &json!({"subject": "s", "message": "m"})).await.status, 201);
    spoil(&gateway, json!({"kind": "close_before"})).await;
    assert_eq!(gateway.buy("k4", "/vps", &server("c")).await.status, 409);
    assert_eq!(gateway.buy("k5", "/vps", &server("d")).await.status, 201);
    gateway
}

#[tokio::test]
async fn they_are_listed_newest_first_by_what_they_are_and_page_by_page() {
    let gateway = five().await;
    let all = gateway.get("/operations").await.json();
    assert_eq!(keys(&all), ["k5", "k4", "k3", "k2", "k1"]);
    assert_eq!(all["next_page_token"], "");
    let since = all["operations"][2]["create_time"].as_str().expect("a time").to_owned();
    for (query, expected) in [
        ("states=SUCCEEDED", vec!["k5", "k3", "k1"]),
        ("states=refused&states=IN_DOUBT", vec!["k4", "k2"]),
        ("states=FOUND", vec![]),
        ("request_id=k2", vec!["k2"]),
        ("request_id=nobody", vec![]),
        ("caller=anonymous&page_size=1000", vec!["k5", "k4", "k3", "k2", "k1"]),
        ("caller=somebody", vec![]),
        (&format!("created_from={since}"), vec!["k5", "k4", "k3"]),
        (&format!("created_until={since}"), vec!["k2", "k1"]),
        (&format!("created_from={since}&states=SUCCEEDED"), vec!["k5", "k3"]),
    ] {
        let listed = gateway.get(&format!("/operations?{query}")).await;
        assert_eq!(listed.status, 200, "{query}: {}", listed.text);
        assert_eq!(keys(&listed.json()), expected, "{query}");
    }
    let (mut token, mut pages) = (String::new(), Vec::new());
    loop {
        let page = gateway.get(&format!("/operations?page_size=2&page_token={token}")).await.json();
        pages.push(keys(&page));
        token = page["next_page_token"].as_str().expect("text").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [vec!["k5", "k4"], vec!["k3", "k2"], vec!["k1"]]);
    for query in ["page_token=x", "page_size=1001", "page_size=-1", "states=GONE", "created_from=soon"] {
        let wrong = gateway.get(&format!("/operations?{query}")).await;
        assert!(matches!(wrong.status, 400 | 422), "{query}: {} {}", wrong.status, wrong.text);
    }
    // gRPC says the same.
    let list = operation("OperationService.ListOperations");
    let request = json!({"states": ["REFUSED", "IN_DOUBT"], "page_size": 1});
    let first = gateway.grpc(list, &request).await.expect("a page");
    assert_eq!(keys(&first), ["k4"]);
    let request =
        json!({"states": ["REFUSED", "IN_DOUBT"], "page_size": 1, "page_token": first["next_page_token"]});
    let second = gateway.grpc(list, &request).await.expect("a page");
    assert_eq!((keys(&second), &second["next_page_token"]), (vec!["k2".to_owned()], &json!("")));
    let status = gateway.grpc(list, &json!({"page_token": "x"})).await.expect_err("none");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn one_is_read_with_its_history_over_either_face() {
    let gateway = five().await;
    let all = gateway.get("/operations").await.json();
    for listed in all["operations"].as_array().expect("a list") {
        let id = listed["operation_id"].as_str().expect("text");
        let rest = stands(&gateway, &format!("/operations/{id}")).await;
        let grpc =
            gateway.grpc(operation("OperationService.GetOperation"), &json!({"operation_id": id})).await;
        assert_eq!(plain(&rest), plain(&grpc.expect("an operation")), "{id}");
        let times: Vec<&str> = rest["history"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|event| event["time"].as_str())
            .collect();
        assert!(times.len() >= 2 && times.is_sorted(), "{rest}");
        assert_eq!(states(&rest)[0], "SENDING", "{rest}");
        assert_eq!(states(&rest).last().copied(), listed["state"].as_str(), "{rest}");
        assert_eq!(listed["history"], json!([]), "a list is short");
    }
    let ids: BTreeSet<&str> = all["operations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["operation_id"].as_str())
        .collect();
    assert_eq!(ids.len(), 5);
    // Reading asks nobody, and waiting for what has ended does not wait.
    gateway.control("DELETE", "/requests", json!({})).await;
    for id in ids {
        let wait = if all.to_string().contains("IN_DOUBT") { "0s" } else { "1m" };
        assert_eq!(gateway.get(&format!("/operations/{id}?wait={wait}")).await.status, 200);
    }
    let wrong = gateway.get("/operations/op_1?wait=soon").await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
}

#[tokio::test]
async fn a_person_decides_once_and_is_remembered() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_PURCHASE_LOOK_EVERY", "1h")]);
    spoil(&gateway, json!({"kind": "close_before", "times": 2})).await;
    let (one, two) =
        (gateway.buy("k1", "/vps", &server("a")).await, gateway.buy("k2", "/vps", &server("b")).await);
    for answer in [&one, &two] {
        assert_eq!(answer.reason(), "OUTCOME_UNKNOWN", "{}", answer.text);
    }
    let path = format!("{}/resolve", one.header("location"));
    for (wrong, status) in [
        (json!({"note": "n"}), 422),
        (json!({"outcome": "FOUND"}), 422),
        (json!({"outcome": "LOST", "note": "n"}), 400),
        (json!({"outcome": "GIVEN_UP", "note": "n"}), 409),
    ] {
        let answer = gateway.post(&path, wrong.clone()).await;
        assert_eq!(answer.status, status, "{wrong}: {}", answer.text);
    }
    let decided = gateway.post(&path, json!({"outcome": "ABSENT", "note": "asked the provider"})).await;
    assert_eq!((decided.status, &decided.json()["state"]), (200, &json!("ABSENT")), "{}", decided.text);
    let id = two.header("location").trim_start_matches("/operations/").to_owned();
    let resolve = operation("OperationService.ResolveOperation");
    let request = json!({"operation_id": id, "outcome": "FOUND", "note": "it is there"});
    assert_eq!(gateway.grpc(resolve, &request).await.expect("decided")["state"], "FOUND");
    // What has ended does not change, whoever says so.
    for (outcome, status) in [("FOUND", 409), ("ABSENT", 409), ("GIVEN_UP", 409)] {
        let again = gateway.post(&path, json!({"outcome": outcome, "note": "n"})).await;
        assert_eq!(
            (again.status, again.reason().as_str()),
            (status, "OPERATION_STATE"),
            "{outcome}: {}",
            again.text
        );
        assert_eq!(again.header("location"), one.header("location"));
    }
    let again = gateway.grpc(resolve, &request).await.expect_err("decided already");
    assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "OPERATION_STATE"));
    let end = stands(&gateway, one.header("location")).await;
    assert_eq!((&end["note"], &end["decided_by"]), (&json!("asked the provider"), &json!("anonymous")));
    assert_eq!(states(&end), ["SENDING", "IN_DOUBT", "ABSENT"]);
    for path in [one.header("location"), two.header("location")] {
        let approve = gateway.rest("POST", &format!("{path}/approve"), None).await;
        assert!(matches!(approve.status, 403 | 409), "{}", approve.text);
    }
    assert_eq!(gateway.buy("k1", "/vps", &server("a")).await.reason(), "OPERATION_ABSENT");
    let found = gateway.buy("k2", "/vps", &server("b")).await;
    assert_eq!((found.status, &found.json()["state"]), (201, &json!("FOUND")), "{}", found.text);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (2, 0));
}

#[tokio::test]
async fn a_look_is_made_when_it_is_asked_for() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_PURCHASE_LOOK_EVERY", "1h")]);
    spoil(&gateway, json!({"kind": "close_after"})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
    let looked = gateway.rest("POST", &format!("{}/reconcile", doubt.header("location")), None).await;
    assert_eq!((looked.status, &looked.json()["state"]), (200, &json!("FOUND")), "{}", looked.text);
    // Again it only says what is known.
    let id = doubt.header("location").trim_start_matches("/operations/").to_owned();
    let reconcile = operation("OperationService.ReconcileOperation");
    assert_eq!(gateway.grpc(reconcile, &json!({"operation_id": id})).await.expect("known")["state"], "FOUND");
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 1));
}

#[tokio::test]
async fn whoever_waits_for_a_change_is_told_of_it() {
    let gateway = Gateway::sandbox();
    let latest = gateway.get("/operations").await.json()["latest_change"].clone();
    let path = format!("/operations?after_change={latest}&wait=20s");
    let order = server("a");
    let (told, bought) = tokio::join!(gateway.get(&path), gateway.buy("k", "/vps", &order));
    assert_eq!((bought.status, told.status), (201, 200), "{}", told.text);
    assert_eq!(told.json()["operations"][0]["request_id"], "k", "{}", told.text);
    let behind = gateway.get(&path).await.json();
    let path = format!("/operations?after_change={}&wait=1ms", behind["latest_change"]);
    assert_eq!(gateway.get(&path).await.json()["operations"], json!([]), "nothing has happened since");
}
