//! `google.protobuf.Struct` and `Value` as JSON trees and back.
//!
//! A number in them is a double. One that a double cannot hold exactly is kept as its text instead, so that
//! a long identifier does not turn into its neighbour.

use prost_reflect::prost_types::value::Kind;
use prost_reflect::prost_types::{ListValue, Struct, Value};
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _};
use serde_json::{Map, Number, Value as Json};

/// The largest whole number up to which a double holds every one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A `Struct` from an object.
#[must_use]
pub fn structure(descriptor: &MessageDescriptor, members: &Map<String, Json>) -> DynamicMessage {
    let mut held = DynamicMessage::new(descriptor.clone());
    // The descriptor is that of `Struct`, of which this is the wire form; it cannot fail.
    let _infallible = held.transcode_from(&to_struct(members));
    held
}

/// A `Value` from any JSON.
#[must_use]
pub fn value(descriptor: &MessageDescriptor, json: &Json) -> DynamicMessage {
    let mut held = DynamicMessage::new(descriptor.clone());
    let _infallible = held.transcode_from(&to_value(json));
    held
}

/// The JSON in a `Struct` or a `Value`.
#[must_use]
pub fn json(message: &DynamicMessage) -> Json {
    if message.descriptor().full_name() == "google.protobuf.Struct" {
        return message.transcode_to::<Struct>().map_or(Json::Null, |held| Json::Object(from_struct(held)));
    }
    message.transcode_to::<Value>().map_or(Json::Null, from_value)
}

fn to_struct(members: &Map<String, Json>) -> Struct {
    Struct { fields: members.iter().map(|(name, json)| (name.clone(), to_value(json))).collect() }
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => match exact(number) {
            Some(double) => Kind::NumberValue(double),
            None => Kind::StringValue(number.to_string()),
        },
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_value).collect() }),
        Json::Object(members) => Kind::StructValue(to_struct(members)),
    };
    Value { kind: Some(kind) }
}

/// The double that has this number's value, if there is one. Up to 15 digits every decimal survives the way
/// through a double; beyond, only whole numbers up to 2^53 do.
fn exact(number: &Number) -> Option<f64> {
    let text = number.to_string();
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_matches('0').len();
    let double: f64 = text.parse().ok()?;
    let whole = text.parse::<i64>().is_ok_and(|whole| whole.unsigned_abs() <= 1 << 53);
    (double.is_finite() && (significant <= 15 || whole)).then_some(double)
}

fn from_struct(held: Struct) -> Map<String, Json> {
    held.fields.into_iter().map(|(name, value)| (name, from_value(value))).collect()
}

fn from_value(held: Value) -> Json {
    match held.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(flag),
        Some(Kind::NumberValue(double)) => plain(double),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(from_value).collect()),
        Some(Kind::StructValue(held)) => Json::Object(from_struct(held)),
    }
}

/// A double as JSON: a whole one without a fraction, one that JSON cannot say as null.
fn plain(double: f64) -> Json {
    if double.fract() == 0.0 && double.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        return Json::from(double as i64);
    }
    Number::from_f64(double).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        let json: Json = serde_json::from_str(text).expect("JSON");
        from_value(to_value(&json)).to_string()
    }

    #[test]
    fn what_a_double_holds_stays_a_number() {
        for (number, shown) in [
            ("7", "7"),
            ("-7", "-7"),
            ("0", "0"),
            ("1.5", "1.5"),
            ("1.10", "1.1"),
            ("5.0", "5"),
            ("1e3", "1000"),
            ("9007199254740992", "9007199254740992"),
            (r#"{"a":[null,true,"x"]}"#, r#"{"a":[null,true,"x"]}"#),
        ] {
            assert_eq!(round(number), shown);
        }
    }

    #[test]
    fn what_a_double_would_change_becomes_its_text() {
        for number in ["9007199254740993", "98765432109876543210", "0.12345678901234567", "1e999"] {
            let kept = round(number);
            assert!(kept.starts_with('"') && kept.len() >= number.len() + 2, "{kept}");
        }
    }
}
