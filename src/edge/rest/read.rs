//! Path, query and body into a request message. Everything that is wrong is found at once, each with its
//! field.

use std::collections::HashSet;

use axum::extract::RawPathParams;
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value};
use serde_json::Value as Json;

use crate::contract::{
    Body, Enumeration, Field, Kind, Message, Operation, Term, Violation, any, nearest, strict,
};
use crate::fault::{Fault, Reason};

/// Reads a whole request and applies the contract's rules to it.
pub(super) fn request(
    operation: &Operation,
    path: Option<&RawPathParams>,
    query: &str,
    body: &[u8],
) -> Result<DynamicMessage, Fault> {
    let mut reader = Reader::new(operation);
    for (name, text) in path.into_iter().flatten() {
        reader.text(name, text, name);
    }
    reader.query(query);
    reader.body(body)?;
    reader.finish()
}

struct Reader<'a> {
    operation: &'a Operation,
    message: DynamicMessage,
    found: Vec<Violation>,
}

impl<'a> Reader<'a> {
    fn new(operation: &'a Operation) -> Self {
        let message = DynamicMessage::new(operation.input.descriptor.clone());
        Self { operation, message, found: Vec::new() }
    }

    /// What could not be read is a 400; what could be and breaks a rule is a 422.
    fn finish(mut self) -> Result<DynamicMessage, Fault> {
        self.found.extend(self.operation.taken(&self.message));
        let reason = if self.found.is_empty() { Reason::ValidationFailed } else { Reason::InvalidArgument };
        let unread: HashSet<String> = self.found.iter().map(|v| v.field.clone()).collect();
        let broken = self.operation.input.violations(&self.message);
        self.found.extend(broken.into_iter().filter(|v| !unread.contains(&v.field)));
        if self.found.is_empty() { Ok(self.message) } else { Err(Fault::violated(reason, self.found)) }
    }

    fn wrong(&mut self, field: impl Into<String>, what: impl Into<String>) {
        self.found.push(Violation::new(field, what));
    }

    /// One field of the request, given as text in the path or the query.
    fn text(&mut self, name: &str, text: &str, at: &str) {
        let Some(field) = self.operation.input.field(name) else { return };
        match scalar(&field.kind, &field.descriptor, text) {
            Ok(value) if field.repeated => {
                if let Value::List(items) = self.message.get_field_mut(&field.descriptor) {
                    items.push(value);
                }
            }
            Ok(value) => self.message.set_field(&field.descriptor, value),
            Err(expected) => self.wrong(at, format!("must be {expected}")),
        }
    }

