//! What the tests of the layers play with: calls of every effect, and a provider that does what it is told.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tokio::time::sleep;
use tower::Service;

use super::{Answer, Answering};
use crate::ambient;
use crate::call::{Call, Caller, Deadline, Face, Presented, Reply, RequestId, Scopes, Wishes};
use crate::contract::{Contract, Effect, Operation};
use crate::fault::Fault;
use crate::traces::Trace;

/// A call of an operation, with an empty request and all the time in the world.
pub(super) fn call(operation: &str) -> Call {
    of(Contract::embedded().expect("sound").operation(operation).expect("there"))
}

/// A call of the first operation with this effect.
pub(super) fn of_effect(effect: Effect) -> Call {
    let mut operations = Contract::embedded().expect("sound").operations().iter();
    of(operations.find(|operation| operation.effect == effect).expect("every effect occurs"))
}

fn of(operation: &'static Operation) -> Call {
    Call {
        operation,
        effect: operation.effect,
        request: DynamicMessage::new(operation.input.descriptor.clone()),
        id: RequestId::from_bytes([7; 16]),
        trace: Trace::nobodys(),
        face: Face::Rest,
        presented: Presented::default(),
        caller: Caller::Anonymous,
        scopes: Scopes::NONE,
        barred: None,
        key: None,
        urgent: false,
        deadline: Deadline::new(ambient::instant(), None),
        wishes: Wishes::default(),
    }
}

/// The last layer of every stack under test.
#[derive(Clone)]
pub(super) struct Provider {
    state: Arc<Mutex<State>>,
}

struct State {
    delay: Option<Duration>,
    fault: Option<Fault>,
    noisy: bool,
    seen: Vec<(String, tokio::time::Instant)>,
}

impl Provider {
    fn new(delay: Option<Duration>, fault: Option<Fault>) -> Self {
        Self { state: Arc::new(Mutex::new(State { delay, fault, noisy: false, seen: Vec::new() })) }
    }

    pub(super) fn fine() -> Self {
        Self::new(Some(Duration::ZERO), None)
    }

    pub(super) fn failing(fault: Fault) -> Self {
        Self::new(Some(Duration::ZERO), Some(fault))
    }

    pub(super) fn failing_after(delay: Duration, fault: Fault) -> Self {
        Self::new(Some(delay), Some(fault))
    }

    pub(super) fn slow(delay: Duration) -> Self {
        Self::new(Some(delay), None)
    }

    pub(super) fn hanging() -> Self {
        Self::new(None, None)
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.state.lock().expect("sound").fault = Some(fault);
    }

    pub(super) fn recover(&self) {
        let mut state = self.state.lock().expect("sound");
        (state.fault, state.delay) = (None, Some(state.delay.unwrap_or_default()));
    }

    pub(super) fn be_noisy(&self) {
        self.state.lock().expect("sound").noisy = true;
    }

    /// How many calls have come.
    pub(super) fn seen(&self) -> usize {
        self.state.lock().expect("sound").seen.len()
    }

    /// What has been called.
    pub(super) fn operations(&self) -> Vec<String> {
        self.state.lock().expect("sound").seen.iter().map(|(name, _)| name.clone()).collect()
    }

    /// When it was called.
    pub(super) fn times(&self) -> Vec<tokio::time::Instant> {
        self.state.lock().expect("sound").seen.iter().map(|(_, time)| *time).collect()
    }
}

impl Service<Call> for Provider {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let state = self.state.clone();
        Box::pin(async move {
            let asked = ambient::instant();
            let (delay, fault, noisy) = {
                let mut state = state.lock().expect("sound");
                state.seen.push((call.operation.name.clone(), asked));
                (state.delay, state.fault.clone(), state.noisy)
            };
            match delay {
                Some(delay) if delay.is_zero() => {}
                Some(delay) => sleep(delay).await,
                None => std::future::pending().await,
            }
            let message = DynamicMessage::new(call.operation.output.descriptor.clone());
            let reply = Reply { asked, ..Reply::new(message, "played", noisy) };
            let answer: Answer = fault.map_or_else(|| Ok(reply), Err);
            answer
        })
    }
}
