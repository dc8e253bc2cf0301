//! Plays of several replicas that want the same of the catalog: who asks, and what is fresh.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tokio::time::advance;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::*;
use crate::ambient;
use crate::call::{Deadline, Lifetime, Memory, Taken, Wishes};
use crate::fault::{Fault, Reason};
use crate::policy::Answer;
use crate::policy::cache::{Cache, Options, Shelf};
use crate::policy::play::{Provider, call};
use crate::shared::play::{ACCOUNT, Replica, Server};
use crate::shared::{Hearing, Notice, Told};

const CATALOG: &str = "CatalogService.ListVpsPlans";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A replica whose provider is another's, too.
struct House {
    cache: Cache<Provider>,
    replica: Replica,
}

impl House {
    /// One that knows what all others do, for an hour.
    async fn new(server: &Server, name: &str, provider: &Provider) -> Self {
        let house = Self::deaf(server, name, provider);
        house.hears(seconds(3600)).await;
        house
    }

    /// One that has not heard anything yet.
    fn deaf(server: &Server, name: &str, provider: &Provider) -> Self {
        let catalog = Lifetime {
            ttl: seconds(60),
            stale_while_revalidate: seconds(3600),
            stale_if_error: seconds(3600),
        };
        let options = Options {
            bytes: 1 << 20,
            catalog,
            operations: BTreeMap::new(),
            least_age: seconds(1),
            patience: seconds(2),
        };
        let (shelf, replica) = (Arc::new(Shelf::new(&options, TaskTracker::new())), server.replica(name));
        shelf.is_shared_by(Arc::new(replica.clone()));
        let (mut notices, hearing) = (replica.notices(), shelf.clone());
        tokio::spawn(async move {
            while let Ok(notice) = notices.recv().await {
                let Notice::Said(said) = notice else { continue };
                match Told::read(ACCOUNT, &said) {
                    Some(Told::Answered(name)) => hearing.answered(&name),
                    Some(Told::Written(operation, is_sent)) => hearing.written(&operation, is_sent),
                    _ => {}
                }
            }
        });
        Self { cache: Cache::new(shelf, provider.clone()), replica }
    }

    async fn hears(&self, good_for: Duration) {
        let pulse = self.replica.pulse().await.expect("there");
        self.cache.shelf.hears(&pulse, good_for);
    }

    async fn ask(&self, call: Call) -> Answer {
        self.cache.clone().oneshot(call).await
    }

    async fn memory(&self) -> Memory {
        self.ask(call(CATALOG)).await.expect("a reply").memory.expect("of a read")
    }

    async fn taken(&self) -> Taken {
        self.memory().await.taken
    }
}

/// Lets tasks in the background run.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn four_cold_replicas_ask_once_and_a_hit_costs_no_statement() {
    let (server, provider) = (Server::new(), Provider::slow(seconds(1)));
    let mut houses = Vec::new();
    for name in ["a", "b", "c", "d"] {
        houses.push(House::new(&server, name, &provider).await);
    }
    let calls = houses.iter().flat_map(|house| std::iter::repeat_n(house, 25));
    let mut under_way: JoinSet<Answer> =
        calls.map(|house| house.cache.clone().oneshot(call(CATALOG))).collect();
    while let Some(answer) = under_way.join_next().await {
        assert!(answer.expect("no panic").is_ok());
    }
    // Those of one replica at the same time are one call below, which the layer does that shares them.
    assert_eq!(provider.seen(), 25, "one replica asks, for each of its own");
    settle().await;
    let statements = server.statements();
    for house in houses.iter().cycle().take(1000) {
        assert_eq!(house.taken().await, Taken::Hit);
    }
    assert_eq!((provider.seen(), server.statements()), (25, statements));
    // Three for the first, and one for whoever comes later.
    let late = House::new(&server, "e", &provider).await;
    let statements = server.statements();
    assert_eq!(late.taken().await, Taken::Hit);
    assert_eq!((provider.seen(), server.statements()), (25, statements + 1));
}

