//! One harmless question, and what its answer looks like: its shape, and which fields of the contract were found in it. For
//! `gizad doctor --calibrate`, by which somebody learns what the provider's undocumented answers are.
//!
//! Absent here: a value of the answer.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, Value};
use serde_json::Value as Json;

use super::lanes::Request;
use super::reading::{Reading, read};
use super::shape::{self, Shape};
use super::{Upstream, decode, encode, judge, query};
use crate::call::Call;
use crate::contract::{Effect, Field, Kind, Message, Operation, any, fold};
use crate::fault::Fault;

/// What an answer looks like.
#[derive(Debug)]
pub struct Sample {
    /// The action that was asked for.
    pub action: String,
    /// The shape of the answer, if there was one.
    pub shape: Option<Shape>,
    /// What was understood of it, or why nothing was.
    pub understood: Result<Understood, Fault>,
    /// The message that was read, for whoever looks for an identifier to ask on with.
    pub message: Option<DynamicMessage>,
}

/// What was understood of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Understood {
    /// The rule by which it was a success.
    pub rule: &'static str,
    /// How many items it has, if it is a list.
    pub items: Option<usize>,
    /// The fields that were found.
    pub found: BTreeSet<String>,
    /// The fields that were not.
    pub missing: BTreeSet<String>,
    /// Names that belong to a field and have a value that says nothing to it.
    pub unread: BTreeSet<String>,
    /// Names that belong to no field.
    pub unknown: BTreeSet<String>,
}

impl Upstream {
    /// Asks a harmless question, with the mapping that is used, and looks at the answer. What changes or reveals something is
    /// not asked.
    pub async fn sample(&self, call: &Call) -> Sample {
        let mut sample = Sample {
            action: String::new(),
            shape: None,
            understood: Ok(Understood::default()),
            message: None,
        };
        let exchange = self.exchange();
        let outgoing = match encode::encode(call) {
            Ok(outgoing) => outgoing,
            Err(fault) => return Sample { understood: Err(fault), ..sample },
        };
        sample.action.clone_from(&outgoing.action);
        let source = &exchange.way.options.frontend_source;
        let sent = match call.effect {
            Effect::Public => exchange.way.lanes.send_shared(Request::Get(query(outgoing, source))).await,
            Effect::Read => {
                exchange
                    .way
                    .lanes
                    .send_shared(Request::Post(exchange.credentials.seal(&outgoing, source)))
                    .await
            }
            Effect::Secret | Effect::Converge | Effect::Once | Effect::Spend => return sample,
        };
        let received = match sent {
            Ok(received) => received,
            Err(broken) => {
                return Sample { understood: Err(super::broken_off(call.effect, &broken)), ..sample };
            }
        };
        let mapping = exchange.way.mapping();
        let operation = mapping.of(call.operation);
        let names = names(operation);
        let known = |name: &str| {
            let folded = fold(name);
            names.contains(&folded)
                || judge::is_envelope(&folded)
                || judge::is_message(&folded)
                || decode::is_wrapper(&folded)
        };
        sample.shape = Some(match read(&received.body) {
            Reading::Tree { mut json, .. } => {
                exchange.credentials.scrub_tree(&mut json);
                Shape::of(&json, &known)
            }
            Reading::Page(_) => Shape::named("a page"),
            Reading::Empty => Shape::named("nothing"),
            Reading::Text(_) => Shape::named("text"),
            Reading::Unreadable(_) => Shape::named("unreadable"),
        });
        match exchange.understand(call, &received) {
            Ok(reply) => {
                let message = reply.content.message().clone();
                sample.understood = Ok(understood(operation, &message, reply.rule, &known));
                sample.message = Some(message);
            }
            Err(fault) => sample.understood = Err(fault),
        }
        sample
    }
}

/// Every folded name under which an answer of this operation may have something.
fn names(operation: &Operation) -> BTreeSet<String> {
    fn gather(message: &Message, names: &mut BTreeSet<String>) {
        for field in &message.fields {
            names.extend(field.read_as.iter().cloned());
            if let Kind::Message(inner) = &field.kind {
                gather(inner, names);
            }
        }
    }
    let mut names: BTreeSet<String> = operation.answer.wrappers.iter().cloned().collect();
    gather(operation.told(), &mut names);
    names
}

fn understood(
    operation: &Operation,
    message: &DynamicMessage,
    rule: &'static str,
    known: &dyn Fn(&str) -> bool,
) -> Understood {
    let told = operation.told();
    let mut seen = Understood { rule, ..Understood::default() };
    let listed = told.fields.iter().find_map(|field| match (&field.kind, field.repeated) {
        (Kind::Message(plan), true) if operation.answer.shape == crate::contract::Shape::List => {
            Some((field, plan))
        }
        _ => None,
    });
    let Some((field, plan)) = listed else {
        seen.look(told, std::iter::once(message), known);
        return seen;
    };
    let held = message.get_field(&field.descriptor);
    let items: Vec<&DynamicMessage> =
        held.as_list().unwrap_or_default().iter().filter_map(Value::as_message).collect();
    seen.items = Some(items.len());
    if !items.is_empty() {
        seen.look(plan, items.into_iter(), known);
    }
    // What stands beside the list.
    seen.leftover(told, message, known);
    seen
}

impl Understood {
    fn look<'a>(
        &mut self,
        plan: &Message,
        messages: impl Iterator<Item = &'a DynamicMessage> + Clone,
        known: &dyn Fn(&str) -> bool,
    ) {
        let judged = |field: &&Field| field.judged.is_none() && !field.is_extra();
        for field in plan.fields.iter().filter(judged) {
            let found = messages.clone().any(|message| message.has_field(&field.descriptor));
            let names = if found { &mut self.found } else { &mut self.missing };
            names.insert(field.name.clone());
        }
        messages.for_each(|message| self.leftover(plan, message, known));
    }

    /// What was kept because it has no field of its own.
    fn leftover(&mut self, plan: &Message, message: &DynamicMessage, known: &dyn Fn(&str) -> bool) {
        let Some(extra) = plan.extra() else { return };
        let held = message.get_field(&extra.descriptor);
        let Some(Json::Object(members)) = held.as_message().map(any::json) else { return };
        for (name, json) in &members {
            let folded = fold(name);
            let fits = plan.fields.iter().any(|field| field.read_as.contains(&folded));
            // What an envelope says by itself belongs to no field; what it shares a name with a field does.
            if judge::is_message(&folded) || json.is_null() || (judge::is_envelope(&folded) && !fits) {
                continue;
            }
            let names = if fits { &mut self.unread } else { &mut self.unknown };
            names.insert(shape::name(name, known).to_owned());
        }
    }
}
