//! The answers that are kept: found by operation and parameters, bounded in bytes, forgotten by writes.

mod elsewhere;
mod writing;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message as _;
use tokio::time::Instant;

use crate::ambient;
use crate::call::{self, Content, Lifetime, Reply, Taken};
use crate::contract::Operation;

use elsewhere::Others;
pub(super) use writing::Writing;

/// Where an answer is found: the operation, and its parameters in canonical form. Never a URL.
pub(super) type Key = (&'static str, Vec<u8>);

/// What an entry is taken to need beside its message, and how many times the bytes of that message: for the tree of its
/// fields, which is most of it, and for what each face has written. Rather too much than too little.
const OVERHEAD: usize = 512;
const COPIES: usize = 24;
/// How long nobody else asks while one asks, and how long nobody asks after that failed.
const ASKING: Duration = Duration::from_secs(30);
const FAILED_REST: Duration = Duration::from_secs(5);

/// One kept answer.
pub(super) struct Entry {
    pub(super) operation: &'static Operation,
    /// The request, for the copy on disk.
    pub(super) request: Vec<u8>,
    pub(super) content: Arc<Content>,
    pub(super) rule: &'static str,
    /// Whether it is the same for everyone.
    pub(super) public: bool,
    /// When the provider was asked, by both clocks.
    asked: Instant,
    asked_unix_millis: i64,
    pub(super) size: usize,
    used: AtomicU64,
    /// When it may be asked for anew in the background.
    next_refresh: Arc<Mutex<Option<Instant>>>,
    /// Whether something has happened since that may have changed it.
    spoiled: bool,
}

/// What had happened at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    writes: u64,
    spends: u64,
    purges: u64,
}

impl Entry {
    pub(super) fn age(&self) -> Duration {
        self.age_at(ambient::instant())
    }

    pub(super) fn age_at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.asked)
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    pub(super) fn asked_unix_millis(&self) -> i64 {
        self.asked_unix_millis
    }

    /// The answer to a call, at this age.
    pub(super) fn reply(&self, taken: Taken, lifetime: Lifetime, age: Duration) -> Reply {
        // What was spoiled is not fresh, however young.
        let ttl = if self.spoiled { lifetime.ttl.min(age) } else { lifetime.ttl };
        let lifetime = Lifetime { ttl, ..lifetime };
        Reply {
            content: self.content.clone(),
            rule: self.rule,
            noisy: false,
            asked: self.asked,
            collapsed: false,
            memory: Some(call::Memory { taken, age, lifetime, public: self.public, kept: true }),
            limit: None,
            standing: None,
            news: None,
        }
    }

    /// Whether whoever asks this is to ask the provider anew.
    pub(super) fn is_to_refresh(&self) -> bool {
        let mut next = self.next_refresh.lock().unwrap_or_else(PoisonError::into_inner);
        let now = ambient::instant();
        let due = next.is_none_or(|next| next <= now);
        if due {
            *next = Some(now + ASKING);
        }
        due
    }

    /// The provider could not be asked; not again for a moment.
    pub(super) fn refresh_failed(&self) {
        *self.next_refresh.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(ambient::instant() + FAILED_REST);
    }

    /// The same, from when on something may have changed it; who asks for it anew goes on as before.
    fn doubt(&self) -> Self {
        Self {
            operation: self.operation,
            request: self.request.clone(),
            content: self.content.clone(),
            rule: self.rule,
            public: self.public,
            asked: self.asked,
            asked_unix_millis: self.asked_unix_millis,
            size: self.size,
            used: AtomicU64::new(self.used.load(Ordering::Relaxed)),
            next_refresh: self.next_refresh.clone(),
            spoiled: true,
        }
    }

    /// The same, after something may have changed it, to be asked for anew from this moment on.
    fn spoil(&self, from: Option<Instant>) -> Self {
        Self { next_refresh: Arc::new(Mutex::new(from)), ..self.doubt() }
    }
}

