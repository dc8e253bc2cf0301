//! How often one caller may have the provider asked. What is answered from memory costs nothing, so this stands
//! below the memory.
//!
//! Counted by caller and by nothing else: what a caller can choose, it could choose anew for every call. As many
//! counters are kept as there are callers who have called lately.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tower::Service;

use super::meter::{Meter, Rate};
use super::{Answering, Inner};
use crate::call::{Call, Caller, Limit, Reply};
use crate::contract::Effect;
use crate::fault::{Fault, Reason};
use crate::metrics::Figures;

/// The name of this limit.
const NAME: &str = "caller";
/// Counters kept before those that remember nothing are dropped.
const COUNTERS: usize = 1024;

/// The settings of quotas.
#[derive(Clone, Debug)]
pub struct Options {
    /// For every caller that has none of its own.
    pub everyone: Rate,
    /// For single callers, by name.
    pub own: BTreeMap<String, Rate>,
}

impl Options {
    fn of(&self, caller: &Caller) -> Rate {
        self.own.get(caller.as_str()).copied().unwrap_or(self.everyone)
    }
}

/// The counters of all callers.
pub(super) struct Counters {
    state: Mutex<State>,
    figures: Arc<Figures>,
}

struct State {
    options: Options,
    meters: HashMap<Caller, Meter>,
}

impl Counters {
    pub(super) fn new(options: Options) -> Self {
        Self { state: Mutex::new(State { options, meters: HashMap::new() }), figures: Arc::default() }
    }

    /// The same, with refusals counted there.
    pub(super) fn counted(self, figures: &Arc<Figures>) -> Self {
        Self { figures: figures.clone(), ..self }
    }

    /// Changes the rates. Nobody gets a second burst.
    pub(super) fn change(&self, options: Options) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.options = options;
        let State { options, meters } = &mut *state;
        meters.iter_mut().for_each(|(caller, meter)| meter.change(options.of(caller)));
    }

    /// Counts the looks that a purchase begins with, which gizad takes in its own name.
    ///
    /// # Errors
    /// When the caller has used its share up.
    pub(super) fn charge(&self, caller: &Caller) -> Result<(), Fault> {
        self.count(caller).map(drop).map_err(refused)
    }

    /// How much is left to a caller, of which nothing is taken.
    pub(super) fn left(&self, caller: &Caller) -> Limit {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = state.options.of(caller);
        state.meters.get(caller).map_or_else(
            || rate.limit(NAME, rate.burst.get(), Duration::ZERO),
            |meter| rate.limit(NAME, meter.left(), meter.resets_in()),
        )
    }

    /// Who has called lately.
    pub(super) fn callers(&self) -> Vec<Caller> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.meters.keys().cloned().collect()
    }

    /// Counts one call.
    fn count(&self, caller: &Caller) -> Result<Limit, Limit> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { options, meters } = &mut *state;
        let rate = options.of(caller);
        if meters.len() >= COUNTERS && !meters.contains_key(caller) {
            meters.retain(|_, meter| !meter.is_rested());
            meters.shrink_to(COUNTERS);
        }
        let meter = meters.entry(caller.clone()).or_insert_with(|| Meter::new(rate));
        match meter.take() {
            Ok(left) => Ok(rate.limit(NAME, left, meter.resets_in())),
            Err(wait) => {
                self.figures.quota_refusals.at([caller.into()]).inc();
                Err(rate.limit(NAME, 0, wait))
            }
        }
    }
}

/// Refuses what is more than a caller's share.
#[derive(Clone)]
pub(super) struct Quota<S> {
    counters: Arc<Counters>,
    inner: S,
}

impl<S> Quota<S> {
    pub(super) fn new(counters: Arc<Counters>, inner: S) -> Self {
        Self { counters, inner }
    }
}

