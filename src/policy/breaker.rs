//! Leaves a provider alone that is down: after failures in a row, or when most calls fail, nothing is sent for a moment;
//! then one call tries, and the rest follow if it succeeds.
//!
//! A purchase is never the one that tries. If nothing else comes along, a harmless question is sent ahead of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tower::{Service, ServiceExt as _};

use super::{Answer, Answering, Inner};
use crate::ambient;
use crate::call::{Call, Caller, Deadline, Reply};
use crate::contract::Operation;
use crate::fault::{Fault, Reason};

/// A call that was under way for this long when its caller lost patience has failed; after less, nothing is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// The breaker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The share of failures that opens it, in percent.
    pub percent: u32,
    /// Calls within a window before the share counts.
    pub least: u32,
    /// The window.
    pub window: Duration,
    /// How long nothing is sent before one call tries.
    pub rest: Duration,
}

/// The state of the breaker, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Calls pass.
    Closed,
    /// Nothing is sent.
    Open,
    /// One call tries.
    HalfOpen,
}

impl Shown {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What all calls for the account share.
pub(super) struct Account {
    state: Mutex<State>,
    /// The harmless question.
    question: Option<&'static Operation>,
}

struct State {
    options: Options,
    mode: Mode,
    in_a_row: u32,
    /// Calls and failures of this window and of the one before.
    counts: [(u32, u32); 2],
    window_began: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Closed,
    Open {
        until: Instant,
    },
    /// One call is trying.
    Trying,
}

/// What a call may do.
enum Entry {
    Pass,
    Try,
    Refused(Duration),
}

/// What an answer says about the provider's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    Down,
    Unknown,
}

impl Account {
    pub(super) fn new(options: Options, question: Option<&'static Operation>) -> Self {
        let state = State {
            options,
            mode: Mode::Closed,
            in_a_row: 0,
            counts: [(0, 0); 2],
            window_began: ambient::instant(),
        };
        Self { state: Mutex::new(state), question }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, options: Options) {
        self.lock().options = options;
    }

    pub(super) fn shown(&self) -> Shown {
        match self.lock().mode {
            Mode::Closed => Shown::Closed,
            Mode::Open { .. } => Shown::Open,
            Mode::Trying => Shown::HalfOpen,
        }
    }

    fn enter(&self) -> Entry {
        let mut state = self.lock();
        match state.mode {
            Mode::Closed => Entry::Pass,
            Mode::Open { until } if ambient::instant() < until => Entry::Refused(until - ambient::instant()),
            Mode::Open { .. } => {
                state.mode = Mode::Trying;
                Entry::Try
            }
            Mode::Trying => Entry::Refused(Duration::from_secs(1)),
        }
    }

    /// Learns from the end of a call.
    fn learn(&self, tried: bool, health: Health) {
        let mut state = self.lock();
        match (tried, health) {
            (true, Health::Well) => {
                tracing::info!("the provider answers again: calls pass");
                state.mode = Mode::Closed;
                state.forget();
            }
            (true, Health::Down) => state.open(),
            // The next one tries.
            (true, Health::Unknown) => state.mode = Mode::Open { until: ambient::instant() },
            (false, Health::Unknown) => {}
            (false, health) => {
                // What left before it opened says nothing about now.
                if matches!(state.mode, Mode::Closed) && state.count(health == Health::Down) {
                    let (in_a_row, rest) = (state.in_a_row, state.options.rest);
                    tracing::warn!(
                        in_a_row,
                        rest_ms = rest.as_millis() as u64,
                        "the provider is down: nothing is sent"
                    );
                    state.open();
                }
            }
        }
    }
}

impl State {
    fn open(&mut self) {
        self.mode = Mode::Open { until: ambient::instant() + self.options.rest };
        self.forget();
    }

    fn forget(&mut self) {
        (self.in_a_row, self.counts) = (0, [(0, 0); 2]);
    }

    /// Counts one call; true when that is one failure too many.
    fn count(&mut self, failed: bool) -> bool {
        let passed = self.window_began.elapsed();
        if passed >= self.options.window {
            let [now, _] = self.counts;
            // After a long silence, the window before was silent too.
            let before = if passed >= self.options.window * 2 { (0, 0) } else { now };
            self.counts = [(0, 0), before];
            self.window_began = ambient::instant();
        }
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
        let [(calls, failures), (calls_before, failures_before)] = &mut self.counts;
        *calls += 1;
        *failures += u32::from(failed);
        let (calls, failures) = (*calls + *calls_before, *failures + *failures_before);
        let most = u64::from(failures) * 100 >= u64::from(calls) * u64::from(self.options.percent);
        failed && (self.in_a_row >= self.options.failures || (calls >= self.options.least && most))
    }
}

