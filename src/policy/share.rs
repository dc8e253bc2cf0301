//! Reads that are asked for at the same time are asked once: whoever comes while an identical one is under way gets
//! its answer too. Nothing is kept beyond that.
//!
//! Never a write, and never an answer that is a credential. A write that was sent ends the sharing of what is under way:
//! whoever asks after it has been answered does not get what was asked for before.
//!
//! Where there are other replicas, a write may have been answered there. So whoever comes while a read is under way joins it only
//! as long as it has not left for the provider; and one of the catalog also then, if it is known that nobody buys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{FutureExt as _, Shared, WeakShared};
use tower::{Service, ServiceExt as _};

use super::cache::Shelf;
use super::{Answer, Answering, Inner};
use crate::call::{Call, Deadline, Reply};
use crate::contract::{Effect, canonical};
use crate::fault::{Fault, Reason, Sent};

/// What makes two reads identical: the operation, its parameters, and whether somebody waits for it. Who waits does not join
/// a refresh of gizad's own, which lets everyone else go first.
type Key = (&'static str, Vec<u8>, bool);

/// A read under way: of whom it was begun, and how to get at its answer.
struct Flight {
    number: u64,
    public: bool,
    /// The time of whoever began it, which says whether it has left.
    deadline: Deadline,
    /// That of the catalog when it was begun, if nobody bought anything.
    mark: Option<u64>,
    answer: WeakShared<Answering>,
}

#[derive(Default)]
struct Flights {
    begun: u64,
    under_way: HashMap<Key, Flight>,
}

type Air = Arc<Mutex<Flights>>;

fn lock(air: &Air) -> MutexGuard<'_, Flights> {
    air.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shares reads.
#[derive(Clone)]
pub(super) struct Share<S> {
    air: Air,
    shelf: Arc<Shelf>,
    inner: S,
}

impl<S: Inner> Share<S> {
    pub(super) fn new(shelf: Arc<Shelf>, inner: S) -> Self {
        Self { air: Arc::default(), shelf, inner }
    }

    /// Whether whoever comes now may have the answer of a read that is under way.
    fn is_open(&self, flight: &Flight, mark: Option<u64>) -> bool {
        let is_same = flight.public && mark.is_some() && mark == flight.mark;
        !self.shelf.is_shared() || is_same || !flight.deadline.has_departed()
    }

    /// The flight of a read, and whether it was under way already.
    fn board(&self, call: &Call) -> (Shared<Answering>, bool) {
        let key: Key = (&call.operation.name, canonical(&call.request), !call.caller.is_gizad());
        let (mark, mut flights) = (self.shelf.mark(), lock(&self.air));
        let shared = flights.under_way.get(&key).filter(|flight| self.is_open(flight, mark));
        let shared = shared.and_then(|flight| flight.answer.upgrade());
        if let Some(answer) = shared {
            return (answer, true);
        }
        flights.begun += 1;
        let number = flights.begun;
        let landing = Landing { air: self.air.clone(), key: key.clone(), number };
        let answer = self.inner.clone().oneshot(call.clone());
        let answering: Answering = Box::pin(async move {
            let answer = answer.await;
            drop(landing);
            answer
        });
        let answering = answering.shared();
        if let Some(answer) = answering.downgrade() {
            let (public, deadline) = (call.effect == Effect::Public, call.deadline.clone());
            flights.under_way.insert(key, Flight { number, public, deadline, mark, answer });
        }
        (answering, false)
    }

    async fn read(self, call: Call) -> Answer {
        loop {
            let (flight, joined) = self.board(&call);
            let answer = flight.await;
            match answer {
                // The state of a limit concerns only the one who was counted against it.
                Ok(reply) => {
                    let limit = reply.limit.filter(|_| !joined);
                    return Ok(Reply { collapsed: joined, limit, ..reply });
                }
                // What became of its first passenger's time, place or share is not the fault of the others.
                Err(fault) if joined && is_own(fault.reason) && !call.deadline.left().is_zero() => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn write(self, call: Call) -> Answer {
        let mut shares = Shares { air: &self.air, effect: call.effect, end: true };
        let answer = self.inner.oneshot(call).await;
        shares.end = !matches!(&answer, Err(fault) if fault.sent == Sent::Never);
        drop(shares);
        answer
    }
}

/// Reasons that concern one caller and not what it asked for.
fn is_own(reason: Reason) -> bool {
    matches!(reason, Reason::DeadlineExceeded | Reason::QuotaExceeded | Reason::PaceExceeded)
}

/// Takes a flight off the list when it has ended, or when everyone who waited for it has gone.
struct Landing {
    air: Air,
    key: Key,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = lock(&self.air);
        let (operation, ref mut parameters, awaited) = self.key;
        if let Entry::Occupied(entry) =
            flights.under_way.entry((operation, std::mem::take(parameters), awaited))
            && entry.get().number == self.number
        {
            entry.remove();
        }
    }
}

/// Ends the sharing of what a write may have changed, at its end, whichever way it ends.
struct Shares<'a> {
    air: &'a Air,
    effect: Effect,
    end: bool,
}

impl Drop for Shares<'_> {
    fn drop(&mut self) {
        // A purchase may change what is in stock; any other write leaves the catalog as it is.
        let spends = self.effect == Effect::Spend;
        if self.end {
            lock(self.air).under_way.retain(|_, flight| !spends && flight.public);
        }
    }
}

impl<S: Inner> Service<Call> for Share<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let share = self.clone();
        match call.effect {
            Effect::Public | Effect::Read => Box::pin(share.read(call)),
            Effect::Secret => self.inner.call(call),
            Effect::Converge | Effect::Once | Effect::Spend => Box::pin(share.write(call)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

    use std::collections::BTreeMap;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::sleep;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::ambient;
    use crate::call::{Caller, Deadline, Lifetime};
    use crate::policy::cache;
    use crate::policy::play::{Provider, call, of_effect};
    use crate::shared::Hearing;
    use crate::shared::play::Server;

    fn shelf() -> Arc<Shelf> {
        let options = cache::Options {
            bytes: 0,
            catalog: Lifetime::default(),
            operations: BTreeMap::new(),
            least_age: Duration::ZERO,
            patience: Duration::ZERO,
        };
        Arc::new(Shelf::new(&options, TaskTracker::new()))
    }

    fn share_of(provider: &Provider) -> Share<Provider> {
        Share::new(shelf(), provider.clone())
    }

    async fn together(share: &Share<Provider>, calls: Vec<Call>) -> Vec<Answer> {
        let mut under_way: JoinSet<Answer> =
            calls.into_iter().map(|call| share.clone().oneshot(call)).collect();
        let mut answers = Vec::new();
        while let Some(answer) = under_way.join_next().await {
            answers.push(answer.expect("no panic"));
        }
        answers
    }

    #[tokio::test(start_paused = true)]
    async fn five_hundred_readers_are_one_call() {
        let provider = Provider::slow(Duration::from_secs(1));
        let share = share_of(&provider);
        let answers = together(&share, vec![call("WalletService.GetWallet"); 500]).await;
        assert!(answers.iter().all(Result::is_ok));
        let collapsed = answers.iter().flatten().filter(|reply| reply.collapsed).count();
        assert_eq!((provider.seen(), collapsed), (1, 499));
        assert!(lock(&share.air).under_way.is_empty());
        assert!(share.oneshot(call("WalletService.GetWallet")).await.is_ok());
        assert_eq!(provider.seen(), 2, "and nothing is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn writes_and_secrets_are_never_shared() {
        for effect in [Effect::Secret, Effect::Converge, Effect::Once, Effect::Spend] {
            let provider = Provider::slow(Duration::from_secs(1));
            together(&share_of(&provider), vec![of_effect(effect); 20]).await;
            assert_eq!(provider.seen(), 20, "{effect}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_may_leave_and_the_last_turns_off_the_light() {
        let provider = Provider::slow(Duration::from_secs(2));
        let share = share_of(&provider);
        let first = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        sleep(Duration::from_millis(1)).await;
        let second = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        sleep(Duration::from_secs(1)).await;
        first.abort();
        assert!(second.await.expect("no panic").is_ok());
        assert_eq!(provider.seen(), 1);
        let lone = tokio::time::timeout(
            Duration::from_secs(1),
            share.clone().oneshot(call("WalletService.GetWallet")),
        );
        assert!(lone.await.is_err());
        assert!(lock(&share.air).under_way.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_after_a_write_does_not_get_what_was_asked_before_it() {
        let provider = Provider::slow(Duration::from_secs(5));
        let share = share_of(&provider);
        let before = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        sleep(Duration::from_secs(1)).await;
        // The write is answered at six seconds; a read that came during it may join one from before it.
        let write = tokio::spawn(share.clone().oneshot(of_effect(Effect::Spend)));
        sleep(Duration::from_secs(4)).await;
        let during = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        write.await.expect("no panic").expect("a success");
        let after = share.oneshot(call("WalletService.GetWallet")).await.expect("a success");
        assert!(!after.collapsed);
        let (before, during) = (before.await.expect("no panic"), during.await.expect("no panic"));
        assert!(before.is_ok() && during.is_ok());
        assert_eq!(provider.seen(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_was_not_sent_ends_no_sharing_and_nobody_joins_a_refresh() {
        let provider = Provider::slow(Duration::from_secs(5));
        let share = share_of(&provider);
        let refresh = Call { caller: Caller::Gizad, ..call("WalletService.GetWallet") };
        let refresh = tokio::spawn(share.clone().oneshot(refresh));
        let before = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        sleep(Duration::from_secs(1)).await;
        let refused = Provider::failing(Fault::new(Reason::CircuitOpen, ""));
        let refusing = Share { air: share.air.clone(), shelf: share.shelf.clone(), inner: refused };
        assert!(refusing.oneshot(of_effect(Effect::Spend)).await.is_err());
        assert!(share.oneshot(call("WalletService.GetWallet")).await.expect("a success").collapsed);
        assert!(!before.await.expect("no panic").expect("a success").collapsed);
        assert!(!refresh.await.expect("no panic").expect("a success").collapsed);
        assert_eq!(provider.seen(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_impatience_of_the_first_is_not_the_fault_of_the_others() {
        let late = Fault::new(Reason::DeadlineExceeded, "");
        let provider = Provider::failing_after(Duration::from_secs(1), late);
        let share = share_of(&provider);
        let first = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        sleep(Duration::from_millis(10)).await;
        let patient = Call {
            deadline: Deadline::new(ambient::instant(), Some(Duration::from_secs(30))),
            ..call("WalletService.GetWallet")
        };
        let second = tokio::spawn(share.oneshot(patient));
        sleep(Duration::from_millis(10)).await;
        provider.recover();
        // It had failed already when the provider recovered.
        assert!(first.await.expect("no panic").is_err());
        assert!(second.await.expect("no panic").is_ok());
    }
    /// A read that others have in common, and one who comes after it was begun.
    async fn two(share: &Share<Provider>, operation: &str, meanwhile: impl FnOnce(&Call)) -> Vec<bool> {
        let first = call(operation);
        let flight = tokio::spawn(share.clone().oneshot(first.clone()));
        sleep(Duration::from_secs(1)).await;
        meanwhile(&first);
        let second = share.clone().oneshot(call(operation)).await;
        let answers = [flight.await.expect("no panic"), second];
        answers.into_iter().map(|answer| answer.expect("a success").collapsed).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_replicas_only_what_has_not_left_is_joined_and_the_catalog_while_nobody_buys() {
        const WALLET: &str = "WalletService.GetWallet";
        const CATALOG: &str = "CatalogService.ListVpsPlans";
        let provider = Provider::slow(Duration::from_secs(5));
        let share = share_of(&provider);
        let server = Server::new();
        share.shelf.is_shared_by(Arc::new(server.replica("a")));
        let departs = |call: &Call| assert_eq!(call.deadline.depart(), crate::call::Departure::First);
        assert_eq!(two(&share, WALLET, |_| {}).await, [false, true], "it waits for its turn");
        assert_eq!(
            two(&share, WALLET, departs).await,
            [false, false],
            "a write may have been answered elsewhere"
        );
        assert_eq!(
            two(&share, CATALOG, departs).await,
            [false, false],
            "so may a purchase, as far as is known"
        );
        let pulse = Hearing::pulse(&server.replica("a")).await.expect("there");
        let hears = || share.shelf.hears(&pulse, Duration::from_secs(3600));
        hears();
        assert_eq!(two(&share, CATALOG, departs).await, [false, true], "it is known that nobody buys");
        let operation: Arc<str> = "op".into();
        let is_sent = |call: &Call| {
            departs(call);
            share.shelf.written(&operation, true);
        };
        assert_eq!(two(&share, CATALOG, is_sent).await, [false, false]);
        assert_eq!(two(&share, CATALOG, departs).await, [false, false], "as long as it is being sent");
        let ends = |call: &Call| {
            departs(call);
            share.shelf.written(&operation, false);
        };
        assert_eq!(two(&share, CATALOG, ends).await, [false, false], "and what was begun meanwhile");
        assert_eq!(two(&share, CATALOG, departs).await, [false, true]);
    }
}
