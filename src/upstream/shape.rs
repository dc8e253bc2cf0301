//! The shape of an answer: which names stand where, and of which kinds the values are. Never a value, and no name that is one: a
//! list that is an object keyed by identifiers has one name for all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// What stands for names that are values.
const ANY: &str = "*";
/// The longest name that is one.
const LONGEST: usize = 40;
/// How many places of one answer are kept.
const MOST: usize = 2000;

/// Where something stands, and of which kinds it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape(pub BTreeMap<String, BTreeSet<String>>);

/// A difference of two shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It was not there before.
    New(String),
    /// It is not there any more.
    Gone(String),
    /// It was of other kinds.
    Changed(String, String, String),
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New(at) => write!(f, "{at} is new"),
            Self::Gone(at) => write!(f, "{at} is gone"),
            Self::Changed(at, from, to) => write!(f, "{at} was {from} and is {to}"),
        }
    }
}

impl Shape {
    /// The shape of a tree. `known` is whether a name is the contract's own or that of an envelope.
    pub(super) fn of(tree: &Json, known: &dyn Fn(&str) -> bool) -> Self {
        let mut shape = Self::default();
        shape.walk(tree, "", known);
        shape
    }

    /// What is no tree.
    pub(super) fn named(kind: &str) -> Self {
        Self(BTreeMap::from([(String::new(), BTreeSet::from([kind.to_owned()]))]))
    }

    fn note(&mut self, at: &str, kind: &str) {
        if self.0.len() < MOST || self.0.contains_key(at) {
            self.0.entry(at.to_owned()).or_default().insert(kind.to_owned());
        }
    }

    fn walk(&mut self, json: &Json, at: &str, known: &dyn Fn(&str) -> bool) {
        match json {
            Json::Null => self.note(at, "nothing"),
            Json::Bool(_) => self.note(at, "truth"),
            Json::Number(_) => self.note(at, "number"),
            Json::String(text) => self.note(at, kind_of(text)),
            Json::Array(items) => {
                self.note(at, "list");
                let inner = format!("{at}[]");
                items.iter().for_each(|item| self.walk(item, &inner, known));
            }
            Json::Object(members) => {
                self.note(at, "object");
                // An object of objects none of whose names is known is a list in disguise.
                let keyed =
                    members.len() > 1 && members.iter().all(|(name, json)| json.is_object() && !known(name));
                for (name, json) in members {
                    let name = if keyed { ANY } else { self::name(name, known) };
                    let inner = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                    self.walk(json, &inner, known);
                }
            }
        }
    }

    /// What is different in another, as far as both say something: what an empty list would have in it, nobody knows.
    #[must_use]
    pub fn drift(&self, now: &Self) -> Vec<Drift> {
        let mut found = Vec::new();
        for (at, before) in &self.0 {
            match now.0.get(at) {
                Some(after) => {
                    let said = |kinds: &BTreeSet<String>| -> Vec<String> {
                        kinds.iter().filter(|kind| *kind != "nothing").cloned().collect()
                    };
                    let (before, after) = (said(before), said(after));
                    if !before.is_empty() && !after.is_empty() && before != after {
                        found.push(Drift::Changed(at.clone(), before.join(" or "), after.join(" or ")));
                    }
                }
                None if Self::above(at).is_none_or(|above| now.0.contains_key(above))
                    && !at.ends_with("[]") =>
                {
                    found.push(Drift::Gone(at.clone()));
                }
                None => {}
            }
        }
        for at in now.0.keys().filter(|at| !self.0.contains_key(*at)) {
            if Self::above(at).is_none_or(|above| self.0.contains_key(above)) && !at.ends_with("[]") {
                found.push(Drift::New(at.clone()));
            }
        }
        found
    }

    /// The place that one stands in.
    fn above(at: &str) -> Option<&str> {
        match at.strip_suffix("[]") {
            Some(list) => Some(list),
            None => at.rsplit_once('.').map(|(above, _)| above).or_else(|| (!at.is_empty()).then_some("")),
        }
    }
}

/// A name as it may be shown: the contract's own, or one that looks like a name and not like a value.
pub(super) fn name<'a>(name: &'a str, known: &dyn Fn(&str) -> bool) -> &'a str {
    if known(name) || is_name(name) { name } else { ANY }
}

/// Whether a text looks like the name of a field: letters and `_` or `-`, with two digits in a row at most, and none beside a
/// hyphen, as hostnames have them.
fn is_name(text: &str) -> bool {
    let mut digits = 0_usize;
    let plain = text.chars().all(|c| {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        digits <= 2 && (c.is_ascii_alphanumeric() || c == '_' || c == '-')
    });
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let hostly = text.contains('-') && text.contains(|c: char| c.is_ascii_digit());
    plain && begins && !hostly && text.len() <= LONGEST
}

/// The kind of a text.
fn kind_of(text: &str) -> &'static str {
    let text = text.trim();
    if text.is_empty() {
        return "nothing";
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits > 0 && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')) {
        return "text of a number";
    }
    let dated = digits >= 8
        && text.bytes().all(|b| {
            b.is_ascii_digit() || matches!(b, b'-' | b'/' | b':' | b'.' | b' ' | b'T' | b'Z' | b'+')
        });
    if dated { "text of a moment" } else { "text" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(json: &Json) -> Shape {
        Shape::of(json, &|name| matches!(name, "vps" | "vpsid" | "hostname"))
    }

    #[test]
    fn names_and_kinds_are_kept_and_values_are_not() {
        let shown =
            shape(&json!({"success": true, "vps": {"1042": {"vpsid": "1042", "hostname": "web-canary-01"},
            "1043": {"vpsid": 7, "hostname": null}}, "an.canary@example.vn": "0901234567", "web-canary-01": 1,
            "expires_at": "2026-11-24 10:00:00", "a": [1, "x"]}));
        let lines: Vec<String> = shown
            .0
            .iter()
            .map(|(at, kinds)| format!("{at}: {}", kinds.iter().cloned().collect::<Vec<_>>().join("/")))
            .collect();
        assert_eq!(
            lines,
            [
                ": object",
                "*: number/text of a number",
                "a: list",
                "a[]: number/text",
                "expires_at: text of a moment",
                "success: truth",
                "vps: object",
                "vps.*: object",
                "vps.*.hostname: nothing/text",
                "vps.*.vpsid: number/text of a number"
            ]
        );
        let text = format!("{shown:?}");
        assert!(!text.contains("canary") && !text.contains("104") && !text.contains("0901"), "{text}");
    }

    #[test]
    fn a_difference_is_one_that_somebody_would_have_to_know() {
        let before = shape(&json!({"vps": [{"vpsid": 1, "status": "on", "node": null}], "total": 1}));
        let same = shape(&json!({"vps": [], "total": 0}));
        assert_eq!(before.drift(&same), []);
        let now = shape(&json!({"vps": [{"vpsid": "1", "node": "a", "state": "on"}], "total": 1}));
        let told: Vec<String> = before.drift(&now).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["vps[].status is gone", "vps[].vpsid was number and is text of a number", "vps[].state is new"]
        );
    }
}
