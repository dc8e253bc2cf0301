//! The provider's key: the only place that holds it, adds it to a request, and takes it out of an answer.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Map, Value as Json};

use super::encode::Outgoing;

/// What stands where a credential stood.
const REDACTED: &str = "[redacted]";

/// The length from which an identifier cannot be an everyday word.
const DISTINCT: usize = 8;

/// An account's API key: a pair that the provider issues by hand.
#[derive(Clone)]
pub struct Credentials {
    identifier: SecretString,
    secret: SecretString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Takes a pair.
    #[must_use]
    pub fn new(identifier: String, secret: String) -> Self {
        Self { identifier: identifier.into(), secret: secret.into() }
    }

    /// The body of a request: the parameters beside the action and the pair, in the guide's order.
    ///
    /// This is the last thing done before a request is sent.
    pub(super) fn seal(&self, outgoing: &Outgoing, frontend_source: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        let mut write = || -> Result<(), serde_json::Error> {
            let mut out = serde_json::Serializer::new(&mut body);
            let mut map = out.serialize_map(None)?;
            map.serialize_entry("action", &outgoing.action)?;
            map.serialize_entry("identifier", self.identifier.expose_secret())?;
            map.serialize_entry("secret", self.secret.expose_secret())?;
            if !frontend_source.is_empty() {
                map.serialize_entry("frontend_source", frontend_source)?;
            }
            for (name, json) in &outgoing.parameters {
                map.serialize_entry(name, json)?;
            }
            map.end()
        };
        // Texts and JSON written to memory: it cannot fail, and half a body would be refused as JSON.
        let _infallible = write();
        body
    }

    /// A text without either half of the pair.
    pub(super) fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        // The longer first, in case one holds the other.
        let mut halves = [self.secret.expose_secret(), self.identifier.expose_secret()];
        halves.sort_by_key(|half| std::cmp::Reverse(half.len()));
        for half in halves.iter().filter(|half| !half.is_empty()) {
            if clean.contains(half) {
                clean = clean.replace(half, REDACTED);
            }
        }
        clean
    }

    /// Takes the pair out of every text of an answer: a provider that echoes it must not make gizad show it.
    ///
    /// A short identifier stays, because it may be an everyday word.
    pub(super) fn scrub_tree(&self, tree: &mut Json) {
        let (identifier, secret) = (self.identifier.expose_secret(), self.secret.expose_secret());
        if !secret.is_empty() {
            scrub_tree(secret, tree);
        }
        if identifier.len() >= DISTINCT {
            scrub_tree(identifier, tree);
        }
    }
}

fn scrub_tree(secret: &str, tree: &mut Json) {
    match tree {
        Json::String(text) if text.contains(secret) => *text = text.replace(secret, REDACTED),
        Json::Array(items) => items.iter_mut().for_each(|item| scrub_tree(secret, item)),
        Json::Object(members) => {
            members.values_mut().for_each(|json| scrub_tree(secret, json));
            if members.keys().any(|name| name.contains(secret)) {
                let renamed: Map<String, Json> = std::mem::take(members)
                    .into_iter()
                    .map(|(name, json)| (name.replace(secret, REDACTED), json))
                    .collect();
                *members = renamed;
            }
        }
        Json::Number(number) if number.to_string() == secret => *tree = Json::String(REDACTED.to_owned()),
        Json::String(_) | Json::Number(_) | Json::Null | Json::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_has_the_guides_order() {
        let outgoing =
            Outgoing { action: "vps_action".into(), parameters: vec![("vpsid".into(), json!(12345))] };
        let pair = Credentials::new("ID".into(), "SECRET".into());
        let body = String::from_utf8(pair.seal(&outgoing, "")).expect("JSON is UTF-8");
        assert_eq!(body, r#"{"action":"vps_action","identifier":"ID","secret":"SECRET","vpsid":12345}"#);
        let body = String::from_utf8(pair.seal(&outgoing, "my.app")).expect("JSON is UTF-8");
        assert!(body.contains(r#""secret":"SECRET","frontend_source":"my.app","vpsid""#));
    }

    #[test]
    fn an_echoed_secret_is_taken_out_wherever_it_stands() {
        let pair = Credentials::new("ID".into(), "12345678".into());
        let mut tree = json!({"a": "x12345678y", "12345678": [{"b": "12345678"}], "n": 12_345_678, "c": 1});
        pair.scrub_tree(&mut tree);
        assert!(!tree.to_string().contains("12345678"), "{tree}");
        assert!(!format!("{pair:?}").contains("1234"));
        assert_eq!(pair.scrub("ID said 12345678"), "[redacted] said [redacted]");
    }
}
