//! What must be true in the end, held against the provider's own record: the invariants by their names, and the pace.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;

use serde_json::Value;

use super::callers::{Crowd, NAMES, Notes, Said, Wish};
use super::replica::{BURST, RATE, REPLICAS};
use crate::market::Provider;

/// What one purchase costs.
pub const PRICE: i64 = 149_000;
/// What the second caller may spend.
pub const BUDGET: i64 = 12 * PRICE;

/// How many replays are compared in each replica.
const REPLAYS: usize = 25;

/// The operations of a caller, as a replica shows them.
pub async fn operations(crowd: &Crowd, replica: usize, who: usize, filter: &str) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/operations?page_size=1000&page_token={token}{filter}");
        let (status, text) = crowd.rest(replica, who, "GET", &path, "", None).await?;
        let page: Value = serde_json::from_str(&text).ok().filter(|_| status == 200)?;
        all.extend(page["operations"].as_array()?.iter().cloned());
        token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return Some(all);
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Everything that is wrong.
pub async fn judge(crowd: &Crowd, provider: &Provider, before_vnd: i64) -> Vec<String> {
    let notes = &crowd.notes;
    let mut wrong = notes.wrong.lock().unwrap().clone();
    let mut executed: HashMap<String, usize> = HashMap::new();
    let mut gone = 0;
    for execution in
        provider.control("GET", "/ledger", serde_json::json!({})).await.as_array().expect("a list")
    {
        gone += execution["amount"].as_i64().expect("an amount");
        let said = text(execution, "description");
        let hostname = said.rsplit_once('(').map_or(said, |(_, rest)| rest.trim_end_matches(')'));
        *executed.entry(hostname.to_owned()).or_default() += 1;
    }
    let mut known: BTreeMap<(usize, String), Value> = BTreeMap::new();
    for who in 0..NAMES.len() {
        for operation in operations(crowd, 0, who, "").await.expect("the ledger is there") {
            if text(&operation, "method").ends_with("CreateVps") {
                let key = (who, text(&operation, "request_id").to_owned());
                if let Some(twice) = known.insert(key, operation) {
                    wrong.push(format!("I1: two operations of one key: {twice}"));
                }
            }
        }
    }
    let wishes = notes.wishes.lock().unwrap().clone();
    for wish in &wishes {
        let who = usize::from(wish.caller == NAMES[1]);
        let operation = known.get(&(who, wish.key.clone()));
        let times = executed.get(&wish.hostname).copied().unwrap_or(0);
        one(wish, operation, times, &mut wrong);
    }
    for hostname in notes.forbidden.lock().unwrap().iter().filter(|hostname| executed.contains_key(*hostname))
    {
        wrong.push(format!("I8: {hostname} was asked for under another's key, and was carried out"));
    }
    let wished: BTreeSet<&str> = wishes.iter().map(|wish| wish.hostname.as_str()).collect();
    for hostname in executed.keys().filter(|hostname| !wished.contains(hostname.as_str())) {
        wrong.push(format!("I5: {hostname} was carried out, and nobody has wished for it"));
    }
    money(&known, &executed, gone, before_vnd, provider, &mut wrong).await;
    histories(crowd, &known, &mut wrong).await;
    replays(crowd, notes, &wishes, &known, &mut wrong).await;
    wrong
}

/// One wish: what was said of it, what is written down, and how often it was carried out.
fn one(wish: &Wish, operation: Option<&Value>, times: usize, wrong: &mut Vec<String>) {
    let Wish { caller, key, hostname, said } = wish;
    let state = operation.map_or("", |operation| text(operation, "state"));
    if times > 1 {
        wrong.push(format!("I1: {key} of {caller} was carried out {times} times ({hostname})"));
    }
    let told_success = said.iter().any(|said| matches!(said, Said::Success(_)));
    if told_success && (times != 1 || !["SUCCEEDED", "FOUND"].contains(&state)) {
        wrong
            .push(format!("I2: {key} of {caller} was told to have succeeded, {times} times, and is {state}"));
    }
    if said.contains(&Said::Refused) && times > 0 && !told_success {
        wrong.push(format!("I4: {key} of {caller} was told to have been refused, and was carried out"));
    }
    if said.iter().all(|said| matches!(said, Said::NotSent(_))) && times > 0 {
        wrong.push(format!(
            "I4: {key} of {caller} was told that nothing was sent, and it was carried out: {said:?}"
        ));
    }
    match state {
        "SUCCEEDED" | "FOUND" if times != 1 => {
            wrong.push(format!("I2: {key} of {caller} is {state}, and was carried out {times} times"));
        }
        "SENDING" | "IN_DOUBT" => wrong.push(format!("I7: {key} of {caller} is still {state}")),
        "" | "NOT_SENT" | "REFUSED" | "FAILED_NOT_SENT" | "ABSENT" if times > 0 => {
            wrong.push(format!("I5: {key} of {caller} was carried out, and is {state:?}"));
        }
        _ => {}
    }
}