    /// The query carries what neither the path nor the body does.
    fn query(&mut self, query: &str) {
        let mut seen = HashSet::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            if self.operation.body != Body::None && !self.is_wait(&name) {
                self.wrong(&*name, "is not read from the query; send it in the JSON body");
                continue;
            }
            if let Some(key) = name.strip_prefix("extra.").filter(|key| !key.is_empty())
                && let Some(extra) = self.operation.input.extra()
            {
                if seen.insert(name.to_string()) {
                    self.set_extra(extra, key, &text);
                } else {
                    self.wrong(&*name, "is given twice");
                }
                continue;
            }
            let field = self.operation.free_fields().find(|field| field.name == name && !field.is_extra());
            let Some(field) = field else {
                let what = self.unknown(&name);
                self.wrong(&*name, what);
                continue;
            };
            if !field.repeated && !seen.insert(field.name.clone()) {
                self.wrong(&*name, "is given twice");
                continue;
            }
            self.text(&name, &text, &name);
        }
    }

    /// Whether a field says how long to wait, which is a term of the request and no part of what it sends.
    fn is_wait(&self, name: &str) -> bool {
        self.operation.term(Term::Wait).is_some_and(|field| field.name == name)
    }

    /// A parameter that has no field, given as `extra.NAME=text`.
    fn set_extra(&mut self, extra: &Field, key: &str, text: &str) {
        let Value::Message(held) = self.message.get_field_mut(&extra.descriptor) else { return };
        let mut members = match any::json(held) {
            Json::Object(members) => members,
            _ => serde_json::Map::new(),
        };
        members.insert(key.to_owned(), Json::String(text.to_owned()));
        *held = any::structure(&held.descriptor(), &members);
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<&str> = self.operation.free_fields().map(|field| field.name.as_str()).collect();
        if self.operation.path.variables().iter().any(|variable| variable == name) {
            return "is given by the path".to_owned();
        }
        unknown(name, &known)
    }

    fn body(&mut self, body: &[u8]) -> Result<(), Fault> {
        if body.is_empty() {
            return Ok(());
        }
        let json = strict::parse(body)
            .map_err(|error| Fault::new(Reason::MalformedBody, format!("the body is no JSON: {error}")))?;
        let Json::Object(members) = json else {
            let detail = format!("the body must be a JSON object, not {}", kind_of(&json));
            return Err(Fault::new(Reason::MalformedBody, detail));
        };
        if let Body::Field(name) = &self.operation.body {
            if let Some(field) = self.operation.input.field(name) {
                self.set(field, &Json::Object(members), name);
            }
            return Ok(());
        }
        for (name, json) in &members {
            match self.operation.free_fields().find(|field| field.name == *name) {
                // Without a declared body the fields belong into the query; there mostly are none.
                Some(field) if self.operation.body == Body::Whole && !self.is_wait(name) => {
                    self.set(field, json, name);
                }
                Some(_) => self.wrong(name, "is read from the query, not from a body"),
                None => {
                    let what = self.unknown(name);
                    self.wrong(name, what);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, field: &Field, json: &Json, at: &str) {
        // In protobuf's JSON, null means "not given".
        if json.is_null() && !matches!(field.kind, Kind::Any) {
            return;
        }
        if let Some(value) = read(field, json, at, &mut self.found) {
            self.message.set_field(&field.descriptor, value);
        }
    }
}

/// The value of a field, or nothing and a violation.
fn read(field: &Field, json: &Json, at: &str, found: &mut Vec<Violation>) -> Option<Value> {
    if !field.repeated {
        return one(&field.kind, &field.descriptor, json, at, found);
    }
    let Json::Array(items) = json else {
        found.push(Violation::new(at, format!("must be a list, not {}", kind_of(json))));
        return None;
    };
    let read = items.iter().enumerate().filter_map(|(index, item)| {
        one(&field.kind, &field.descriptor, item, &format!("{at}[{index}]"), found)
    });
    Some(Value::List(read.collect()))
}

fn one(
    kind: &Kind,
    descriptor: &FieldDescriptor,
    json: &Json,
    at: &str,
    found: &mut Vec<Violation>,
) -> Option<Value> {
    let read = match (kind, json) {
        (Kind::Message(plan), Json::Object(members)) => return Some(object(plan, members, at, found)),
        (Kind::Struct, Json::Object(members)) => {
            let built = descriptor.kind().as_message().map(|m| Value::Message(any::structure(m, members)));
            built.ok_or_else(|| expected(kind))
        }
        (Kind::Any, _) => {
            let built = descriptor.kind().as_message().map(|m| Value::Message(any::value(m, json)));
            built.ok_or_else(|| expected(kind))
        }
        (Kind::Bool, Json::Bool(flag)) => Ok(Value::Bool(*flag)),
        (_, Json::String(text)) => scalar(kind, descriptor, text),
        (Kind::Int32 | Kind::Int64, Json::Number(number)) => {
            let digits = whole(&number.to_string()).map(|whole| whole.to_string());
            scalar(kind, descriptor, &digits.unwrap_or_default())
        }
        (Kind::Enum(states), Json::Number(number)) => {
            let known = number.as_i64().and_then(|n| i32::try_from(n).ok()).and_then(|n| states.by_number(n));
            known.map(|value| Value::EnumNumber(value.number)).ok_or_else(|| expected(kind))
        }
        _ => Err(expected(kind)),
    };
    read.map_err(|expected| {
        found.push(Violation::new(at, format!("must be {expected}, not {}", shown(json))))
    })
    .ok()
}

fn object(
    plan: &Message,
    members: &serde_json::Map<String, Json>,
    at: &str,
    found: &mut Vec<Violation>,
) -> Value {
    let mut message = DynamicMessage::new(plan.descriptor.clone());
    for (name, json) in members {
        let path = format!("{at}.{name}");
        match plan.field(name) {
            Some(_) if json.is_null() => {}
            Some(field) => {
                if let Some(value) = read(field, json, &path, found) {
                    message.set_field(&field.descriptor, value);
                }
            }
            None => {
                let known: Vec<&str> = plan.fields.iter().map(|field| field.name.as_str()).collect();
                found.push(Violation::new(path, unknown(name, &known)));
            }
        }
    }
    Value::Message(message)
}

/// A value from text, or what would have been one.
fn scalar(kind: &Kind, descriptor: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let value = match kind {
        Kind::Bool => match text {
            "true" | "1" => Some(Value::Bool(true)),
            "false" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::Int32 => text.parse().ok().map(Value::I32),
        Kind::Int64 => text.parse().ok().map(Value::I64),
        Kind::Text => Some(Value::String(text.to_owned())),
        Kind::Enum(states) => states.by_name(text).map(|value| Value::EnumNumber(value.number)),
        Kind::Timestamp => time(descriptor, text),
        Kind::Struct | Kind::Any | Kind::Amounts | Kind::Message(_) => None,
    };
    value.ok_or_else(|| expected(kind))
}

/// A moment (RFC 3339), as protobuf has it.
fn time(descriptor: &FieldDescriptor, text: &str) -> Option<Value> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let mut message = DynamicMessage::new(descriptor.kind().as_message()?.clone());
    message.try_set_field_by_name("seconds", Value::I64(time.as_second())).ok()?;
    message.try_set_field_by_name("nanos", Value::I32(time.subsec_nanosecond())).ok()?;
    Some(Value::Message(message))
}

/// A whole number, however JSON writes it: `7`, `7.0`, `7e2`. Nothing is rounded.
fn whole(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = usize::try_from(exponent).ok()?.checked_sub(fraction.len())?;
    // An i64 has at most 19 digits.
    (zeros <= 19).then(|| format!("{integer}{fraction}{}", "0".repeat(zeros)).parse().ok())?
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Int32 => "a whole number of 32 bits".to_owned(),
        Kind::Int64 => "a whole number of 64 bits".to_owned(),
        Kind::Text => "a text".to_owned(),
        Kind::Enum(states) => Enumeration::listed(states),
        Kind::Timestamp => "a time such as 2026-11-24T00:00:00Z".to_owned(),
        Kind::Struct | Kind::Amounts | Kind::Message(_) => "an object".to_owned(),
        Kind::Any => "any JSON value".to_owned(),
    }
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// A value that was not understood: numbers as they are, of the rest only what it is.
fn shown(json: &Json) -> String {
    match json {
        Json::Number(number) => number.to_string().chars().take(40).collect(),
        other => kind_of(other).to_owned(),
    }
}

/// That a field does not exist, and which one was most likely meant.
fn unknown(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("is no field of this request; did you mean {near}?"),
        None if known.is_empty() => "is no field of this request, which has none".to_owned(),
        None => format!("is no field of this request; it has {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_json_writes_them() {
        for (text, number) in [("7", 7), ("7.0", 7), ("7e2", 700), ("-9223372036854775808", i64::MIN)] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in
            ["7.5", "9223372036854775808", "", "x", "NaN", "inf", "1e400", "499999.99999999999999999", "7e-1"]
        {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
