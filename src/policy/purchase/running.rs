//! One purchase under way in this process, and who waits for it. Absent here: what it does.

use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::run::Told;
use crate::ambient;
use crate::call::Deadline;
use crate::traces::Trace;

/// A purchase under way in this process.
pub(super) struct Running {
    pub(super) fingerprint: Vec<u8>,
    /// Where it stands in the trace of whoever began it.
    pub(super) trace: Trace,
    state: Mutex<Waiting>,
    told: watch::Sender<Option<Told>>,
}

#[derive(Default)]
struct Waiting {
    /// The operation that it is.
    id: String,
    deadlines: Vec<Deadline>,
    committed: bool,
}

impl Running {
    pub(super) fn new(id: String, fingerprint: Vec<u8>, trace: &Trace) -> Self {
        let state = Mutex::new(Waiting { id, ..Waiting::default() });
        Self { fingerprint, trace: trace.clone(), state, told: watch::Sender::new(None) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operation that it is.
    pub(super) fn id(&self) -> String {
        self.lock().id.clone()
    }

    /// It is an operation that was known before.
    pub(super) fn is(&self, id: &str) {
        id.clone_into(&mut self.lock().id);
    }

    /// Somebody waits for it, who is not told any more that nothing was sent once it is committed.
    pub(super) fn join(&self, deadline: &Deadline) {
        let mut state = self.lock();
        if state.committed {
            let _departed = deadline.depart();
        }
        state.deadlines.push(deadline.clone());
    }

    /// The moment from which on it may be sent: unless everyone who waited has been told that it never will be.
    pub(super) fn commit(&self) -> bool {
        let mut state = self.lock();
        let departed =
            state.deadlines.iter().filter(|d| d.depart() != crate::call::Departure::Refused).count();
        state.committed = departed > 0 || state.deadlines.is_empty();
        state.committed
    }

    /// Until when somebody waits for it. Nothing if that is for ever: it is committed, somebody has no end, or nobody ever waited.
    fn awaited_until(&self) -> Option<Instant> {
        let state = self.lock();
        let ends = state.deadlines.iter().filter(|_| !state.committed).map(Deadline::end);
        ends.reduce(|one, other| Some(one?.max(other?))).flatten()
    }

    /// Whether anybody waits for it whose time is not up, or nobody ever did.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited_until().is_none_or(|until| until > ambient::instant())
    }

    /// Until nobody waits for it any more.
    pub(super) async fn abandoned(&self) {
        // Whoever joins meanwhile may have more time.
        while self.is_awaited() {
            match self.awaited_until() {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        }
    }

    pub(super) fn is_committed(&self) -> bool {
        self.lock().committed
    }

    /// Says whether anybody is left to hear it.
    pub(super) fn tell(&self, told: Told) -> bool {
        self.told.send_replace(Some(told));
        self.told.receiver_count() > 0
    }

    /// Waits for its end.
    pub(super) async fn told(&self) -> Option<Told> {
        let mut told = self.told.subscribe();
        let ended = told.wait_for(Option::is_some).await.ok()?;
        ended.clone()
    }
}
