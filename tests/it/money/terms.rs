//! What stands against a purchase before it is sent: budgets, the caller's own bound, the wallet, another's consent.

use serde_json::{Value, json};
use tonic::Code;

use super::{PRICE, buy_grpc, ended, line, reason, server, spoil, stands, states};
use crate::rig::{File, Gateway, assert_has, operation};

/// The order with further members.
fn with(hostname: &str, terms: &Value) -> Value {
    let mut order = server(hostname);
    for (name, value) in terms.as_object().expect("an object") {
        order[name] = value.clone();
    }
    order
}

/// Nothing was sent, and nothing written down.
async fn assert_untouched(gateway: &Gateway) {
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (0, 0));
    assert_eq!(gateway.get("/operations").await.json()["operations"], json!([]));
}

#[tokio::test]
async fn it_costs_no_more_than_the_caller_allows() {
    let gateway = Gateway::sandbox();
    let dear = with("a", &json!({"max_price_vnd": PRICE - 1}));
    let rest = gateway.buy("k", "/vps", &dear).await;
    assert_eq!((rest.status, rest.reason().as_str()), (402, "PRICE_TOO_HIGH"), "{}", rest.text);
    assert_eq!(rest.json()["sent"], "never");
    let grpc = buy_grpc(&gateway, "k", &dear).await.expect_err("too dear");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::FailedPrecondition, "PRICE_TOO_HIGH"));
    let annual = with("a", &json!({"max_price_vnd": PRICE, "billing_cycle": "annually"}));
    assert_eq!(
        gateway.buy("k", "/vps", &annual).await.reason(),
        "PRICE_TOO_HIGH",
        "of the cycle that is asked for"
    );
    let two = json!({"product_id": "proxy-vn-dc", "quantity": 2, "max_price_vnd": 49_999});
    assert_eq!(
        gateway.buy("k", "/keys", &two).await.reason(),
        "PRICE_TOO_HIGH",
        "of as many as are asked for"
    );
    assert_untouched(&gateway).await;
    // The key is still free.
    let bought = gateway.buy("k", "/vps", &with("a", &json!({"max_price_vnd": PRICE}))).await;
    assert_eq!((bought.status, gateway.executions().await), (201, 1), "{}", bought.text);
}

#[tokio::test]
async fn what_has_a_bound_needs_a_price() {
    let gateway = Gateway::sandbox();
    let unknown = with("a", &json!({"plan_id": 999, "max_price_vnd": 1_000_000_000}));
    let rest = gateway.buy("k", "/vps", &unknown).await;
    assert_eq!((rest.status, rest.reason().as_str()), (402, "PRICE_UNKNOWN"), "{}", rest.text);
    let grpc = buy_grpc(&gateway, "k", &unknown).await.expect_err("unknown");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::FailedPrecondition, "PRICE_UNKNOWN"));
    assert_untouched(&gateway).await;
    // Without a bound the provider decides.
    let asked = gateway.buy("k", "/vps", &with("a", &json!({"plan_id": 999}))).await;
    assert_eq!(
        (asked.json()["sent"].as_str(), gateway.executions().await),
        (Some("answered"), 0),
        "{}",
        asked.text
    );

    let gateway = Gateway::sandbox_with(&[("GIZAD_BUDGET_DAY_VND", "1000000000")]);
    let rest = gateway.buy("k", "/vps", &with("a", &json!({"plan_id": 999}))).await;
    assert_eq!(rest.reason(), "PRICE_UNKNOWN", "{}", rest.text);
    assert_untouched(&gateway).await;
}

#[tokio::test]
async fn a_wallet_that_is_too_empty_is_seen_before_anything_is_sent() {
    let balance = (PRICE - 1).to_string();
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_BALANCE_VND", &balance)]);
    let rest = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((rest.status, rest.reason().as_str()), (402, "INSUFFICIENT_BALANCE"), "{}", rest.text);
    assert_eq!(rest.json()["sent"], "never");
    let grpc = buy_grpc(&gateway, "k", &server("a")).await.expect_err("too empty");
    assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::FailedPrecondition, "INSUFFICIENT_BALANCE"));
    assert_untouched(&gateway).await;
}

