//! Leaves the provider alone while it refuses the account's credentials: what carries them is answered at once, and one
//! harmless question now and then finds out whether they are accepted again.
//!
//! A refusal alone shuts nothing: the provider may refuse one action, or lie. Only when the harmless question is refused too,
//! everything is. Who waits for that question is no caller, so a purchase ends as it would have without it.
//!
//! What the provider answers to everybody carries no credentials and passes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder, ServiceExt as _};

use super::{Answer, Answering, Inner, Traffic, deadline, pace};
use crate::ambient;
use crate::call::{Call, Reply};
use crate::contract::{Contract, Effect, Operation};
use crate::fault::{Fault, Judged, Reason, Sent};

/// The harmless question.
const WALLET: &str = "WalletService.GetWallet";
/// How long it may take.
const LOOK: Duration = Duration::from_secs(20);
/// How long nothing is sent after the first refusal; twice as long after each further one.
const REST: Duration = Duration::from_secs(60);
/// The longest rest.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// For how long a refusal is not asked about again once the question was answered.
const TRUST: Duration = Duration::from_secs(10);

/// What all calls for the account share.
pub(super) struct Account {
    state: Mutex<State>,
    question: Option<&'static Operation>,
    tasks: TaskTracker,
    /// Told when it shuts, so that what waits for its turn does not wait any longer.
    shut: Notify,
    /// Told when there is another pair, so that nobody rests any longer.
    renewed: Notify,
}

#[derive(Default)]
struct State {
    refused: Option<Refused>,
    /// Somebody is finding out.
    asking: bool,
    /// Until when the answer to the question is believed.
    trusted_until: Option<Instant>,
}

#[derive(Clone)]
struct Refused {
    reason: Reason,
    answer: Option<Judged>,
    /// When it is asked again.
    until: Instant,
}

impl Account {
    pub(super) fn new(contract: &'static Contract, tasks: TaskTracker) -> Self {
        Self {
            state: Mutex::default(),
            question: contract.operation(WALLET),
            tasks,
            shut: Notify::new(),
            renewed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the provider refuses the credentials, if it does.
    pub(super) fn refused(&self) -> Option<Reason> {
        self.lock().refused.as_ref().map(|refused| refused.reason)
    }

    /// There is another pair, which was accepted.
    pub(super) fn renew(&self) {
        self.open();
        self.renewed.notify_waiters();
    }

    /// What a call is told while nothing is sent.
    fn told(&self) -> Option<Fault> {
        let Refused { reason, answer, until } = self.lock().refused.clone()?;
        let detail = "the provider refuses gizad's own credentials, so nothing is sent; gizad asks now and then, and at once \
                      when there is a new secret";
        let wait = until.saturating_duration_since(ambient::instant());
        Some(Fault { retry_after: Some(wait), answer, ..Fault::new(reason, detail) })
    }

    fn shut(&self, fault: &Fault, rest: Duration) {
        let reason = fault.happened();
        let refused = Refused { reason, answer: fault.answer.clone(), until: ambient::instant() + rest };
        let before = self.lock().refused.replace(refused);
        if before.is_none_or(|before| before.reason != reason) {
            let message = fault.answer.as_ref().and_then(|answer| answer.message.as_ref());
            tracing::error!(
                reason = reason.as_str(),
                provider = message.map(|message| message.as_str()),
                "the provider refuses gizad's credentials: nothing is sent but a question now and then; put the right \
                 ones where [credentials] says, or have this machine's address allowed"
            );
        }
        self.shut.notify_waiters();
    }

    fn open(&self) {
        let mut state = self.lock();
        state.trusted_until = Some(ambient::instant() + TRUST);
        if state.refused.take().is_some() {
            tracing::warn!("the provider accepts gizad's credentials again: calls pass");
        }
    }

    /// Whether this refusal is the one to ask about.
    fn doubt(&self) -> bool {
        let mut state = self.lock();
        let trusted = state.trusted_until.is_some_and(|until| ambient::instant() < until);
        let first = !state.asking && !trusted;
        state.asking |= first;
        first
    }
}

/// Somebody who finds out; also if it panics, the next refusal is asked about.
struct Asking(Arc<Account>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.lock().asking = false;
    }
}

/// Lets calls through while the credentials are accepted.
#[derive(Clone)]
pub(super) struct Credentials<S> {
    account: Arc<Account>,
    inner: S,
}

impl<S: Inner> Credentials<S> {
    pub(super) fn new(account: Arc<Account>, inner: S) -> Self {
        Self { account, inner }
    }

