//! `gizad deposit 500000`: what has to be transferred is shown, and the program ends when the money is there, or says how to go on.

use serde_json::{Value, json};

use super::cli::{gizad, out, said};
use super::rig::Gateway;

/// A sandbox in which a transfer arrives after this time, and which is looked at often.
fn house(arrives: &str) -> Gateway {
    Gateway::sandbox_with(&[
        ("GIZAD_SANDBOX_DEPOSIT_TIME", arrives),
        ("GIZAD_WATCH_QUICK", "20ms"),
        ("GIZAD_WATCH_SLOW", "50ms"),
    ])
}

/// What the stand-in answers about the order instead.
async fn answers(gateway: &Gateway, action: &str, changed: Value) {
    let mut order = json!({"order_id": "GZ6", "amount": 500_000, "status": "pending", "bank_name": "MBBank",
                           "account_number": "0900123456789", "content": "NAP GZ6"});
    order.as_object_mut().expect("an object").extend(changed.as_object().expect("an object").clone());
    let body = json!({"success": true, "order": order}).to_string();
    gateway.order(json!({"kind": "answer", "action": action, "times": 500, "body": body})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_is_shown_and_ends_when_the_money_is_there() {
    let gateway = house("1s");
    let output = gizad(&gateway, &["deposit", "500.000"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", said(&output));
    for shown in [
        "amount_vnd      500.000 ₫",
        "bank            MBBank",
        "transfer_note   NAP GZ6",
        "█▀",
        "PAID  500.000 ₫  GZ6\n",
    ] {
        assert!(text.contains(shown), "{shown:?} in {text}");
    }
    // The text of the code is for apps, and colours are for terminals.
    assert!(!text.contains("00020101") && !text.contains('\u{1b}'), "{text}");
    assert!(!said(&output).contains("waiting"), "only a terminal is told so: {}", said(&output));
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5_500_000);
    assert_eq!(gateway.sent("deposit_sepay").await.len(), 1, "it is ordered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_reads_what_happens_in_lines() {
    let gateway = house("1s");
    let output = gizad(&gateway, &["deposit", "500000", "--json", "--key", "deposit-1"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let lines: Vec<Value> =
        out(&output).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().expect("a state")).collect();
    assert_eq!((states.first(), states.last()), (Some(&"PENDING"), Some(&"PAID")), "{states:?}");
    assert!(lines.iter().all(|line| line["order_id"] == "GZ6"), "{lines:?}");
    // The same key is the same order, which is paid.
    let again = gizad(&gateway, &["deposit", "500000", "--key", "deposit-1"]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_eq!(gateway.sent("deposit_sepay").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_wait_for_it_is_told_how_to_go_on() {
    let gateway = house("1h");
    let shown = gizad(&gateway, &["deposit", "500000", "--no-follow"]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    assert!(out(&shown).contains("█▀") && !out(&shown).contains("PAID"), "{}", out(&shown));
    let late = gizad(&gateway, &["deposit", "500000", "--timeout", "1s"]);
    assert_eq!(late.status.code(), Some(5), "{}", said(&late));
    let go_on = said(&late).split("go on with: gizad ").nth(1).expect("how to go on").trim_end().to_owned();
    gateway.control("POST", "/advance", json!({"seconds": 3601})).await;
    let gone_on = gizad(&gateway, &go_on.split(' ').collect::<Vec<_>>());
    assert_eq!(gone_on.status.code(), Some(0), "{go_on}: {}", said(&gone_on));
    assert!(out(&gone_on).contains("PAID"), "{}", out(&gone_on));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_should_pay_ends_with_a_failure() {
    for status in ["cancelled", "expired"] {
        let gateway = house("1h");
        answers(&gateway, "check_sepay_payment", json!({"status": status})).await;
        let output = gizad(&gateway, &["deposit", "500000"]);
        assert_eq!(output.status.code(), Some(1), "{status}: {}{}", out(&output), said(&output));
        assert!(said(&output).contains(&format!("GZ6 is {}", status.to_uppercase())), "{}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_without_a_code_can_be_typed() {
    for (changed, why) in [
        (json!({"bank_name": "Bank of Nowhere"}), "the bank is none that is known"),
        (json!({"content": "NẠP TIỀN"}), "the note has more than 25 characters, or one that banks change"),
        (json!({"status": "paid"}), "it is PAID"),
    ] {
        let gateway = house("1h");
        answers(&gateway, "deposit_sepay", changed).await;
        let output = gizad(&gateway, &["deposit", "500000", "--no-follow"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(
            said(&output).contains(&format!("there is no code to scan, because {why}")),
            "{}",
            said(&output)
        );
        assert!(out(&output).contains("0900123456789") && !out(&output).contains('█'), "{}", out(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_amount_is_ordered_by_nobody() {
    let gateway = house("1h");
    for wrong in ["creat", "0", "500k", "500.00"] {
        let output = gizad(&gateway, &["deposit", wrong]);
        assert_eq!(output.status.code(), Some(64), "{wrong}: {}", said(&output));
        assert!(said(&output).contains("500.000"), "{wrong}: {}", said(&output));
    }
    assert_eq!(gateway.seen().await.len(), 0);
}