impl<S: Inner> Service<Call> for Quota<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        // A purchase was counted before the looks that it begins with.
        if call.caller.is_gizad() || call.effect == Effect::Spend {
            return self.inner.call(call);
        }
        match self.counters.count(&call.caller) {
            Ok(limit) => {
                let answer = self.inner.call(call);
                Box::pin(async move { answer.await.map(|reply| Reply { limit: Some(limit), ..reply }) })
            }
            Err(limit) => Box::pin(std::future::ready(Err(refused(limit)))),
        }
    }
}

fn refused(limit: Limit) -> Fault {
    let detail = format!(
        "this caller may have the provider asked {} times at once and then once in {} ms",
        limit.quota,
        (limit.window / limit.quota.max(1)).as_millis()
    );
    // Never at once, so that nobody turns in circles.
    let wait = limit.reset.max(Duration::from_millis(1));
    Fault { retry_after: Some(wait), limit: Some(limit), ..Fault::new(Reason::QuotaExceeded, detail) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::time::advance;

    use super::*;
    use crate::policy::play::{self, call};

    fn rate(millis: u64, burst: u32) -> Rate {
        Rate { every: Duration::from_millis(millis), burst: NonZeroU32::new(burst).expect("above zero") }
    }

    fn for_all(everyone: Rate) -> Options {
        Options { everyone, own: BTreeMap::new() }
    }

    fn by(name: &str) -> Call {
        Call { caller: Caller::Named(name.into()), ..call("WalletService.GetWallet") }
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_has_its_own() {
        let provider = play::Provider::fine();
        let mut quota = Quota::new(Arc::new(Counters::new(for_all(rate(1000, 2)))), provider.clone());
        for _ in 0..2 {
            assert!(quota.call(by("a")).await.is_ok());
        }
        let fault = quota.call(by("a")).await.expect_err("a third");
        assert_eq!(fault.reason, Reason::QuotaExceeded);
        assert_eq!(fault.retry_after, Some(Duration::from_secs(1)));
        assert_eq!(fault.limit.expect("which one").name, "caller");
        let reply = quota.call(by("b")).await.expect("another caller");
        assert_eq!(reply.limit.expect("which one").remaining, 1);
        advance(Duration::from_secs(1)).await;
        assert!(quota.call(by("a")).await.is_ok());
        assert_eq!(provider.seen(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_callers_leave_no_more_than_a_thousand_counters() {
        let counters = Counters::new(for_all(rate(10, 2)));
        for number in 0..10_000 {
            let _counted = counters.count(&Caller::Named(number.to_string().into()));
            advance(Duration::from_millis(1)).await;
        }
        assert!(counters.state.lock().expect("sound").meters.len() <= COUNTERS);
    }

    #[tokio::test(start_paused = true)]
    async fn new_limits_bring_no_second_burst() {
        let counters = Counters::new(for_all(rate(1000, 3)));
        while counters.count(&Caller::Anonymous).is_ok() {}
        counters.change(for_all(rate(500, 100)));
        assert_eq!(
            counters.count(&Caller::Anonymous).expect_err("used up").reset,
            Duration::from_millis(500)
        );
    }
    #[tokio::test(start_paused = true)]
    async fn one_has_its_own_and_a_change_of_it_brings_no_second_burst() {
        let with = |everyone, own| Options { everyone, own: [("a".to_owned(), own)].into() };
        let counters = Counters::new(with(rate(1000, 3), rate(1000, 1)));
        let (a, b) = (Caller::named("a"), Caller::named("b"));
        assert_eq!((counters.count(&a).map(|limit| limit.quota), counters.count(&a).is_err()), (Ok(1), true));
        assert_eq!(counters.count(&b).map(|limit| (limit.quota, limit.remaining)), Ok((3, 2)));
        counters.change(with(rate(1000, 3), rate(500, 50)));
        assert_eq!(counters.count(&a).expect_err("used up").reset, Duration::from_millis(500));
        assert_eq!(counters.count(&b).map(|limit| limit.remaining), Ok(1));
        counters.change(for_all(rate(1000, 3)));
        assert_eq!(counters.count(&a).expect_err("used up").quota, 3);
    }
}
