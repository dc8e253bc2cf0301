//! A message as bytes that are the same for equal messages: what a memory or a ledger can be keyed by.
//!
//! Protobuf does not promise that, because the entries of a map have no order.

use prost::encoding::encode_varint;
use prost_reflect::{DynamicMessage, MapKey, Value};

/// The bytes. They are for comparing, not for reading back.
#[must_use]
pub fn canonical(message: &DynamicMessage) -> Vec<u8> {
    let mut out = Vec::new();
    write_fields(message, &mut out);
    out
}

fn write_fields(message: &DynamicMessage, out: &mut Vec<u8>) {
    // In the order of their numbers, and only those that are set.
    for (field, value) in message.fields() {
        encode_varint(u64::from(field.number()), out);
        write_value(value, out);
    }
    // Fields that the descriptor does not know are never sent, so they tell no two requests apart.
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(flag) => encode_varint(u64::from(*flag), out),
        Value::I32(number) | Value::EnumNumber(number) => encode_varint(i64::from(*number) as u64, out),
        Value::I64(number) => encode_varint(*number as u64, out),
        Value::U32(number) => encode_varint(u64::from(*number), out),
        Value::U64(number) => encode_varint(*number, out),
        Value::F32(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::F64(number) => out.extend_from_slice(&number.to_be_bytes()),
        Value::String(text) => write_bytes(text.as_bytes(), out),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Message(message) => {
            write_fields(message, out);
            // No field has this number.
            encode_varint(0, out);
        }
        Value::List(items) => {
            encode_varint(items.len() as u64, out);
            items.iter().for_each(|item| write_value(item, out));
        }
        Value::Map(entries) => {
            encode_varint(entries.len() as u64, out);
            let mut entries: Vec<(Vec<u8>, &Value)> =
                entries.iter().map(|(key, value)| (written_key(key), value)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, value) in entries {
                write_bytes(&key, out);
                write_value(value, out);
            }
        }
    }
}

fn written_key(key: &MapKey) -> Vec<u8> {
    let mut out = Vec::new();
    match key {
        MapKey::Bool(flag) => encode_varint(u64::from(*flag), &mut out),
        MapKey::I32(number) => encode_varint(i64::from(*number) as u64, &mut out),
        MapKey::I64(number) => encode_varint(*number as u64, &mut out),
        MapKey::U32(number) => encode_varint(u64::from(*number), &mut out),
        MapKey::U64(number) => encode_varint(*number, &mut out),
        MapKey::String(text) => out.extend_from_slice(text.as_bytes()),
    }
    out
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Contract, any};

    fn request(extra: &str) -> DynamicMessage {
        let operation =
            Contract::embedded().expect("sound").operation("InvoiceService.ListInvoices").expect("there");
        let mut message = DynamicMessage::new(operation.input.descriptor.clone());
        let field = operation.input.extra().expect("has one");
        let json: serde_json::Value = serde_json::from_str(extra).expect("JSON");
        let prost_reflect::Kind::Message(kind) = field.descriptor.kind() else { panic!("a Struct") };
        let held = any::structure(&kind, json.as_object().expect("an object"));
        message.set_field(&field.descriptor, Value::Message(held));
        message
    }

    #[test]
    fn equal_messages_have_equal_bytes_whatever_the_order_of_their_maps() {
        let names: Vec<String> = (0..40).map(|n| format!("\"n{n}\":{n}")).collect();
        let mut reversed = names.clone();
        reversed.reverse();
        let (one, other) = (format!("{{{}}}", names.join(",")), format!("{{{}}}", reversed.join(",")));
        assert_eq!(canonical(&request(&one)), canonical(&request(&other)));
    }

    #[test]
    fn different_messages_differ() {
        let all = [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":1}"#,
            r#"{"a":null}"#,
        ];
        let all: Vec<Vec<u8>> = all.iter().map(|json| canonical(&request(json))).collect();
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != one), "{index}");
        }
    }
}
