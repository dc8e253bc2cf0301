//! The whole matrix of access: every operation of the contract, over every transport, with every token, user and certificate,
//! and every set of scopes, over both faces.
//!
//! What must come out follows from an operation's effect; the committed table shows it for each, so that an operation that
//! is new has a row only when somebody has looked at it. What is refused never reaches the provider.

mod callers;
mod table;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use gizad::contract::Effect;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::access::House;
use super::certificates::{ca, server, trusting};
use super::operations::{Row, gathered_rows, rows};
use super::rig::{Folder, PATIENCE, contract, message, operation, unique};
use super::tables::assert_golden;
use crate::codec::Dynamic;
use callers::{SETS, shown};
use ways::Way;

/// The states of a token.
const TOKENS: [&str; 7] = ["valid", "listed", "unlisted", "unknown", "malformed", "revoked", "expired"];
/// Those of a user or a certificate that some set of scopes was given to.
const PEERS: [&str; 5] = ["valid", "listed", "unlisted", "revoked", "expired"];

/// How a call comes in, and what says who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Over {
    /// Nothing, or a token.
    Tcp,
    /// The user, or a token, which the owner shows.
    Unix,
    /// Nothing, a certificate, or a token, which somebody without a certificate shows.
    Tls,
}

/// Who calls: over what, whether a token says so, in which state, with which scopes.
#[derive(Clone, Copy, Debug)]
struct Who {
    over: Over,
    by_token: bool,
    state: &'static str,
    set: &'static str,
}

impl Who {
    /// Everybody that calls each operation.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for over in [Over::Tcp, Over::Unix, Over::Tls] {
            let mut add = |by_token, state, set| all.push(Self { over, by_token, state, set });
            TOKENS.iter().for_each(|state| SETS.iter().for_each(|set| add(true, *state, *set)));
            if over != Over::Tcp {
                PEERS.iter().for_each(|state| SETS.iter().for_each(|set| add(false, *state, *set)));
                add(false, "unknown", "none");
            }
            match over {
                Over::Unix => add(false, "owner", "all"),
                Over::Tls => add(false, "forged", "all"),
                Over::Tcp => {}
            }
            if over != Over::Unix {
                add(false, "nobody", "none");
            }
        }
        all
    }

    /// What must come out.
    fn expected(self, operation: &str, effect: Effect, local: bool) -> &'static str {
        let has = |scope: &str| matches!(self.set, "all") || self.set == scope;
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
        match self.state {
            "forged" => "shut",
            "nobody" if effect == Effect::Public => "in",
            "nobody" | "unknown" | "malformed" | "revoked" | "expired" => "401",
            "unlisted" if effect != Effect::Public => "list",
            _ if enough => "in",
            _ => "403",
        }
    }
}

struct Cell {
    row: Arc<Row>,
    who: Who,
    way: Arc<Way>,
    token: Option<String>,
}

impl Cell {
    fn expected(&self) -> &'static str {
        let operation = operation(self.row.operation);
        self.who.expected(self.row.operation, operation.effect, operation.local)
    }

    async fn rest(&self, http: &reqwest::Client) -> &'static str {
        let url = format!("{}{}", self.way.rest, self.row.path);
        let mut request = http.request(self.row.method.parse().expect("a method"), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if self.row.effect() == Effect::Spend {
            request = request.header("idempotency-key", unique());
        }
        if let Some(body) = &self.row.body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let Ok(answer) = request.send().await else { return "shut" };
        let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a whole body"));
        match status {
            401 | 403 => verdict(&text),
            _ => "in",
        }
    }

    async fn grpc(&self) -> &'static str {
        let operation = operation(self.row.operation);
        let mut body = self.row.request.clone();
        if operation.effect == Effect::Spend {
            body["request_id"] = json!(unique());
        }
        let mut request = tonic::Request::new(message(operation, &body));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("text"));
        }
        let mut client = tonic::client::Grpc::new(self.way.grpc.clone());
        let Ok(()) = client.ready().await else { return "shut" };
        let codec = Dynamic::new(operation.output.descriptor.clone());
        let path = operation.grpc_path.parse().expect("a path");
        let Err(status) = client.unary(request, path, codec).await else { return "in" };
        let details = String::from_utf8_lossy(status.details());
        match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => verdict(&details),
            // Whatever gizad says has a reason; a transport has none.
            _ if details.contains("gizad") => "in",
            _ => "shut",
        }
    }
}

/// Which refusal of access it is.
fn verdict(said: &str) -> &'static str {
    let known = [("UNAUTHENTICATED", "401"), ("SCOPE_MISSING", "403"), ("OPERATION_NOT_GRANTED", "list")];
    let found = known.into_iter().find(|(reason, _)| said.contains(reason));
    found.unwrap_or_else(|| panic!("a reason of access, and not {said}")).1
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
    all.extend(gathered_rows());
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

/// Two gateways, one with TLS and one without, and the ways to them.
struct Street {
    houses: [House; 2],
    ways: BTreeMap<(Over, String), Arc<Way>>,
    tokens: BTreeMap<String, String>,
    _folder: Folder,
}

