//! What the policies share between calls: the hand by which they are shown, changed, and remembered.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::pace::Alive;
use super::{
    Kept, Options, UnderwayShown, access, breaker, cache, credentials, deadline, guard, pace, quota, recent,
    retry, underway,
};
use crate::ambient;
use crate::call::Caller;
use crate::contract::{Contract, Effect};
use crate::fault::Reason;
use crate::metrics::Figures;
use crate::shared::pace::Store;
use crate::shared::{Answers, Sights};
use crate::watch;

/// What has been learned up to a moment, to compare with later.
pub type Mark = (u64, u64, Option<Instant>);

/// The state of all policies for one account.
#[derive(Clone)]
pub struct Traffic {
    pub(super) register: Arc<access::Register>,
    pub(super) clock: Arc<deadline::Clock>,
    pub(super) shelf: Arc<cache::Shelf>,
    pub(super) counters: Arc<quota::Counters>,
    pub(super) retry: Arc<retry::Account>,
    pub(super) credentials: Arc<credentials::Account>,
    pub(super) breaker: Arc<breaker::Account>,
    pub(super) pace: pace::Handle,
    pub(super) recent: Arc<recent::Recent>,
    pub(super) spared: Arc<guard::Spared>,
    pub(super) underway: Arc<underway::Underway>,
    pub(super) hub: watch::Hub,
    pub(super) contract: &'static Contract,
    pub(super) figures: Arc<Figures>,
}

/// That state as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The account's pace.
    pub pace: pace::Shown,
    /// Whether the provider is left alone.
    pub breaker: breaker::Shown,
    /// Why the provider refuses the credentials, if it does.
    pub refused: Option<Reason>,
    /// How many answers are in memory.
    pub answers: usize,
    /// How many bytes they take.
    pub bytes: usize,
    /// How many calls may be sent again.
    pub repeats: f64,
    /// How many things are looked at again and again.
    pub subjects: usize,
    /// How many streams are open.
    pub streams: usize,
}

impl Traffic {
    /// The state at the beginning, when nothing is known.
    #[must_use]
    pub fn new(contract: &'static Contract, options: &Options) -> Self {
        // Nobody waits for these tasks: refreshes, the one that gives turns while calls wait for them, and the one that finds
        // out whether the credentials are accepted again.
        let tasks = TaskTracker::new();
        // A question that everyone may ask, and that needs no parameters.
        let question = contract.operations().iter().find(|operation| operation.effect == Effect::Public);
        let figures = Arc::new(Figures::default());
        Self {
            register: Arc::new(access::Register::new(&options.access)),
            clock: Arc::new(deadline::Clock::new(options.deadline)),
            shelf: Arc::new(cache::Shelf::new(&options.cache, tasks.clone())),
            counters: Arc::new(quota::Counters::new(options.quota.clone()).counted(&figures)),
            retry: Arc::new(retry::Account::new(options.retry).counted(&figures)),
            credentials: Arc::new(credentials::Account::new(contract, tasks.clone())),
            breaker: Arc::new(breaker::Account::new(options.breaker, question).counted(&figures)),
            hub: watch::Hub::new(options.watch, tasks.clone()),
            pace: pace::Handle::new(&options.pace, tasks).counted(&figures),
            recent: Arc::new(recent::Recent::new()),
            spared: Arc::new(guard::Spared::new(&options.protected)),
            underway: Arc::default(),
            contract,
            figures,
        }
    }

    /// There are other replicas, which look at what is watched and ask for the catalog as well.
    pub fn is_shared_by(&self, sights: Arc<dyn Sights>, answers: Arc<dyn Answers>) {
        self.hub.is_shared_by(sights);
        self.shelf.is_shared_by(answers);
    }

    /// What is counted and measured.
    #[must_use]
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// The names that callers can have, those of whom nothing is known included.
    #[must_use]
    pub fn names(&self) -> Vec<Caller> {
        self.register.names()
    }

    /// Takes new settings over, for the next call. What was used of a limit stays used.
    ///
    /// The actions stay as they are: what may be called is decided when gizad starts.
    pub fn change(&self, options: &Options) {
        self.register.change(&options.access);
        self.clock.change(options.deadline);
        self.shelf.change(&options.cache);
        self.counters.change(options.quota.clone());
        self.retry.change(options.retry);
        self.breaker.change(options.breaker);
        self.pace.change(&options.pace);
        self.spared.change(&options.protected);
        self.hub.change(options.watch);
    }

    /// How it stands.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let (answers, bytes) = self.shelf.size();
        let (pace, breaker, refused) = (self.pace.shown(), self.breaker.shown(), self.credentials.refused());
        let ((subjects, streams), repeats) = (self.hub.size(), self.retry.saved());
        Shown { pace, breaker, refused, answers, bytes, repeats, subjects, streams }
    }

    /// Goes on with another pair, which was tried and accepted.
    pub fn renew(&self) {
        self.credentials.renew();
    }

    /// Forgets what is in memory, of all operations or of one; says how many answers that were.
    #[must_use]
    pub fn purge(&self, operation: Option<&str>) -> usize {
        self.shelf.purge(operation)
    }

    /// From this moment on, nothing is sent any more that must not be cut off.
    pub fn close_at(&self, moment: Instant) {
        self.clock.close_at(moment);
    }

    /// Refuses every further call.
    pub fn refuse(&self) {
        self.underway.end();
    }

    /// The calls under way.
    #[must_use]
    pub fn underway(&self) -> Vec<UnderwayShown> {
        self.underway.shown()
    }

    /// Another gizad may have had something done just before.
    pub fn has_a_past(&self) {
        self.hub.has_a_past();
    }

    /// Answers everyone who waits for something to come about, and ends every stream: gizad is stopping.
    pub fn end_watches(&self) {
        self.hub.close();
    }

    /// Sends everyone away who waits for a turn.
    pub fn dismiss(&self) {
        self.pace.dismiss();
    }

    /// Shares the account's rate with other replicas from now on.
    pub fn share(&self, store: Arc<dyn Store>) {
        self.pace.share(store);
    }

    /// Says farewell to the other replicas: nothing is sent any more, and what was kept for this one is theirs.
    pub async fn leave(&self, store: &dyn Store) {
        self.pace.leave(store).await;
    }

    /// Somebody says that another replica is gone for good: nothing is kept for it any more.
    ///
    /// # Errors
    /// There is none of that name, or it is alive.
    pub fn forget_replica(&self, name: &str) -> Result<(), Alive> {
        self.pace.forget(name)
    }

    /// What is worth knowing after a restart.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let (pace_part, paused) = self.pace.learned();
        let paused_until_unix_ms = paused.map_or(0, |until| {
            let left = until.saturating_duration_since(ambient::instant());
            ambient::unix_millis().saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
        });
        Kept { replies: self.shelf.kept(), pace_part, paused_until_unix_ms }
    }

    /// Whether that has changed: two equal marks mean that nothing worth writing down has happened between them.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let (part, paused) = self.pace.learned();
        (self.shelf.revision(), part.to_bits(), paused)
    }

    /// Goes on from what was known before.
    pub fn restore(&self, kept: &Kept) {
        self.shelf.restore(self.contract, &kept.replies);
        if kept.pace_part > 0.0 {
            let pause = kept.paused_until_unix_ms.saturating_sub(ambient::unix_millis());
            self.pace.recall(kept.pace_part, Duration::from_millis(u64::try_from(pause).unwrap_or(0)));
        }
    }
}
