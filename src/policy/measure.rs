//! Counts what the log does not see: what memory answers past all layers, and exchanges with the provider.
//!
//! Absent here: a word that a caller has chosen.

use std::sync::Arc;
use std::task::{Context, Poll};

use fnv::FnvHashMap;
use tokio::time::Instant;
use tower::Service;

use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Call, Caller, Face, Reply, Taken};
use crate::contract::{Contract, Effect, Operation};
use crate::fault::Fault;
use crate::metrics::{Figures, Outcome, Total, Word};

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

impl<S: Inner> Service<Call> for Exchanges<S> {
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
