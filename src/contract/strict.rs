//! JSON as a purchase can trust it, in either direction: one value, no key twice, bounded depth. An error says
//! where it is.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What the library marks its own values with.
const TOKEN: &[u8] = b"$serde_json::";

/// How deep arrays and objects may stand in one another.
const MAX_DEPTH: usize = 32;

/// Reads one JSON value from text.
///
/// A key that stands twice would be read as its last value by some and as its first by others, so it is
/// refused.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    check(text)?;
    serde_json::from_slice(text)
}

/// Whether one JSON value can be trusted, without keeping anything of it.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check(text: &[u8]) -> Result<(), serde_json::Error> {
    // The library's own name for a number; an object with it would pass for one.
    if text.windows(TOKEN.len()).any(|window| window == TOKEN) {
        return Err(serde_json::Error::custom("a key starts with $serde_json"));
    }
    let mut checker = serde_json::Deserializer::from_slice(text);
    Checked { depth: 0 }.deserialize(&mut checker)?;
    checker.end()
}

/// Walks a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Checked {
    depth: usize,
}

impl Checked {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            entries.next_value_seed(inner)?;
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format_args!("the key {twice:?} stands twice")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_once() {
        assert!(parse(br#"{"a":1,"b":{"a":2.5e3}}"#).is_ok());
        let error = parse(br#"{"a":1,"b":{"c":1,"c":2}}"#).expect_err("twice").to_string();
        assert!(error.contains("\"c\" stands twice at line 1"), "{error}");
        // The same key in another spelling is the same key.
        assert!(parse(br#"{"a":1,"\u0061":2}"#).is_err());
    }

    #[test]
    fn depth_is_bounded_and_nothing_may_follow() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"{").is_err());
    }

    #[test]
    fn numbers_keep_every_digit() {
        let value = parse(b"[9007199254740993, 1.10]").expect("two numbers");
        assert_eq!(value.to_string(), "[9007199254740993,1.10]");
    }
}
