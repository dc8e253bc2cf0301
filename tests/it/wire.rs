//! A wire between gizad and its provider that breaks, stalls, lies or repeats itself at every byte of the exchange that
//! buys. For each byte of the request and of the answer, and each of five mishaps, one server is bought, and what the
//! caller was told is held against the provider's own ledger.
//!
//! ```text
//! tests/postgres run cargo nextest run --test it wire::
//! ```

pub mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::proxy::{Act, Cut, Exchange, Way, Wire};
use super::ledger::{Folder, unique};
use super::market::{Provider, Told, buy, decided, operation_of};
use super::rig::Gateway;

/// Purchases from one provider: more would have more identifiers than three digits can count.
const SHARD: usize = 60;
/// What comes of it, and how often.
type Counts = BTreeMap<String, usize>;

/// A provider, the wire to it, and who buys over it.
struct Line {
    provider: Provider,
    wire: Wire,
    gateway: Gateway,
    _folder: Folder,
}

impl Line {
    async fn open() -> Self {
        let provider = Provider::open();
        provider.past_its_first_hundred().await;
        let wire = Wire::towards(&provider.url).await;
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).expect("a folder");
        let gateway = Gateway::towards(
            &wire.url,
            &[
                ("GIZAD_LEDGER_DIR", folder.path().to_str().expect("text")),
                ("GIZAD_UPSTREAM_TIMEOUT", "500ms"),
                ("GIZAD_PURCHASE_LOOK_EVERY", "500ms"),
                ("GIZAD_PURCHASE_QUIET", "1s"),
                ("GIZAD_PURCHASE_READINGS", "2"),
            ],
        );
        Self { provider, wire, gateway, _folder: folder }
    }

    /// Buys once over a wire on which that happens, however often it takes until it comes to be sent.
    async fn buy(&self, cut: Option<Cut>, number: usize) -> Bought {
        for attempt in 0..5 {
            let before = self.provider.carried_out().await.len();
            let hand = self.wire.arm(cut);
            let key = format!("{number}-{attempt}-{}", unique());
            let hostname = format!("w{number:04}a{attempt}");
            let answer = buy(&self.gateway, &key, &hostname).await;
            let told = Told::of(&answer);
            if self.wire.disarm() {
                assert_eq!(told, Told::NotSent, "nothing came over the wire: {}", answer.text);
                continue;
            }
            let exchange = hand.over.await.expect("the exchange ends");
            let executed = self.provider.carried_out().await.len() - before;
            let operation = operation_of(&answer);
            // The record answers from now on.
            if told != Told::NotSent {
                let again = buy(&self.gateway, &key, &hostname).await;
                assert_eq!(operation_of(&again), operation, "{cut:?}: {}", again.text);
                assert_eq!(again.header("idempotent-replayed"), "true", "{cut:?}: {}", again.text);
            }
            return Bought { cut, told, executed, operation, exchange };
        }
        panic!("{cut:?}: nothing can be sent: {}", self.gateway.log());
    }
}

/// One purchase, and what is known of it.
struct Bought {
    cut: Option<Cut>,
    told: Told,
    executed: usize,
    operation: String,
    exchange: Exchange,
}

impl Bought {
    /// Whether the provider was asked for something else than gizad asks for.
    fn is_garbled(&self) -> bool {
        self.cut.is_some_and(|cut| cut.way == Way::Request && cut.act == Act::Flip)
    }

    fn judge(&self) {
        let sound = match self.told {
            Told::Succeeded => self.executed == 1,
            Told::Refused | Told::NotSent => self.executed == 0,
            Told::Unknown => self.executed <= 1,
        };
        assert!(sound, "{:?}: told {:?}, carried out {} times", self.cut, self.told, self.executed);
    }

    fn judge_end(&self, state: &str) {
        let sound = match (self.executed, state) {
            (1, "FOUND") | (0, "ABSENT" | "NEEDS_OPERATOR") => true,
            // What was carried out is not what was asked for, and is not taken for it.
            (1, "NEEDS_OPERATOR") => self.is_garbled(),
            _ => false,
        };
        assert!(sound, "{:?}: carried out {} times, and {state}", self.cut, self.executed);
    }
}

/// Buys at all these places from one provider.
async fn shard(cuts: Vec<Cut>) -> Counts {
    let line = Line::open().await;
    let (mut counts, mut doubts, mut executed) = (Counts::new(), Vec::new(), 0);
    for (number, cut) in cuts.into_iter().enumerate() {
        let bought = line.buy(Some(cut), number).await;
        bought.judge();
        executed += bought.executed;
        *counts.entry(format!("told {:?}, carried out {}", bought.told, bought.executed)).or_default() += 1;
        if bought.told != Told::Unknown {
            continue;
        }
        if bought.executed == 1 && !bought.is_garbled() {
            // What it cost is explained before somebody else's evidence is looked at.
            let path = format!("/operations/{}/reconcile", bought.operation);
            let seen = line.gateway.rest("POST", &path, None).await;
            assert!(matches!(seen.status, 200 | 502 | 504), "{}", seen.text);
            bought.judge_end(&decided(&line.gateway, &bought.operation).await);
            *counts.entry("then FOUND".to_owned()).or_default() += 1;
        } else {
            doubts.push(bought);
        }
    }
    for bought in doubts {
        let state = decided(&line.gateway, &bought.operation).await;
        bought.judge_end(&state);
        *counts.entry(format!("then {state}")).or_default() += 1;
    }
    assert_eq!(line.provider.carried_out().await.len(), executed, "nothing is carried out later");
    counts
}

