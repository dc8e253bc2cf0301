//! What changes or reveals something leaves a trace: a line before it is passed on, and one with what became of it.
//!
//! The settings say which effects are refused when the first cannot be written. A purchase's is on the disk before anything
//! is sent. Absent here: a line of what only reads, which costs nothing; and any field of a request but those of its path.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost_reflect::Value;
use tower::Service;

use super::meter::{Meter, Rate};
use super::{Answer, Answering, Inner};
use crate::audit::{Entry, Event, Log};
use crate::call::{Barred, Call, Deadline, Reply};
use crate::contract::{Effect, Term};
use crate::fault::{Fault, Reason, Sent};

/// The settings of the audit.
#[derive(Clone, Debug)]
pub struct Options {
    /// The effects that are refused when nothing can be written.
    pub required: Vec<Effect>,
}

/// How many refusals have lines of their own, so that nobody fills a disk who may do nothing.
const REFUSALS: (Duration, u32) = (Duration::from_millis(100), 100);

/// Writes the lines.
#[derive(Clone)]
pub(super) struct Audit<S> {
    log: Option<Log>,
    required: Arc<[Effect]>,
    inner: S,
}

impl<S> Audit<S> {
    pub(super) fn new(log: Option<Log>, options: &Options, inner: S) -> Self {
        Self { log, required: options.required.as_slice().into(), inner }
    }
}

impl<S: Inner> Service<Call> for Audit<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let weight = weight(&call);
        let (Some(log), Some(weight)) = (&self.log, weight) else { return self.inner.call(call) };
        let (log, mut inner, required) = (log.clone(), self.inner.clone(), self.required.contains(&weight));
        Box::pin(async move {
            let mut entry = entry(&call, Event::Intent);
            entry.fingerprint = Some(log.key().print(&call.asked()));
            let written = log.write(entry.clone(), weight == Effect::Spend).await;
            if let (Err(_), true) = (&written, required) {
                return Err(unwritten(&call));
            }
            let mut trace = Trace { entry: Some(entry), log, deadline: call.deadline.clone() };
            let answer = inner.call(call).await;
            trace.ended(&answer);
            answer
        })
    }
}

/// What a call counts as here; nothing for what neither changes nor reveals anything.
fn weight(call: &Call) -> Option<Effect> {
    match call.effect {
        Effect::Public | Effect::Read => None,
        // Gizad's own record is of purchases: whoever consents to one spends.
        Effect::Converge | Effect::Once if call.operation.local => Some(Effect::Spend),
        Effect::Secret | Effect::Converge | Effect::Once => Some(call.effect),
        Effect::Spend => (!only_asks(call)).then_some(Effect::Spend),
    }
}

/// Whether it only asks what a purchase would come to.
fn only_asks(call: &Call) -> bool {
    let field = call.operation.term(Term::ValidateOnly);
    field.is_some_and(|field| call.request.get_field(&field.descriptor).as_bool().unwrap_or_default())
}

fn unwritten(call: &Call) -> Fault {
    let detail = "this is not done without a line in the audit log, and that cannot be written";
    // Under this key something may have been sent before.
    let sent = if call.key.is_some() { Sent::Maybe } else { Sent::Never };
    Fault {
        retry_after: Some(Duration::from_secs(1)),
        ..Fault::new(Reason::AuditUnavailable, detail).sent(sent)
    }
}

fn entry(call: &Call, event: Event) -> Entry {
    Entry {
        event,
        request_id: call.id.as_str().to_owned(),
        caller: call.known().map(|caller| caller.as_str().to_owned()),
        claimed: call.barred.as_ref().and_then(Barred::claimed).map(|name| (**name).to_owned()),
        face: call.face.as_str(),
        operation: &call.operation.name,
        effect: call.effect.as_str(),
        resource: resource(call),
        fingerprint: None,
        price_vnd: None,
        outcome: None,
        sent: None,
        operation_id: None,
        unlisted: 0,
    }
}

fn resource(call: &Call) -> BTreeMap<String, String> {
    let variables = call.operation.path.variables().iter();
    let told = variables.filter_map(|name| {
        let text = match &*call.request.get_field_by_name(name)? {
            Value::String(text) => text.clone(),
            Value::I64(number) => number.to_string(),
            Value::I32(number) => number.to_string(),
            _ => return None,
        };
        Some((name.clone(), text))
    });
    told.collect()
}

/// The second line of a call. If its caller hangs up, it is written all the same.
struct Trace {
    entry: Option<Entry>,
    log: Log,
    deadline: Deadline,
}

impl Trace {
    fn ended(&mut self, answer: &Answer) {
        match answer {
            Ok(reply) => {
                let standing = reply.standing.as_ref();
                let price = reply.content.message().get_field_by_name("price_vnd");
                // What is accepted may be under way.
                let sent = if standing.is_some_and(|of| !of.done) { Sent::Maybe } else { Sent::Answered };
                self.write("OK", sent.as_str(), |entry| {
                    entry.price_vnd = price.filter(|_| standing.is_some()).and_then(|price| price.as_i64());
                    entry.operation_id = standing.map(|of| of.operation.to_string());
                });
            }
            Err(fault) => self.write(fault.reason.as_str(), fault.sent.as_str(), |entry| {
                entry.operation_id = fault.operation.as_deref().map(str::to_owned);
            }),
        }
    }

    fn write(&mut self, outcome: &'static str, sent: &'static str, add: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.entry.take() else { return };
        (entry.event, entry.outcome, entry.sent) = (Event::Outcome, Some(outcome), Some(sent));
        add(&mut entry);
        self.log.note(entry);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let sent = if self.deadline.has_departed() { Sent::Maybe } else { Sent::Never };
        self.write("CANCELLED", sent.as_str(), |_| {});
    }
}

/// Writes the refusals.
pub(super) struct Refusals {
    log: Option<Log>,
    state: Mutex<(Meter, u64)>,
}

impl Refusals {
    pub(super) fn new(log: Option<Log>) -> Self {
        let (every, burst) = REFUSALS;
        let rate = Rate { every, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) };
        Self { log, state: Mutex::new((Meter::new(rate), 0)) }
    }

    /// Writes down that a call was refused.
    pub(super) fn note(&self, call: &Call, fault: &Fault) {
        let Some(log) = &self.log else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (meter, unlisted) = &mut *state;
        if meter.take().is_err() {
            *unlisted = unlisted.saturating_add(1);
            return;
        }
        let unlisted = std::mem::take(unlisted);
        drop(state);
        let (outcome, sent) = (Some(fault.reason.as_str()), Some(fault.sent.as_str()));
        log.note(Entry { outcome, sent, unlisted, ..entry(call, Event::Refused) });
    }
}
