//! The memory, with a provider that does what it is told and a clock that stands still.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

use proptest::prelude::*;
use prost_reflect::{Kind, Value};
use serde_json::{Map, json};
use tokio::task::JoinSet;
use tokio::time::{advance, sleep};
use tokio_util::task::TaskTracker;

use super::*;
use crate::contract::{Contract, any};
use crate::fault::Sent;
use crate::policy::KeptReply;
use crate::policy::play::{Provider, call, of_effect};

const CATALOG: &str = "CatalogService.ListVpsPlans";
const WALLET: &str = "WalletService.GetWallet";
/// An operation whose request can say anything.
const INVOICES: &str = "InvoiceService.ListInvoices";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn options() -> Options {
    let brief = Lifetime { ttl: seconds(10), ..Lifetime::default() };
    Options {
        bytes: 1 << 20,
        catalog: Lifetime {
            ttl: seconds(60),
            stale_while_revalidate: seconds(30),
            stale_if_error: seconds(600),
        },
        operations: BTreeMap::from([(WALLET.to_owned(), brief), (INVOICES.to_owned(), brief)]),
        least_age: seconds(1),
        patience: seconds(2),
    }
}

fn shelf() -> Arc<Shelf> {
    Arc::new(Shelf::new(&options(), TaskTracker::new()))
}

fn cache(provider: &Provider) -> Cache<Provider> {
    Cache::new(shelf(), provider.clone())
}

async fn taken(cache: &Cache<Provider>, call: Call) -> Taken {
    cache.clone().oneshot(call).await.expect("a reply").memory.expect("of a read").taken
}

/// A call with a parameter.
fn saying(number: i32) -> Call {
    let mut call = call(INVOICES);
    let extra = call.operation.input.extra().expect("has one");
    let Kind::Message(kind) = extra.descriptor.kind() else { panic!("a Struct") };
    let members = Map::from_iter([("n".to_owned(), json!(number))]);
    call.request.set_field(&extra.descriptor, Value::Message(any::structure(&kind, &members)));
    call
}

