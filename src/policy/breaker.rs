//! Leaves a provider alone that is down: after failures in a row, or when most calls fail, nothing is sent for a moment;
//! then one call tries, and the rest follow if it succeeds.
//!
//! A purchase is never the one that tries. If nothing else comes along, a harmless question is sent ahead of it.

mod account;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tower::{Service, ServiceExt as _};

use super::{Answer, Answering, Inner};
use crate::ambient;
use crate::call::{Call, Deadline, Reply};
use crate::contract::Operation;
use crate::fault::{Fault, Reason};

use account::{Entry, Health, health};

pub(super) use account::Account;
pub use account::Shown;

/// An exchange that was under way for this long when its caller lost patience has failed; after less, nothing is known.
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

/// Watches one call to its end, also one whose caller goes away.
struct Watched {
    account: Arc<Account>,
    deadline: Deadline,
    tries: bool,
    learned: bool,
}

impl Watched {
    fn new(account: Arc<Account>, call: &Call, tries: bool) -> Self {
        Self { account, deadline: call.deadline.clone(), tries, learned: false }
    }

    fn learn(&mut self, health: Health) {
        self.learned = true;
        self.account.learn(self.tries, health);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.learned {
            let hung = self.deadline.under_way_for().is_some_and(|time| time >= PATIENCE);
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

    /// Lets a call go to its end; but if the breaker opens while it waits for its turn, it does not wait any longer.
    async fn pass(self, call: Call, tries: bool) -> Answer {
        let account = self.account.clone();
        // From here on, so that no opening is missed.
        let opened = account.opened.notified();
        if !tries && let Entry::Refused(wait) = account.look() {
            return Err(refused(wait));
        }
        let (mut watched, deadline) = (Watched::new(self.account, &call, tries), call.deadline.clone());
        let mut going = self.inner.oneshot(call);
        let answer = tokio::select! {
            biased;
            answer = &mut going => answer,
            // Nothing else drives the call, so what is not under way now never will be.
            () = opened, if !tries => match deadline.under_way_for() {
                Some(_) => going.await,
                None => Err(refused(account.rest())),
            },
        };
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
                self.pass(call, false).await
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

/// A question that everyone may ask, asked for another call: by its caller, and in the time it has.
fn harmless(question: &'static Operation, call: &Call) -> Call {
    Call {
        operation: question,
        effect: question.effect,
        request: DynamicMessage::new(question.input.descriptor.clone()),
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
    use std::future::poll_fn;
    use std::pin::Pin;

    use tokio::time::advance;

    use super::*;
    use crate::call::Departure;
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

    async fn is_waiting(future: &mut (impl Future + Unpin)) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
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
        for reason in
            [Reason::NotFound, Reason::UpstreamShapeUnknown, Reason::PaceExceeded, Reason::DeadlineExceeded]
        {
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
            assert_eq!(call.deadline.depart(), Departure::First);
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

    /// What stands above the provider may hold a call for long: that is not the provider's fault, and once it is known to
    /// be down, nobody waits there for nothing.
    #[tokio::test(start_paused = true)]
    async fn what_waits_for_its_turn_is_neither_a_failure_nor_sent_once_it_is_open() {
        let provider = Provider::hanging();
        let (account, breaker) = breaker(&provider);
        for _ in 0..OPTIONS.failures {
            let waiting = breaker.clone().oneshot(call("WalletService.GetWallet"));
            assert!(tokio::time::timeout(PATIENCE * 2, waiting).await.is_err());
        }
        assert_eq!(account.shown(), Shown::Closed, "it never departed");
        let departed = call("WalletService.GetWallet");
        assert_eq!(departed.deadline.depart(), Departure::First);
        let mut under_way = Box::pin(breaker.clone().oneshot(departed));
        let mut waiting = Box::pin(breaker.clone().oneshot(of_effect(Effect::Spend)));
        assert!(is_waiting(&mut under_way).await && is_waiting(&mut waiting).await);
        for _ in 0..OPTIONS.failures {
            account.learn(false, Health::Down);
        }
        let fault = waiting.await.expect_err("it opened");
        assert_eq!((fault.reason, fault.sent), (Reason::CircuitOpen, Sent::Never));
        assert!(is_waiting(&mut under_way).await, "what is under way stays so");
    }
}
