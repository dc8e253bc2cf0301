//! Which faults strike, and how the operations stood then; and what the ledger looked like after every write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost::Message as _;

use super::stage::Stage;
use super::store::Shared;
use crate::purchase::{Record, State};

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fault {
    Crash,
    Pause,
    LostAnswer,
    DiedBefore,
    LateExecution,
    DuplicateAnswer,
    LyingRefusal,
    LaggingBalance,
    LaggingListing,
    DiskError,
    FullDisk,
    ReadError,
    NotSent,
    Refusal,
    /// A process is away from the store, lives on, and comes back.
    Partition,
    /// What was given up is written all the same.
    LateWrite,
    /// The store begins anew, and everybody else lives on.
    StoreRestart,
    /// The connection that holds the turn is lost, and no other.
    LostTurn,
    /// A clock is set to another wrong time.
    ClockSet,
}

impl Fault {
    pub(super) const ALL: [Self; 19] = [
        Self::Crash,
        Self::Pause,
        Self::LostAnswer,
        Self::DiedBefore,
        Self::LateExecution,
        Self::DuplicateAnswer,
        Self::LyingRefusal,
        Self::LaggingBalance,
        Self::LaggingListing,
        Self::DiskError,
        Self::FullDisk,
        Self::ReadError,
        Self::NotSent,
        Self::Refusal,
        Self::Partition,
        Self::LateWrite,
        Self::StoreRestart,
        Self::LostTurn,
        Self::ClockSet,
    ];
}

#[derive(Default)]
pub(super) struct Counted {
    /// Whether faults strike at all.
    pub(super) calm: bool,
    pub(super) struck: BTreeMap<Fault, u64>,
    /// Faults and how an operation stood when one struck.
    pub(super) met: BTreeSet<(Fault, State)>,
    standing: BTreeMap<String, State>,
    /// Operations that were hit by a fault of their own.
    pub(super) hit: BTreeSet<String>,
    /// What was wrong with the ledger right after a write.
    pub(super) wrong: Vec<String>,
    /// A digest of everything that happened.
    pub(super) trace: u64,
}

/// The counts of one run.
#[derive(Clone)]
pub(super) struct Tally {
    stage: Stage,
    limits: i64,
    counted: Arc<Mutex<Counted>>,
}

impl Tally {
    pub(super) fn new(stage: Stage, day_limit: i64) -> Self {
        Self { stage, limits: day_limit, counted: Arc::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a fault strikes, which it does in so many of a thousand cases.
    pub(super) fn strikes(&self, fault: Fault, per_mille: u64) -> bool {
        let strikes = !self.lock().calm && self.stage.per_mille(per_mille);
        if strikes {
            self.note(fault);
        }
        strikes
    }

    /// A fault strikes.
    pub(super) fn note(&self, fault: Fault) {
        let mut counted = self.lock();
        *counted.struck.entry(fault).or_default() += 1;
        let standing: Vec<State> = counted.standing.values().copied().collect();
        counted.met.extend(standing.into_iter().map(|state| (fault, state)));
    }

    /// Something was written down: what must be true after every write is looked at now.
    pub(super) fn written(&self, shared: &Shared) {
        let disk = shared.lock();
        let Some(last) = disk.entries.last() else { return };
        let Ok(record) = Record::decode(&*last.body) else { return };
        let mut counted = self.lock();
        let state = record.state();
        let mix = last.seq as u64 ^ (state as u64) << 32 ^ (self.stage.now_ms() as u64) << 8;
        counted.trace = (counted.trace ^ mix).wrapping_mul(0x0100_0000_01b3);
        let before = counted.standing.insert(record.id.clone(), state);
        if before.is_some_and(State::is_last) {
            counted.wrong.push(format!("I11: {} left its last state for {}", record.id, state.as_str()));
        }
        if before == Some(State::InDoubt) && !(state.is_last() || state == State::NeedsOperator) {
            counted.wrong.push(format!("I11: {} left its doubt for {}", record.id, state.as_str()));
        }
        let day = disk.rows.values().map(|kept| &kept.row);
        let day = day.filter(|row| row.caller == record.caller && row.day == record.day);
        let spent: i64 = day.map(|row| row.held_vnd + row.posted_vnd).sum();
        if spent > self.limits {
            counted
                .wrong
                .push(format!("I12: {} has {spent} spent and held of {}", record.caller, self.limits));
        }
    }
}