    async fn pass(self, call: Call) -> Answer {
        let account = self.account.clone();
        // From here on, so that no shutting is missed.
        let shut = account.shut.notified();
        if let Some(fault) = account.told() {
            // Whoever was finding out may be gone.
            self.doubt();
            return Err(fault);
        }
        let deadline = call.deadline.clone();
        let mut going = self.inner.clone().oneshot(call);
        let answer = tokio::select! {
            biased;
            answer = &mut going => answer,
            // Nothing else drives the call, so what is not under way now never will be.
            () = shut => match (deadline.under_way_for(), account.told()) {
                (None, Some(fault)) => Err(fault),
                (Some(_), _) | (_, None) => going.await,
            },
        };
        if is_refusal(&answer).is_some() {
            self.doubt();
        }
        answer
    }

    /// Has somebody find out, if nobody does.
    fn doubt(&self) {
        if self.account.doubt() {
            self.account.tasks.spawn(self.clone().find_out());
        }
    }

    /// Asks until the credentials are accepted, or nothing is known.
    async fn find_out(self) {
        let asking = Asking(self.account);
        let account = &asking.0;
        let mut rest = REST;
        loop {
            let Some(question) = account.question else { return };
            let renewed = account.renewed.notified();
            let answer = timeout(LOOK, self.inner.clone().oneshot(ask(question))).await;
            match answer {
                Ok(answer) => match (is_refusal(&answer), &answer) {
                    (Some(fault), _) => account.shut(fault, rest),
                    (None, Ok(_)) => return account.open(),
                    // It has understood who asks, whatever else it says.
                    (None, Err(fault)) if fault.sent == Sent::Answered => return account.open(),
                    (None, Err(_)) if account.refused().is_none() => return,
                    (None, Err(_)) => {}
                },
                Err(_elapsed) if account.refused().is_none() => return,
                Err(_elapsed) => {}
            }
            tokio::select! {
                () = sleep(rest) => rest = (rest * 2).min(LONGEST),
                // What was just refused may have been the pair before.
                () = renewed => rest = REST,
            }
        }
    }
}

impl<S: Inner> Service<Call> for Credentials<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match call.effect {
            Effect::Public => self.inner.call(call),
            Effect::Read | Effect::Secret | Effect::Converge | Effect::Once | Effect::Spend => {
                Box::pin(self.clone().pass(call))
            }
        }
    }
}

/// Tries a pair that is not used yet: the harmless question, at the account's pace behind everybody else.
///
/// # Errors
/// Why it is not known to be accepted.
pub async fn trial<S>(traffic: &Traffic, upstream: S) -> Result<(), Fault>
where
    S: Service<Call, Response = Reply, Error = Fault, Future = Answering> + Clone + Send + Sync + 'static,
{
    let missing = || Fault::new(Reason::Internal, "there is no operation that reads the wallet");
    let question = traffic.contract.operation(WALLET).ok_or_else(missing)?;
    let service = ServiceBuilder::new()
        .layer_fn(|inner| deadline::Answer::new(traffic.clock.clone(), inner))
        .layer_fn(|inner| pace::Pace::new(traffic.pace.clone(), inner))
        .layer_fn(|inner| deadline::Depart::new(traffic.clock.clone(), inner))
        .service(upstream);
    service.oneshot(ask(question)).await.map(drop)
}

fn ask(question: &'static Operation) -> Call {
    Call::own(question, DynamicMessage::new(question.input.descriptor.clone()), LOOK)
}

