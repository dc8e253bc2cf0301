//! What all purchases of the account share: the ledger, the one turn, and who is at which key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use prost_reflect::DynamicMessage;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use super::Below;
use super::heard::Heard;
use super::running::Running;
use super::sight::Eyes;
use super::{Options, run};
use crate::ambient;
use crate::call::Caller;
use crate::contract::{Contract, Operation};
use crate::fault::{Fault, Reason};
use crate::ledger::{Ledger, Trouble};
use crate::purchase::{Limits, Record, State};

/// The desk.
pub struct Desk {
    pub(super) contract: &'static Contract,
    ledger: Result<Ledger, String>,
    options: RwLock<Arc<Options>>,
    /// One purchase at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Who is at which key.
    running: Mutex<HashMap<(String, String), Arc<Running>>>,
    /// All that is under way, also without a key, and after a consent.
    at_work: Mutex<Vec<Arc<Running>>>,
    below: OnceLock<Below>,
    pub(super) tasks: TaskTracker,
    /// Operations whose job has failed while it may have been sending.
    lost: Mutex<Vec<String>>,
    /// Wakes who looks at what is in doubt.
    pub(super) doubt: Notify,
    /// Counts what has been written down, for those who wait for an end.
    written: watch::Sender<u64>,
    /// Nobody is kept waiting any more.
    closing: AtomicBool,
    /// Has what is in memory of the account forgotten.
    forget: OnceLock<Forget>,
    /// Counts the looks before a purchase against its caller's share.
    charge: OnceLock<Charge>,
    /// Which other replicas know of what is being sent.
    pub(super) heard: Heard,
}

/// What is done once it is known that the account has changed.
type Forget = Box<dyn Fn() + Send + Sync>;
/// Whether a caller has any of its share left, of which this takes one.
type Charge = Box<dyn Fn(&Caller) -> Result<(), Fault> + Send + Sync>;

/// One that is under way.
pub(super) struct AtWork {
    desk: Arc<Desk>,
    running: Arc<Running>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.desk.at_work().retain(|running| !Arc::ptr_eq(running, &self.running));
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Desk {
    /// A desk with a ledger, or with the reason why there is none.
    #[must_use]
    pub fn new(
        contract: &'static Contract,
        options: &Options,
        ledger: Result<Ledger, String>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            contract,
            ledger,
            options: RwLock::new(Arc::new(options.clone())),
            turn: tokio::sync::Mutex::new(()),
            running: Mutex::default(),
            at_work: Mutex::default(),
            below: OnceLock::new(),
            lost: Mutex::default(),
            tasks,
            doubt: Notify::new(),
            written: watch::Sender::new(0),
            closing: AtomicBool::new(false),
            forget: OnceLock::new(),
            charge: OnceLock::new(),
            heard: Heard::default(),
        }
    }

    /// One without a ledger.
    #[cfg(test)]
    pub(crate) fn of_nothing(contract: &'static Contract, options: &Options) -> Arc<Self> {
        Arc::new(Self::new(contract, options, Err("there is none".to_owned()), TaskTracker::new()))
    }

    /// Answers everyone who waits for an operation's end: gizad is stopping.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.announce();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// What to do once it is known that the account has changed without an answer that said so.
    pub(in crate::policy) fn forgets_by(&self, forget: impl Fn() + Send + Sync + 'static) {
        let _first = self.forget.set(Box::new(forget));
    }

    /// How the looks before a purchase are counted.
    pub(in crate::policy) fn charges_by(
        &self,
        charge: impl Fn(&Caller) -> Result<(), Fault> + Send + Sync + 'static,
    ) {
        let _first = self.charge.set(Box::new(charge));
    }

    /// Takes one of a caller's share, for the looks that are about to be taken for it.
    pub(super) fn charge(&self, caller: &Caller) -> Result<(), Fault> {
        self.charge.get().map_or(Ok(()), |charge| charge(caller))
    }

    /// Says that something is known to have been carried out.
    pub(super) fn announce_found(&self) {
        if let Some(forget) = self.forget.get() {
            forget();
        }
        self.announce();
    }

