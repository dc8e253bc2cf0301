//! How often the account is used, whoever calls: as fast as the provider allows, and no faster.
//!
//! Its true limit is not documented, so gizad starts gently, slows down when the provider complains and grows again in
//! quiet times. A call waits for its turn as long as its time allows; what cannot have one in time is refused at once.

mod account;
mod bucket;
mod estimate;
mod queue;
mod renew;
mod replica;
mod shown;
#[cfg(test)]
mod simulation;

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

use super::meter::Rate;
use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Call, Caller, Limit, Reply};
use crate::fault::{Fault, Reason, Sent};
use crate::metrics::Figures;
use crate::shared::pace::Store;
use crate::traces::Kind;

use account::{Account, Entry};
use queue::{Lane, Turn};

pub use shown::{Alive, ReplicaShown, Replicas, Shown};

/// The pace's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most that is ever used.
    pub rate: Rate,
    /// How many calls may wait at once.
    pub queue: usize,
    /// The longest pause that the provider is granted.
    pub longest_pause: Duration,
    /// Operations that are asked over and over, and so come last.
    pub polls: Vec<String>,
    /// How many replicas share the account's rate at most. None if this gizad has it for itself; one of several uses nothing until
    /// it [shares](super::Traffic::share) with the others.
    pub replicas: Option<NonZeroU32>,
}

/// The pace, for those who show, change and keep it.
#[derive(Clone)]
pub(super) struct Handle {
    account: Arc<Account>,
    polls: Arc<RwLock<Vec<String>>>,
    figures: Arc<Figures>,
}

impl Handle {
    pub(super) fn new(options: &Options, tasks: TaskTracker) -> Self {
        let polls = Arc::new(RwLock::new(options.polls.clone()));
        Self { account: Arc::new(Account::new(options, tasks)), polls, figures: Arc::default() }
    }

    /// The same, with waits, refusals and complaints counted there.
    pub(super) fn counted(self, figures: &Arc<Figures>) -> Self {
        let _at_zero = figures.pace_complaints.at([]);
        for lane in Lane::ALL {
            let _at_zero = figures.pace_refusals.at([lane.as_str().into()]);
        }
        Self { figures: figures.clone(), ..self }
    }

    pub(super) fn change(&self, options: &Options) {
        self.account.change(options);
        self.polls.write().unwrap_or_else(PoisonError::into_inner).clone_from(&options.polls);
    }

    pub(super) fn dismiss(&self) {
        self.account.dismiss();
    }

    pub(super) fn shown(&self) -> Shown {
        self.account.shown()
    }

    /// What is worth remembering over a restart: the part of the ceiling in use, and the end of a pause.
    pub(super) fn learned(&self) -> (f64, Option<Instant>) {
        self.account.learned()
    }

    pub(super) fn recall(&self, part: f64, pause: Duration) {
        self.account.recall(part, pause);
    }

    /// Shares the account's rate with other replicas from now on.
    pub(super) fn share(&self, store: Arc<dyn Store>) {
        let (account, tasks) = (self.account.clone(), self.account.tasks.clone());
        self.account.tasks.spawn(async move {
            // Whatever happens to it, it is not left undone.
            while let Err(error) = tasks.spawn(renew::run(account.clone(), store.clone())).await {
                tracing::error!(%error, "the talk with the other replicas has failed; it begins anew");
                sleep(Duration::from_secs(1)).await;
            }
        });
    }

    /// Says farewell to the other replicas: this one sends nothing any more.
    pub(super) async fn leave(&self, store: &dyn Store) {
        renew::leave(&self.account, store).await;
    }

    /// Keeps nothing any more for another replica, which is gone for good.
    pub(super) fn forget(&self, name: &str) -> Result<(), Alive> {
        let mut state = self.account.lock();
        let replica = state.replica.as_mut().ok_or(Alive::Unknown)?;
        replica.forget(name, ambient::instant())?;
        self.account.news.notify_one();
        Ok(())
    }

    fn lane(&self, call: &Call) -> Lane {
        let polls = self.polls.read().unwrap_or_else(PoisonError::into_inner);
        if call.urgent {
            // A purchase waits for it, and never behind polls or reads.
            return Lane::Write;
        }
        let own = call.caller.is_gizad() || call.caller == Caller::Metrics;
        Lane::of(call.effect, own || polls.contains(&call.operation.name))
    }
}

/// Lets calls through at the account's pace.
#[derive(Clone)]
pub(super) struct Pace<S> {
    handle: Handle,
    inner: S,
}

impl<S> Pace<S> {
    pub(super) fn new(handle: Handle, inner: S) -> Self {
        Self { handle, inner }
    }
}

impl<S: Inner> Service<Call> for Pace<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (handle, lane, inner) = (self.handle.clone(), self.handle.lane(&call), self.inner.clone());
        Box::pin(async move {
            let (Handle { account, figures, .. }, asked) = (handle, ambient::instant());
            let entered = match account.enter(lane, &call.caller, &call.deadline) {
                Entry::Now => Ok(()),
                Entry::Later(turn) => {
                    let mut waiting = call.trace.child("wait for a turn", Kind::Internal);
                    waiting.set("gizad.lane", lane.as_str());
                    let given = wait(turn, &account, &call).await;
                    if let Err(fault) = &given {
                        waiting.set("error.type", fault.reason.as_str());
                    }
                    given
                }
                Entry::Never(limit) => Err(refused(limit)),
            };
            if let Err(fault) = entered {
                figures.pace_refusals.at([lane.as_str().into()]).inc();
                return Err(fault);
            }
            let left = ambient::instant();
            let waited = left.saturating_duration_since(asked);
            figures.pace_wait.at([lane.as_str().into()]).observe(waited.as_secs_f64());
            inner.oneshot(call).await.map_err(|fault| {
                if !is_complaint(&fault) {
                    return fault;
                }
                account.slow_down(left, fault.retry_after);
                figures.pace_complaints.at([]).inc();
                if fault.reason != Reason::UpstreamRateLimited {
                    return fault;
                }
                // Whoever is told of it is told when there is a turn again, also if the provider does not say.
                let limit = Limit { name: "upstream", quota: 0, ..account.limit() };
                Fault { retry_after: fault.retry_after.or(Some(limit.reset)), limit: Some(limit), ..fault }
            })
        })
    }
}

/// Waits for a turn, at most until it would be of no use: a call may outlive whoever waits for it.
async fn wait(turn: Turn, account: &Account, call: &Call) -> Result<(), Fault> {
    let given = async { turn.await.map_err(|_in_vain| refused(account.limit())) };
    match call.deadline.latest() {
        Some(latest) => {
            timeout_at(latest, given).await.unwrap_or_else(|_| Err(Fault::late(call.effect, false)))
        }
        None => given.await,
    }
}

/// Whether the provider, or what stands in front of it, asks to be called less.
fn is_complaint(fault: &Fault) -> bool {
    let asked = fault.retry_after.is_some() && fault.sent != Sent::Never;
    asked || matches!(fault.happened(), Reason::UpstreamRateLimited | Reason::UpstreamBlocked)
}

fn refused(limit: Limit) -> Fault {
    let detail = match limit.name {
        "upstream" => {
            "the provider has asked to be left alone for a while, which is longer than this call can wait"
        }
        _ => "there is no turn for this call in the time it has: the account is used to capacity",
    };
    let wait = limit.reset.max(Duration::from_millis(1));
    Fault { retry_after: Some(wait), limit: Some(limit), ..Fault::new(Reason::PaceExceeded, detail) }
}

#[cfg(test)]
mod tests;