/// What an answer says: a refusal is a sign of health, a break is none, and our own refusals say nothing.
fn health(answer: &Answer) -> Health {
    let Err(fault) = answer else { return Health::Well };
    match fault.happened() {
        Reason::UpstreamUnreachable
        | Reason::UpstreamTimeout
        | Reason::UpstreamFailed
        | Reason::UpstreamMaintenance
        | Reason::UpstreamBlocked => Health::Down,
        Reason::InsufficientBalance
        | Reason::NotFound
        | Reason::NotOwned
        | Reason::AlreadyExists
        | Reason::OutOfStock
        | Reason::Busy
        | Reason::ServiceExpired
        | Reason::UpstreamRefused
        | Reason::UpstreamAuthFailed
        | Reason::UpstreamIpNotAllowed
        | Reason::InvalidArgument => Health::Well,
        Reason::UpstreamRateLimited
        | Reason::UpstreamRedirected
        | Reason::UpstreamShapeUnknown
        | Reason::OutcomeUnknown
        | Reason::MalformedBody
        | Reason::ValidationFailed
        | Reason::UnsupportedMediaType
        | Reason::BodyTooLarge
        | Reason::BodyTooSlow
        | Reason::RouteNotFound
        | Reason::MethodNotAllowed
        | Reason::HostNotAllowed
        | Reason::CrossSite
        | Reason::CompressionUnsupported
        | Reason::KeyUnsupported
        | Reason::ActionNotAllowed
        | Reason::DeadlineExceeded
        | Reason::QuotaExceeded
        | Reason::PaceExceeded
        | Reason::CircuitOpen
        | Reason::NotCached
        | Reason::ShuttingDown
        | Reason::Internal => Health::Unknown,
    }
}

/// Watches one call to its end, also one whose caller goes away.
struct Watched {
    account: Arc<Account>,
    deadline: Deadline,
    begun: Instant,
    tries: bool,
    learned: bool,
}

impl Watched {
    fn new(account: Arc<Account>, call: &Call, tries: bool) -> Self {
        Self { account, deadline: call.deadline.clone(), begun: ambient::instant(), tries, learned: false }
    }

    fn learn(&mut self, health: Health) {
        self.learned = true;
        self.account.learn(self.tries, health);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.learned {
            let hung = self.deadline.has_departed() && self.begun.elapsed() >= PATIENCE;
            self.learn(if hung { Health::Down } else { Health::Unknown });
        }
    }
}

/// Lets calls through while the provider is well.
#[derive(Clone)]
pub(super) struct Breaker<S> {
    account: Arc<Account>,
    inner: S,
}

impl<S: Inner> Breaker<S> {
    pub(super) fn new(account: Arc<Account>, inner: S) -> Self {
        Self { account, inner }
    }

    async fn pass(self, call: Call, tries: bool) -> Answer {
        let mut watched = Watched::new(self.account, &call, tries);
        let answer = self.inner.oneshot(call).await;
        watched.learn(health(&answer));
        answer
    }

    async fn answer(self, call: Call) -> Answer {
        match self.account.enter() {
            Entry::Pass => self.pass(call, false).await,
            Entry::Try if call.effect.is_repeatable() => self.pass(call, true).await,
            Entry::Try => {
                // With nothing to ask, the call has to try by itself.
                let Some(question) = self.account.question else { return self.pass(call, true).await };
                let _learned_from = self.clone().pass(harmless(question, &call), true).await;
                if self.account.shown() == Shown::Closed {
                    self.pass(call, false).await
                } else {
                    Err(refused(Duration::from_secs(1)))
                }
            }
            Entry::Refused(wait) => Err(refused(wait)),
        }
    }
}

impl<S: Inner> Service<Call> for Breaker<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        Box::pin(self.clone().answer(call))
    }
}

/// A question that everyone may ask, in the time that another call has.
fn harmless(question: &'static Operation, call: &Call) -> Call {
    Call {
        operation: question,
        effect: question.effect,
        request: DynamicMessage::new(question.input.descriptor.clone()),
        caller: Caller::Gizad,
        deadline: Deadline::new(ambient::instant(), Some(call.deadline.left())),
        ..call.clone()
    }
}

