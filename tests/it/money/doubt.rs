//! What nobody was told is found out: from the lists, the movements and the wallet, by itself.

use serde_json::json;

use super::{HASTY, PRICE, ended, sent_as, server, spoil, stands, states};
use crate::rig::Gateway;

#[tokio::test]
async fn carried_out_without_an_answer_it_is_found_in_every_personality() {
    for personality in ["whmcs", "boolean", "status", "virtualizor", "bare"] {
        let gateway = Gateway::sandbox_with(&[HASTY[0], ("GIZAD_SANDBOX_PERSONALITY", personality)]);
        for (key, path, order) in [
            // First what stands in no list: it is known by its money alone, and only if nobody else's can be meant.
            ("k1", "/keys", json!({"product_id": "proxy-vn-dc", "quantity": 2})),
            ("k2", "/vps", server("a")),
            ("k3", "/vps/1/renew", json!({"billing_cycle": "monthly"})),
            ("k4", "/invoices/5/pay", json!({})),
        ] {
            let action = sent_as(path);
            gateway.order(json!({"kind": "close_after", "action": action})).await;
            let doubt = gateway.buy(key, path, &order).await;
            assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{personality}, {path}: {}", doubt.text);
            let end = ended(&gateway, doubt.header("location")).await;
            assert_eq!(end["state"], "FOUND", "{personality}, {path}: {end}");
            assert_eq!(states(&end), ["SENDING", "IN_DOUBT", "FOUND"], "{personality}, {path}");
            assert_eq!((&end["error"], &end["held_vnd"]), (&json!(null), &json!(0)), "{personality}, {path}");
            let again = gateway.buy(key, path, &order).await;
            assert_eq!(again.json()["state"], "FOUND", "{personality}, {path}: {}", again.text);
            assert_eq!(gateway.sent(&action).await.len(), 1, "{personality}, {path}");
        }
        assert_eq!(gateway.executions().await, 4, "{personality}");
    }
}

