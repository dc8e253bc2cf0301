//! Sends again what failed for a reason that passes, where the effect and what is known about the first attempt
//! allow it. One table decides; nothing here looks at a status.
//!
//! Full jitter (every wait is random between nothing and an exponential bound), because callers that failed together
//! would otherwise come back together; and a budget for the account, because repeats are what turns a slow provider into
//! one that is down.

mod budget;

use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;
use tower::{Service, ServiceExt as _};

use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Call, Reply};
use crate::contract::Effect;
use crate::fault::{Fault, Heard, Reason, Sent};
use crate::metrics::Figures;

use budget::Budget;

/// The settings of repeats.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Attempts for a call, the first included.
    pub attempts: u32,
    /// The bound of the first wait; each further one is twice as long.
    pub base: Duration,
    /// The bound of every wait.
    pub longest: Duration,
}

/// What all calls for the account share.
pub(super) struct Account {
    options: RwLock<Options>,
    budget: Budget,
    figures: Arc<Figures>,
}

impl Account {
    pub(super) fn new(options: Options) -> Self {
        Self { options: RwLock::new(options), budget: Budget::new(), figures: Arc::default() }
    }

    /// The same, with repeats counted there.
    pub(super) fn counted(self, figures: &Arc<Figures>) -> Self {
        let _at_zero = figures.retries_unpaid.at([]);
        Self { figures: figures.clone(), ..self }
    }

    /// How many repeats could be paid for now.
    pub(super) fn saved(&self) -> f64 {
        self.budget.saved()
    }

    pub(super) fn change(&self, options: Options) {
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = options;
    }

