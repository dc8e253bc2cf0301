//! Purchases over real sockets: what the caller is told, and what the provider carried out, which keeps a ledger of its
//! own that knows no repetition.

pub mod cable;
mod crash;
mod doubt;
mod further;
mod guard;
mod keys;
mod operations;
pub mod room;
mod storm;
mod table;
mod terms;
mod unsent;

use serde_json::{Value, json};
use tonic::metadata::MetadataMap;
use tonic_types::StatusExt as _;

use super::rig::{Answer, Gateway, operation};

/// What the server of [`server`] costs a month, in đồng.
pub const PRICE: i64 = 149_000;

/// What is looked at soon, and absent soon.
pub const HASTY: [(&str, &str); 2] = [("GIZAD_PURCHASE_LOOK_EVERY", "200ms"), ("GIZAD_PURCHASE_QUIET", "2s")];

/// The order of a server.
pub fn server(hostname: &str) -> Value {
    json!({"plan_id": 26, "hostname": hostname, "password": "Passw0rd-canary-51", "os": "ubuntu-22.04",
           "billing_cycle": "monthly"})
}

/// Orders it over gRPC, under a key.
pub async fn buy_grpc(
    gateway: &Gateway,
    key: &str,
    order: &Value,
) -> Result<(Value, MetadataMap), tonic::Status> {
    let mut request = order.clone();
    request["request_id"] = json!(key);
    gateway.grpc_whole(operation("VpsService.CreateVps"), &request, &[]).await
}

/// The reason of a failure over gRPC.
pub fn reason(status: &tonic::Status) -> String {
    status.get_error_details().error_info().expect("ErrorInfo").reason.clone()
}

/// The operation that a failure over gRPC is about.
pub fn named(status: &tonic::Status) -> String {
    let details = status.get_error_details();
    let metadata = &details.error_info().expect("ErrorInfo").metadata;
    format!("/operations/{}", metadata.get("operation_id").map_or("", String::as_str))
}

/// One line of metadata.
pub fn line<'a>(metadata: &'a MetadataMap, name: &str) -> &'a str {
    metadata.get(name).map_or("", |value| value.to_str().expect("text"))
}

/// The operation at a path when it has ended, or cannot end without a person.
pub async fn ended(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.get(&format!("{path}?wait=18s")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// The operation at a path, as it stands.
pub async fn stands(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// The states that an operation has been in.
pub fn states(operation: &Value) -> Vec<&str> {
    let history = operation["history"].as_array().expect("a list").iter();
    history.map(|event| event["state"].as_str().expect("a name")).collect()
}

/// Makes the provider do something wrong with the next order of a server.
pub async fn spoil(gateway: &Gateway, mut fault: Value) {
    fault["action"] = json!("create_vps");
    gateway.order(fault).await;
}

/// An answer without what differs between two calls that are told the same.
pub fn told(answer: &Answer) -> (u16, Value) {
    let mut json = answer.json();
    if let Some(members) = json.as_object_mut().filter(|members| members.contains_key("sent")) {
        members.remove("request_id");
    }
    (answer.status, json)
}

/// The action that a POST to a path is sent as.
pub fn sent_as(path: &str) -> String {
    let rows = super::operations::rows();
    let row = rows.iter().find(|row| row.path == path && row.method == "POST");
    row.or_else(|| rows.iter().find(|row| row.path == path.replace("/2/", "/1/"))).expect("a row").action()
}
