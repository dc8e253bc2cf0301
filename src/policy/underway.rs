//! Which calls are under way, so that a stop can say what it cut off; and when it is too late for new ones.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use fnv::FnvHashMap;
use tokio::time::Instant;
use tower::Service;

use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Call, Reply, RequestId};
use crate::fault::{Fault, Reason};

/// The calls under way.
#[derive(Default)]
pub(super) struct Underway {
    calls: Mutex<Calls>,
    is_over: AtomicBool,
}

#[derive(Default)]
struct Calls {
    next: u64,
    all: FnvHashMap<u64, (&'static str, RequestId, Instant)>,
}

/// A call under way, as it is named.
#[derive(Clone, Debug)]
pub struct UnderwayShown {
    /// What is called.
    pub operation: &'static str,
    /// Its name in the log and in its answer.
    pub id: RequestId,
    /// For how long.
    pub age: Duration,
}

impl Underway {
    /// Takes nothing new from now on.
    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// All of them, the oldest first.
    pub(super) fn shown(&self) -> Vec<UnderwayShown> {
        let mut all: Vec<_> = self.lock().all.iter().map(|(number, call)| (*number, call.clone())).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        let shown = all.into_iter().map(|(_, (operation, id, since))| {
            let age = ambient::instant().saturating_duration_since(since);
            UnderwayShown { operation, id, age }
        });
        shown.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
struct One(Arc<Underway>, u64);

impl One {
    fn new(underway: &Arc<Underway>, call: &Call) -> Self {
        let named = (call.operation.name.as_str(), call.id.clone(), ambient::instant());
        let mut calls = underway.lock();
        let number = calls.next;
        calls.next = number.wrapping_add(1);
        calls.all.insert(number, named);
        Self(underway.clone(), number)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.lock().all.remove(&self.1);
    }
}

/// Notes what passes.
#[derive(Clone)]
pub(super) struct Note<S> {
    underway: Arc<Underway>,
    inner: S,
}

impl<S> Note<S> {
    pub(super) fn new(underway: Arc<Underway>, inner: S) -> Self {
        Self { underway, inner }
    }
}

impl<S: Inner> Service<Call> for Note<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        if self.underway.is_over.load(Relaxed) {
            let fault = Fault::new(Reason::ShuttingDown, "gizad is stopping and takes no more calls");
            return Box::pin(std::future::ready(Err(fault)));
        }
        let one = One::new(&self.underway, &call);
        let answer = self.inner.call(call);
        Box::pin(async move {
            let _until_then = one;
            answer.await
        })
    }
}
