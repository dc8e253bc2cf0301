//! The matrix as text: what somebody looks at who has made a new operation.

use std::fmt::Write as _;

use gizad::contract::Operation;

use super::callers::SETS;
use super::{Cell, Over, PEERS, TOKENS};
use crate::rig::contract;

type Came = [(Cell, [&'static str; 2])];

const WORDS: &str = "\
What each operation answers, over REST and gRPC alike. in: it is carried out, or fails for another reason. 401: UNAUTHENTICATED.
403: SCOPE_MISSING. list: OPERATION_NOT_GRANTED. shut: there is no handshake. A caller is let in with one of the scopes that are
named, or with all.

";
const BY_TOKEN: &str = "\
Who shows a token: over TCP, over TLS, and over the Unix socket, where the owner is no more than the token that it shows.

";
const BY_CONNECTION: &str = "
Who shows none: nobody over TCP or TLS, the user that gizad runs as, another user or group at the Unix socket or the SPIFFE ID
or subject of a certificate, one that stands for no caller, and a certificate of another CA.

";

/// Two tables with a line an operation. What is the same over several transports is said once, and is looked at.
pub fn shown(all: &Came) -> String {
    let tokens = |state| Column::alike(all, &[Over::Tcp, Over::Unix, Over::Tls], true, state);
    let peers = |state| Column::alike(all, &[Over::Unix, Over::Tls], false, state);
    let mut by_token = vec![Column::enough("A CALLER WITH", tokens("valid"), &tokens("listed"))];
    by_token.extend(TOKENS[2..].iter().map(|state| Column::of(state, tokens(state))));
    let mut by_connection = vec![
        Column::of("nobody", Column::alike(all, &[Over::Tcp, Over::Tls], false, "nobody")),
        Column::of("owner", Column::alike(all, &[Over::Unix], false, "owner")),
        Column::enough("A PEER WITH", peers("valid"), &peers("listed")),
    ];
    by_connection.extend(PEERS[2..].iter().map(|state| Column::of(state, peers(state))));
    by_connection.push(Column::of("unknown", peers("unknown")));
    by_connection.push(Column::of("forged", Column::alike(all, &[Over::Tls], false, "forged")));
    [WORDS, BY_TOKEN, &lines(&by_token), BY_CONNECTION, &lines(&by_connection)].concat()
}

/// What came out, by operation and by the sets of scopes that there are.
type Verdicts = Vec<Vec<(&'static str, &'static str)>>;

/// A column: its head, and its cells by operation.
struct Column(String, Vec<String>);

impl Column {
    /// What came out of a state over some transports, over all of them the same.
    fn alike(all: &Came, over: &[Over], by_token: bool, state: &str) -> Verdicts {
        let found = |over: Over, operation: &Operation| {
            let of = |set: &&'static str| {
                let cell = all.iter().find(|(Cell { row, who, .. }, _)| {
                    (&*operation.name, over, by_token, state, *set)
                        == (row.operation, who.over, who.by_token, who.state, who.set)
                });
                cell.map(|(_, came)| (*set, came[0]))
            };
            SETS.iter().filter_map(of).collect::<Vec<_>>()
        };
        let each =
            |over: &Over| contract().operations().iter().map(|o| found(*over, o)).collect::<Verdicts>();
        let first = each(&over[0]);
        assert!(first.iter().all(|sets| !sets.is_empty()), "{state} is in the matrix");
        for other in over {
            assert_eq!(each(other), first, "{state} over {other:?}");
        }
        first
    }

    /// What comes of every set.
    fn of(head: &str, verdicts: Verdicts) -> Self {
        let cells = verdicts.into_iter().map(|sets| {
            let mut came: Vec<&str> = sets.into_iter().map(|(_, came)| came).collect();
            came.dedup();
            came.join("/")
        });
        Self(head.to_uppercase(), cells.collect())
    }

    /// Which scopes are enough.
    fn enough(head: &str, valid: Verdicts, listed: &Verdicts) -> Self {
        assert_eq!(valid, *listed, "a list gives nothing and takes nothing");
        let cells = valid.into_iter().map(|sets| {
            let scopes = sets.iter().filter(|(set, _)| *set != "all");
            let enough: Vec<&str> =
                scopes.clone().filter(|(_, came)| *came == "in").map(|(set, _)| *set).collect();
            if enough.len() == scopes.count() { "anything".to_owned() } else { enough.join(" ") }
        });
        Self(head.to_owned(), cells.collect())
    }
}

fn lines(columns: &[Column]) -> String {
    let mut out = String::new();
    let mut line = |first: &str, effect: &str, cells: &mut dyn Iterator<Item = &str>| {
        let mut line = format!("{first:<40}{effect:<10}");
        for (cell, Column(head, _)) in cells.zip(columns) {
            let width = if head.ends_with("WITH") { 19 } else { 11 };
            let _infallible = write!(line, "{cell:<width$}");
        }
        out += line.trim_end();
        out.push('\n');
    };
    line("OPERATION", "EFFECT", &mut columns.iter().map(|Column(head, _)| head.as_str()));
    for (index, operation) in contract().operations().iter().enumerate() {
        let mut cells = columns.iter().map(|Column(_, cells)| cells[index].as_str());
        line(&operation.name, operation.effect.as_str(), &mut cells);
    }
    out
}