/// All of them.
pub(super) struct Memory {
    state: Mutex<State>,
    uses: AtomicU64,
    /// Grows with every change of what is public, while it is made.
    revision: AtomicU64,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Arc<Entry>>,
    size: usize,
    /// Writes under way, and how many have ended.
    writing: usize,
    writes: u64,
    /// How many of them were purchases.
    spends: u64,
    purges: u64,
    /// What other replicas do, if there are any.
    others: Option<Others>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), uses: AtomicU64::new(0), revision: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept. Nothing of the account while a write is under way; and nothing is as fresh as it was while it is not known
    /// what other replicas do.
    pub(super) fn find(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        let state = self.lock();
        let entry = state.entries.get(key).filter(|entry| entry.public || state.writing == 0)?;
        entry.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let is_sure = state.is_sure(now) || entry.spoiled;
        Some(if is_sure { entry.clone() } else { Arc::new(entry.doubt()) })
    }

    /// What has happened before the provider is asked.
    pub(super) fn marks(&self) -> Marks {
        self.lock().marks()
    }

    /// Keeps an answer, unless it may be outdated by what has happened since it was asked for, or is too large. Says
    /// whether it is there now.
    pub(super) fn keep(&self, key: Key, found: Found, before: Marks, most: usize) -> bool {
        let size = found.reply.content.message().encoded_len() * COPIES
            + key.1.len()
            + found.request.len()
            + OVERHEAD;
        let mut state = self.lock();
        let now = state.marks();
        let written = state.writing > 0 || now.writes != before.writes;
        if size > most || now.purges != before.purges || (!found.public && written) {
            return false;
        }
        let is_spoiled = found.spoiled || now.spends != before.spends;
        if let Some(known) = state.entries.get(&key) {
            // Whoever joined a call gets the very answer that whoever began it has brought here already.
            if Arc::ptr_eq(&known.content, &found.reply.content) {
                return true;
            }
            // What is known to be as it was is worth more than what is younger and may have changed since.
            let is_better = known.spoiled && !is_spoiled;
            if known.asked > found.reply.asked && !is_better {
                return false;
            }
        }
        let entry = Entry {
            operation: found.operation,
            request: found.request,
            content: found.reply.content.clone(),
            rule: found.reply.rule,
            public: found.public,
            spoiled: is_spoiled,
            asked: found.reply.asked,
            asked_unix_millis: found.asked_unix_millis,
            size,
            used: AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed)),
            next_refresh: Arc::new(Mutex::new(state.rests(ambient::instant()))),
        };
        if found.public {
            self.has_changed();
        }
        state.remove(&key);
        state.size += size;
        state.entries.insert(key, Arc::new(entry));
        state.shrink(most);
        true
    }

    /// Hides the account's data while a write is under way, and forgets at its end what it may have changed.
    pub(super) fn write(self: &Arc<Self>, spends: bool) -> Writing {
        self.lock().writing += 1;
        Writing { memory: self.clone(), spends, was_one: true }
    }

    /// Forgets everything, or everything of one operation; says how much that was.
    pub(super) fn purge(&self, operation: Option<&str>) -> usize {
        let mut state = self.lock();
        self.has_changed();
        state.purges += 1;
        state.forget(|entry| operation.is_none_or(|name| entry.operation.name == name))
    }

    /// Keeps no more than this. Counts as a change, because the settings that say so have changed.
    pub(super) fn shrink(&self, most: usize) {
        let mut state = self.lock();
        self.has_changed();
        state.shrink(most);
    }

    fn has_changed(&self) {
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// How many there are, and how many bytes they take.
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.entries.len(), state.size)
    }

    /// What belongs on disk.
    pub(super) fn public(&self) -> Vec<Arc<Entry>> {
        self.lock().entries.values().filter(|entry| entry.public).cloned().collect()
    }

    /// Everything.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().entries.values().cloned().collect()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }
}

/// An answer to keep.
pub(super) struct Found {
    pub(super) operation: &'static Operation,
    pub(super) request: Vec<u8>,
    pub(super) public: bool,
    pub(super) reply: Reply,
    pub(super) asked_unix_millis: i64,
    /// Whether something has happened that may have changed it.
    pub(super) spoiled: bool,
}

impl Found {
    /// One that the provider has just been asked for.
    pub(super) fn now(operation: &'static Operation, request: Vec<u8>, public: bool, reply: Reply) -> Self {
        let since = i64::try_from(reply.asked.elapsed().as_millis()).unwrap_or(i64::MAX);
        let asked_unix_millis = ambient::unix_millis().saturating_sub(since);
        Self { operation, request, public, reply, asked_unix_millis, spoiled: false }
    }
}

impl State {
    fn marks(&self) -> Marks {
        Marks { writes: self.writes, spends: self.spends, purges: self.purges }
    }

    fn written(&mut self, spends: bool) {
        self.writes += 1;
        self.forget(|entry| !entry.public);
        if spends {
            self.spoil(None);
        }
    }

    /// What is in stock may have changed. It may still be shown, but not as fresh.
    fn spoil(&mut self, from: Option<Instant>) {
        self.spends += 1;
        for entry in self.entries.values_mut() {
            *entry = Arc::new(entry.spoil(from));
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.size = self.size.saturating_sub(entry.size);
        }
    }

    fn forget(&mut self, which: impl Fn(&Entry) -> bool) -> usize {
        let before = self.entries.len();
        let mut freed = 0;
        self.entries.retain(|_, entry| {
            let goes = which(entry);
            freed += if goes { entry.size } else { 0 };
            !goes
        });
        self.size = self.size.saturating_sub(freed);
        before - self.entries.len()
    }

    /// Forgets what was not used for the longest time.
    fn shrink(&mut self, most: usize) {
        while self.size > most {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.remove(&key);
        }
    }
}