fn refused(wait: Duration) -> Fault {
    let detail = "the provider has failed too often just now, so nothing is sent for a moment";
    Fault { retry_after: Some(wait), ..Fault::new(Reason::CircuitOpen, detail) }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::contract::{Contract, Effect};
    use crate::fault::Sent;
    use crate::policy::play::{Provider, call, of_effect};

    const OPTIONS: Options = Options {
        failures: 3,
        percent: 50,
        least: 10,
        window: Duration::from_secs(10),
        rest: Duration::from_secs(3),
    };

    fn breaker(provider: &Provider) -> (Arc<Account>, Breaker<Provider>) {
        let question = Contract::embedded().expect("sound").operation("CatalogService.ListVpsPlans");
        let account = Arc::new(Account::new(OPTIONS, question));
        (account.clone(), Breaker::new(account, provider.clone()))
    }

    fn down() -> Fault {
        Fault::new(Reason::UpstreamTimeout, "").sent(Sent::Maybe)
    }

    async fn reads(breaker: &Breaker<Provider>, times: usize) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for _ in 0..times {
            if let Err(fault) = breaker.clone().oneshot(call("WalletService.GetWallet")).await {
                reasons.push(fault.reason);
            }
        }
        reasons
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_success_closes_it() {
        let provider = Provider::failing(down());
        let (account, breaker) = breaker(&provider);
        assert_eq!(reads(&breaker, 3).await, [Reason::UpstreamTimeout; 3]);
        assert_eq!(account.shown(), Shown::Open);
        assert_eq!(reads(&breaker, 5).await, [Reason::CircuitOpen; 5]);
        assert_eq!(provider.seen(), 3);
        advance(OPTIONS.rest).await;
        assert_eq!(reads(&breaker, 2).await, [Reason::UpstreamTimeout, Reason::CircuitOpen], "one tries");
        advance(OPTIONS.rest).await;
        provider.recover();
        assert_eq!(reads(&breaker, 5).await, []);
        assert_eq!((account.shown(), provider.seen()), (Shown::Closed, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_of_failures_opens_it() {
        let provider = Provider::fine();
        let (account, breaker) = breaker(&provider);
        for _ in 0..5 {
            reads(&breaker, 1).await;
            provider.fail(down());
            reads(&breaker, 1).await;
            provider.recover();
        }
        assert_eq!(account.shown(), Shown::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_a_sign_of_health_and_our_own_say_nothing() {
        for reason in [Reason::NotFound, Reason::PaceExceeded, Reason::DeadlineExceeded] {
            let provider = Provider::failing(Fault::new(reason, ""));
            let (account, breaker) = breaker(&provider);
            reads(&breaker, 20).await;
            assert_eq!((account.shown(), provider.seen()), (Shown::Closed, 20), "{reason:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_purchase_never_tries_but_asks_a_harmless_question_first() {
        let provider = Provider::failing(down());
        let (_, breaker) = breaker(&provider);
        reads(&breaker, 3).await;
        let fault = breaker.clone().oneshot(of_effect(Effect::Spend)).await.expect_err("open");
        assert_eq!((fault.reason, fault.sent), (Reason::CircuitOpen, Sent::Never));
        advance(OPTIONS.rest).await;
        let fault = breaker.clone().oneshot(of_effect(Effect::Spend)).await.expect_err("still down");
        assert_eq!((fault.reason, fault.sent), (Reason::CircuitOpen, Sent::Never));
        assert_eq!(provider.operations()[3..], ["CatalogService.ListVpsPlans"]);
        advance(OPTIONS.rest).await;
        provider.recover();
        let purchase = of_effect(Effect::Spend);
        let name = purchase.operation.name.clone();
        assert!(breaker.oneshot(purchase).await.is_ok());
        assert_eq!(provider.operations()[4..], ["CatalogService.ListVpsPlans".to_owned(), name]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_hangs_is_down_also_for_callers_who_give_up() {
        let provider = Provider::hanging();
        let (account, breaker) = breaker(&provider);
        for _ in 0..OPTIONS.failures {
            let call = call("WalletService.GetWallet");
            assert!(call.deadline.depart());
            let answer = tokio::time::timeout(PATIENCE, breaker.clone().oneshot(call)).await;
            assert!(answer.is_err(), "it hangs");
        }
        assert_eq!(account.shown(), Shown::Open);
        // The one that tries goes away early: the next one tries.
        advance(OPTIONS.rest).await;
        for _ in 0..2 {
            let trying = breaker.clone().oneshot(call("WalletService.GetWallet"));
            assert!(tokio::time::timeout(Duration::from_millis(1), trying).await.is_err());
        }
        assert_eq!(provider.seen(), 5);
    }
}
