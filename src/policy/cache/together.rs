//! The catalog of several replicas: one of them asks, and all have the answer.
//!
//! What the table has is taken only as long as the ledger has stood still since it was asked for; the table itself knows that,
//! whatever has been heard. Where it cannot be reached, each replica asks for itself. Absent here: an answer that is in memory,
//! which costs no statement.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{FutureExt as _, Shared};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::memory::Key;
use crate::ambient;
use crate::call::{Call, Reply};
use crate::contract::{Effect, Operation};
use crate::shared::{Answers, Asked, Found, Pending, Reading};

/// The rule of an answer that another replica has asked for.
const ASKED_ELSEWHERE: &str = "asked_by_another_replica";
/// How long the table is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it is left alone after it was waited for in vain.
const ALONE: Duration = Duration::from_secs(5);
/// The time that a question has before another replica may ask it too.
const ASKING: Duration = Duration::from_secs(30);
/// How long another replica is waited for that asks, and what part of a call's time.
const WAIT: Duration = Duration::from_secs(10);
const PART: u32 = 2;
/// How often it is looked whether it has an answer, should nobody say so; and whether anybody has the question, after two wanted it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const BOTH: Duration = Duration::from_millis(10);

/// What the table says.
#[derive(Clone)]
enum Said {
    /// What another replica was told, and when it asked.
    There(Arc<Reply>),
    /// The provider is to be asked. True for the one who gives the question back if there is no answer.
    Ask(Arc<AtomicBool>),
}

type Asking = Shared<Pin<Box<dyn Future<Output = Said> + Send>>>;

/// This replica's hand on the table.
pub(super) struct Together {
    answers: Arc<dyn Answers>,
    /// What is being looked up, and under which mark it was begun.
    asking: Mutex<HashMap<Key, (u64, Asking)>>,
    waiting: Mutex<HashMap<Arc<str>, Arc<Notify>>>,
    /// What the server's clock and the ledger showed last.
    clock: Mutex<Option<(Reading, i64)>>,
    /// Until when each replica asks for itself.
    away_until: Mutex<Option<Instant>>,
}

/// What there is for a call.
pub(super) enum Turn {
    /// An answer.
    Answer(Reply),
    /// A question, and what is to be done with its answer.
    Question(Question),
}

/// A question to the provider whose answer is for all.
pub(super) struct Question {
    together: Arc<Together>,
    name: Arc<str>,
    clock: Option<(Reading, i64)>,
    is_taken: Arc<AtomicBool>,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn in_time<T>(asked: Pending<'_, T>) -> Option<T> {
    timeout(PATIENCE, asked).await.ok()?.ok()
}

impl Together {
    pub(super) fn new(answers: Arc<dyn Answers>) -> Self {
        let (asking, waiting) = (Mutex::default(), Mutex::default());
        Self { answers, asking, waiting, clock: Mutex::default(), away_until: Mutex::default() }
    }

    /// Another replica has an answer, or has none and gives the question back.
    pub(super) fn answered(&self, name: &str) {
        if let Some(waiting) = lock(&self.waiting).get(name) {
            waiting.notify_one();
        }
    }

    /// The server's clock shows this, and the ledger has this place.
    pub(super) fn reads(&self, reading: Reading, place: i64) {
        *lock(&self.clock) = Some((reading, place));
    }

    /// Whether what is asked is for all: who wants it new, or kept nowhere, asks for itself.
    pub(super) fn is_for_all(call: &Call) -> bool {
        call.effect == Effect::Public && !call.wishes.no_cache && !call.wishes.no_store
    }

    /// Looks up what a call asks for, with everybody who does so at the same time; `mark` says with whom that may be. An answer
    /// is no older than `ttl`, and no older than the call wants it.
    pub(super) async fn look_up(
        self: Arc<Self>,
        key: &Key,
        call: &Call,
        ttl: Duration,
        mark: Option<u64>,
    ) -> Turn {
        let name = self.answers.name(&[key.0.as_bytes(), b"\n", &key.1].concat());
        let asking = self.clone().join(key, &name, call.operation, ttl, mark);
        let said = timeout(WAIT.min(call.deadline.left() / PART), asking).await;
        let is_taken = match said {
            Ok(Said::There(reply)) => {
                let age = reply.asked.elapsed();
                if age < ttl && call.wishes.max_age.is_none_or(|most| age <= most) {
                    return Turn::Answer(Reply::clone(&reply));
                }
                Arc::default()
            }
            Ok(Said::Ask(is_taken)) => is_taken,
            Err(_) => Arc::default(),
        };
        Turn::Question(self.question(name, is_taken))
    }

