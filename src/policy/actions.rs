//! Actions that have no operation of their own: only those the operator has listed, with the effect the operator
//! states. Nothing is known of them otherwise, and a wrong guess could buy something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::{Answering, Inner};
use crate::call::{Call, Reply};
use crate::contract::Effect;
use crate::fault::{Fault, Reason};

/// Lets the listed ones through, as what they are.
#[derive(Clone)]
pub(super) struct Allow<S> {
    listed: Arc<BTreeMap<String, Effect>>,
    inner: S,
}

impl<S> Allow<S> {
    pub(super) fn new(listed: BTreeMap<String, Effect>, inner: S) -> Self {
        Self { listed: Arc::new(listed), inner }
    }

    /// The call with the effect it really has.
    fn admit(&self, call: Call) -> Result<Call, Fault> {
        let upstream = &call.operation.upstream;
        let Some(field) = upstream.name_from.as_deref().and_then(|name| call.operation.input.field(name))
        else {
            return Ok(call);
        };
        let value = call.request.get_field(&field.descriptor);
        let action = value.as_str().unwrap_or_default();
        match self.listed.get(action) {
            Some(effect) => Ok(Call { effect: *effect, ..call }),
            None => {
                let detail = format!("the action {action:?} is not listed under [actions] in the settings");
                Err(Fault::new(Reason::ActionNotAllowed, detail))
            }
        }
    }
}

impl<S: Inner> Service<Call> for Allow<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.admit(call) {
            Ok(call) => self.inner.call(call),
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }
}