    /// Takes new settings over, for the next call.
    pub fn change(&self, options: &Options) {
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options.clone());
    }

    pub(super) fn options(&self) -> Arc<Options> {
        self.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a caller may spend.
    #[must_use]
    pub fn limits(&self, caller: &str) -> Limits {
        self.options().limits(caller)
    }

    pub(super) fn ledger(&self) -> Result<&Ledger, Fault> {
        self.ledger.as_ref().map_err(|why| Fault::new(Reason::LedgerUnavailable, why.clone()))
    }

    /// What an operation was asked for, as it was written down; nothing if that cannot be read.
    pub(super) fn asked(
        &self,
        ledger: &Ledger,
        record: &Record,
    ) -> Option<(&'static Operation, DynamicMessage)> {
        let operation = self.contract.operation(&record.operation)?;
        let bytes = ledger.unseal(&record.id, &record.request)?;
        Some((operation, DynamicMessage::decode(operation.input.descriptor.clone(), &*bytes).ok()?))
    }

    pub(super) fn stand_on(&self, below: Below) {
        let _first = self.below.set(below);
    }

    pub(in crate::policy) fn below(&self) -> Below {
        let nothing: Below =
            Arc::new(|_| Box::pin(async { Err(Fault::new(Reason::Internal, "the stack is not built yet")) }));
        self.below.get().cloned().unwrap_or(nothing)
    }

    pub(super) fn eyes(&self, urgent: bool) -> Eyes {
        Eyes { contract: self.contract, below: self.below(), urgent }
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is at an operation any more, though its writer lives.
    pub(super) fn lose(&self, id: String) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.doubt.notify_one();
    }

    fn is_lost(&self, id: &str) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|lost| lost == id)
    }

    fn at_work(&self) -> MutexGuard<'_, Vec<Arc<Running>>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one as under way, until what is returned is dropped.
    pub(super) fn takes_up(self: &Arc<Self>, running: &Arc<Running>) -> AtWork {
        self.at_work().push(running.clone());
        AtWork { desk: self.clone(), running: running.clone() }
    }

    /// How many purchases are under way in this process.
    #[must_use]
    pub fn running_now(&self) -> usize {
        self.at_work().len()
    }

    /// The purchases under way in this process, each with how it stands; nothing is said of how where the ledger does not
    /// tell.
    pub async fn underway(&self) -> Vec<(String, Option<State>)> {
        let ids: Vec<String> = self.at_work().iter().map(|running| running.id()).collect();
        let mut shown = Vec::new();
        for id in ids.into_iter().filter(|id| !id.is_empty()) {
            let record = match &self.ledger {
                Ok(ledger) => ledger.by_id(&id).await.ok().flatten(),
                Err(_) => None,
            };
            shown.push((id, record.map(|record| record.state())));
        }
        shown
    }

    /// Says that something was written down.
    pub(super) fn announce(&self) {
        self.written.send_modify(|count| *count = count.wrapping_add(1));
        self.doubt.notify_one();
    }

    /// Another replica has written something down. Who looks at what is in doubt looks in its own time.
    pub(in crate::policy) fn hears(&self) {
        self.written.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What those hear who wait for an end.
    #[cfg(test)]
    pub(in crate::policy) fn hearings(&self) -> watch::Receiver<u64> {
        self.announcements()
    }

    pub(super) fn announcements(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Declares in doubt what a writer was sending that is gone. Says how many operations are in doubt now.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub async fn recover(&self) -> Result<usize, Trouble> {
        let Ok(ledger) = &self.ledger else { return Ok(0) };
        let mut doubtful = 0;
        for record in ledger.open_ones().await? {
            let sending = record.state() == State::Sending;
            if sending && (self.is_lost(&record.id) || !ledger.store().is_alive(&record.owner).await?) {
                run::crashed(ledger, &record, ambient::unix_millis()).await?;
                doubtful += 1;
            } else if record.state().is_doubtful() {
                doubtful += 1;
            }
        }
        Ok(doubtful)
    }
}
