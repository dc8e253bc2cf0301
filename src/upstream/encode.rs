//! A call into the provider's flat parameters: typed fields under its names, what never changes, and what the
//! caller adds. Credentials come later and elsewhere.

use prost_reflect::{DynamicMessage, Value};
use serde_json::Value as Json;

use crate::call::Call;
use crate::contract::{Field, Kind, Operation, Violation, any, fold};
use crate::fault::{Fault, Reason};

/// Parameters that only gizad sets, folded.
const RESERVED: [&str; 4] = ["action", "identifier", "secret", "frontendsource"];

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
    let mut added = Vec::new();
    let mut violations = Vec::new();
    for field in operation.input.fields.iter().filter(|field| is_free(operation, field)) {
        let Value::Message(held) = &*request.get_field(&field.descriptor) else { continue };
        let Json::Object(members) = any::json(held) else { continue };
        for (name, json) in members {
            let folded = fold(&name);
            if RESERVED.contains(&folded.as_str()) || is_own(operation, &folded) {
                violations.push(Violation::new(format!("{}.{name}", field.name), "is set by gizad itself"));
            }
            added.push((name, json));
        }
    }
    if !violations.is_empty() {
        return Err(Fault::violated(Reason::InvalidArgument, violations));
    }
    parameters.extend(added);
    Ok(Outgoing { action: action(operation, request), parameters })
}

/// Whether a parameter, given or not, has a field or a value of its own.
fn is_own(operation: &Operation, folded: &str) -> bool {
    let spelled = operation.input.fields.iter().filter_map(|field| field.sent_as.as_deref());
    let constants = operation.upstream.constants.iter().map(|(name, _)| name.as_str());
    spelled.chain(constants).any(|name| fold(name) == folded)
}

/// A field whose members are sent as they are.
fn is_free(operation: &Operation, field: &Field) -> bool {
    field.is_extra() || operation.body == crate::contract::Body::Field(field.name.clone())
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