#[tokio::test]
async fn budgets_bound_one_purchase_a_day_and_a_month() {
    for (setting, most, bought, words) in [
        ("GIZAD_BUDGET_PURCHASE_VND", PRICE - 1, 0, "one purchase"),
        ("GIZAD_BUDGET_PURCHASE_VND", PRICE, 3, ""),
        ("GIZAD_BUDGET_DAY_VND", 2 * PRICE, 2, "a day"),
        ("GIZAD_BUDGET_MONTH_VND", 2 * PRICE, 2, "a month"),
        ("GIZAD_BUDGET_MONTH_VND", 3 * PRICE, 3, ""),
    ] {
        let gateway = Gateway::sandbox_with(&[(setting, &most.to_string())]);
        for number in 0..3 {
            let hostname = format!("s{number}");
            let rest = gateway.buy(&hostname, "/vps", &server(&hostname)).await;
            if number < bought {
                assert_eq!(rest.status, 201, "{setting} {most}, {number}: {}", rest.text);
                continue;
            }
            assert_eq!(
                (rest.status, rest.reason().as_str()),
                (402, "BUDGET_EXCEEDED"),
                "{setting}: {}",
                rest.text
            );
            assert!(rest.text.contains(words), "{words}: {}", rest.text);
            let grpc = buy_grpc(&gateway, &hostname, &server(&hostname)).await.expect_err("over it");
            assert_eq!((grpc.code(), reason(&grpc).as_str()), (Code::FailedPrecondition, "BUDGET_EXCEEDED"));
        }
        assert_eq!(gateway.executions().await, bought, "{setting} {most}");
    }
}

#[tokio::test]
async fn what_is_in_doubt_counts_as_spent_until_it_is_known_not_to_be() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_BUDGET_DAY_VND", &(2 * PRICE).to_string())]);
    spoil(&gateway, json!({"kind": "close_before"})).await;
    let doubt = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
    assert_eq!(gateway.buy("k2", "/vps", &server("b")).await.status, 201);
    assert_eq!(gateway.buy("k3", "/vps", &server("c")).await.reason(), "BUDGET_EXCEEDED");
    let path = format!("{}/resolve", doubt.header("location"));
    let stated =
        gateway.post(&path, json!({"outcome": "ABSENT", "note": "looked at the provider's page"})).await;
    assert_eq!(stated.json()["state"], "ABSENT", "{}", stated.text);
    assert_eq!(
        gateway.buy("k3", "/vps", &server("c")).await.status,
        201,
        "the same key, for nothing came of it"
    );
    assert_eq!(gateway.executions().await, 2);
}

#[tokio::test]
async fn a_caller_may_have_a_budget_of_its_own() {
    let file = File::new("budgets", "[budget]\nday_vnd = 1\n[budget.callers]\nanonymous.day_vnd = 149000\n");
    let gateway = Gateway::start(&["--sandbox", "--config", file.path()], &[]);
    assert_eq!(gateway.buy("k1", "/vps", &server("a")).await.status, 201);
    assert_eq!(gateway.buy("k2", "/vps", &server("b")).await.reason(), "BUDGET_EXCEEDED");
    assert_eq!(gateway.executions().await, 1);
    // Taken over while it runs.
    std::fs::write(file.path(), "[budget]\nday_vnd = 1\n[budget.callers]\nanonymous.day_vnd = 298000\n")
        .expect("written");
    gateway.signal("HUP");
    gateway.logged("settings taken over").await;
    assert_eq!(gateway.buy("k2", "/vps", &server("b")).await.status, 201);
    assert_eq!(gateway.executions().await, 2);
}

#[tokio::test]
async fn what_is_only_checked_names_all_that_stands_against_it_and_sends_nothing() {
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_SANDBOX_BALANCE_VND", "1000"),
        ("GIZAD_BUDGET_PURCHASE_VND", "100"),
        ("GIZAD_BUDGET_DAY_VND", "200"),
        ("GIZAD_PURCHASE_APPROVAL_FROM_VND", "100000"),
    ]);
    let order = with("a", &json!({"validate_only": true, "max_price_vnd": 1}));
    let rest = gateway.post("/vps", order.clone()).await;
    assert_eq!((rest.status, rest.header("location")), (200, ""), "{}", rest.text);
    let preview = json!({"price_vnd": PRICE, "price_source": "CatalogService.ListVpsPlans", "balance_before_vnd": 1000,
                         "balance_after_vnd": 1000 - PRICE, "needs_approval": true,
                         "objections": [{"reason": "PRICE_TOO_HIGH", "detail": "<any>"},
                                        {"reason": "INSUFFICIENT_BALANCE", "detail": "<any>"},
                                        {"reason": "BUDGET_EXCEEDED", "detail": "<any>"},
                                        {"reason": "BUDGET_EXCEEDED", "detail": "<any>"}]});
    let has = json!({"operation_id": "", "method": "VpsService.CreateVps", "preview": preview});
    assert_has(&rest.json(), &has, "REST");
    let (grpc, metadata) = buy_grpc(&gateway, "k", &order).await.expect("checked");
    assert_has(&grpc, &has, "gRPC");
    assert_eq!(line(&metadata, "location"), "");
    assert_untouched(&gateway).await;

    let gateway = Gateway::sandbox();
    let order = with("a", &json!({"validate_only": true}));
    let clean = gateway.buy("k", "/vps", &order).await.json();
    let preview = json!({"price_vnd": PRICE, "balance_before_vnd": 5_000_000, "balance_after_vnd": 5_000_000 - PRICE,
                         "needs_approval": false, "objections": []});
    assert_has(&clean["preview"], &preview, "nothing stands against it");
    assert_untouched(&gateway).await;
    // A key that only checked is still free, and what is in doubt stands against its twin.
    spoil(&gateway, json!({"kind": "close_before"})).await;
    assert_eq!(gateway.buy("k", "/vps", &server("a")).await.reason(), "OUTCOME_UNKNOWN");
    let mut other = order.clone();
    other["hostname"] = json!("b");
    let reused = gateway.buy("k", "/vps", &other).await.json();
    assert_eq!(reused["preview"]["objections"][0]["reason"], "IDEMPOTENCY_KEY_REUSED", "{reused}");
    let twin = gateway.post("/vps", order).await.json();
    assert_eq!(twin["preview"]["objections"][0]["reason"], "TWIN_IN_DOUBT", "{twin}");
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 0));
}

