//! Killed over and over while callers buy and the provider misbehaves: when the storm is over, every đồng has a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use gizad::ledger::{Ledger, Sqlite, Wrap};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{HASTY, PRICE, ended, server, spoil};
use crate::rig::{Folder, Gateway, Sandbox};

/// Everything in the folder is read and compared: the chain of the entries, and what is found by them. Says how many
/// there are.
async fn assert_chain(folder: &str) -> i64 {
    let account = std::fs::read_dir(folder).expect("a folder").next().expect("an account").expect("an entry");
    let store = Sqlite::read_only(&Path::new(&account.path()).join("ledger")).expect("a ledger");
    let wrap = Wrap::from_secret(b"SECRET-canary-42").expect("a key");
    let ledger = Ledger::open(std::sync::Arc::new(store), &wrap, None).await.expect("opened");
    let (entries, wrong) = ledger.verify().await.expect("read");
    assert_eq!(wrong, Vec::<String>::new());
    entries
}

/// How many servers the provider has under each name.
async fn servers(gateway: &Gateway) -> BTreeMap<String, usize> {
    let state = gateway.control("GET", "/state", json!({})).await;
    let mut names = BTreeMap::new();
    for service in state["services"].as_array().expect("a list") {
        *names.entry(service["name"].as_str().expect("text").to_owned()).or_insert(0) += 1;
    }
    names
}

#[tokio::test]
async fn after_a_storm_of_kills_every_purchase_is_carried_out_once_or_known_not_to_be() {
    let (provider, folder) = (Sandbox::start(), Folder::new("storm"));
    let environment = [("GIZAD_LEDGER_DIR", folder.path()), HASTY[0], HASTY[1]];
    let faults = [
        json!({"kind": "close_after"}),
        json!({"kind": "delay", "ms": 60}),
        json!({"kind": "stall"}),
        json!({"kind": "close_before"}),
        json!({"kind": "truncate"}),
        json!({"kind": "delay", "ms": 10}),
    ];
    // A success that a caller was told of.
    let mut told = BTreeSet::new();
    for round in 0..8_usize {
        let mut gateway = Gateway::beside(&provider, &environment);
        gateway.control("DELETE", "/faults", json!({})).await;
        gateway.forget().await;
        spoil(&gateway, faults[round % faults.len()].clone()).await;
        spoil(&gateway, faults[(round * 5 + 1) % faults.len()].clone()).await;
        let mut calls = JoinSet::new();
        for number in 0..4 {
            // Some names come again, under the key they had.
            let name = format!("s{}", round * 3 + number);
            let request =
                gateway.http.post(format!("{}/vps", gateway.api)).header("content-type", "application/json");
            let request = request.header("idempotency-key", name.clone()).body(server(&name).to_string());
            calls.spawn(async move {
                (name, request.send().await.ok().map(|response| response.status().as_u16()))
            });
        }
        // The moment is what it is: each kill strikes somewhere else, and every other one not before something was sent.
        let (calls, ()) = tokio::join!(calls.join_all(), async {
            if round % 2 == 1 {
                gateway.reached("create_vps").await;
            }
            tokio::time::sleep(Duration::from_millis(15 + 17 * round as u64)).await;
            gateway.signal("KILL");
        });
        gateway.ended().await;
        told.extend(calls.into_iter().filter(|(_, status)| *status == Some(201)).map(|(name, _)| name));
    }

    let gateway = Gateway::beside(&provider, &environment);
    gateway.control("DELETE", "/faults", json!({})).await;
    let all = gateway.get("/operations?page_size=1000").await.json();
    let mut carried_out = BTreeMap::new();
    for operation in all["operations"].as_array().expect("a list") {
        let place = format!("/operations/{}", operation["operation_id"].as_str().expect("text"));
        let mut end = operation.clone();
        // What is proven not to have been sent may be sent under its key.
        if end["state"] != "NOT_SENT" {
            end = ended(&gateway, &place).await;
        }
        let name = end["request_id"].as_str().expect("text").to_owned();
        let state = end["state"].as_str().expect("text").to_owned();
        assert!(matches!(state.as_str(), "SUCCEEDED" | "FOUND" | "ABSENT" | "NOT_SENT"), "{end}");
        assert_eq!(end["attempts"].as_i64(), Some(1), "{end}");
        let again = carried_out.insert(name, matches!(state.as_str(), "SUCCEEDED" | "FOUND"));
        assert_eq!(again, None, "two operations under one key: {end}");
    }
    assert!(carried_out.len() >= 4, "there was no storm: {carried_out:?}");
    let servers = servers(&gateway).await;
    for (name, carried_out) in &carried_out {
        assert_eq!(servers.get(name).copied().unwrap_or(0), usize::from(*carried_out), "{name}: {servers:?}");
    }
    // Nothing was bought that is not written down, and no success was told that is not one.
    for name in servers.keys().filter(|name| name.starts_with('s')) {
        assert_eq!(carried_out.get(name), Some(&true), "{name}");
    }
    assert!(told.iter().all(|name| carried_out.get(name) == Some(&true)), "{told:?} {carried_out:?}");
    let spent = i64::try_from(gateway.executions().await).expect("few") * PRICE;
    assert_eq!(gateway.get("/wallet").await.json()["balance_vnd"], 5_000_000 - spent);
    let posted: i64 = posted(&gateway.get("/operations?page_size=1000").await.json());
    assert_eq!(posted, spent, "what is posted is what was spent");
    assert!(assert_chain(folder.path()).await > 0);
}

fn posted(list: &Value) -> i64 {
    let all = list["operations"].as_array().expect("a list").iter();
    all.map(|operation| operation["posted_vnd"].as_i64().expect("an amount")).sum()
}