    fn options(&self) -> Options {
        *self.options.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before the next attempt, if there is to be one.
    fn again(&self, effect: Effect, fault: &Fault, attempt: u32, left: Duration) -> Option<Duration> {
        let options = self.options();
        if attempt >= options.attempts || !may_repeat(effect, fault.sent, fault.happened(), attempt) {
            return None;
        }
        let bound = options.base.saturating_mul(2u32.saturating_pow(attempt - 1)).min(options.longest);
        // What the provider asks for is a floor; the jitter comes on top, so that not all come back at once.
        let wait = fault.retry_after.unwrap_or_default() + bound.mul_f64(ambient::fraction());
        // Asked last, because it is paid for.
        let paid = wait < left && self.budget.withdraw();
        if wait < left && !paid {
            self.figures.retries_unpaid.at([]).inc();
        }
        paid.then_some(wait)
    }
}

/// The table: whether a call of this effect may be sent again after this attempt.
fn may_repeat(effect: Effect, sent: Sent, happened: Reason, attempt: u32) -> bool {
    match (effect, sent) {
        (Effect::Public | Effect::Read | Effect::Secret | Effect::Converge, _) => passes(happened),
        // Only what is proven not to have left, and at most twice.
        (Effect::Once, Sent::Never) => attempt <= 2 && happened == Reason::UpstreamUnreachable,
        (Effect::Once, Sent::Maybe | Sent::Answered) => false,
        // Every attempt of a purchase is written down before it, which is not done here.
        (Effect::Spend, Sent::Never | Sent::Maybe | Sent::Answered) => false,
    }
}

/// Whether a reason may be gone in a moment.
fn passes(reason: Reason) -> bool {
    match reason.heard() {
        Heard::Failure | Heard::Later => true,
        Heard::Nothing | Heard::Answer | Heard::Barrier => false,
    }
}

/// Repeats calls.
#[derive(Clone)]
pub(super) struct Retry<S> {
    account: Arc<Account>,
    inner: S,
}

impl<S> Retry<S> {
    pub(super) fn new(account: Arc<Account>, inner: S) -> Self {
        Self { account, inner }
    }
}

impl<S: Inner> Service<Call> for Retry<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (account, inner) = (self.account.clone(), self.inner.clone());
        Box::pin(async move {
            let mut attempt = 1;
            // The last failure of an attempt that may have been sent.
            let mut sent: Option<Fault> = None;
            loop {
                let answer = inner.clone().oneshot(call.clone()).await;
                // What was sent pays for repeats; what must not be repeated pays for nobody.
                let was_sent = answer.as_ref().err().is_none_or(|fault| fault.sent != Sent::Never);
                if attempt == 1 && was_sent && call.effect.is_repeatable() {
                    account.budget.deposit();
                }
                let fault = match answer {
                    Ok(reply) => return Ok(reply),
                    Err(fault) => fault,
                };
                // The same holds for whatever else is recorded.
                let recorded = call.key.is_some() && !call.effect.is_repeatable();
                let again = || account.again(call.effect, &fault, attempt, call.deadline.left());
                let Some(wait) = (!recorded).then(again).flatten() else {
                    // "Nothing was sent" would not be true of the whole call.
                    return Err(sent.filter(|_| !was_sent).unwrap_or(fault));
                };
                sent = if was_sent { Some(fault.clone()) } else { sent };
                account.figures.retries.at([call.operation.into(), fault.happened().into()]).inc();
                tracing::info!(
                    request_id = call.id.as_str(),
                    trace_id = %call.trace.id(),
                    operation = call.operation.name,
                    attempt,
                    outcome = fault.reason.as_str(),
                    sent = fault.sent.as_str(),
                    wait_ms = wait.as_millis() as u64,
                    "trying again"
                );
                sleep(wait).await;
                attempt += 1;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

    use super::*;
    use crate::policy::play::{Provider, call, of_effect};

    const OPTIONS: Options =
        Options { attempts: 4, base: Duration::from_millis(200), longest: Duration::from_secs(5) };

    const TRANSIENT: [Reason; 5] = [
        Reason::UpstreamUnreachable,
        Reason::UpstreamTimeout,
        Reason::UpstreamFailed,
        Reason::UpstreamMaintenance,
        Reason::UpstreamRateLimited,
    ];

    /// Every effect, whatever is known about the attempt, whichever attempt, whatever happened.
    #[test]
    fn the_table() {
        for effect in Effect::ALL {
            for sent in [Sent::Never, Sent::Maybe, Sent::Answered] {
                for attempt in 1..=5 {
                    for reason in Reason::ALL.iter().copied() {
                        let harmless = matches!(
                            effect,
                            Effect::Public | Effect::Read | Effect::Secret | Effect::Converge
                        );
                        let expected = if harmless {
                            TRANSIENT.contains(&reason)
                        } else {
                            effect == Effect::Once
                                && sent == Sent::Never
                                && reason == Reason::UpstreamUnreachable
                                && attempt < 3
                        };
                        let got = may_repeat(effect, sent, reason, attempt);
                        assert_eq!(got, expected, "{effect} {sent:?} {attempt} {reason:?}");
                    }
                }
            }
        }
    }

    fn fault(reason: Reason, sent: Sent) -> Fault {
        Fault::new(reason, "").sent(sent)
    }

    async fn sends(effect: Effect, fault: Fault) -> usize {
        let provider = Provider::failing(fault);
        let account = Arc::new(Account::new(OPTIONS));
        // Enough in the budget.
        (0..100).for_each(|_| account.budget.deposit());
        let answer = Retry::new(account, provider.clone()).oneshot(of_effect(effect)).await;
        assert!(answer.is_err());
        provider.seen()
    }

    #[test]
    fn the_document_says_of_which_reasons_a_call_was_repeated() {
        let document = include_str!("../../docs/errors.md");
        for reason in Reason::ALL {
            let section = document
                .split("\n### ")
                .find(|section| section.starts_with(&format!("{}\n", reason.as_str())));
            let says = section.expect("each has one").contains("has tried it again");
            assert_eq!(says, passes(*reason), "{}", reason.as_str());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_repeated_and_money_only_when_nothing_was_sent() {
        assert_eq!(sends(Effect::Read, fault(Reason::UpstreamTimeout, Sent::Maybe)).await, 4);
        assert_eq!(sends(Effect::Read, fault(Reason::NotFound, Sent::Answered)).await, 1);
        assert_eq!(sends(Effect::Once, fault(Reason::UpstreamUnreachable, Sent::Never)).await, 3);
        assert_eq!(sends(Effect::Spend, fault(Reason::UpstreamUnreachable, Sent::Never)).await, 1);
        let doubted =
            Fault { beneath: Some(Reason::UpstreamTimeout), ..fault(Reason::OutcomeUnknown, Sent::Maybe) };
        assert_eq!(sends(Effect::Spend, doubted).await, 1);
        assert_eq!(sends(Effect::Once, fault(Reason::UpstreamMaintenance, Sent::Answered)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_once_is_not_said_to_be_unsent_when_the_last_attempt_was_not() {
        for first in [Sent::Maybe, Sent::Answered] {
            let provider = Provider::failing(fault(Reason::UpstreamFailed, first));
            let retry = Retry::new(Arc::new(Account::new(OPTIONS)), provider.clone());
            let answer = tokio::spawn(retry.oneshot(of_effect(Effect::Converge)));
            tokio::task::yield_now().await;
            provider.fail(fault(Reason::CircuitOpen, Sent::Never));
            let told = answer.await.expect("no panic").expect_err("a failure");
            assert_eq!((told.reason, told.sent, provider.seen()), (Reason::UpstreamFailed, first, 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_never_sent_pays_for_no_repeat() {
        let account = Arc::new(Account::new(OPTIONS));
        assert!(account.budget.withdraw(), "the one that is there at first");
        let refusing = Provider::failing(fault(Reason::PaceExceeded, Sent::Never));
        for effect in [Effect::Read, Effect::Converge] {
            for _ in 0..100 {
                let _refused = Retry::new(account.clone(), refusing.clone()).oneshot(of_effect(effect)).await;
            }
        }
        for _ in 0..100 {
            let _bought =
                Retry::new(account.clone(), Provider::fine()).oneshot(of_effect(Effect::Spend)).await;
        }
        assert!(!account.budget.withdraw());
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_that_the_time_does_not_allow() {
        let provider = Provider::failing(Fault {
            retry_after: Some(Duration::from_secs(20)),
            ..fault(Reason::UpstreamRateLimited, Sent::Answered)
        });
        let begun = ambient::instant();
        let retry = Retry::new(Arc::new(Account::new(OPTIONS)), provider.clone());
        let answer = retry.oneshot(Call {
            deadline: crate::call::Deadline::new(begun, Some(Duration::from_secs(10))),
            ..call("WalletService.GetWallet")
        });
        assert!(answer.await.is_err());
        assert_eq!((provider.seen(), begun.elapsed()), (1, Duration::ZERO));
    }

    /// Ten minutes in which everything fails: ten reads a second, and a purchase a second.
    #[tokio::test(start_paused = true)]
    async fn a_brownout_is_not_made_worse() {
        let (reads, money) = (
            Provider::failing(fault(Reason::UpstreamFailed, Sent::Answered)),
            Provider::failing(fault(Reason::OutcomeUnknown, Sent::Maybe)),
        );
        let account = Arc::new(Account::new(OPTIONS));
        let (mut calls, mut purchases) = (tokio::task::JoinSet::new(), 0);
        for tick in 0..6000 {
            calls.spawn(Retry::new(account.clone(), reads.clone()).oneshot(of_effect(Effect::Read)));
            if tick % 10 == 0 {
                purchases += 1;
                calls.spawn(Retry::new(account.clone(), money.clone()).oneshot(of_effect(Effect::Spend)));
            }
            sleep(Duration::from_millis(100)).await;
        }
        while calls.join_next().await.is_some() {}
        assert_eq!(money.seen(), purchases);
        let sent = reads.seen();
        // A tenth of the reads, one a second, and the one that was there at first.
        let most = 6000 + 6000 / 10 + 600 + 1;
        assert!(sent <= most, "{sent} sent, at most {most}");
        assert!(sent > 7000, "{sent}: and the budget is used");
    }
}
