//! The whole matrix of access: every operation of the contract, with every token and every set of scopes, over both faces.
//!
//! What must come out follows from an operation's effect; the committed table shows it for each, so that an operation that
//! is new has a row only when somebody has looked at it. What is refused never reaches the provider.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use gizad::call::{Scope, Token};
use gizad::contract::Effect;
use gizad::settings;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::access::House;
use super::operations::{Row, rows};
use super::rig::{contract, message, operation, unique};
use super::tables::assert_golden;
use crate::codec::Dynamic;

/// What a caller has: nothing, one of the scopes, or all.
const SETS: [&str; 7] = ["none", "read", "sensitive", "write", "spend", "admin", "all"];
/// What it shows.
const STATES: [&str; 7] = ["valid", "listed", "unlisted", "unknown", "malformed", "revoked", "expired"];
/// An operation that those may call who may not call the one that is asked for, and another for the calls of this one.
const OTHERS: [&str; 2] = ["WalletService.GetWallet", "VpsService.ListVps"];

fn scopes(set: &str) -> Vec<Scope> {
    match set {
        "none" => Vec::new(),
        "all" => Scope::ALL.to_vec(),
        one => vec![Scope::named(one).expect("a scope")],
    }
}

/// The tokens, by state and set, and the settings before and after some of them are taken back.
struct Tokens {
    by_name: BTreeMap<String, String>,
    before: String,
    after: String,
}

impl Tokens {
    fn new() -> Self {
        let mut tokens = Self { by_name: BTreeMap::new(), before: String::new(), after: String::new() };
        for set in SETS {
            for state in ["valid", "listed", "unlisted", "other", "revoked", "expired"] {
                tokens.add(state, set);
            }
            // Those of callers that there are, and that have another.
            let name = format!("valid-{set}");
            let (_, unknown) = Token::new(&name).expect("randomness");
            tokens.by_name.insert(format!("unknown-{set}"), unknown);
            let mut typed = tokens.by_name[&name].clone().into_bytes();
            let last = typed.last_mut().expect("not empty");
            *last = if *last == b'0' { b'1' } else { b'0' };
            tokens.by_name.insert(format!("malformed-{set}"), String::from_utf8(typed).expect("text"));
        }
        tokens
    }

    fn add(&mut self, state: &str, set: &str) {
        let name = format!("{state}-{set}");
        let (token, text) = Token::new(&name).expect("randomness");
        let mut lines = settings::caller(&name, &token, &scopes(set));
        match state {
            "listed" => {
                let services: BTreeSet<&str> =
                    contract().operations().iter().filter_map(|o| Some(o.name.split_once('.')?.0)).collect();
                let all: Vec<String> = services.iter().map(|service| format!("{service}.*")).collect();
                let _infallible = writeln!(lines, "operations = {all:?}");
            }
            "unlisted" => lines += &format!("operations = [{:?}]\n", OTHERS[0]),
            "other" => lines += &format!("operations = [{:?}]\n", OTHERS[1]),
            "expired" => lines += "expires = \"2020-01-31T00:00:00Z\"\n",
            _ => {}
        }
        self.before += &lines;
        if state != "revoked" {
            self.after += &lines;
        }
        self.by_name.insert(name, text);
    }

    /// The token for a cell; none for nobody.
    fn shown(&self, state: &str, set: &str, operation: &str) -> Option<String> {
        let name = match state {
            "nobody" => return None,
            "unlisted" if operation == OTHERS[0] => "other",
            state => state,
        };
        Some(self.by_name[&format!("{name}-{set}")].clone())
    }
}

/// What must come out.
fn expected(operation: &str, effect: Effect, local: bool, state: &str, set: &str) -> &'static str {
    let has = |scope: &str| set == "all" || set == scope;
    let enough = match (effect, local) {
        (Effect::Public, _) => true,
        (Effect::Read, _) => has("read"),
        (Effect::Secret, _) => has("sensitive"),
        // Whose operation it is decides the rest, and there is none of this name.
        (_, true) if operation == "OperationService.ResolveOperation" => {
            has("admin") || has("write") || has("spend")
        }
        (_, true) => has("admin"),
        (Effect::Converge | Effect::Once, _) => has("write"),
        (Effect::Spend, _) => has("spend"),
    };
    match state {
        "unknown" | "malformed" | "revoked" | "expired" => "401",
        "nobody" if effect == Effect::Public => "in",
        "nobody" => "401",
        "unlisted" if effect != Effect::Public => "list",
        _ if enough => "in",
        _ => "403",
    }
}

