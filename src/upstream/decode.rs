//! A judged tree into the typed response: what is recognised goes to its field, everything else is kept in
//! `extra`. Nothing the provider said is dropped, nothing it did not say is invented.

mod content;
mod object;

use prost_reflect::{DynamicMessage, Value};
use serde_json::{Map, Value as Json};

use super::judge::{Success, is_envelope, is_message};
use crate::ambient;
use crate::contract::{Field, Judged, Kind, Message, Operation, Shape, any, fold};
use crate::vietqr::{Transfer, payload};

use content::{Content, Listed};

/// Why a success cannot be believed, or holds no such thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The answer has nothing of what the operation's answer must have.
    Minimum(&'static str),
    /// The list has no item with the identifier that was asked for.
    NotInList,
}

/// Decodes the answer of an operation.
///
/// `may_guess` is whether an answer that does not say outright that it worked may be taken for one: never for
/// what must not run twice, unless it has what the operation's answer must have.
pub(super) fn decode(
    operation: &Operation,
    request: &DynamicMessage,
    success: &Success,
    may_guess: bool,
) -> Result<DynamicMessage, Unfit> {
    let mut message = match operation.answer.shape {
        Shape::Done => done(operation, success)?,
        Shape::Object => single(operation, success, may_guess)?,
        Shape::List => list(operation, success)?,
        Shape::Item => item(operation, request, success)?,
        Shape::Raw => raw(operation, success, may_guess)?,
    };
    judged(operation.told(), &mut message, success);
    if let Some((name, number)) = &operation.answer.implied
        && !success.pending
        && let Some(field) = operation.told().field(name)
        && !message.has_field(&field.descriptor)
        && !is_mentioned(field, operation.told(), &message)
    {
        message.set_field(&field.descriptor, Value::EnumNumber(*number));
    }
    echo(operation, request, &mut message);
    payable(operation.told(), &mut message);
    Ok(message)
}

/// Whether a folded name is one under which any answer may stand.
pub(super) fn is_wrapper(name: &str) -> bool {
    content::GENERIC.contains(&name)
}

fn done(operation: &Operation, success: &Success) -> Result<DynamicMessage, Unfit> {
    if !success.explicit {
        return Err(Unfit::Minimum("no_success_signal"));
    }
    let mut message = DynamicMessage::new(operation.told().descriptor.clone());
    let mut rest = content::envelope_apart(&success.tree);
    // A wrapper with nothing in it says nothing.
    rest.retain(|_, json| !json.is_null());
    said(success, operation.told(), &mut rest);
    keep(operation.told(), &mut message, &rest);
    Ok(message)
}

fn single(operation: &Operation, success: &Success, may_guess: bool) -> Result<DynamicMessage, Unfit> {
    let (mut message, mut kept) = gather(operation, &success.tree);
    said(success, operation.told(), &mut kept);
    let answer = &operation.answer;
    let has = |names: &[String]| has_any(operation.told(), &message, names);
    let found =
        operation.told().fields.iter().any(|f| f.judged.is_none() && message.has_field(&f.descriptor));
    let nothing_else = !found && kept.values().all(|json| !json.is_object() && !json.is_array());
    // "Not yet" is an answer by itself, and so, for some, is "it worked".
    let enough = success.pending || (answer.bare_success && success.explicit && nothing_else);
    if !answer.minimum.is_empty() && !has(&answer.minimum) && !enough {
        return Err(Unfit::Minimum("minimum_shape"));
    }
    if success.explicit || has(&answer.proof) || (may_guess && found) {
        keep(operation.told(), &mut message, &kept);
        return Ok(message);
    }
    Err(Unfit::Minimum("no_success_signal"))
}

/// Whether an answer, whatever it says, holds something of what a success of the operation would.
pub(super) fn is_evident(operation: &Operation, tree: &Json) -> bool {
    let (message, _) = gather(operation, tree);
    let names = operation.answer.minimum.iter().chain(&operation.answer.proof);
    names.into_iter().any(|name| has_any(operation.told(), &message, std::slice::from_ref(name)))
}