/// Whether the provider has refused who asks, whatever it was asked.
fn is_refusal(answer: &Answer) -> Option<&Fault> {
    answer
        .as_ref()
        .err()
        .filter(|fault| matches!(fault.happened(), Reason::UpstreamAuthFailed | Reason::UpstreamIpNotAllowed))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::policy::play::{Provider, call, of_effect};

    fn layer(provider: &Provider) -> (Arc<Account>, Credentials<Provider>) {
        let contract = Contract::embedded().expect("sound");
        let account = Arc::new(Account::new(contract, TaskTracker::new()));
        (account.clone(), Credentials::new(account, provider.clone()))
    }

    fn bad_key() -> Fault {
        Fault::new(Reason::UpstreamAuthFailed, "").sent(Sent::Answered)
    }

    async fn asked(layer: &Credentials<Provider>, operation: &str) -> Result<(), (Reason, Sent)> {
        let answer = layer.clone().oneshot(call(operation)).await;
        // What finds out has its turn.
        sleep(Duration::from_millis(1)).await;
        answer.map(drop).map_err(|fault| (fault.reason, fault.sent))
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_the_question_confirms_shuts_it_and_rests_grow() {
        let provider = Provider::failing(bad_key());
        let (account, layer) = layer(&provider);
        let sent = asked(&layer, "VpsService.ListVps").await;
        assert_eq!(sent, Err((Reason::UpstreamAuthFailed, Sent::Answered)));
        assert_eq!(provider.operations(), ["VpsService.ListVps", WALLET]);
        for _ in 0..100 {
            let told = asked(&layer, "VpsService.ListVps").await;
            assert_eq!(told, Err((Reason::UpstreamAuthFailed, Sent::Never)));
        }
        assert_eq!(provider.seen(), 2, "nothing is sent");
        sleep(Duration::from_secs(6 * 3600)).await;
        let times = provider.times();
        let rests: Vec<u64> = times.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(rests[..6], [60, 120, 240, 480, 900, 900]);
        assert!(rests.len() < 35, "{rests:?}");
        assert_eq!(account.refused(), Some(Reason::UpstreamAuthFailed));
        provider.recover();
        sleep(LONGEST).await;
        assert_eq!(account.refused(), None);
        assert_eq!(asked(&layer, "VpsService.ListVps").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_lying_refusal_shuts_nothing_and_is_not_asked_about_for_ever() {
        let provider = Provider::fine();
        let (account, layer) = layer(&provider);
        let liar = |layer: Credentials<Provider>| async move {
            provider_says(&layer, bad_key());
            let answer = layer.clone().oneshot(of_effect(Effect::Spend)).await;
            layer.inner.recover();
            sleep(Duration::from_millis(1)).await;
            answer.map(drop).map_err(|fault| fault.sent)
        };
        for _ in 0..10 {
            assert_eq!(liar(layer.clone()).await, Err(Sent::Answered), "as without this layer");
            assert_eq!(account.refused(), None);
        }
        let questions = provider.operations().iter().filter(|name| *name == WALLET).count();
        assert_eq!(questions, 1, "{:?}", provider.operations());
        advance(TRUST).await;
        assert_eq!(liar(layer.clone()).await, Err(Sent::Answered));
        let questions = provider.operations().iter().filter(|name| *name == WALLET).count();
        assert_eq!(questions, 2);
    }

    fn provider_says(layer: &Credentials<Provider>, fault: Fault) {
        layer.inner.fail(fault);
    }

    #[tokio::test(start_paused = true)]
    async fn the_catalog_passes_and_a_new_pair_opens_it_at_once() {
        let provider = Provider::failing(bad_key());
        let (account, layer) = layer(&provider);
        let _refused = asked(&layer, WALLET).await;
        assert!(account.refused().is_some());
        provider.recover();
        assert_eq!(asked(&layer, "CatalogService.ListVpsPlans").await, Ok(()));
        assert!(account.refused().is_some(), "the catalog says nothing of the credentials");
        account.renew();
        assert_eq!(asked(&layer, WALLET).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_is_down_says_nothing_of_the_credentials() {
        let provider = Provider::failing(bad_key());
        let (account, layer) = layer(&provider);
        let _refused = asked(&layer, WALLET).await;
        provider.fail(Fault::new(Reason::UpstreamTimeout, "").sent(Sent::Maybe));
        sleep(REST * 2).await;
        assert_eq!(account.refused(), Some(Reason::UpstreamAuthFailed), "still");
    }
}