#[tokio::test]
async fn what_needs_consent_waits_and_sends_nothing() {
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_PURCHASE_APPROVAL_FROM_VND", &PRICE.to_string()),
        ("GIZAD_BUDGET_DAY_VND", &(2 * PRICE).to_string()),
    ]);
    let rest = gateway.buy("k1", "/vps", &server("a")).await;
    let has = json!({"state": "AWAITING_APPROVAL", "done": false, "attempts": 0, "price_vnd": PRICE, "held_vnd": PRICE});
    assert_eq!(rest.status, 202, "{}", rest.text);
    assert_has(&rest.json(), &has, "REST");
    let again = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!((again.status, &again.text, again.header("idempotent-replayed")), (202, &rest.text, "true"));
    let (grpc, metadata) = buy_grpc(&gateway, "k2", &server("b")).await.expect("accepted");
    assert_has(&grpc, &has, "gRPC");
    // Both count, so that there is nothing left for a third; what costs less is sent at once, if there is.
    assert_eq!(
        gateway.buy("k3", "/keys", &json!({"product_id": "proxy-vn-dc"})).await.reason(),
        "BUDGET_EXCEEDED"
    );
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (0, 0));

    let place = rest.header("location");
    let own = gateway.rest("POST", &format!("{place}/approve"), None).await;
    assert_eq!((own.status, own.reason().as_str()), (403, "SELF_APPROVAL"), "{}", own.text);
    let id = line(&metadata, "location").trim_start_matches("/operations/").to_owned();
    let approve = operation("OperationService.ApproveOperation");
    let own = gateway.grpc(approve, &json!({"operation_id": id})).await.expect_err("its own");
    assert_eq!((own.code(), reason(&own).as_str()), (Code::PermissionDenied, "SELF_APPROVAL"));

    let path = format!("{place}/resolve");
    let wrong = gateway.post(&path, json!({"outcome": "FOUND", "note": "n"})).await;
    assert_eq!(
        (wrong.status, wrong.reason().as_str()),
        (409, "OPERATION_STATE"),
        "nothing was sent: {}",
        wrong.text
    );
    let given_up = gateway.post(&path, json!({"outcome": "GIVEN_UP", "note": "not needed"})).await;
    assert_eq!(
        (given_up.status, &given_up.json()["state"]),
        (200, &json!("FAILED_NOT_SENT")),
        "{}",
        given_up.text
    );
    let end = stands(&gateway, place).await;
    assert_eq!(states(&end), ["AWAITING_APPROVAL", "FAILED_NOT_SENT"]);
    assert_eq!((&end["note"], &end["held_vnd"]), (&json!("not needed"), &json!(0)));
    let again = gateway.buy("k1", "/vps", &server("a")).await;
    assert_eq!((again.status, again.reason().as_str()), (409, "OPERATION_GIVEN_UP"), "{}", again.text);
    let cheap = gateway.buy("k3", "/keys", &json!({"product_id": "proxy-vn-dc"})).await;
    assert_eq!((cheap.status, gateway.executions().await), (200, 1), "{}", cheap.text);
    assert_eq!(ended(&gateway, cheap.header("location")).await["state"], "SUCCEEDED");
}
