//! What expires, what it costs to renew, and how far the wallet reaches: from several answers of the provider, some of which do
//! not come.

use serde_json::{Value, json};

use super::access::{House, token};
use super::operations::gathered_rows;
use super::rig::{Gateway, assert_has, operation, plain};

const PATH: &str = "/services/expiring";
const MATRIX: &str = "renew_service_price_matrix";

async fn expiring(gateway: &Gateway, query: &str) -> Value {
    let answer = gateway.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// What the stand-in refuses to do from now on.
async fn refuses(gateway: &Gateway, action: &str) {
    let body = json!({"success": false, "message": "Thao tác không thực hiện được"}).to_string();
    gateway.order(json!({"kind": "answer", "action": action, "times": 50, "body": body})).await;
}

#[tokio::test]
async fn all_kinds_are_listed_in_the_order_in_which_they_expire() {
    for personality in ["whmcs", "boolean", "status", "virtualizor", "bare"] {
        let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_PERSONALITY", personality)]);
        let mail = json!({"plan_id": 41, "domain": "example.vn", "billing_cycle": "quarterly"});
        let bought = gateway.buy("k1", "/email", &mail).await.json();
        let mail_id = bought["purchase"]["service_ids"][0].as_i64().expect("a number");
        // The first server is paid for twice as long.
        assert_eq!(gateway.buy("k2", "/vps/1/renew", &json!({})).await.status, 200, "{personality}");
        gateway.forget().await;
        let told = expiring(&gateway, "?within=20w").await;
        let services = told["services"].as_array().expect("a list");
        let listed: Vec<(&str, i64)> = services
            .iter()
            .map(|due| (due["kind"].as_str().expect("a kind"), due["service_id"].as_i64().expect("a number")))
            .collect();
        let expected = [("email", 4), ("hosting", 3), ("vps", 2), ("vps", 1), ("email", mail_id)];
        assert_eq!(listed, expected, "{personality}: {told}");
        assert!(services.iter().map(|due| due["expire_time"].as_str()).is_sorted(), "{personality}: {told}");
        let mail = json!({"name": "example.vn", "billing_cycle": "quarterly",
                          "price_vnd": 147_000, "price_known": true, "price_unknown": "", "covered": true,
                          "renewed_by": "EmailService.RenewEmail"});
        assert_has(&services[4], &mail, personality);
        let server = json!({"name": "db-01", "state": "ACTIVE", "price_vnd": 279_000, "renewed_by": "VpsService.RenewVps"});
        assert_has(&services[2], &server, personality);
        let total: i64 = services.iter().map(|due| due["price_vnd"].as_i64().expect("known")).sum();
        let balance = gateway.get("/wallet").await.json()["balance_vnd"].clone();
        let whole = json!({"total_vnd": total, "balance_vnd": balance, "missing_vnd": 0, "unknown_prices": 0,
                           "unknown_ends": 0, "covered": true, "covered_until": told["until"], "incomplete": []});
        assert_has(&told, &whole, personality);
        // One price each, of its own kind.
        let asked = gateway.sent(MATRIX).await;
        let of =
            |kind: &str| asked.iter().filter(|body| body.contains(&format!(r#""type":"{kind}""#))).count();
        assert_eq!([of("vps"), of("hosting"), of("email")], [2, 1, 2], "{personality}: {asked:?}");
        let row = &gathered_rows()[0];
        let grpc = gateway.grpc(operation(row.operation), &json!({"within": "20w"})).await.expect("a reply");
        assert_has(&plain(&grpc), &plain(&row.has), personality);
        assert_eq!(plain(&grpc)["services"], plain(&told["services"]), "{personality}");
    }
}

#[tokio::test]
async fn only_what_expires_within_the_time_is_priced() {
    let gateway = Gateway::sandbox();
    let usual = expiring(&gateway, "").await;
    assert_eq!(usual["services"].as_array().map(Vec::len), Some(4), "{usual}");
    gateway.forget().await;
    for within in ["14d", "2w", "36h", "0d"] {
        let told = expiring(&gateway, &format!("?within={within}")).await;
        let none =
            json!({"services": [], "total_vnd": 0, "missing_vnd": 0, "covered": true, "incomplete": []});
        assert_has(&told, &none, within);
    }
    assert_eq!(gateway.sent(MATRIX).await.len(), 0);
    for within in ["14", "d", "-1d", "14x", "1.5d", "10000d", "14d14d"] {
        let refused = gateway.get(&format!("{PATH}?within={within}")).await;
        assert_eq!((refused.status, &*refused.reason()), (422, "VALIDATION_FAILED"), "{within}");
        assert_eq!(refused.json()["violations"][0]["field"], "within", "{}", refused.text);
    }
}

#[tokio::test]
async fn the_wallet_reaches_as_far_as_its_money_does() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_BALANCE_VND", "200000")]);
    // Those that end together stay in the order of the lists: 49.000 ₫, 79.000 ₫, 149.000 ₫, 279.000 ₫.
    let told = expiring(&gateway, "").await;
    let each = [(4, true), (3, true), (1, false), (2, false)];
    let each = each.map(|(id, covered)| json!({"service_id": id, "covered": covered}));
    let expected = json!({"total_vnd": 556_000, "balance_vnd": 200_000, "missing_vnd": 356_000, "covered": false,
                          "services": each, "covered_until": told["services"][2]["expire_time"]});
    assert_has(&told, &expected, "200.000 ₫");
}

#[tokio::test]
async fn what_could_not_be_read_is_named_and_the_rest_is_told() {
    let gateway = Gateway::sandbox();
    refuses(&gateway, "list_email").await;
    let told = expiring(&gateway, "").await;
    assert_eq!(told["services"].as_array().map(Vec::len), Some(3), "{told}");
    let unread = json!({"total_vnd": 507_000, "balance_vnd": 5_000_000, "missing_vnd": 0,
                        "incomplete": [{"kind": "email", "reason": "UPSTREAM_REFUSED", "detail": "<any>"}]});
    assert_has(&told, &unread, "without a list");
    // Each is covered with what is listed before it; whether all is, nobody knows.
    assert_eq!((&told["covered"], &told["covered_until"]), (&Value::Null, &Value::Null), "{told}");
    assert_eq!(told["services"][1]["covered"], true);

    refuses(&gateway, "balance").await;
    let told = expiring(&gateway, "").await;
    assert_eq!(told["incomplete"][1]["kind"], "wallet", "{told}");
    for unknown in ["balance_vnd", "missing_vnd", "covered", "covered_until"] {
        assert_eq!(told[unknown], Value::Null, "{unknown}: {told}");
    }
    assert_eq!((&told["total_vnd"], &told["services"][0]["covered"]), (&json!(507_000), &Value::Null));

    refuses(&gateway, "list_vps").await;
    refuses(&gateway, "list_hosting").await;
    let refused = gateway.get(PATH).await;
    assert_eq!(refused.reason(), "UPSTREAM_REFUSED", "{}", refused.text);
    let refused = gateway.grpc(operation("ServiceService.ListExpiringServices"), &json!({})).await;
    assert!(refused.expect_err("nothing could be read").message().len() > 1);
}

#[tokio::test]
async fn a_price_that_nobody_says_is_not_guessed() {
    let gateway = Gateway::sandbox();
    refuses(&gateway, MATRIX).await;
    let told = expiring(&gateway, "").await;
    // What one cycle cost when it was bought is in the list, and is no promise.
    let untold = json!({"price_known": false, "price_unknown": "<any>"});
    let expected = json!({"services": [untold, untold, untold, untold], "total_vnd": 0, "unknown_prices": 4, "missing_vnd": 0});
    assert_has(&told, &expected, "no price");
    let first = &told["services"][0];
    assert_eq!(
        (&first["price_vnd"], &first["covered"], &told["covered"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(told["covered_until"], first["expire_time"], "the wallet surely reaches to the first of them");
}

#[tokio::test]
async fn a_provider_that_hangs_takes_the_prices_and_not_the_answer() {
    let gateway = Gateway::sandbox();
    gateway.order(json!({"kind": "stall", "action": MATRIX, "times": 50})).await;
    let answer = gateway.send("GET", PATH, None, &[("request-timeout", "4")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    assert_eq!((&told["unknown_prices"], &told["balance_vnd"]), (&json!(4), &json!(5_000_000)), "{told}");
}

#[tokio::test]
async fn an_end_that_nobody_says_is_counted() {
    let gateway = Gateway::sandbox();
    let rows = json!([{"vpsid": 7, "hostname": "a", "status": "active"}, {"vpsid": 8, "hostname": "b", "status": "terminated"}]);
    let body = json!({"success": true, "data": {"vps": rows}}).to_string();
    gateway.order(json!({"kind": "answer", "action": "list_vps", "times": 1, "body": body})).await;
    let told = expiring(&gateway, "?within=14d").await;
    let expected = json!({"services": [], "unknown_ends": 1, "total_vnd": 0, "missing_vnd": 0});
    assert_has(&told, &expected, "no end");
    assert_eq!(told["covered"], Value::Null);
}

#[tokio::test]
async fn what_it_asks_counts_against_whoever_wants_to_know() {
    let (token, line) = token("clock", "read");
    let house = House::new(&format!("{line}quota.rate = \"1/m\"\nquota.burst = 5\n"), &[]);
    let answer = house.get(&token, PATH).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Three lists and the wallet leave one for four prices.
    assert_eq!(answer.json()["unknown_prices"], 3, "{}", answer.text);
    assert!(answer.text.contains("QUOTA_EXCEEDED"), "{}", answer.text);
}