#[tokio::test]
async fn never_carried_out_it_is_absent_after_the_quiet_time_and_not_sent_again() {
    let gateway = Gateway::sandbox_with(&HASTY);
    spoil(&gateway, json!({"kind": "close_before"})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
    let end = ended(&gateway, doubt.header("location")).await;
    assert_eq!((&end["state"], &end["done"]), (&json!("ABSENT"), &json!(true)), "{end}");
    assert_eq!((&end["held_vnd"], &end["posted_vnd"]), (&json!(0), &json!(0)));
    let doubted =
        end["history"][1]["time"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("one");
    let absent = end["history"][2]["time"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("one");
    assert!(absent.as_millisecond() - doubted.as_millisecond() >= 2000, "not before it was quiet: {end}");
    let again = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((again.status, again.reason().as_str()), (409, "OPERATION_ABSENT"), "{}", again.text);
    assert_eq!((gateway.sent("create_vps").await.len(), gateway.executions().await), (1, 0));
    let anew = gateway.buy("k2", "/vps", &server("a")).await;
    assert_eq!((anew.status, gateway.executions().await), (201, 1), "{}", anew.text);
}

#[tokio::test]
async fn carried_out_late_it_is_found_and_not_absent() {
    let gateway = Gateway::sandbox_with(&[HASTY[0], ("GIZAD_PURCHASE_QUIET", "15s")]);
    spoil(&gateway, json!({"kind": "execute_late", "ms": 2500})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((doubt.reason().as_str(), gateway.executions().await), ("OUTCOME_UNKNOWN", 0));
    let end = ended(&gateway, doubt.header("location")).await;
    assert_eq!((&end["state"], gateway.executions().await), (&json!("FOUND"), 1), "{end}");
    let evidence = &end["evidence"];
    assert_eq!(evidence["balance_before_vnd"], 5_000_000);
    assert_eq!(evidence["balance_after_vnd"], 5_000_000 - PRICE, "{evidence}");
    assert_eq!(evidence["service_ids"].as_array().map(Vec::len), Some(1), "{evidence}");
}

/// "Refused", and the money is gone.
#[tokio::test]
async fn a_refusal_that_took_the_money_is_no_refusal() {
    let gateway = Gateway::sandbox_with(&HASTY[..1]);
    let lie = json!({"success": false, "message": "Hết hàng"}).to_string();
    spoil(&gateway, json!({"kind": "answer_after", "body": lie})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!((doubt.status, doubt.reason().as_str()), (409, "OUTCOME_UNKNOWN"), "{}", doubt.text);
    let end = ended(&gateway, doubt.header("location")).await;
    assert_eq!((&end["state"], &end["posted_vnd"]), (&json!("FOUND"), &json!(PRICE)), "{end}");
    assert_eq!(gateway.executions().await, 1);
}

/// A refusal that cannot be confirmed, because the wallet cannot be read just then, may be a lie.
#[tokio::test]
async fn a_refusal_that_cannot_be_confirmed_is_in_doubt_until_it_can() {
    let gateway = Gateway::sandbox_with(&HASTY);
    let refusal = json!({"success": false, "message": "Hết hàng"}).to_string();
    spoil(&gateway, json!({"kind": "answer", "body": refusal})).await;
    // The first reading of the wallet is the look before; the second would confirm the refusal.
    gateway.order(json!({"kind": "delay", "ms": 1, "action": "balance"})).await;
    gateway.order(json!({"kind": "error500", "action": "balance"})).await;
    let doubt = gateway.buy("k", "/vps", &server("a")).await;
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
    let end = ended(&gateway, doubt.header("location")).await;
    assert_eq!((&end["state"], gateway.executions().await), (&json!("ABSENT"), 0), "{end}");
}

/// Somebody else has ordered the like of it at the same time, past gizad.
#[tokio::test]
async fn what_cannot_be_told_apart_goes_to_a_person() {
    let provider = crate::rig::Sandbox::start();
    let gateway = Gateway::beside(&provider, &[HASTY[0], HASTY[1], ("GIZAD_UPSTREAM_TIMEOUT", "2s")]);
    spoil(&gateway, json!({"kind": "stall"})).await;
    let past = json!({"action": "create_vps", "identifier": "IDENTIFIER-canary-41", "secret": "SECRET-canary-42",
                      "planid": 26, "hostname": "a", "password": "p", "os": "ubuntu-22.04", "billingcycle": "monthly"});
    let order = server("a");
    let (doubt, direct) = tokio::join!(gateway.buy("k", "/vps", &order), async {
        gateway.executed(1).await;
        let direct = gateway.http.post(&provider.url).header("content-type", "application/json");
        direct.body(past.to_string()).send().await.expect("an answer")
    });
    assert!(direct.status().is_success());
    assert_eq!(doubt.reason(), "OUTCOME_UNKNOWN", "{}", doubt.text);
    gateway.executed(2).await;
    let stuck = ended(&gateway, doubt.header("location")).await;
    assert_eq!((&stuck["state"], &stuck["done"]), (&json!("NEEDS_OPERATOR"), &json!(false)), "{stuck}");
    assert_eq!(stuck["held_vnd"], PRICE, "what is not known stays set aside");
    assert_eq!(gateway.buy("k2", "/vps", &server("a")).await.reason(), "TWIN_IN_DOUBT");
    let path = format!("{}/resolve", doubt.header("location"));
    let decided =
        gateway.post(&path, json!({"outcome": "FOUND", "note": "the first of the two is ours"})).await;
    assert_eq!((decided.status, &decided.json()["state"]), (200, &json!("FOUND")), "{}", decided.text);
    let end = stands(&gateway, doubt.header("location")).await;
    assert_eq!((&end["decided_by"], &end["posted_vnd"]), (&json!("rig"), &json!(PRICE)));
    assert_eq!(states(&end), ["SENDING", "IN_DOUBT", "NEEDS_OPERATOR", "FOUND"]);
}