struct Cell {
    row: Row,
    state: &'static str,
    set: &'static str,
    token: Option<String>,
}

impl Cell {
    fn expected(&self) -> &'static str {
        let operation = operation(self.row.operation);
        expected(self.row.operation, operation.effect, operation.local, self.state, self.set)
    }

    async fn rest(&self, house: &House) -> &'static str {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let answer = self.row.rest_with(&house.gateway, &headers).await;
        let told = if answer.text.contains("\"reason\"") { answer.reason() } else { String::new() };
        match (answer.status, told.as_str()) {
            (401, "UNAUTHENTICATED") => "401",
            (403, "SCOPE_MISSING") => "403",
            (403, "OPERATION_NOT_GRANTED") => "list",
            (401 | 403, _) => panic!("{}: {}", self.row.operation, answer.text),
            _ => "in",
        }
    }

    async fn grpc(&self, channel: Channel) -> &'static str {
        let operation = operation(self.row.operation);
        let mut body = self.row.request.clone();
        if operation.effect == Effect::Spend {
            body["request_id"] = json!(unique());
        }
        let mut request = tonic::Request::new(message(operation, &body));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
        }
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.expect("a connection");
        let codec = Dynamic::new(operation.output.descriptor.clone());
        let path = operation.grpc_path.parse().expect("a path");
        match client.unary(request, path, codec).await.map_err(|status| (status.code(), status)) {
            Err((tonic::Code::Unauthenticated, _)) => "401",
            Err((tonic::Code::PermissionDenied, status)) => {
                let details = String::from_utf8_lossy(status.details()).into_owned();
                let known = [("SCOPE_MISSING", "403"), ("OPERATION_NOT_GRANTED", "list")];
                known.into_iter().find(|(reason, _)| details.contains(reason)).expect("a reason of access").1
            }
            _ => "in",
        }
    }
}

/// A call of every operation: those of the other tests, and those of gizad's own record, about one that is not there.
fn calls() -> Vec<Row> {
    let own = |operation: &'static str, method: &'static str, path: &'static str, body: Option<Value>| Row {
        operation,
        method,
        path,
        request: match &body {
            Some(body) => {
                let mut request = body.clone();
                request["operation_id"] = json!("op_none");
                request
            }
            None if path == "/operations" => json!({}),
            None => json!({"operation_id": "op_none"}),
        },
        body,
        sent: "",
        status: 200,
        has: Value::Null,
    };
    let resolution = json!({"outcome": "GIVEN_UP", "note": "x"});
    let mut all = rows();
    all.extend([
        own("OperationService.ListOperations", "GET", "/operations", None),
        own("OperationService.GetOperation", "GET", "/operations/op_none", None),
        own("OperationService.ReconcileOperation", "POST", "/operations/op_none/reconcile", None),
        own("OperationService.ApproveOperation", "POST", "/operations/op_none/approve", None),
        own("OperationService.ResolveOperation", "POST", "/operations/op_none/resolve", Some(resolution)),
    ]);
    let mut seen = BTreeSet::new();
    all.retain(|row| seen.insert(row.operation));
    for operation in contract().operations() {
        assert!(seen.contains(&*operation.name), "no call of {}", operation.name);
    }
    all
}

fn cells(tokens: &Tokens) -> Vec<Cell> {
    let mut cells = Vec::new();
    for index in 0..calls().len() {
        let mut add = |state: &'static str, set: &'static str| {
            let row = calls().swap_remove(index);
            let token = tokens.shown(state, set, row.operation);
            cells.push(Cell { row, state, set, token });
        };
        add("nobody", "none");
        for state in STATES {
            for set in SETS {
                add(state, set);
            }
        }
    }
    cells
}

