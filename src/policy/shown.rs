//! What the policies show of themselves to a person: who calls and what is left to each, what is in memory, what happened lately.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Traffic, recent};
use crate::call::{Caller, Limit, Scope, Scopes};

/// A caller.
#[derive(Clone, Debug)]
pub struct CallerShown {
    /// Who.
    pub caller: Caller,
    /// What it may do.
    pub scopes: Scopes,
    /// How many operations it may call, if it may not call all that its scopes allow.
    pub operations: Option<usize>,
    /// From when on it may do nothing any more, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
    /// What is left of its quota.
    pub quota: Limit,
}

/// The answers of one operation that are in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How many there are: one for every set of parameters.
    pub answers: usize,
    /// How many of them are fresh.
    pub fresh: usize,
    /// The bytes they take.
    pub bytes: usize,
    /// How old the youngest is.
    pub youngest: Duration,
    /// How old the oldest is.
    pub oldest: Duration,
}

impl Traffic {
    /// Everyone who may call or has called lately, by name.
    #[must_use]
    pub fn callers(&self) -> Vec<CallerShown> {
        let mut granted = BTreeMap::from([(Caller::Anonymous, (self.register.anonymous(), None, None))]);
        for (caller, grant) in self.register.callers() {
            let operations = grant.operations.map(|operations| operations.len());
            granted.insert(caller, (grant.scopes, operations, grant.expires_ms));
        }
        if self.counters.callers().contains(&Caller::Owner) {
            granted.insert(Caller::Owner, (Scopes::all(), None, None));
        }
        let shown = granted.into_iter().map(|(caller, (scopes, operations, expires_ms))| {
            let quota = self.counters.left(&caller);
            CallerShown { caller, scopes, operations, expires_ms, quota }
        });
        // Of those without a name nothing is worth saying where they may do nothing.
        shown.filter(|shown| shown.caller != Caller::Anonymous || shown.scopes != Scopes::NONE).collect()
    }

    /// What is in memory, by operation.
    #[must_use]
    pub fn memory(&self) -> BTreeMap<&'static str, Answers> {
        let mut memory: BTreeMap<&'static str, Answers> = BTreeMap::new();
        for (operation, bytes, age, is_fresh) in self.shelf.shown() {
            let of = memory
                .entry(&operation.name)
                .or_insert_with(|| Answers { youngest: Duration::MAX, ..Answers::default() });
            of.answers += 1;
            of.fresh += usize::from(is_fresh);
            of.bytes += bytes;
            (of.youngest, of.oldest) = (of.youngest.min(age), of.oldest.max(age));
        }
        memory
    }

    /// The calls that ended last, and how long calls took lately.
    #[must_use]
    pub fn recent(&self) -> recent::Shown {
        self.recent.shown()
    }
}

impl CallerShown {
    /// Whether it may spend.
    #[must_use]
    pub fn may_spend(&self) -> bool {
        self.scopes.has(Scope::Spend)
    }
}
