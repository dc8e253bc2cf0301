//! A write runs to its end in a task of the daemon, whoever hangs up.
//!
//! axum and tonic drop a handler when its client goes away, and a dropped request may have been half sent. The
//! task belongs to a tracker that the shutdown waits for.

use std::task::{Context, Poll};

use tokio_util::task::TaskTracker;
use tower::Service;

use super::{Answering, Inner};
use crate::call::{Call, Reply};
use crate::fault::{Fault, Reason, Sent};

/// Detaches what must not be cut off.
#[derive(Clone)]
pub(super) struct Detach<S> {
    tasks: TaskTracker,
    inner: S,
}

impl<S> Detach<S> {
    pub(super) fn new(tasks: TaskTracker, inner: S) -> Self {
        Self { tasks, inner }
    }
}

impl<S: Inner> Service<Call> for Detach<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        // By the declared effect: an action that only the settings know is declared as the most careful kind.
        let effect = call.operation.effect;
        if effect.is_read() {
            return self.inner.call(call);
        }
        let task = self.tasks.spawn(self.inner.call(call));
        Box::pin(async move {
            task.await.unwrap_or_else(|error| {
                // A panic in the middle of sending: what was sent, nobody knows.
                let reason = if effect.is_repeatable() { Reason::Internal } else { Reason::OutcomeUnknown };
                let fault = Fault::new(reason, "gizad failed while the request was being sent");
                Err(fault.sent(Sent::Maybe).with_private(error.to_string()))
            })
        })
    }
}