async fn money(
    known: &BTreeMap<(usize, String), Value>,
    executed: &HashMap<String, usize>,
    gone: i64,
    before_vnd: i64,
    provider: &Provider,
    wrong: &mut Vec<String>,
) {
    let balance = provider.control("GET", "/state", serde_json::json!({})).await["balance"]
        .as_i64()
        .expect("a balance");
    let of = |name: &str| known.values().map(|operation| operation[name].as_i64().unwrap_or(0)).sum::<i64>();
    let (posted, held) = (of("posted_vnd"), of("held_vnd"));
    let open = executed.values().sum::<usize>() as i64 * PRICE - posted;
    if before_vnd - balance != gone || gone < posted || open > held {
        wrong.push(format!(
            "I6: {} are gone from the wallet, {gone} were carried out, {posted} posted and {held} in doubt",
            before_vnd - balance
        ));
    }
    let budget: i64 = known
        .iter()
        .filter(|((who, _), _)| *who == 1)
        .map(|(_, operation)| {
            operation["posted_vnd"].as_i64().unwrap_or(0) + operation["held_vnd"].as_i64().unwrap_or(0)
        })
        .sum();
    let bought = executed.keys().filter(|hostname| hostname.starts_with(NAMES[1])).count() as i64 * PRICE;
    if budget > BUDGET || bought > BUDGET {
        wrong.push(format!(
            "I12: {budget} spent and set aside, {bought} carried out, of a budget of {BUDGET}"
        ));
    }
}

/// The last states never change, and a doubt ends once.
async fn histories(crowd: &Crowd, known: &BTreeMap<(usize, String), Value>, wrong: &mut Vec<String>) {
    const LAST: [&str; 5] = ["SUCCEEDED", "REFUSED", "FAILED_NOT_SENT", "FOUND", "ABSENT"];
    for ((who, key), operation) in known {
        let id = text(operation, "operation_id");
        let path = format!("/operations/{id}");
        let Some((200, shown)) = crowd.rest(key.len(), *who, "GET", &path, "", None).await else {
            wrong.push(format!("I9: {key} is not shown to its own caller"));
            continue;
        };
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let history = shown["history"].as_array().cloned().unwrap_or_default();
        let states: Vec<&str> = history.iter().map(|event| text(event, "state")).collect();
        let ends = states.iter().position(|state| LAST.contains(state));
        let doubts = states.iter().filter(|state| **state == "IN_DOUBT").count();
        if ends.is_some_and(|end| end + 1 != states.len()) || doubts > 1 {
            wrong.push(format!("I11: {key} went through {states:?}"));
        }
        if let Some((200..300, other)) = crowd.rest(key.len() + 1, 1 - who, "GET", &path, "", None).await {
            wrong.push(format!("I9: {key} is shown to another caller: {other}"));
        }
    }
}

/// Whichever replica is asked again, it gives the answer that was given first.
async fn replays(
    crowd: &Crowd,
    notes: &Notes,
    wishes: &[Wish],
    known: &BTreeMap<(usize, String), Value>,
    wrong: &mut Vec<String>,
) {
    let mut compared = 0;
    let told = wishes.iter().filter_map(|wish| {
        let first = wish.said.iter().find_map(|said| match said {
            Said::Success(text) if !text.is_empty() => Some(text),
            _ => None,
        });
        first.map(|first| (wish, first))
    });
    for (number, (wish, first)) in told.take(REPLAYS * REPLICAS).enumerate() {
        let who = usize::from(wish.caller == NAMES[1]);
        match crowd.buy(number, who, &wish.key, &wish.hostname).await {
            Said::Success(again) if again == *first => compared += 1,
            other => wrong.push(format!("I10: {} was told {first}, and is now told {other:?}", wish.key)),
        }
        if !known.contains_key(&(who, wish.key.clone())) {
            wrong.push(format!("I2: {} was told to have succeeded, and is in no ledger", wish.key));
        }
    }
    notes.counts.lock().unwrap().insert("replays compared".to_owned(), compared);
}

/// A window of time, as the provider has counted in it.
pub struct Window {
    pub from_us: u64,
    pub until_us: u64,
    pub calls: usize,
    /// By how many calls these are more than burst and rate allow.
    pub excess: f64,
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from_us, until_us, calls, excess } = self;
        write!(
            f,
            "the busiest window has {calls} calls from {from_us} to {until_us} µs, {excess:.1} more than may be"
        )
    }
}

/// The window of any length that exceeds the pace most, or comes nearest to it.
pub fn busiest(arrived_us: &[u64]) -> Window {
    // What came by then, less what may have come.
    let ahead = |number: usize, at: u64| number as f64 - RATE * (at as f64) / 1e6;
    let mut least = (0, arrived_us[0]);
    let mut most = Window { from_us: least.1, until_us: least.1, calls: 1, excess: 1.0 - BURST };
    for (number, at) in arrived_us.iter().copied().enumerate() {
        if ahead(number, at) < ahead(least.0, least.1) {
            least = (number, at);
        }
        // From one call to a later one, both counted.
        let excess = ahead(number, at) - ahead(least.0, least.1) + 1.0 - BURST;
        if excess > most.excess {
            most = Window { from_us: least.1, until_us: at, calls: number - least.0 + 1, excess };
        }
    }
    most
}

/// What is written down has not been changed, and nothing of it is missing.
pub fn verify(url: &str, provider: &str) -> Result<String, String> {
    let verified = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["ledger", "verify"])
        .env("GIZAD_SHARED_URL", url)
        .env("GIZAD_UPSTREAM_URL", provider)
        .env("GIZAD_CREDENTIALS_IDENTIFIER", "IDENTIFIER-canary-41")
        .env("GIZAD_CREDENTIALS_SECRET", "SECRET-canary-42")
        .output()
        .expect("it runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if verified.status.success() {
        Ok(said(&verified.stdout))
    } else {
        Err(format!("{}: {} {}", verified.status, said(&verified.stdout), said(&verified.stderr)))
    }
}