/// The fields of an answer about one thing, and what is left of it.
fn gather(operation: &Operation, tree: &Json) -> (DynamicMessage, Map<String, Json>) {
    let mut message = DynamicMessage::new(operation.told().descriptor.clone());
    let mut kept = Map::new();
    for layer in content::layers(tree, &operation.answer.wrappers) {
        let rest = match layer {
            Content::Object(via, members) => {
                object::read(operation.told(), &mut message, members, via.as_deref())
            }
            // Words and verdicts around the thing are not its own.
            Content::Around(members) => {
                let (envelope, own): (Map<_, _>, Map<_, _>) =
                    members.into_iter().partition(|(name, _)| is_envelope(&fold(name)));
                let mut rest = object::read(operation.told(), &mut message, own, None);
                rest.extend(envelope);
                rest
            }
            Content::Bare(name, json) => object::read_bare(operation.told(), &mut message, name, json),
        };
        content::keep_around(&mut kept, rest);
    }
    (message, kept)
}

/// Takes out the words that the response has a field for, unless they were shortened on the way.
fn said(success: &Success, plan: &Message, rest: &mut Map<String, Json>) {
    let Some(words) = &success.message else { return };
    if plan.fields.iter().any(|field| field.judged == Some(Judged::Message)) {
        rest.retain(|name, json| !(is_message(&fold(name)) && json.as_str() == Some(words.as_str())));
    }
}

fn list(operation: &Operation, success: &Success) -> Result<DynamicMessage, Unfit> {
    let output = operation.told();
    let repeated = output.fields.iter().find_map(|field| match (&field.kind, field.repeated) {
        (Kind::Message(plan), true) => Some((field, plan)),
        _ => None,
    });
    let Some((field, plan)) = repeated else { return Err(Unfit::Minimum("no_list")) };
    let listed = content::list(&success.tree, &operation.answer.wrappers, plan, success.explicit)
        .ok_or(Unfit::Minimum("no_list"))?;
    let Listed { items: found, beside } = listed;
    let items = items(plan, found, &operation.answer.minimum)?;
    let mut message = DynamicMessage::new(output.descriptor.clone());
    message.set_field(&field.descriptor, Value::List(items.into_iter().map(Value::Message).collect()));
    let rest = object::read(output, &mut message, beside, None);
    keep(output, &mut message, &rest);
    Ok(message)
}

fn item(operation: &Operation, request: &DynamicMessage, success: &Success) -> Result<DynamicMessage, Unfit> {
    let output = operation.told();
    let listed = content::list(&success.tree, &operation.answer.wrappers, output, success.explicit)
        .ok_or(Unfit::Minimum("no_list"))?;
    let items = items(output, listed.items, &operation.answer.minimum)?;
    let same = |item: &DynamicMessage| {
        operation.path.variables().iter().all(|name| {
            match (operation.input.field(name), output.field(name)) {
                (Some(asked), Some(found)) => {
                    request.get_field(&asked.descriptor) == item.get_field(&found.descriptor)
                }
                _ => false,
            }
        })
    };
    items.into_iter().find(same).ok_or(Unfit::NotInList)
}

fn raw(operation: &Operation, success: &Success, may_guess: bool) -> Result<DynamicMessage, Unfit> {
    if !success.explicit && !may_guess {
        return Err(Unfit::Minimum("no_success_signal"));
    }
    let mut message = DynamicMessage::new(operation.told().descriptor.clone());
    let field = operation.told().fields.iter().find(|field| matches!(field.kind, Kind::Any));
    if let Some(field) = field
        && let Some(descriptor) = field.descriptor.kind().as_message()
    {
        message.set_field(&field.descriptor, Value::Message(any::value(descriptor, &success.tree)));
    }
    Ok(message)
}

/// Whether the answer has something under a field's names that could not be read: then nothing is implied.
fn is_mentioned(field: &Field, plan: &Message, message: &DynamicMessage) -> bool {
    let Some(extra) = plan.extra() else { return false };
    let value = message.get_field(&extra.descriptor);
    let Some(Json::Object(members)) = value.as_message().map(any::json) else { return false };
    members.keys().any(|name| field.read_as.contains(&fold(name)))
}

