//! What kind of thing the provider's bytes are: one JSON tree wherever it stands, or another notation turned
//! into the same tree, or a page, or nothing.
//!
//! Whether it means success is not asked here.

mod page;
mod php;
mod plain;
mod xml;

use serde_json::Value as Json;

use crate::contract::strict;

pub(super) use page::Page;

/// What the bytes are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// A value.
    Tree {
        /// The value.
        json: Json,
        /// Whether something stood around it that does not belong there. Good enough for a read, not for
        /// believing that something was bought.
        noisy: bool,
    },
    /// An HTML page.
    Page(Page),
    /// Nothing at all.
    Empty,
    /// Text that fits no notation.
    Text(String),
    /// Bytes that are not even one value of text, with the name of what is wrong.
    Unreadable(&'static str),
}

/// The magic number of gzip. It was not asked for, so it is not unpacked.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Finds out what an answer's body is. The content type is not looked at: it is mostly wrong.
pub(super) fn read(body: &[u8]) -> Reading {
    if body.starts_with(&GZIP) {
        return Reading::Unreadable("compressed_answer");
    }
    let lossless = std::str::from_utf8(body).is_ok();
    let text = String::from_utf8_lossy(body);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return Reading::Empty;
    }
    if let Some(reading) = whole(text, lossless) {
        return reading;
    }
    if let Some(page) = Page::read(text) {
        return Reading::Page(page);
    }
    if let Some((json, whole)) = xml::read(text) {
        return Reading::Tree { json, noisy: !(lossless && whole) };
    }
    if let Some(json) = php::read(text).or_else(|| plain::read(text)) {
        return Reading::Tree { json, noisy: !lossless };
    }
    within(text)
}

/// Text that is JSON from its first character: one value, perhaps with a scalar left over behind it.
fn whole(text: &str, lossless: bool) -> Option<Reading> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    let first = values.next()?.ok()?;
    let rest = text.get(values.byte_offset()..)?.trim();
    if rest.is_empty() {
        // A key that stands twice says two things, of which only one would be heard.
        let clear = lossless && strict::check(text.as_bytes()).is_ok();
        return Some(Reading::Tree { json: unwrapped(first), noisy: !clear });
    }
    if !is_tree(&first) {
        return None;
    }
    // `null` and `1` behind a value are what PHP prints of a forgotten return value.
    let leftover = matches!(rest, "null" | "1" | "true");
    if leftover {
        return Some(Reading::Tree { json: first, noisy: true });
    }
    match candidates(rest).next() {
        Some(_) => Some(Reading::Unreadable("two_values")),
        None => Some(Reading::Tree { json: first, noisy: true }),
    }
}

/// JSON that was encoded twice is unwrapped once.
fn unwrapped(json: Json) -> Json {
    match &json {
        Json::String(text) => match serde_json::from_str::<Json>(text) {
            Ok(inner) if is_tree(&inner) => inner,
            _ => json,
        },
        _ => json,
    }
}

/// Exactly one JSON value with something before it, such as a notice of PHP.
fn within(text: &str) -> Reading {
    let mut found = candidates(text);
    match (found.next(), found.next()) {
        (Some(json), None) => Reading::Tree { json, noisy: true },
        (Some(_), Some(_)) => Reading::Unreadable("two_values"),
        (None, _) => Reading::Text(text.to_owned()),
    }
}

/// The values that could be meant as an answer: objects, and lists of objects.
fn candidates(text: &str) -> impl Iterator<Item = Json> {
    /// How many beginnings are tried: each may read to the end of the text.
    const TRIES: usize = 8;
    let mut from = 0;
    let mut tries = 0;
    std::iter::from_fn(move || {
        while tries < TRIES {
            tries += 1;
            let at = from + text.get(from..)?.find(['{', '['])?;
            let mut values = serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<Json>();
            match values.next() {
                Some(Ok(json)) if is_answer(&json) => {
                    from = at + values.byte_offset();
                    return Some(json);
                }
                _ => from = at + 1,
            }
        }
        None
    })
}

fn is_answer(json: &Json) -> bool {
    match json {
        Json::Object(members) => !members.is_empty(),
        Json::Array(items) => !items.is_empty() && items.iter().all(Json::is_object),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn is_tree(json: &Json) -> bool {
    json.is_object() || json.is_array()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(json: Json, noisy: bool) -> Reading {
        Reading::Tree { json, noisy }
    }

    #[test]
    fn one_value_is_found_wherever_it_stands() {
        let value = json!({"success": true});
        for (text, noisy) in [
            ("{\"success\":true}", false),
            ("\u{feff}\n\n {\"success\":true}\n", false),
            (r#""{\"success\":true}""#, false),
            ("{\"success\":true}null", true),
            ("{\"success\":true}\n1", true),
            (
                "<br />\n<b>Warning</b>: Undefined index: x in /a.php on line <b>12</b><br />\n{\"success\":true}",
                true,
            ),
            ("{\"success\":true}<br />\n<b>Notice</b>: y", true),
        ] {
            assert_eq!(read(text.as_bytes()), tree(value.clone(), noisy), "{text}");
        }
    }

    #[test]
    fn two_values_are_none() {
        for text in ["{\"a\":1}{\"b\":2}", "notice {\"a\":1} notice {\"b\":2}", "[{\"a\":1}] {\"b\":2}"] {
            assert_eq!(read(text.as_bytes()), Reading::Unreadable("two_values"), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_named() {
        assert_eq!(read(b""), Reading::Empty);
        assert_eq!(read(b" \r\n"), Reading::Empty);
        assert_eq!(read(b"\x1f\x8b\x08"), Reading::Unreadable("compressed_answer"));
        assert_eq!(read(b"{\"success\":tr"), Reading::Text("{\"success\":tr".into()));
        assert!(matches!(read(b"<!DOCTYPE html><title>X</title>{\"a\":1}"), Reading::Page(_)));
    }
}
