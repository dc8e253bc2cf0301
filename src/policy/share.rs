//! Reads that are asked for at the same time are asked once: whoever comes while an identical one is under way gets
//! its answer too. Nothing is kept beyond that.
//!
//! Never a write, and never an answer that is a credential. A write that was sent ends the sharing of what is under way:
//! whoever asks after it has been answered does not get what was asked for before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{FutureExt as _, Shared, WeakShared};
use tower::{Service, ServiceExt as _};

use super::{Answer, Answering, Inner};
use crate::call::{Call, Reply};
use crate::contract::{Effect, canonical};
use crate::fault::{Fault, Reason, Sent};

/// What makes two reads identical: the operation, its parameters, and whether somebody waits for it. Who waits does not join
/// a refresh of gizad's own, which lets everyone else go first.
type Key = (&'static str, Vec<u8>, bool);

/// A read under way: of whom it was begun, and how to get at its answer.
struct Flight {
    number: u64,
    public: bool,
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
    inner: S,
}

impl<S: Inner> Share<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { air: Arc::default(), inner }
    }

    /// The flight of a read, and whether it was under way already.
    fn board(&self, call: &Call) -> (Shared<Answering>, bool) {
        let key: Key = (&call.operation.name, canonical(&call.request), !call.caller.is_gizad());
        let mut flights = lock(&self.air);
        let shared = flights.under_way.get(&key).and_then(|flight| flight.answer.upgrade());
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
            flights.under_way.insert(key, Flight { number, public: call.effect == Effect::Public, answer });
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

    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;
    use crate::ambient;
    use crate::call::{Caller, Deadline};
    use crate::policy::play::{Provider, call, of_effect};

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
        let share = Share::new(provider.clone());
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
            together(&Share::new(provider.clone()), vec![of_effect(effect); 20]).await;
            assert_eq!(provider.seen(), 20, "{effect}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_may_leave_and_the_last_turns_off_the_light() {
        let provider = Provider::slow(Duration::from_secs(2));
        let share = Share::new(provider.clone());
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
        let share = Share::new(provider.clone());
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
        let share = Share::new(provider.clone());
        let refresh = Call { caller: Caller::Gizad, ..call("WalletService.GetWallet") };
        let refresh = tokio::spawn(share.clone().oneshot(refresh));
        let before = tokio::spawn(share.clone().oneshot(call("WalletService.GetWallet")));
        sleep(Duration::from_secs(1)).await;
        let refused = Provider::failing(Fault::new(Reason::CircuitOpen, ""));
        let refusing = Share { air: share.air.clone(), inner: refused };
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
        let share = Share::new(provider.clone());
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
}