    /// What somebody asks without looking it up, if others may have the answer as well.
    pub(super) fn anew(self: Arc<Self>, key: &Key) -> Question {
        let name = self.answers.name(&[key.0.as_bytes(), b"\n", &key.1].concat());
        self.question(name, Arc::default())
    }

    /// What is known of the clock before the provider is asked is never later than that.
    fn question(self: Arc<Self>, name: Arc<str>, is_taken: Arc<AtomicBool>) -> Question {
        let clock = *lock(&self.clock);
        Question { together: self, name, clock, is_taken }
    }

    fn join(
        self: Arc<Self>,
        key: &Key,
        name: &Arc<str>,
        operation: &'static Operation,
        ttl: Duration,
        mark: Option<u64>,
    ) -> Asking {
        let mut under_way = lock(&self.asking);
        // Whoever comes after a purchase was heard of does not get what was looked up before it.
        if let (Some(mark), Some((begun, asking))) = (mark, under_way.get(key))
            && *begun == mark
            && asking.peek().is_none()
        {
            return asking.clone();
        }
        let (this, name) = (self.clone(), name.clone());
        let asking: Pin<Box<dyn Future<Output = Said> + Send>> =
            Box::pin(async move { this.ask(&name, operation, ttl).await });
        let asking = asking.shared();
        under_way.retain(|_, (_, asking)| asking.peek().is_none() && asking.strong_count().unwrap_or(0) > 1);
        if let Some(mark) = mark {
            under_way.insert(key.clone(), (mark, asking.clone()));
        }
        asking
    }

    /// The table, if it answers.
    async fn table<T>(&self, asked: Pending<'_, T>) -> Option<T> {
        let answered = in_time(asked).await;
        if answered.is_none() {
            *lock(&self.away_until) = ambient::instant().checked_add(ALONE);
        }
        answered
    }

    async fn ask(&self, name: &Arc<str>, operation: &'static Operation, ttl: Duration) -> Said {
        if lock(&self.away_until).is_some_and(|until| ambient::instant() < until) {
            return Said::Ask(Arc::default());
        }
        let heard = lock(&self.waiting).entry(name.clone()).or_default().clone();
        let _left = Left { waiting: &self.waiting, name, heard: heard.clone() };
        loop {
            let Some(found) = self.table(self.answers.find(name)).await else {
                return Said::Ask(Arc::default());
            };
            self.reads(found.reading, found.place);
            if let Some(reply) = usable(&found, operation, ttl) {
                return Said::There(Arc::new(reply));
            }
            if found.asking.is_zero() {
                match self.table(self.answers.claim(name, &found, ASKING)).await {
                    Some(true) => return Said::Ask(Arc::new(AtomicBool::new(true))),
                    Some(false) => sleep(BOTH).await,
                    None => return Said::Ask(Arc::default()),
                }
            } else {
                let _either = timeout(found.asking.min(LOOK_AGAIN), heard.notified()).await;
            }
        }
    }
}

/// Nobody waits for a name any more, unless somebody else does.
struct Left<'a> {
    waiting: &'a Mutex<HashMap<Arc<str>, Arc<Notify>>>,
    name: &'a Arc<str>,
    heard: Arc<Notify>,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(self.waiting);
        // This one's, and the table's.
        if Arc::strong_count(&self.heard) <= 3 {
            waiting.remove(self.name);
        }
    }
}

/// What another replica was told, if that is fresh.
fn usable(found: &Found, operation: &'static Operation, ttl: Duration) -> Option<Reply> {
    let body = found.body.as_ref().filter(|_| found.is_untouched())?;
    let asked = found.reading.here(found.asked.ms).filter(|asked| asked.elapsed() < ttl)?;
    let message = DynamicMessage::decode(operation.output.descriptor.clone(), body.as_slice()).ok()?;
    Some(Reply { asked, ..Reply::new(message, ASKED_ELSEWHERE, false) })
}

impl Question {
    /// Tells all others what the answer is; or, if it is none for them, that they may ask.
    pub(super) async fn tell(self, reply: Option<&Reply>) {
        let answers = &self.together.answers;
        // Whoever joined another's question does not know how old its answer is.
        match (reply.filter(|reply| !reply.collapsed), self.clock) {
            (Some(reply), Some((reading, place))) => {
                let asked = Asked { ms: reading.there(reply.asked), place };
                let body = reply.content.message().encode_to_vec();
                let _told_or_away = in_time(answers.put(&self.name, asked, &body)).await;
            }
            _ if self.is_taken.swap(false, Ordering::AcqRel) => {
                let _given_back_or_away = in_time(answers.give_back(&self.name)).await;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