#[tokio::test(start_paused = true)]
async fn what_another_was_told_is_as_old_as_it_is() {
    let (server, provider) = (Server::new(), Provider::fine());
    let (a, b) = (House::new(&server, "a", &provider).await, House::new(&server, "b", &provider).await);
    assert_eq!(a.taken().await, Taken::Missing);
    settle().await;
    advance(seconds(40)).await;
    let shown = b.memory().await;
    assert_eq!((shown.taken, shown.kept, provider.seen()), (Taken::Hit, true, 1));
    assert!((seconds(40)..seconds(41)).contains(&shown.age), "{:?}", shown.age);
    advance(seconds(21)).await;
    assert_eq!(b.taken().await, Taken::Revalidating);
    settle().await;
    assert_eq!((b.taken().await, provider.seen()), (Taken::Hit, 2));
    // Who wants it younger than anybody has it asks, and all have it.
    advance(seconds(5)).await;
    let wishes = Wishes { max_age: Some(seconds(2)), ..Wishes::default() };
    let asked = b.ask(Call { wishes, ..call(CATALOG) }).await.expect("a reply").memory.expect("of a read");
    assert_eq!((asked.taken, provider.seen()), (Taken::Requested, 3));
    settle().await;
    let c = House::new(&server, "c", &provider).await;
    let shown = c.memory().await;
    assert!(shown.taken == Taken::Hit && shown.age < seconds(1), "{shown:?}");
    advance(seconds(5)).await;
    let wishes = Wishes { no_cache: true, ..Wishes::default() };
    assert!(a.ask(Call { wishes, ..call(CATALOG) }).await.is_ok());
    settle().await;
    let d = House::new(&server, "d", &provider).await;
    let shown = d.memory().await;
    assert!(shown.taken == Taken::Hit && shown.age < seconds(1), "{shown:?}");
    assert_eq!(provider.seen(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_purchase_is_not_taken_over_whatever_was_heard() {
    let (server, provider) = (Server::new(), Provider::fine());
    let a = House::new(&server, "a", &provider).await;
    assert_eq!(a.taken().await, Taken::Missing);
    settle().await;
    let b = House::new(&server, "b", &provider).await;
    b.replica.deafen(true);
    server.writes("op", true);
    server.writes("op", false);
    assert_eq!(b.taken().await, Taken::Missing);
    assert_eq!(provider.seen(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_not_fresh_from_the_first_word_of_a_purchase_on() {
    let (server, provider) = (Server::new(), Provider::fine());
    let b = House::new(&server, "b", &provider).await;
    assert_eq!(b.taken().await, Taken::Missing);
    assert_eq!(b.taken().await, Taken::Hit);
    server.writes("op", true);
    settle().await;
    // Before its end is heard its buyer may have been answered.
    for _ in 0..20 {
        let shown = b.memory().await;
        assert!(shown.taken == Taken::Revalidating && shown.age >= shown.lifetime.ttl, "{shown:?}");
        settle().await;
    }
    assert_eq!(provider.seen(), 1, "it would not be fresh either");
    let wishes = Wishes { no_cache: true, ..Wishes::default() };
    advance(seconds(2)).await;
    assert!(b.ask(Call { wishes, ..call(CATALOG) }).await.is_ok());
    assert_eq!(b.taken().await, Taken::Revalidating, "what was asked for meanwhile is no better");
    server.writes("op", false);
    settle().await;
    assert_eq!(b.taken().await, Taken::Revalidating);
    settle().await;
    assert_eq!((b.taken().await, provider.seen()), (Taken::Hit, 3), "asked for once after it");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_purchase_and_comes_after_it_is_not_fresh() {
    let (server, provider) = (Server::new(), Provider::slow(seconds(10)));
    let b = House::new(&server, "b", &provider).await;
    let asking = tokio::spawn(b.cache.clone().oneshot(call(CATALOG)));
    advance(seconds(1)).await;
    settle().await;
    server.writes("op", true);
    server.writes("op", false);
    settle().await;
    assert!(asking.await.expect("no panic").is_ok());
    assert_eq!(b.taken().await, Taken::Revalidating);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_hear_takes_nothing_for_fresh_and_does_not_ask_at_every_call() {
    let (server, provider) = (Server::new(), Provider::fine());
    let b = House::deaf(&server, "b", &provider);
    assert_eq!(b.taken().await, Taken::Missing);
    b.hears(Duration::from_millis(2700)).await;
    assert_eq!(b.taken().await, Taken::Hit);
    let recalled = || b.cache.shelf.recall(call(CATALOG).operation, ambient::instant());
    assert!(recalled().is_some());
    advance(seconds(2) + Duration::from_millis(500)).await;
    assert!(recalled().is_some());
    // Within the second for which it is not looked up again.
    advance(Duration::from_millis(300)).await;
    assert!(recalled().is_none());
    assert_eq!(b.taken().await, Taken::Revalidating);
    settle().await;
    assert_eq!(provider.seen(), 1, "the table knows that nothing was bought");
    b.replica.away(true);
    advance(seconds(30)).await;
    for _ in 0..100 {
        let shown = b.memory().await;
        assert!(shown.taken == Taken::Revalidating && shown.age >= shown.lifetime.ttl, "{shown:?}");
        settle().await;
        advance(Duration::from_millis(100)).await;
    }
    assert!((2..=4).contains(&provider.seen()), "{}", provider.seen());
    b.replica.away(false);
    b.hears(seconds(3)).await;
    assert_eq!(b.taken().await, Taken::Hit, "nothing was said meanwhile");
    b.cache.shelf.has_missed();
    assert_eq!(b.taken().await, Taken::Revalidating, "something may have been");
    b.hears(seconds(3)).await;
    assert_eq!(b.taken().await, Taken::Revalidating, "before it was heard again");
    settle().await;
    assert_eq!(b.taken().await, Taken::Hit, "which the table knows, or the provider");
    // What was being sent when it was heard again is known as well.
    b.replica.deafen(true);
    server.writes("op", true);
    b.hears(seconds(3)).await;
    assert_eq!(b.taken().await, Taken::Revalidating);
    advance(Duration::from_millis(1)).await;
    server.writes("op", false);
    b.hears(seconds(3)).await;
    assert_eq!(b.taken().await, Taken::Revalidating);
    settle().await;
    assert_eq!(b.taken().await, Taken::Hit);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_one_that_is_gone_or_slow_or_away() {
    let (server, hanging, fine) = (Server::new(), Provider::hanging(), Provider::fine());
    let (a, b) = (House::new(&server, "a", &hanging).await, House::new(&server, "b", &fine).await);
    let asking = tokio::spawn(a.cache.clone().oneshot(call(CATALOG)));
    settle().await;
    let patient = tokio::spawn(b.cache.clone().oneshot(call(CATALOG)));
    settle().await;
    assert_eq!((hanging.seen(), fine.seen()), (1, 0), "it waits");
    let begun = ambient::instant();
    let deadline = Deadline::new(begun, Some(seconds(4)));
    assert!(b.ask(Call { deadline, ..call(CATALOG) }).await.is_ok());
    assert_eq!((begun.elapsed(), fine.seen()), (seconds(2), 1), "half of its time");
    assert!(patient.await.expect("no panic").is_ok());
    assert_eq!(begun.elapsed(), seconds(2), "and the other has that, too");
    advance(seconds(100)).await;
    let c = House::new(&server, "c", &fine).await;
    a.replica.die();
    assert_eq!((c.taken().await, fine.seen()), (Taken::Missing, 2));
    c.replica.away(true);
    advance(seconds(4000)).await;
    c.ask(call(CATALOG)).await.expect("asked by itself");
    settle().await;
    assert_eq!(fine.seen(), 3);
    asking.abort();
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_answer_gives_the_question_back() {
    let server = Server::new();
    let down = Provider::failing_after(seconds(1), Fault::new(Reason::UpstreamUnreachable, ""));
    let fine = Provider::fine();
    let (a, b) = (House::new(&server, "a", &down).await, House::new(&server, "b", &fine).await);
    let failing = tokio::spawn(a.cache.clone().oneshot(call(CATALOG)));
    settle().await;
    let begun = ambient::instant();
    assert_eq!((b.taken().await, fine.seen()), (Taken::Missing, 1));
    assert!((seconds(1)..seconds(2)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(failing.await.expect("no panic").is_err());
}