/// Makes the calls, some at once, and says what came out over each face.
async fn made(house: &Arc<House>, cells: Vec<Cell>) -> Vec<(Cell, [&'static str; 2])> {
    let (mut tasks, mut out) = (JoinSet::new(), Vec::new());
    let channel = house.gateway.channel().await;
    let mut parts: Vec<Vec<Cell>> = (0..8).map(|_| Vec::new()).collect();
    for (number, cell) in cells.into_iter().enumerate() {
        parts[number % 8].push(cell);
    }
    for part in parts {
        let (house, channel) = (house.clone(), channel.clone());
        tasks.spawn(async move {
            let mut out = Vec::new();
            for cell in part {
                let came = [cell.rest(&house).await, cell.grpc(channel.clone()).await];
                out.push((cell, came));
            }
            out
        });
    }
    while let Some(part) = tasks.join_next().await {
        out.extend(part.expect("no panic"));
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_with_every_token_over_both_faces() {
    let tokens = Tokens::new();
    let actions = "[actions]\nvps_rdns = \"converge\"\n";
    let house =
        House::new(&format!("{actions}{}", tokens.before), &[("GIZAD_LOG_LEVEL", "warn,gizad::boot=info")]);
    // They were good for something before they were taken back.
    for set in ["read", "all"] {
        assert_eq!(house.get(&tokens.by_name[&format!("revoked-{set}")], "/wallet").await.status, 200);
    }
    house.now(&format!("{actions}{}", tokens.after), "settings taken over").await;
    house.provider.forget().await;

    let house = Arc::new(house);
    let (let_in, refused): (Vec<Cell>, Vec<Cell>) =
        cells(&tokens).into_iter().partition(|cell| cell.expected() == "in");
    assert!(refused.len() > 2000 && let_in.len() > 150, "{} {}", refused.len(), let_in.len());
    let mut all = made(&house, refused).await;
    assert_eq!(house.provider.seen().await, Vec::<String>::new(), "what is refused reaches nobody");
    assert_eq!(house.provider.executions().await, 0);
    all.extend(made(&house, let_in).await);
    assert!(house.provider.executions().await >= 10, "what is let in does");

    for (cell, came) in &all {
        let (expected, operation) = (cell.expected(), cell.row.operation);
        assert_eq!(*came, [expected; 2], "{operation}, {} with {}", cell.state, cell.set);
    }
    assert_golden("access.txt", &table(&all));
}

/// A line an operation: what nobody may, which scopes are enough, and what comes of every other token.
fn table(all: &[(Cell, [&'static str; 2])]) -> String {
    let mut out = String::from(
        "What each operation answers, over REST and gRPC alike. in: it is carried out, or fails for another reason. 401: UNAUTHENTICATED.\n\
         403: SCOPE_MISSING. list: OPERATION_NOT_GRANTED. A caller's token lets in with one of the scopes that are named, or with all.\n\n",
    );
    let states = || STATES.iter().skip(1).filter(|state| **state != "listed");
    let _infallible =
        write!(out, "{:<40}{:<10}{:<9}{:<19}", "OPERATION", "EFFECT", "NOBODY", "A CALLER WITH");
    for state in states() {
        let _infallible = write!(out, "{:<11}", state.to_uppercase());
    }
    let mut out = out.trim_end().to_owned() + "\n";
    for operation in contract().operations() {
        let of = |state: &str, set: &str| {
            let found = all.iter().find(|(cell, _)| {
                cell.row.operation == operation.name && cell.state == state && cell.set == set
            });
            found.map_or("?", |(_, came)| came[0])
        };
        let enough = |state: &str| -> Vec<&str> {
            SETS.into_iter().filter(|set| *set != "all" && of(state, set) == "in").collect()
        };
        assert_eq!(enough("valid"), enough("listed"), "a list gives nothing and takes nothing");
        let enough = if enough("valid").len() == SETS.len() - 1 {
            "anything".to_owned()
        } else {
            enough("valid").join(" ")
        };
        let effect = operation.effect.as_str();
        let mut line = format!("{:<40}{effect:<10}{:<9}{enough:<19}", operation.name, of("nobody", "none"));
        for state in states() {
            let mut came: Vec<&str> = SETS.iter().map(|set| of(state, set)).collect();
            came.dedup();
            let _infallible = write!(line, "{:<11}", came.join("/"));
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}