/// The items of a list. A list with items of which none has what an item must have belongs to another action.
fn items(
    plan: &Message,
    listed: Vec<(Option<String>, Json)>,
    minimum: &[String],
) -> Result<Vec<DynamicMessage>, Unfit> {
    let read: Vec<DynamicMessage> =
        listed.into_iter().map(|(key, json)| object::item(plan, key.as_deref(), json)).collect();
    let believable =
        read.is_empty() || minimum.is_empty() || read.iter().any(|item| has_any(plan, item, minimum));
    if believable { Ok(read) } else { Err(Unfit::Minimum("minimum_shape")) }
}

fn has_any(plan: &Message, message: &DynamicMessage, names: &[String]) -> bool {
    names.iter().filter_map(|name| plan.field(name)).any(|field| message.has_field(&field.descriptor))
}

/// Puts what has no field of its own where it is kept.
fn keep(plan: &Message, message: &mut DynamicMessage, rest: &Map<String, Json>) {
    if let Some(extra) = plan.extra().filter(|_| !rest.is_empty())
        && let Some(descriptor) = extra.descriptor.kind().as_message()
    {
        message.set_field(&extra.descriptor, Value::Message(any::structure(descriptor, rest)));
    }
}

/// Fills what the judgement knows.
fn judged(plan: &Message, message: &mut DynamicMessage, success: &Success) {
    for field in &plan.fields {
        match (field.judged, &success.message) {
            (Some(Judged::Message), Some(words)) => {
                message.set_field(&field.descriptor, Value::String(words.as_str().to_owned()));
            }
            (Some(Judged::Pending), _) => message.set_field(&field.descriptor, Value::Bool(success.pending)),
            (Some(Judged::Message), None) | (Some(Judged::Seen) | None, _) => {}
        }
    }
}

/// An answer about one thing that does not repeat its identifier gets the one it was asked with.
fn echo(operation: &Operation, request: &DynamicMessage, message: &mut DynamicMessage) {
    for name in operation.path.variables() {
        let pair = (operation.input.field(name), operation.told().field(name));
        if let (Some(asked), Some(answered)) = pair
            && same_kind(asked, answered)
            && !message.has_field(&answered.descriptor)
        {
            message.set_field(&answered.descriptor, request.get_field(&asked.descriptor).into_owned());
        }
    }
}

/// Makes the code of a transfer that somebody is asked to make. What no code can say is said by the fields alone.
fn payable(plan: &Message, message: &mut DynamicMessage) {
    let codes = plan.fields.iter().filter_map(|field| Some((field, field.vietqr.as_ref()?)));
    for (field, of) in codes {
        let value = |name: &str| Some(message.get_field(&plan.field(name)?.descriptor).into_owned());
        let text = |name: &str| Some(value(name)?.as_str()?.to_owned());
        let is_awaited = plan.field(&of.state).is_some_and(|state| match &state.kind {
            Kind::Enum(states) => {
                let now = message.get_field(&state.descriptor).as_enum_number().unwrap_or_default();
                // A word that nobody knows may say that it is paid.
                let is_unsaid = now == 0 && !is_mentioned(state, plan, message);
                is_unsaid || states.by_number(now).is_some_and(|state| state.pending)
            }
            _ => false,
        });
        let moment = |name: &str| {
            let field = plan.field(name).filter(|field| message.has_field(&field.descriptor))?;
            let value = message.get_field(&field.descriptor);
            value.as_message()?.get_field_by_name("seconds")?.as_i64()
        };
        let is_over = moment(&of.paid).is_some()
            || moment(&of.expires).is_some_and(|ends| ends.saturating_mul(1000) <= ambient::unix_millis());
        let transfer = || {
            let (bank, account, note) = (text(&of.bank)?, text(&of.account)?, text(&of.note)?);
            let amount_vnd = Some(value(&of.amount)?.as_i64()?);
            let told = !note.is_empty();
            let transfer = Transfer { bank: &bank, account: &account, amount_vnd, note: &note };
            told.then(|| payload(&transfer).ok()).flatten()
        };
        if let Some(code) = (is_awaited && !is_over).then(transfer).flatten() {
            message.set_field(&field.descriptor, Value::String(code));
        }
    }
}

fn same_kind(asked: &Field, answered: &Field) -> bool {
    !answered.repeated && asked.descriptor.kind() == answered.descriptor.kind()
}
