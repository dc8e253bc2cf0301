//! A response message into JSON: names as in the protos, every field shown, 64-bit integers as numbers.
//!
//! A field that the provider did not mention is null where that differs from zero or empty.

use jiff::Timestamp;
use prost_reflect::{DynamicMessage, MapKey, Value};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use crate::contract::{Field, Kind, Message, any};

/// The JSON of a message, with a line end for whoever reads it in a terminal.
pub(super) fn json(plan: &Message, message: &DynamicMessage) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    // Writing to memory does not fail, and every value has a JSON form.
    let _infallible = serde_json::to_writer(&mut text, &Shown { plan, message });
    text.push(b'\n');
    text
}

struct Shown<'a> {
    plan: &'a Message,
    message: &'a DynamicMessage,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(self.plan.fields.len()))?;
        for field in &self.plan.fields {
            map.serialize_key(&field.name)?;
            // Only a field that was not given differs from its default.
            if field.optional && !field.is_extra() && !self.message.has_field(&field.descriptor) {
                map.serialize_value(&())?;
            } else {
                let value = self.message.get_field(&field.descriptor);
                map.serialize_value(&Held { field, value: &value })?;
            }
        }
        map.end()
    }
}

struct Held<'a> {
    field: &'a Field,
    value: &'a Value,
}

impl Serialize for Held<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match (self.value, &self.field.kind) {
            (Value::Bool(flag), _) => out.serialize_bool(*flag),
            (Value::I32(number), _) => out.serialize_i32(*number),
            (Value::I64(number), _) => out.serialize_i64(*number),
            (Value::String(text), _) => out.serialize_str(text),
            (Value::EnumNumber(number), Kind::Enum(states)) => match states.by_number(*number) {
                Some(state) => out.serialize_str(&state.name),
                None => out.serialize_i32(*number),
            },
            (Value::List(items), _) => {
                let mut list = out.serialize_seq(Some(items.len()))?;
                for value in items {
                    list.serialize_element(&Held { field: self.field, value })?;
                }
                list.end()
            }
            (Value::Map(entries), _) => {
                let mut sorted: Vec<(&str, i64)> = entries
                    .iter()
                    .filter_map(|(key, value)| match (key, value) {
                        (MapKey::String(key), Value::I64(amount)) => Some((key.as_str(), *amount)),
                        _ => None,
                    })
                    .collect();
                sorted.sort_unstable();
                out.collect_map(sorted)
            }
            (Value::Message(message), Kind::Message(plan)) => Shown { plan, message }.serialize(out),
            (Value::Message(message), Kind::Struct | Kind::Any) => any::json(message).serialize(out),
            (Value::Message(message), Kind::Timestamp) => time(message).serialize(out),
            // The contract has no field of another kind; it is refused when it is loaded.
            _ => out.serialize_unit(),
        }
    }
}

/// RFC 3339 in UTC with no, three, six or nine digits behind the second, as protobuf's JSON has it.
fn time(message: &DynamicMessage) -> Option<String> {
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    let time = Timestamp::new(seconds, nanos).ok()?;
    let digits = match nanos {
        0 => 0,
        nanos if nanos % 1_000_000 == 0 => 3,
        nanos if nanos % 1000 == 0 => 6,
        _ => 9,
    };
    Some(format!("{time:.digits$}"))
}
