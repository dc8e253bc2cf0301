//! A deposit from order to money.

use serde_json::json;

use super::rig::Gateway;

#[tokio::test]
async fn a_deposit_is_pending_until_the_money_arrives_and_then_in_the_wallet() {
    for personality in ["whmcs", "boolean", "status", "virtualizor", "bare"] {
        let gateway = Gateway::sandbox_with(&[
            ("GIZAD_SANDBOX_PERSONALITY", personality),
            ("GIZAD_SANDBOX_DEPOSIT_TIME", "1h"),
        ]);
        let order = gateway.post("/wallet/deposits", json!({"amount_vnd": "500000"})).await.json();
        let path = format!("/wallet/deposits/{}", order["order_id"].as_str().expect("an order"));
        let check = gateway.rest("POST", &format!("{path}/check"), None).await.json();
        assert_eq!(check["state"], "PENDING", "{personality}: {check}");
        gateway.control("POST", "/advance", json!({"seconds": 3601})).await;
        let check = gateway.rest("POST", &format!("{path}/check"), None).await.json();
        assert_eq!(
            (&check["state"], &check["amount_vnd"]),
            (&json!("PAID"), &json!(500_000)),
            "{personality}"
        );
        let read = gateway.get(&path).await.json();
        assert!(read["state"] == "PAID" && read["pay_time"].is_string(), "{personality}: {read}");
        assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5_500_000, "{personality}");
        let moved = gateway.get("/wallet/transactions").await.json();
        assert_eq!(moved["transactions"][0]["amount_vnd"], 500_000, "{personality}");
    }
}

#[tokio::test]
async fn a_purchase_is_refused_without_money_and_moves_nothing() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_BALANCE_VND", "1000")]);
    let order = json!({"plan_id": 26, "hostname": "a", "password": "p", "os": "ubuntu-22.04", "billing_cycle": "monthly"});
    let refused = gateway.buy("k", "/vps", &order).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (402, "INSUFFICIENT_BALANCE"),
        "{}",
        refused.text
    );
    assert_eq!(gateway.executions().await, 0);
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 1000);
}

#[tokio::test]
async fn a_new_vps_is_installed_and_a_renewal_moves_its_end() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_INSTALL_TIME", "1h")]);
    let order = json!({"plan_id": 26, "hostname": "a", "password": "p", "os": "ubuntu-22.04", "billing_cycle": "monthly"});
    let bought = gateway.buy("k1", "/vps", &order).await.json();
    let path = format!("/vps/{}", bought["purchase"]["service_ids"][0]);
    assert_eq!(gateway.get(&path).await.json()["state"], "PENDING");
    let busy = gateway.rest("POST", &format!("{path}/stop"), None).await;
    assert_eq!((busy.status, busy.reason().as_str()), (409, "BUSY"));
    gateway.control("POST", "/advance", json!({"seconds": 3601})).await;
    let installed = gateway.get(&path).await.json();
    assert_eq!((&installed["state"], &installed["power"]), (&json!("ACTIVE"), &json!("ON")));
    gateway.buy("k2", &format!("{path}/renew"), &json!({})).await;
    let renewed = gateway.get(&path).await.json();
    assert!(renewed["expire_time"].as_str() > installed["expire_time"].as_str(), "{renewed}");
    let ledger = gateway.control("GET", "/ledger", json!({})).await;
    assert_eq!(ledger.as_array().map(Vec::len), Some(2), "two purchases, two lines");
    // Ended for want of renewal.
    gateway.control("POST", "/advance", json!({"seconds": 61 * 86_400})).await;
    let expired = gateway.rest("POST", &format!("{path}/start"), None).await;
    assert_eq!((expired.status, expired.reason().as_str()), (409, "SERVICE_EXPIRED"));
}

#[tokio::test]
async fn a_ticket_gets_an_answer() {
    let gateway = Gateway::sandbox();
    let opened = gateway.post("/tickets", json!({"subject": "s", "message": "m"})).await.json();
    gateway.control("POST", "/advance", json!({"seconds": 3})).await;
    let ticket = gateway.get(&format!("/tickets/{}", opened["ticket_id"])).await.json();
    assert_eq!(
        (&ticket["state"], &ticket["replies"][0]["author"]),
        (&json!("ANSWERED"), &json!("Hỗ trợ")),
        "{ticket}"
    );
    let open = gateway.get("/tickets?status=Open").await.json();
    assert_eq!(open["tickets"], json!([]));
    let page = gateway.get("/tickets?page=2&limit=1").await.json();
    assert_eq!((&page["tickets"], &page["total_count"]), (&json!([]), &json!(1)));
}
