//! Answers from memory: the public catalog, and, where the settings say so, lists of the account for a moment.
//!
//! Found by operation and parameters; of several replicas one asks for the catalog, and the others have what it was told. Only what was judged a success is kept, never a credential. Any write forgets
//! what it may have changed before its own answer is given.

mod decision;
mod memory;
mod shelf;
mod together;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message as _;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tower::{Service, ServiceExt as _};

use super::{Answer, Answering, Inner};
use crate::ambient;
use crate::call::{self, Call, Caller, Deadline, Lifetime, Reply, Taken, Wishes};
use crate::contract::{Effect, Operation, canonical};
use crate::fault::{Fault, Reason, Sent};

use decision::{Decision, decide};
use memory::{Entry, Found, Key};
use together::{Together, Turn};

pub(super) use shelf::Shelf;

/// The time that a refresh in the background has.
const REFRESH_TIME: Duration = Duration::from_secs(30);
/// What is left of a call's time for its answer when the provider is given up on.
const MARGIN: Duration = Duration::from_millis(50);

/// The memory's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most it takes, in bytes.
    pub bytes: usize,
    /// How long the public catalog may be used.
    pub catalog: Lifetime,
    /// How long the answers of single operations may be used.
    pub operations: BTreeMap<String, Lifetime>,
    /// How old an answer must be before a caller can have it asked for anew.
    pub least_age: Duration,
    /// How long the provider is waited for when there is an old answer to give instead.
    pub patience: Duration,
}

impl Options {
    fn lifetime(&self, operation: &Operation, effect: Effect) -> Lifetime {
        let usual = if effect == Effect::Public { self.catalog } else { Lifetime::default() };
        self.operations.get(&operation.name).copied().unwrap_or(usual)
    }
}

/// Answers from memory.
pub(super) struct Cache<S> {
    shelf: Arc<Shelf>,
    /// Behind a pointer, because an answer from memory needs no copy of what is below.
    inner: Arc<S>,
}

impl<S> Clone for Cache<S> {
    fn clone(&self) -> Self {
        Self { shelf: self.shelf.clone(), inner: self.inner.clone() }
    }
}

impl<S: Inner> Cache<S> {
    pub(super) fn new(shelf: Arc<Shelf>, inner: S) -> Self {
        Self { shelf, inner: Arc::new(inner) }
    }

    fn below(&self) -> S {
        S::clone(&self.inner)
    }

    fn read(&self, call: Call) -> Answering {
        let options = self.shelf.options();
        let lifetime = options.lifetime(call.operation, call.effect);
        if lifetime.ttl.is_zero() {
            return Box::pin(self.clone().bypass(call));
        }
        let key: Key = (&call.operation.name, canonical(&call.request));
        let entry = self.shelf.memory.find(&key, ambient::instant());
        let kept = entry.as_ref().map(|entry| (entry.age(), entry.is_spoiled()));
        // Evidence is never taken from memory.
        let least_age = if call.caller.is_gizad() { Duration::ZERO } else { options.least_age };
        match (decide(kept, lifetime, call.wishes, least_age), entry) {
            (Decision::Serve, Some(entry)) => answered(&entry, Taken::Hit, lifetime),
            (Decision::ServeAndRefresh, Some(entry)) => {
                if entry.is_to_refresh() {
                    self.refresh(key, &call, entry.clone(), lifetime);
                }
                answered(&entry, Taken::Revalidating, lifetime)
            }
            (Decision::Ask { why, fall_back }, entry) => {
                let entry = entry.filter(|_| fall_back);
                Box::pin(self.clone().ask(key, call, why, entry, lifetime))
            }
            (Decision::Refuse | Decision::Serve | Decision::ServeAndRefresh, _) => not_cached(),
        }
    }

    async fn bypass(self, call: Call) -> Answer {
        if call.wishes.only_if_cached {
            return not_cached().await;
        }
        let public = call.effect == Effect::Public;
        let reply = self.below().oneshot(call).await?;
        Ok(asked(reply, Taken::Bypassed, Lifetime::default(), public, false))
    }

    /// Asks the provider, and gives the old answer if that fails or takes too long.
    async fn ask(
        self,
        key: Key,
        call: Call,
        why: Taken,
        old: Option<Arc<Entry>>,
        lifetime: Lifetime,
    ) -> Answer {
        let options = self.shelf.options();
        let public = call.effect == Effect::Public;
        let left = call.deadline.left();
        let asking = self.fetch(key, call, lifetime);
        let Some(old) = old else {
            let fetched = joined(asking.await)?;
            return Ok(fetched.reply(why, lifetime, public));
        };
        let instead = |reason: Reason, tried: bool| {
            answered(&old, Taken::InsteadOfError(reason.as_str(), tried), lifetime)
        };
        match timeout(options.patience.min(left.saturating_sub(MARGIN)), asking).await {
            Ok(answer) => match joined(answer) {
                Ok(fetched) => Ok(fetched.reply(why, lifetime, public)),
                Err(fault) if is_trouble(fault.reason) => {
                    instead(fault.reason, fault.sent != Sent::Never).await
                }
                Err(fault) => Err(fault),
            },
            Err(_) => instead(Reason::UpstreamTimeout, true).await,
        }
    }