/// Does this at every byte, and returns what came of it.
#[expect(clippy::print_stdout, reason = "the counts are what the test is for")]
async fn sweep(act: Act, lines: usize) -> Counts {
    let whole = Line::open().await.buy(None, 0).await;
    assert_eq!((whole.told, whole.executed), (Told::Succeeded, 1));
    let (request, answer) = (whole.exchange.request.len(), whole.exchange.answer.len());
    let mut cuts = Vec::new();
    for (way, length) in [(Way::Request, request), (Way::Answer, answer)] {
        // Behind the last byte nothing can be changed or repeated.
        let end = if matches!(act, Act::Flip | Act::Twice) { length } else { length + 1 };
        cuts.extend((0..end).map(|at| Cut { way, at, act }));
    }
    let cases = cuts.len();
    let at_once = Arc::new(Semaphore::new(lines));
    let mut shards = JoinSet::new();
    // Neighbours are spread, so that no provider has all the slow ones.
    let count = cases.div_ceil(SHARD);
    for place in 0..count {
        let cuts = cuts.iter().skip(place).step_by(count).copied().collect();
        let at_once = at_once.clone();
        shards.spawn(async move {
            let _turn = at_once.acquire().await.expect("open");
            shard(cuts).await
        });
    }
    let mut counts = Counts::new();
    while let Some(shard) = shards.join_next().await {
        for (what, times) in shard.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())) {
            *counts.entry(what).or_default() += times;
        }
    }
    println!("{act:?}, request of {request} and answer of {answer} bytes, {cases} cases: {counts:?}");
    let told: usize =
        counts.iter().filter(|(what, _)| what.starts_with("told")).map(|(_, times)| times).sum();
    assert_eq!(told, cases, "each was judged");
    counts
}

fn assert_each(counts: &Counts, expected: &[&str]) {
    for what in expected {
        assert!(counts.contains_key(*what), "{what} never happened: {counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_ends_at_any_byte() {
    let counts = sweep(Act::End, 3).await;
    assert_each(
        &counts,
        &["told Unknown, carried out 0", "told Unknown, carried out 1", "then FOUND", "then ABSENT"],
    );
    assert_each(&counts, &["told Succeeded, carried out 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_is_reset_at_any_byte() {
    let counts = sweep(Act::Reset, 3).await;
    assert_each(
        &counts,
        &["told Unknown, carried out 0", "told Unknown, carried out 1", "then FOUND", "then ABSENT"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_stalls_at_any_byte() {
    let counts = sweep(Act::Stall, 12).await;
    assert_each(
        &counts,
        &["told Unknown, carried out 0", "told Unknown, carried out 1", "then FOUND", "then ABSENT"],
    );
    assert_each(&counts, &["told Succeeded, carried out 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_changes_a_bit_of_any_byte() {
    let counts = sweep(Act::Flip, 3).await;
    assert_each(
        &counts,
        &["told Unknown, carried out 0", "told Unknown, carried out 1", "then FOUND", "then ABSENT"],
    );
    assert_each(&counts, &["told Succeeded, carried out 1", "told Refused, carried out 0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_repeats_itself_from_any_byte() {
    let counts = sweep(Act::Twice, 3).await;
    assert_each(&counts, &["told Succeeded, carried out 1"]);
}

/// The one verdict that no byte on the wire can be the cause of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_that_is_not_there_is_proof_that_nothing_was_sent() {
    let mut line = Line::open().await;
    assert_eq!(line.buy(None, 0).await.told, Told::Succeeded);
    for number in 1..=5 {
        let (key, hostname) = (unique(), format!("away{number}"));
        line.wire.close().await;
        let answer = buy(&line.gateway, &key, &hostname).await;
        assert_eq!(Told::of(&answer), Told::NotSent, "{}", answer.text);
        assert_eq!((answer.status, answer.reason().as_str()), (503, "UPSTREAM_UNREACHABLE"));
        assert_eq!(line.provider.bought(&hostname).await, 0);
        line.wire.reopen().await;
        let answer = buy(&line.gateway, &key, &hostname).await;
        assert_eq!(Told::of(&answer), Told::Succeeded, "the same key tries again: {}", answer.text);
        assert_eq!(line.provider.bought(&hostname).await, 1);
    }
}
