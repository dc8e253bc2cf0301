//! The callers of the matrix: one for every way to be known, every set of scopes, and every state of what it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use gizad::call::{Scope, Token};

use super::super::canaries;
use super::super::certificates::{Ca, Pair, ca, client};
use super::super::rig::contract;

/// What a caller has: nothing, one of the scopes, or all.
pub const SETS: [&str; 7] = ["none", "read", "sensitive", "write", "spend", "admin", "all"];
/// An operation that those may call who may not call the one that is asked for, and another for the calls of this one.
pub const OTHERS: [&str; 2] = ["WalletService.GetWallet", "VpsService.ListVps"];
/// The callers that there are, by state.
const KNOWN: [&str; 6] = ["valid", "listed", "unlisted", "other", "revoked", "expired"];
/// The users and groups of the first of them. Nobody has the one before.
const IDS: (u32, u32) = (6000, 7000);

/// Those that are known by one kind of thing.
pub struct Callers<T> {
    /// What each of them shows.
    pub by_name: BTreeMap<String, T>,
    /// The settings that name them, before and after some of them are taken back.
    pub before: String,
    pub after: String,
}

impl<T> Callers<T> {
    /// Makes them all: what is shown, and the line of the settings that knows it.
    fn new(kind: &str, mut make: impl FnMut(&str, usize) -> (T, String)) -> Self {
        let mut all = Self { by_name: BTreeMap::new(), before: String::new(), after: String::new() };
        for state in KNOWN {
            for set in SETS {
                let (shown, known) = make(&format!("{kind}-{state}-{set}"), all.by_name.len());
                let lines = format!("[callers.{kind}-{state}-{set}]\n{known}\n{}", granted(state, set));
                all.before += &lines;
                if state != "revoked" {
                    all.after += &lines;
                }
                all.by_name.insert(named(state, set), shown);
            }
        }
        all
    }
}

/// What a caller shows who is in a state with a set of scopes, for one operation.
pub fn shown(state: &str, set: &str, operation: &str) -> String {
    match state {
        "unlisted" if operation == OTHERS[0] => named("other", set),
        state => named(state, set),
    }
}

pub fn named(state: &str, set: &str) -> String {
    format!("{state}-{set}")
}

/// The rest of the lines of a caller.
fn granted(state: &str, set: &str) -> String {
    let scopes: Vec<&str> = match set {
        "none" => Vec::new(),
        "all" => Scope::ALL.iter().map(|scope| scope.as_str()).collect(),
        one => vec![one],
    };
    let mut lines = format!("scopes = {scopes:?}\n");
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
    lines
}

/// By tokens; also those of callers that there are and that have another, and those that somebody mistyped.
pub fn tokens() -> Callers<String> {
    let mut tokens = Callers::new("token", |name, _| {
        let (token, text) = Token::new(name).expect("randomness");
        canaries::know(&text);
        let sum: String = token.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
        (text, format!("token_sha256 = {sum:?}"))
    });
    for set in SETS {
        let (_, unknown) = Token::new(&format!("token-valid-{set}")).expect("randomness");
        tokens.by_name.insert(named("unknown", set), unknown);
        let mut typed = tokens.by_name[&named("valid", set)].clone().into_bytes();
        let last = typed.last_mut().expect("not empty");
        *last = if *last == b'0' { b'1' } else { b'0' };
        tokens.by_name.insert(named("malformed", set), String::from_utf8(typed).expect("text"));
    }
    tokens
}

/// By the user or the group at the other end of the Unix socket, by turns.
pub fn users() -> Callers<(u32, u32)> {
    let mut users = Callers::new("user", |_, index| {
        let index = u32::try_from(index).expect("few");
        let (uid, gid) = (IDS.0 + index, IDS.1 + index);
        ((uid, gid), if index % 2 == 0 { format!("uid = {uid}") } else { format!("gid = {gid}") })
    });
    users.by_name.insert(named("unknown", "none"), (IDS.0 - 1, IDS.1 - 1));
    users
}

/// By the SPIFFE ID or the subject of a certificate, by turns; and one of another CA that says what a known one says.
pub fn certificates(trusted: &Ca) -> Callers<Pair> {
    let id = |name: &str| format!("spiffe://example.org/{name}");
    let mut all = Callers::new("certificate", |name, index| match index % 2 {
        0 => (client(trusted, "x", Some(&id(name))), format!("spiffe = {:?}", id(name))),
        _ => (client(trusted, name, None), format!("subject = \"CN={name},O=Example\"")),
    });
    all.by_name.insert(named("unknown", "none"), client(trusted, "nobody", Some(&id("nobody"))));
    let valid = "certificate-valid-all";
    all.by_name.insert(named("forged", "all"), client(&ca(), valid, Some(&id(valid))));
    all
}