    /// Asks the provider in a task of its own, so that the answer is kept whoever goes away; or takes what another replica was
    /// told.
    fn fetch(&self, key: Key, call: Call, lifetime: Lifetime) -> JoinHandle<Result<Fetched, Fault>> {
        let (shelf, inner) = (self.shelf.clone(), self.below());
        self.shelf.tasks.spawn(async move {
            let (operation, public, wishes) = (call.operation, call.effect == Effect::Public, call.wishes);
            let (request, most) = (call.request.encode_to_vec(), shelf.options().bytes);
            let found = |reply: &Reply| Found::now(operation, request.clone(), public, reply.clone());
            let mut question = None;
            if let Some(together) = shelf.together.get().cloned() {
                let (marks, mark) = (shelf.memory.marks(), shelf.mark());
                if Together::is_for_all(&call) {
                    match together.look_up(&key, &call, lifetime.ttl, mark).await {
                        Turn::Answer(reply) => {
                            let kept = shelf.memory.keep(key, found(&reply), marks, most);
                            return Ok(Fetched { reply, kept, from_others: true });
                        }
                        Turn::Question(asked) => question = Some(asked),
                    }
                } else if public && !call.caller.is_gizad() && !wishes.no_store {
                    question = Some(together.anew(&key));
                }
            }
            let marks = shelf.memory.marks();
            let answer = inner.oneshot(call).await;
            if let Some(question) = question {
                let told = answer.as_ref().ok().filter(|reply| !reply.noisy).cloned();
                shelf.tasks.spawn(async move { question.tell(told.as_ref()).await });
            }
            let reply = answer?;
            // What has something strange around it is shown, but not kept.
            let kept = !reply.noisy && !wishes.no_store && shelf.memory.keep(key, found(&reply), marks, most);
            Ok(Fetched { reply, kept, from_others: false })
        })
    }

    fn refresh(&self, key: Key, call: &Call, entry: Arc<Entry>, lifetime: Lifetime) {
        let deadline = Deadline::new(ambient::instant(), Some(REFRESH_TIME));
        let call = Call { caller: Caller::Gizad, deadline, wishes: Wishes::default(), ..call.clone() };
        let operation = call.operation;
        let asked = self.fetch(key, call, lifetime);
        self.shelf.tasks.spawn(async move {
            if let Err(fault) = joined(asked.await) {
                entry.refresh_failed();
                tracing::info!(
                    operation = operation.name,
                    outcome = fault.reason.as_str(),
                    "could not refresh"
                );
            }
        });
    }

    async fn write(self, call: Call) -> Answer {
        // Held until the answer is there, and dropped before it is given; also if nobody waits for it any more.
        let writing = self.shelf.memory.write(call.effect == Effect::Spend);
        let answer = self.below().oneshot(call).await;
        if matches!(&answer, Err(fault) if fault.sent == Sent::Never) {
            writing.was_none();
        }
        answer
    }
}

impl<S: Inner> Service<Call> for Cache<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match call.effect {
            Effect::Public | Effect::Read => self.read(call),
            Effect::Secret if call.wishes.only_if_cached => not_cached(),
            Effect::Secret => self.below().call(call),
            Effect::Converge | Effect::Once | Effect::Spend => Box::pin(self.clone().write(call)),
        }
    }
}

fn answered(entry: &Entry, taken: Taken, lifetime: Lifetime) -> Answering {
    Box::pin(ready(Ok(entry.reply(taken, lifetime, entry.age()))))
}

/// What there is for a question: an answer, whether it is kept, and whether it is another replica that asked for it.
struct Fetched {
    reply: Reply,
    kept: bool,
    from_others: bool,
}

impl Fetched {
    fn reply(self, why: Taken, lifetime: Lifetime, public: bool) -> Reply {
        asked(self.reply, if self.from_others { Taken::Hit } else { why }, lifetime, public, self.kept)
    }
}

/// An answer of the provider.
fn asked(reply: Reply, taken: Taken, lifetime: Lifetime, public: bool, kept: bool) -> Reply {
    let age = reply.asked.elapsed();
    Reply { memory: Some(call::Memory { taken, age, lifetime, public, kept }), ..reply }
}

fn not_cached() -> Answering {
    let fault = Fault::new(Reason::NotCached, "only an answer from memory was wanted, and there is none");
    Box::pin(ready(Err(fault)))
}

fn joined<T>(answer: Result<Result<T, Fault>, JoinError>) -> Result<T, Fault> {
    answer.unwrap_or_else(|error| {
        let fault = Fault::new(Reason::Internal, "gizad failed while it asked the provider");
        Err(fault.with_private(error.to_string()))
    })
}

/// Whether the provider could not be asked, rather than that it refused.
fn is_trouble(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UpstreamUnreachable
            | Reason::UpstreamTimeout
            | Reason::UpstreamFailed
            | Reason::UpstreamMaintenance
            | Reason::UpstreamBlocked
            | Reason::UpstreamRateLimited
            | Reason::UpstreamRedirected
            | Reason::UpstreamShapeUnknown
            | Reason::CircuitOpen
            | Reason::PaceExceeded
            | Reason::DeadlineExceeded
    )
}

#[cfg(test)]
mod tests;
