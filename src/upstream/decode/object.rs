//! One object of the provider into one message: every field is looked for under its names, in their order; a
//! value that cannot be read without doubt stays where it was.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, MapKey, Value};
use serde_json::{Map, Value as Json};

use super::super::value;
use crate::contract::{Field, Kind, Message, fold};

/// Reads the members that are recognised and returns the others. `via` is the wrapper they stood under: in
/// `order: {id: 5}`, `id` is also known as `orderid`.
pub(super) fn read(
    plan: &Message,
    message: &mut DynamicMessage,
    members: Map<String, Json>,
    via: Option<&str>,
) -> Map<String, Json> {
    let mut names: Vec<(String, &String, &Json)> = Vec::with_capacity(members.len());
    for (name, json) in &members {
        let folded = fold(name);
        if let Some(via) = via.filter(|_| folded == "id") {
            names.push((format!("{via}id"), name, json));
        }
        names.push((folded, name, json));
    }
    let mut taken: HashSet<&String> = HashSet::new();
    for field in plan.fields.iter().filter(|field| field.is_read()) {
        if message.has_field(&field.descriptor) {
            continue;
        }
        let named =
            field.read_as.iter().flat_map(|wanted| names.iter().filter(move |(name, _, _)| name == wanted));
        for (_, name, json) in named {
            if taken.contains(name) {
                continue;
            }
            if value::is_absent(json) {
                // "None" says nothing that is worth keeping; another name may say more.
                taken.insert(name);
            } else if let Some(value) = value(field, json) {
                message.set_field(&field.descriptor, value);
                taken.insert(name);
                break;
            }
        }
    }
    let taken: HashSet<String> = taken.into_iter().cloned().collect();
    members.into_iter().filter(|(name, _)| !taken.contains(name)).collect()
}

/// Reads a bare value into the field that takes one, or returns it under a name.
pub(super) fn read_bare(
    plan: &Message,
    message: &mut DynamicMessage,
    name: String,
    bare: Json,
) -> Map<String, Json> {
    let field = plan.fields.iter().find(|field| field.bare_value);
    match field.and_then(|field| value(field, &bare).map(|value| (field, value))) {
        Some((field, value)) => {
            message.set_field(&field.descriptor, value);
            Map::new()
        }
        None => Map::from_iter([(name, bare)]),
    }
}

/// One item of a list, with its key if the list was an object.
pub(super) fn item(plan: &Message, key: Option<&str>, json: Json) -> DynamicMessage {
    let mut message = DynamicMessage::new(plan.descriptor.clone());
    let mut rest = match json {
        Json::Object(members) => read(plan, &mut message, members, None),
        bare => read_bare(plan, &mut message, "value".to_owned(), bare),
    };
    if let Some(key) = key {
        keyed(plan, &mut message, key, &mut rest);
    }
    super::keep(plan, &mut message, &rest);
    message
}

/// The key of an item is its identifier, unless it has one; a key that says something else is kept.
fn keyed(plan: &Message, message: &mut DynamicMessage, key: &str, rest: &mut Map<String, Json>) {
    let field = plan.fields.iter().find(|field| field.list_key);
    let read = field.and_then(|field| value(field, &Json::from(key)).map(|value| (field, value)));
    match read {
        Some((field, value)) if !message.has_field(&field.descriptor) => {
            message.set_field(&field.descriptor, value)
        }
        Some((field, value)) if *message.get_field(&field.descriptor) == value => {}
        _ => {
            rest.entry("key").or_insert_with(|| Json::from(key));
        }
    }
}

/// The value of a field, if it can be read without doubt.
pub(super) fn value(field: &Field, json: &Json) -> Option<Value> {
    match (&field.kind, field.repeated) {
        (Kind::Int64, true) => {
            Some(Value::List(value::integers(json)?.into_iter().map(Value::I64).collect()))
        }
        (Kind::Text, true) => Some(Value::List(texts(json)?.into_iter().map(Value::String).collect())),
        (Kind::Message(plan), true) => messages(plan, json),
        (_, true) => None,
        (Kind::Int64, false) if field.is_money() => value::money(json).map(Value::I64),
        (Kind::Int64, false) => value::integer(json).map(Value::I64),
        (Kind::Int32, false) => value::integer(json).and_then(|n| i32::try_from(n).ok()).map(Value::I32),
        (Kind::Bool, false) => value::boolean(json).map(Value::Bool),
        (Kind::Text, false) => value::text(json).map(Value::String),
        (Kind::Enum(states), false) => {
            let word = match json {
                Json::Bool(flag) => flag.to_string(),
                _ => value::text(json)?,
            };
            states.by_word(&fold(&word)).map(|state| Value::EnumNumber(state.number))
        }
        (Kind::Timestamp, false) => {
            let moment = value::moment(json)?;
            let mut held = DynamicMessage::new(field.descriptor.kind().as_message()?.clone());
            held.set_field_by_name("seconds", Value::I64(moment.as_second()));
            held.set_field_by_name("nanos", Value::I32(moment.subsec_nanosecond()));
            Some(Value::Message(held))
        }
        (Kind::Amounts, false) => {
            let amounts = value::amounts(json.as_object()?)?.into_iter();
            Some(Value::Map(
                amounts.map(|(name, amount)| (MapKey::String(name), Value::I64(amount))).collect(),
            ))
        }
        (Kind::Struct | Kind::Any | Kind::Message(_), false) => None,
    }
}

/// Several texts: a list, or one. A text is only taken apart where its parts are addresses.
fn texts(json: &Json) -> Option<Vec<String>> {
    match json {
        Json::Array(items) => items.iter().map(value::text).collect(),
        Json::String(text) => {
            let parts: Vec<&str> = text.split(',').map(str::trim).collect();
            let addresses = parts.iter().all(|part| part.parse::<std::net::IpAddr>().is_ok());
            Some(if addresses { parts.into_iter().map(str::to_owned).collect() } else { vec![text.clone()] })
        }
        Json::Number(_) => value::text(json).map(|text| vec![text]),
        Json::Null | Json::Bool(_) | Json::Object(_) => None,
    }
}

/// Several messages: a list, or an object keyed by something.
fn messages(plan: &Message, json: &Json) -> Option<Value> {
    let items: Vec<Value> = match json {
        Json::Array(items) => {
            items.iter().map(|json| Value::Message(item(plan, None, json.clone()))).collect()
        }
        Json::Object(members) if members.values().all(Json::is_object) => {
            members.iter().map(|(key, json)| Value::Message(item(plan, Some(key), json.clone()))).collect()
        }
        // One level of plural and singular: `replies: {reply: […]}`.
        Json::Object(members) if members.len() == 1 => return messages(plan, members.values().next()?),
        _ => return None,
    };
    Some(Value::List(items))
}
