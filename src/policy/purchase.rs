//! Calls that must not run twice are written down before they are sent, run to their end whoever hangs up, and are
//! answered from the record when they are asked again.
//!
//! Every purchase; and every other call that must not run twice if its caller gave it a key.

mod begin;
mod desk;
mod expiring;
mod heard;
mod local;
mod news;
mod order;
pub mod overview;
mod part;
mod reconcile;
mod refused;
mod run;
mod running;
mod send;
mod shown;
mod sight;
#[cfg(test)]
mod simulation;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::Service;

use super::{Answering, Inner};
use crate::call::{Call, Reply};
use crate::contract::Effect;
use crate::fault::Fault;
use crate::purchase::{Limits, Rules};
use crate::traces::within;

pub use desk::Desk;

/// The rest of the stack, for what is done without a caller.
pub(super) type Below = Arc<dyn Fn(Call) -> Answering + Send + Sync>;

/// The settings of purchases.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a purchase needs a key.
    pub require_key: bool,
    /// From which price on another caller has to consent, in đồng.
    pub approval_from_vnd: Option<i64>,
    /// How an outcome is found that nobody was told.
    pub rules: Rules,
    /// How long it takes at most until what is in doubt is looked at again.
    pub look_every: Duration,
    /// What a caller may spend for which nothing else is set.
    pub budget: Limits,
    /// What single callers may spend.
    pub budgets: BTreeMap<String, Limits>,
    /// How long a purchase may take from its call to its end, the wait for its turn included.
    pub time: Duration,
}

impl Options {
    fn limits(&self, caller: &str) -> Limits {
        self.budgets.get(caller).copied().unwrap_or(self.budget)
    }
}

/// Records what must not run twice.
#[derive(Clone)]
pub(super) struct Purchase<S> {
    desk: Arc<Desk>,
    inner: S,
}

impl<S: Inner> Purchase<S> {
    pub(super) fn new(desk: Arc<Desk>, inner: S) -> Self {
        let below = inner.clone();
        desk.stand_on(Arc::new(move |call| below.clone().call(call)));
        Self { desk, inner }
    }
}

impl<S: Inner> Service<Call> for Purchase<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let recorded = match call.effect {
            Effect::Spend => true,
            Effect::Once => call.key.is_some(),
            Effect::Public | Effect::Read | Effect::Secret | Effect::Converge => false,
        };
        if call.operation.local {
            Box::pin(within(call.trace.clone(), local::answer(self.desk.clone(), call)))
        } else if call.operation.expiring.is_some() {
            Box::pin(within(call.trace.clone(), expiring::answer(self.desk.clone(), call)))
        } else if recorded {
            Box::pin(order::place(self.desk.clone(), call))
        } else {
            self.inner.call(call)
        }
    }
}
