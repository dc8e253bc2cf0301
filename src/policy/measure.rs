//! Counts what passes, at both ends of the stack: calls with what became of them, and exchanges with the provider.
//!
//! A call is counted once, however it ends. Absent here: a word that its caller has chosen.

use std::sync::Arc;
use std::task::{Context, Poll};

use fnv::FnvHashMap;
use tokio::time::Instant;
use tower::Service;

use super::{Answer, Answering, Inner};
use crate::ambient;
use crate::call::{Call, Caller, Deadline, Face, Reply, Taken};
use crate::contract::{Contract, Effect, Operation};
use crate::fault::{Fault, Reason};
use crate::metrics::{Figures, Outcome, Total, Word};

/// Counts calls.
#[derive(Clone)]
pub(super) struct Calls<S> {
    figures: Arc<Figures>,
    inner: S,
}

impl<S> Calls<S> {
    pub(super) fn new(figures: Arc<Figures>, inner: S) -> Self {
        Self { figures, inner }
    }
}

impl<S: Inner> Service<Call> for Calls<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let mut measured = Measured::of(self.figures.clone(), &call);
        let answer = self.inner.call(call);
        Box::pin(async move {
            let answer = answer.await;
            measured.finish(&answer);
            answer
        })
    }
}

/// One call. If its caller hangs up, it is counted all the same.
struct Measured {
    figures: Arc<Figures>,
    operation: &'static Operation,
    face: Face,
    caller: Option<Caller>,
    deadline: Deadline,
    begun: Instant,
    finished: bool,
}

impl Measured {
    fn of(figures: Arc<Figures>, call: &Call) -> Self {
        let (operation, face, caller) = (call.operation, call.face, call.known().cloned());
        let (deadline, begun) = (call.deadline.clone(), ambient::instant());
        Self { figures, operation, face, caller, deadline, begun, finished: false }
    }

    fn finish(&mut self, answer: &Answer) {
        match answer {
            Ok(reply) => {
                if let Some(memory) = reply.memory {
                    self.figures.cache_answers.at([self.operation.into(), memory.taken.into()]).inc();
                }
                self.count(Outcome::Ok);
            }
            Err(fault) => self.count(Outcome::Failed(fault.reason)),
        }
    }

    fn count(&mut self, outcome: Outcome) {
        self.finished = true;
        let operation = Word::from(self.operation);
        let words = [operation.clone(), self.face.into(), self.caller.as_ref().into(), outcome.into()];
        self.figures.requests.at(words).inc();
        self.figures.request_duration.at([operation]).observe(self.begun.elapsed().as_secs_f64());
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if !self.finished {
            let late = self.deadline.left().is_zero();
            self.count(if late { Outcome::Failed(Reason::DeadlineExceeded) } else { Outcome::Cancelled });
        }
    }
}

/// Counts what memory answers past all layers: looked up when gizad starts, because the rest of such an answer costs less than
/// looking it up would.
pub(super) struct AtOnce(FnvHashMap<usize, Counters>);

/// Those of one operation.
struct Counters {
    rest: Total,
    grpc: Total,
    hits: Total,
}

impl AtOnce {
    pub(super) fn new(figures: &Figures, contract: &'static Contract) -> Self {
        let public = contract.operations().iter().filter(|operation| operation.effect == Effect::Public);
        let rows = public.map(|operation| {
            let (name, caller) = (Word::from(operation), Word::from(&Caller::Anonymous));
            let requests = |face: Face| {
                figures.requests.total([name.clone(), face.into(), caller.clone(), Outcome::Ok.into()])
            };
            let hits = figures.cache_answers.total([name.clone(), Taken::Hit.into()]);
            let counters = Counters { rest: requests(Face::Rest), grpc: requests(Face::Grpc), hits };
            (std::ptr::from_ref(operation).addr(), counters)
        });
        Self(rows.collect())
    }

    /// Counts one.
    pub(super) fn count(&self, operation: &'static Operation, face: Face) {
        if let Some(counters) = self.0.get(&std::ptr::from_ref(operation).addr()) {
            match face {
                Face::Rest => counters.rest.count(),
                Face::Grpc => counters.grpc.count(),
            }
            counters.hits.count();
        }
    }
}

/// Counts exchanges with the provider.
#[derive(Clone)]
pub(super) struct Exchanges<S> {
    figures: Arc<Figures>,
    inner: S,
}

impl<S> Exchanges<S> {
    pub(super) fn new(figures: Arc<Figures>, inner: S) -> Self {
        Self { figures, inner }
    }
}

impl<S> Service<Call> for Exchanges<S>
where
    S: Service<Call, Response = Reply, Error = Fault, Future = Answering>,
{
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (figures, operation) = (self.figures.clone(), call.operation);
        let exchange =
            Exchange { figures, operation, begun: ambient::instant(), outcome: Outcome::Cancelled };
        let answer = self.inner.call(call);
        Box::pin(async move {
            let mut exchange = exchange;
            let answer = answer.await;
            exchange.outcome = match &answer {
                Ok(_) => Outcome::Ok,
                Err(fault) => Outcome::Failed(fault.happened()),
            };
            answer
        })
    }
}

/// One exchange, counted when it is over.
struct Exchange {
    figures: Arc<Figures>,
    operation: &'static Operation,
    begun: Instant,
    outcome: Outcome,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let operation = Word::from(self.operation);
        self.figures.upstream_requests.at([operation.clone(), self.outcome.into()]).inc();
        self.figures.upstream_duration.at([operation]).observe(self.begun.elapsed().as_secs_f64());
    }
}