impl Street {
    async fn new() -> Self {
        let folder = Folder::new("matrix");
        std::fs::create_dir_all(folder.path()).expect("a folder");
        let at = |name: &str| format!("{}/{name}", folder.path());
        let ca = ca();
        let own = server(&ca);
        for (name, text) in [("chain.pem", &own.chain), ("key.pem", &own.key), ("ca.pem", &ca.pem())] {
            std::fs::write(at(name), text).expect("written");
        }
        let (tokens, users) = (callers::tokens(), callers::users());
        let certificates = callers::certificates(&ca);

        let head = "[actions]\nvps_rdns = \"converge\"\n";
        let socket = format!("{head}[listen]\nsocket = {:?}\n", at("s"));
        let tls = format!(
            "{head}[listen.tls]\ncertificate_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
            at("chain.pem"),
            at("key.pem"),
            at("ca.pem")
        );
        let level = [("GIZAD_LOG_LEVEL", "warn,gizad::boot=info")];
        let [plain, guarded] = [(&socket, &users.before), (&tls, &certificates.before)]
            .map(|(head, before)| House::new(&format!("{head}{}{before}", tokens.before), &level));

        // Who may connect at all is the mode's affair, and not what is asked here.
        std::fs::set_permissions(at("s"), std::fs::Permissions::from_mode(0o666)).expect("a socket");
        let mut ways = BTreeMap::new();
        let mut add = |over, name: &str, way| ways.insert((over, name.to_owned()), Arc::new(way));
        add(Over::Tcp, "", Way::tcp(&plain.gateway.api));
        add(Over::Unix, "", Way::unix(&at("s"), None));
        for (name, user) in &users.by_name {
            add(Over::Unix, name, Way::unix(&at("s"), Some(*user)));
        }
        let api = &guarded.gateway.api;
        add(Over::Tls, "", Way::tls(api, |protocol| trusting(&ca, None, protocol)).await);
        for (name, pair) in &certificates.by_name {
            add(Over::Tls, name, Way::tls(api, |protocol| trusting(&ca, Some(pair), protocol)).await);
        }

        let street = Self { houses: [plain, guarded], ways, tokens: tokens.by_name, _folder: folder };
        // Each was good for something before it was taken back.
        let wallet = Arc::new(calls().into_iter().find(|row| row.path == "/wallet").expect("it is called"));
        for who in Who::all().into_iter().filter(|who| who.state == "revoked") {
            let expected = if matches!(who.set, "read" | "all") { "in" } else { "403" };
            let cell = street.cell(&wallet, who);
            assert_eq!(cell.rest(&http()).await, expected, "{who:?}");
        }
        for (house, after) in street.houses.iter().zip([
            format!("{socket}{}{}", tokens.after, users.after),
            format!("{tls}{}{}", tokens.after, certificates.after),
        ]) {
            house.now(&after, "settings taken over").await;
            house.provider.forget().await;
        }
        street
    }

    fn cell(&self, row: &Arc<Row>, who: Who) -> Cell {
        let name = shown(who.state, who.set, row.operation);
        let is_nobody = who.by_token || matches!(who.state, "owner" | "nobody");
        let way = if is_nobody { String::new() } else { name.clone() };
        let token = who.by_token.then(|| self.tokens[&name].clone());
        Cell { row: row.clone(), who, way: self.ways[&(who.over, way)].clone(), token }
    }

    async fn seen(&self) -> Vec<String> {
        let [plain, guarded] = &self.houses;
        [plain.provider.seen().await, guarded.provider.seen().await].concat()
    }

    async fn executions(&self) -> [usize; 2] {
        let [plain, guarded] = &self.houses;
        [plain.provider.executions().await, guarded.provider.executions().await]
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

/// Makes the calls, some at once, and says what came out over each face.
async fn made(cells: Vec<Cell>) -> Vec<(Cell, [&'static str; 2])> {
    let (mut tasks, mut out) = (JoinSet::new(), Vec::new());
    let mut parts: Vec<Vec<Cell>> = (0..8).map(|_| Vec::new()).collect();
    for (number, cell) in cells.into_iter().enumerate() {
        parts[number % 8].push(cell);
    }
    let http = http();
    for part in parts {
        let http = http.clone();
        tasks.spawn(async move {
            let mut out = Vec::new();
            for cell in part {
                let came = [cell.rest(&http).await, cell.grpc().await];
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
async fn every_operation_over_every_transport_with_everything_that_can_be_shown() {
    let street = Street::new().await;
    let rows: Vec<Arc<Row>> = calls().into_iter().map(Arc::new).collect();
    let cells = rows.iter().flat_map(|row| Who::all().into_iter().map(|who| street.cell(row, who)));
    let (let_in, refused): (Vec<Cell>, Vec<Cell>) = cells.partition(|cell| cell.expected() == "in");
    assert!(refused.len() > 8000 && let_in.len() > 1000, "{} {}", refused.len(), let_in.len());

    let mut all = made(refused).await;
    assert_eq!(street.seen().await, Vec::<String>::new(), "what is refused reaches nobody");
    assert_eq!(street.executions().await, [0, 0]);
    all.extend(made(let_in).await);
    assert!(street.executions().await.into_iter().all(|times| times >= 10), "what is let in does");

    for (cell, came) in &all {
        let (expected, operation) = (cell.expected(), cell.row.operation);
        assert_eq!(*came, [expected; 2], "{operation}, {:?}", cell.who);
    }
    assert_golden("access.txt", &table::shown(&all));
}