/// Lets tasks in the background run.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn down() -> Fault {
    Fault::new(Reason::UpstreamUnreachable, "")
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
    advance(seconds(59)).await;
    let reply = cache.clone().oneshot(call(CATALOG)).await.expect("a reply");
    let memory = reply.memory.expect("of a read");
    assert_eq!((memory.taken, memory.age, memory.public), (Taken::Hit, seconds(59), true));
    assert_eq!(provider.seen(), 1);
    advance(seconds(31 + 60)).await;
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Expired);
    assert_eq!(provider.seen(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_parameters_and_other_operations_are_other_answers() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    assert_eq!(taken(&cache, saying(1)).await, Taken::Missing);
    assert_eq!(taken(&cache, saying(2)).await, Taken::Missing);
    assert_eq!(taken(&cache, saying(1)).await, Taken::Hit);
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
    assert_eq!(taken(&cache, call("CatalogService.ListHostingPlans")).await, Taken::Missing);
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_given_while_one_asks_anew() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    taken(&cache, call(CATALOG)).await;
    advance(seconds(61)).await;
    for _ in 0..50 {
        assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Revalidating);
    }
    settle().await;
    assert_eq!(provider.seen(), 2, "one asks for all");
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_not_tried_at_every_call() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    taken(&cache, call(CATALOG)).await;
    provider.fail(down());
    advance(seconds(61)).await;
    for _ in 0..50 {
        assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Revalidating);
        settle().await;
    }
    assert_eq!(provider.seen(), 2);
    advance(seconds(5)).await;
    taken(&cache, call(CATALOG)).await;
    settle().await;
    assert_eq!(provider.seen(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_better_than_none() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    taken(&cache, call(CATALOG)).await;
    advance(seconds(60 + 31)).await;
    provider.fail(down());
    let instead = Taken::InsteadOfError("UPSTREAM_UNREACHABLE", false);
    assert_eq!(taken(&cache, call(CATALOG)).await, instead);
    // A refusal is an answer.
    provider.fail(Fault::new(Reason::InvalidArgument, "").sent(Sent::Answered));
    assert_eq!(
        cache.clone().oneshot(call(CATALOG)).await.expect_err("refused").reason,
        Reason::InvalidArgument
    );
    // And too old is too old.
    provider.fail(down());
    advance(seconds(600)).await;
    let fault = cache.clone().oneshot(call(CATALOG)).await.expect_err("nothing to give");
    assert_eq!(fault.reason, Reason::UpstreamUnreachable);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_waited_for_no_longer_than_there_is_patience() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    taken(&cache, call(CATALOG)).await;
    advance(seconds(100)).await;
    let slow = Cache::new(cache.shelf.clone(), Provider::slow(seconds(3)));
    let begun = ambient::instant();
    assert_eq!(taken(&slow, call(CATALOG)).await, Taken::InsteadOfError("UPSTREAM_TIMEOUT", true));
    assert_eq!(begun.elapsed(), seconds(2));
    sleep(seconds(2)).await;
    assert_eq!(taken(&slow, call(CATALOG)).await, Taken::Hit, "and what came too late is kept");
}

#[tokio::test(start_paused = true)]
async fn only_successes_are_kept_and_only_those_without_noise() {
    let provider = Provider::failing(down());
    let cache = cache(&provider);
    assert!(cache.clone().oneshot(call(CATALOG)).await.is_err());
    provider.recover();
    provider.be_noisy();
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
    assert_eq!(provider.seen(), 3);
}

#[tokio::test(start_paused = true)]
async fn secrets_and_writes_are_never_kept() {
    for effect in [Effect::Secret, Effect::Converge, Effect::Once, Effect::Spend] {
        let provider = Provider::fine();
        let cache = cache(&provider);
        for _ in 0..3 {
            let reply = cache.clone().oneshot(of_effect(effect)).await.expect("a reply");
            assert_eq!(reply.memory, None);
        }
        assert_eq!((provider.seen(), cache.shelf.size().0), (3, 0), "{effect}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_accounts_own_data_is_kept_only_where_the_settings_say_so() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    assert_eq!(taken(&cache, call(WALLET)).await, Taken::Missing);
    assert_eq!(taken(&cache, call(WALLET)).await, Taken::Hit);
    for _ in 0..2 {
        assert_eq!(taken(&cache, call("VpsService.ListVps")).await, Taken::Bypassed);
    }
    assert_eq!(provider.seen(), 3);
}

#[tokio::test(start_paused = true)]
async fn every_write_forgets_the_account_and_a_purchase_spoils_the_catalog() {
    for (effect, spoils) in [(Effect::Converge, false), (Effect::Once, false), (Effect::Spend, true)] {
        for outcome in [None, Some(Fault::new(Reason::OutcomeUnknown, "").sent(Sent::Maybe))] {
            let provider = Provider::fine();
            let cache = cache(&provider);
            taken(&cache, call(WALLET)).await;
            taken(&cache, call(CATALOG)).await;
            if let Some(fault) = outcome {
                provider.fail(fault);
            }
            let _either = cache.clone().oneshot(of_effect(effect)).await;
            provider.recover();
            assert_eq!(taken(&cache, call(WALLET)).await, Taken::Missing, "{effect}");
            let reply = cache.clone().oneshot(call(CATALOG)).await.expect("a reply");
            let memory = reply.memory.expect("of a read");
            assert_eq!(memory.taken, if spoils { Taken::Revalidating } else { Taken::Hit }, "{effect}");
            assert_eq!(memory.age >= memory.lifetime.ttl, spoils, "{effect}: not shown as fresh");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_or_during_a_write_is_not_kept_after_it() {
    let slow = Provider::slow(seconds(2));
    let cache = cache(&slow);
    // A read that begins before the write and ends after it.
    let before = tokio::spawn(cache.clone().oneshot(call(WALLET)));
    sleep(seconds(1)).await;
    let write = Cache::new(cache.shelf.clone(), Provider::slow(Duration::from_millis(500)));
    write.oneshot(of_effect(Effect::Converge)).await.expect("a reply");
    before.await.expect("no panic").expect("a reply");
    assert_eq!(taken(&cache, call(WALLET)).await, Taken::Missing);
    // A write whose caller was told that its outcome is unknown, and that is still running.
    let running = Cache::new(cache.shelf.clone(), Provider::hanging());
    let running = tokio::spawn(running.oneshot(of_effect(Effect::Spend)));
    settle().await;
    for _ in 0..2 {
        assert_eq!(taken(&cache, call(WALLET)).await, Taken::Missing);
    }
    running.abort();
    settle().await;
    taken(&cache, call(WALLET)).await;
    assert_eq!(taken(&cache, call(WALLET)).await, Taken::Hit);
}

/// How an answer of a read is told.
async fn told(cache: &Cache<Provider>, call: Call) -> call::Memory {
    cache.clone().oneshot(call).await.expect("a reply").memory.expect("of a read")
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_not_said_to_be() {
    let slow = Provider::slow(seconds(2));
    let cache = cache(&slow);
    for operation in [CATALOG, WALLET] {
        assert!(told(&cache, call(operation)).await.kept);
        advance(seconds(1000)).await;
    }
    let write = Cache::new(cache.shelf.clone(), Provider::slow(seconds(1)));
    let during = tokio::spawn({
        let cache = cache.clone();
        async move { told(&cache, call(WALLET)).await }
    });
    settle().await;
    write.oneshot(of_effect(Effect::Converge)).await.expect("a reply");
    assert!(!during.await.expect("no panic").kept, "a write came in between");
    let purged = tokio::spawn({
        let cache = cache.clone();
        async move { told(&cache, call("CatalogService.ListEmailPlans")).await }
    });
    settle().await;
    let _forgotten = cache.shelf.purge(None);
    assert!(!purged.await.expect("no panic").kept, "it was asked for before the purge");
    let secretly = Wishes { no_store: true, ..Wishes::default() };
    assert!(!told(&cache, Call { wishes: secretly, ..call(CATALOG) }).await.kept);
    assert_eq!(cache.shelf.size().0, 0);
    slow.be_noisy();
    assert!(!told(&cache, call(CATALOG)).await.kept);
}

#[tokio::test(start_paused = true)]
async fn the_age_counts_from_when_the_provider_was_asked_and_the_latest_answer_stays() {
    let cache = cache(&Provider::slow(seconds(20)));
    let first = tokio::spawn(cache.clone().oneshot(call(CATALOG)));
    sleep(seconds(19)).await;
    // It begins later and ends earlier.
    let quick = Cache::new(cache.shelf.clone(), Provider::slow(Duration::from_millis(500)));
    assert_eq!(told(&quick, call(CATALOG)).await.age, Duration::from_millis(500));
    let memory = first.await.expect("no panic").expect("a reply").memory.expect("of a read");
    assert_eq!((memory.age, memory.kept), (seconds(20), false));
    assert_eq!(told(&cache, call(CATALOG)).await.age, seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_never_sent_forgets_nothing() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    for operation in [CATALOG, WALLET] {
        taken(&cache, call(operation)).await;
    }
    for effect in [Effect::Converge, Effect::Once, Effect::Spend] {
        provider.fail(Fault::new(Reason::QuotaExceeded, ""));
        assert!(cache.clone().oneshot(of_effect(effect)).await.is_err());
        provider.recover();
        for operation in [CATALOG, WALLET] {
            assert_eq!(taken(&cache, call(operation)).await, Taken::Hit, "{effect}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_anew_but_not_at_every_moment() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    let anew = || Call { wishes: Wishes { no_cache: true, ..Wishes::default() }, ..call(CATALOG) };
    let young =
        |age| Call { wishes: Wishes { max_age: Some(seconds(age)), ..Wishes::default() }, ..call(CATALOG) };
    let from_memory =
        || Call { wishes: Wishes { only_if_cached: true, ..Wishes::default() }, ..call(CATALOG) };
    let nothing = cache.clone().oneshot(from_memory()).await.expect_err("nothing there");
    assert_eq!(nothing.reason, Reason::NotCached);
    taken(&cache, call(CATALOG)).await;
    assert_eq!(taken(&cache, anew()).await, Taken::Hit, "it is brand new");
    advance(seconds(5)).await;
    assert_eq!(taken(&cache, young(5)).await, Taken::Hit);
    assert_eq!(taken(&cache, young(4)).await, Taken::Requested);
    advance(seconds(5)).await;
    assert_eq!(taken(&cache, anew()).await, Taken::Requested);
    assert_eq!(taken(&cache, from_memory()).await, Taken::Hit);
    for operation in ["VpsService.ListVps", "VpsService.OpenVpsConsole"] {
        let wishes = Wishes { only_if_cached: true, ..Wishes::default() };
        let fault = cache.clone().oneshot(Call { wishes, ..call(operation) }).await.expect_err("never kept");
        assert_eq!(fault.reason, Reason::NotCached);
    }
    // Who wants it new does not get it old because the provider is down.
    provider.fail(down());
    advance(seconds(5)).await;
    assert!(cache.clone().oneshot(anew()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_kept_though_its_caller_has_gone() {
    let provider = Provider::slow(seconds(1));
    let cache = cache(&provider);
    let gone = timeout(Duration::from_millis(10), cache.clone().oneshot(call(CATALOG)));
    assert!(gone.await.is_err());
    sleep(seconds(2)).await;
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Hit);
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_more_than_it_may() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    cache.shelf.change(&Options { bytes: 20_000, ..options() });
    let mut calls = JoinSet::new();
    for number in 0..500 {
        calls.spawn(cache.clone().oneshot(saying(number)));
    }
    while calls.join_next().await.is_some() {}
    let (answers, bytes) = cache.shelf.size();
    assert!(bytes <= 20_000 && answers > 10, "{answers} answers in {bytes} bytes");
    cache.shelf.change(&Options { bytes: 0, ..options() });
    assert_eq!(cache.shelf.size(), (0, 0));
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
}

#[tokio::test(start_paused = true)]
async fn what_is_recalled_is_what_memory_says_at_that_moment() {
    let provider = Provider::fine();
    let cache = cache(&provider);
    let operation = call(CATALOG).operation;
    let recall = || cache.shelf.recall(operation, ambient::instant());
    let age = || recall().map(|reply| reply.memory.expect("of a read").age);
    assert_eq!(age(), None, "nothing is kept");
    taken(&cache, call(CATALOG)).await;
    advance(Duration::from_millis(1_900)).await;
    let first = recall().expect("kept");
    assert!(Arc::ptr_eq(&first, &recall().expect("kept")), "within a second it is the same");
    assert_eq!(age(), Some(seconds(1)), "as a header shows it");
    advance(Duration::from_millis(200)).await;
    assert_eq!(age(), Some(seconds(2)));
    // Whatever happens to the memory happens to it at once.
    let anew = Call { wishes: Wishes { no_cache: true, ..Wishes::default() }, ..call(CATALOG) };
    cache.clone().oneshot(anew).await.expect("asked anew");
    assert_eq!(age(), Some(Duration::ZERO));
    cache.shelf.purge(Some("CatalogService.ListEmailPlans"));
    assert_eq!(age(), Some(Duration::ZERO));
    cache.clone().oneshot(of_effect(Effect::Spend)).await.expect("bought");
    assert_eq!(age(), None, "what is in stock may have changed");
    taken(&cache, call(CATALOG)).await;
    settle().await;
    assert_eq!(age(), Some(Duration::ZERO));
    cache.shelf.purge(None);
    assert_eq!(age(), None);
    taken(&cache, call(CATALOG)).await;
    let brief = Lifetime { ttl: Duration::from_millis(1_500), ..options().catalog };
    cache.shelf.change(&Options { catalog: brief, ..options() });
    advance(Duration::from_millis(1_400)).await;
    let lifetime = recall().expect("still fresh").memory.expect("of a read").lifetime;
    assert_eq!(lifetime, brief, "the settings of now");
    advance(Duration::from_millis(100)).await;
    assert_eq!(age(), None, "no longer fresh");
    cache.shelf.change(&options());
    assert_eq!(age(), Some(seconds(1)));
    cache.shelf.change(&Options { bytes: 0, ..options() });
    assert_eq!(age(), None);
}

#[tokio::test(start_paused = true)]
async fn a_purge_forgets_all_or_one() {
    let cache = cache(&Provider::fine());
    for operation in [CATALOG, "CatalogService.ListEmailPlans", WALLET] {
        taken(&cache, call(operation)).await;
    }
    assert_eq!(cache.shelf.purge(Some(CATALOG)), 1);
    assert_eq!(taken(&cache, call(CATALOG)).await, Taken::Missing);
    assert_eq!(cache.shelf.purge(None), 3);
    assert_eq!(cache.shelf.size(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_catalog_survives_a_restart_and_nothing_else_does() {
    let provider = Provider::fine();
    let before = cache(&provider);
    taken(&before, call(CATALOG)).await;
    taken(&before, call(WALLET)).await;
    let mut kept = before.shelf.kept();
    assert_eq!(kept.len(), 1);
    // A day has passed by the wall clock.
    kept[0].asked_unix_ms -= 86_400_000;
    let contract = Contract::embedded().expect("sound");
    let after = cache(&Provider::failing(down()));
    let week = Lifetime { stale_if_error: seconds(7 * 86_400), ..options().catalog };
    after.shelf.change(&Options { catalog: week, ..options() });
    // Paused clocks begin near their origin; a day before it is only there after a day.
    advance(seconds(2 * 86_400)).await;
    let broken = KeptReply { reply: vec![255], ..kept[0].clone() };
    let unknown = KeptReply { operation: "CatalogService.Gone".into(), ..kept[0].clone() };
    let account = KeptReply { operation: WALLET.into(), ..kept[0].clone() };
    after.shelf.restore(contract, &[broken, unknown, account]);
    assert_eq!(after.shelf.size().0, 0);
    after.shelf.restore(contract, &kept);
    let reply = after.clone().oneshot(call(CATALOG)).await.expect("from disk");
    let memory = reply.memory.expect("of a read");
    assert_eq!(memory.taken, Taken::InsteadOfError("UPSTREAM_UNREACHABLE", false));
    assert!(memory.age >= seconds(86_400));
}

proptest! {
    /// The table, by its rules: never fresh when it is not, never asked for without need, never refused without wish.
    #[test]
    fn the_table_keeps_its_rules(
        age in 0u64..200, spoiled: bool, ttl in 1u64..100, meanwhile in 0u64..50, on_error in 0u64..200,
        no_cache: bool, max_age in prop::option::of(0u64..200), only_if_cached: bool, least_age in 0u64..5,
    ) {
        let lifetime = Lifetime {
            ttl: seconds(ttl),
            stale_while_revalidate: seconds(meanwhile),
            stale_if_error: seconds(on_error),
        };
        let wishes = Wishes { no_cache: no_cache && !only_if_cached, max_age: max_age.map(seconds), only_if_cached, no_store: false };
        let decision = decide(Some((seconds(age), spoiled)), lifetime, wishes, seconds(least_age));
        let fresh = !spoiled && age < ttl;
        match decision {
            Decision::Serve => {
                prop_assert!(fresh);
                let old_enough_to_ask = age >= least_age;
                prop_assert!(only_if_cached || !old_enough_to_ask || max_age.is_none_or(|most| age <= most));
                prop_assert!(!wishes.no_cache || !old_enough_to_ask);
            }
            Decision::ServeAndRefresh => {
                prop_assert!(!fresh && max_age.is_none_or(|most| age <= most) && !wishes.no_cache);
                prop_assert!(age < ttl + meanwhile || (only_if_cached && age < ttl + on_error));
            }
            Decision::Ask { why: Taken::Requested, fall_back } => {
                prop_assert!(!fall_back && !only_if_cached && age >= least_age);
                prop_assert!(wishes.no_cache || max_age.is_some_and(|most| age > most));
            }
            Decision::Ask { why: Taken::Expired, fall_back } => {
                prop_assert!(!fresh && !only_if_cached);
                // What a write has spoiled is stale from that moment, however young.
                prop_assert_eq!(fall_back, age.saturating_sub(ttl) < on_error);
            }
            Decision::Ask { .. } => prop_assert!(false, "something is kept"),
            Decision::Refuse => prop_assert!(only_if_cached),
        }
    }
}
