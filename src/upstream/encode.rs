//! A call into the provider's flat parameters: typed fields under its names, what never changes, and what the
//! caller adds. Credentials come later and elsewhere.

use prost_reflect::{DynamicMessage, Value};
use serde_json::Value as Json;

use crate::call::Call;
use crate::contract::{Field, Kind, Operation, any};
use crate::fault::{Fault, Reason};

/// What is sent, without credentials.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outgoing {
    /// The provider's action.
    pub(super) action: String,
    /// Its parameters, in order.
    pub(super) parameters: Vec<(String, Json)>,
}

/// Encodes a call.
pub(super) fn encode(call: &Call) -> Result<Outgoing, Fault> {
    let (operation, request) = (call.operation, &call.request);
    let mut parameters = Vec::new();
    for field in &operation.input.fields {
        if let Some(name) = &field.sent_as
            && let Some(json) = parameter(field, request)
        {
            parameters.push((name.clone(), json));
        }
    }
    for (name, value) in &operation.upstream.constants {
        parameters.push((name.clone(), Json::String(value.clone())));
    }
    // The edge has said so before anything was written down; this is where it would do harm.
    let taken = operation.taken(request);
    if !taken.is_empty() {
        return Err(Fault::violated(Reason::InvalidArgument, taken));
    }
    parameters.extend(operation.added(request).map(|(_, name, json)| (name, json)));
    Ok(Outgoing { action: action(operation, request), parameters })
}

fn action(operation: &Operation, request: &DynamicMessage) -> String {
    let upstream = &operation.upstream;
    if let Some(field) = upstream.name_from.as_deref().and_then(|name| operation.input.field(name)) {
        return request.get_field(&field.descriptor).as_str().unwrap_or_default().to_owned();
    }
    let asked = upstream.variants.iter().find(|variant| {
        let field = operation.input.field(&variant.field);
        field.and_then(|field| request.get_field(&field.descriptor).as_enum_number()) == Some(variant.number)
    });
    asked.map_or_else(|| upstream.name.clone(), |variant| variant.action.clone())
}

/// The value to send, if there is one: an optional field that was not given is left out.
fn parameter(field: &Field, request: &DynamicMessage) -> Option<Json> {
    if !request.has_field(&field.descriptor) {
        if field.optional {
            return None;
        }
        if field.when_unset.is_some() {
            return field.when_unset.clone();
        }
    }
    json(field, &request.get_field(&field.descriptor))
}

fn json(field: &Field, value: &Value) -> Option<Json> {
    Some(match value {
        Value::Bool(flag) => Json::from(*flag),
        Value::I32(number) => Json::from(*number),
        Value::I64(number) => Json::from(*number),
        Value::String(text) => Json::from(text.as_str()),
        Value::List(items) => Json::Array(items.iter().filter_map(|item| json(field, item)).collect()),
        Value::EnumNumber(number) => match &field.kind {
            Kind::Enum(states) => Json::from(states.by_number(*number)?.words.first()?.as_str()),
            _ => return None,
        },
        Value::Message(message) => any::json(message),
        _ => return None,
    })
}
