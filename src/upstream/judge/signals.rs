//! The envelope: which members of an answer say whether it worked. Tables of names and words, seen in APIs of
//! this family; a new one is a row.

use serde_json::{Map, Value as Json};

use super::super::value;
use crate::contract::{Kind, Operation, Shape, fold};

/// Members that are true or false about the whole answer.
const FLAGS: [&str; 3] = ["success", "ok", "issuccess"];
/// Members that hold a word about the whole answer, unless they hold a state of the thing asked for.
const STATUSES: [&str; 2] = ["result", "status"];
/// Members that mean failure whenever there is something in them.
const ERRORS: [&str; 7] = ["error", "errors", "err", "errormsg", "errormessage", "warning", "warnings"];
/// Members that hold a number about the whole answer.
const CODES: [&str; 6] = ["code", "coderesponse", "errcode", "errorcode", "statuscode", "responsecode"];
/// Members that only surround an answer: counts, times and the like.
const SURROUNDINGS: [&str; 20] = [
    "message",
    "messages",
    "msg",
    "statusmsg",
    "donemsg",
    "totalresults",
    "total",
    "count",
    "startnumber",
    "numreturned",
    "page",
    "limit",
    "servertime",
    "call",
    "action",
    "meta",
    "pagination",
    "timestamp",
    "done",
    "onboot",
];

/// Words of failure, folded like all that they are compared with.
const FAILURE: [&str; 15] = [
    "error",
    "fail",
    "failed",
    "failure",
    "denied",
    "invalid",
    "unauthorized",
    "rejected",
    "refused",
    "declined",
    "cancelled",
    "canceled",
    "false",
    "thấtbại",
    "lỗi",
];
/// Words of success, folded.
const SUCCESS: [&str; 6] = ["success", "successful", "succeeded", "ok", "true", "thànhcông"];
/// Codes from here on are identifiers.
const CODE_LIMIT: u64 = 1_000_000;

/// What the envelope says.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The rule by which it is a refusal.
    pub(super) refusal: Option<&'static str>,
    /// The rule by which it is a success.
    pub(super) success: Option<&'static str>,
    /// The rule by which it is accepted and not finished.
    pub(super) pending: Option<&'static str>,
    /// Whether there is a word about the whole that nobody knows.
    pub(super) unknown: bool,
    /// Whether a flag or a word, and not only a code, says success.
    outright: bool,
    /// A number that is neither.
    unclear: bool,
}

impl Signals {
    /// Reads the members at the top of an answer and, as far as they belong to an envelope too, those of the
    /// objects that wrap its content.
    pub(super) fn of(operation: &Operation, members: &Map<String, Json>) -> Self {
        let mut signals = Self::default();
        let wrapped = members.values().any(|json| json.is_object() || json.is_array());
        signals.read(operation, members, !wrapped, true);
        let mut current = members;
        // An envelope within the envelope: a refusal one level down is one all the same.
        while let Some(inner) = ["data", "result", "response", "payload"].iter().find_map(|wanted| {
            current.iter().find(|(name, _)| fold(name) == *wanted).and_then(|(_, json)| json.as_object())
        }) {
            signals.read(operation, inner, true, false);
            current = inner;
        }
        signals
    }

    /// `deepest` is whether a status may be a state of the thing itself, `top` whether the layer is surely an
    /// envelope.
    fn read(&mut self, operation: &Operation, members: &Map<String, Json>, deepest: bool, top: bool) {
        for (name, json) in members {
            let name = fold(name);
            match name.as_str() {
                name if FLAGS.contains(&name) => self.each(json, Self::flag),
                name if STATUSES.contains(&name)
                    && (top || is_failure(json))
                    && !(deepest && is_state(operation, name, json)) =>
                {
                    self.each(json, Self::status);
                }
                name if ERRORS.contains(&name) && is_something(json) => self.refuse("error_present"),
                name if CODES.contains(&name) && top && !is_read_as_text(operation, name) => self.code(json),
                "done" if is_something(json) => self.succeed("done", true),
                "done" => self.refuse("done_empty"),
                "onboot" if is_something(json) => self.pending = Some("onboot"),
                "uid" if top && value::integer(json) == Some(-1) => self.refuse("uid_minus_one"),
                _ => {}
            }
        }
    }

    /// Whether a member belongs to the envelope and not to the thing asked for.
    pub(super) fn is_envelope(name: &str) -> bool {
        let tables: [&[&str]; 5] = [&FLAGS, &STATUSES, &ERRORS, &CODES, &SURROUNDINGS];
        tables.iter().any(|table| table.contains(&name))
    }

    /// Whether a member has said all it has to say once the answer was judged.
    pub(super) fn is_spent(name: &str, json: &Json) -> bool {
        let verdict = FLAGS.contains(&name) || STATUSES.contains(&name) || name == "done";
        let known = match json {
            Json::Bool(_) => true,
            Json::Number(_) => name == "done" || FLAGS.contains(&name),
            Json::String(_) => is_word(&SUCCESS, &scalar(json)) || matches!(scalar(json).as_str(), "1" | ""),
            Json::Null | Json::Array(_) | Json::Object(_) => false,
        };
        verdict && known || ERRORS.contains(&name) && matches!(json, Json::Array(items) if items.is_empty())
    }

    /// Success and failure said outright in one answer.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        if self.unclear {
            return Some("status_number_unclear");
        }
        (self.outright && self.refusal.is_some()).then_some("contradiction")
    }

    /// Whether the answer says outright that it worked.
    pub(super) fn says_success(&self) -> bool {
        self.outright
    }

    /// A member that stands several times, as XML has it, is asked each time.
    fn each(&mut self, json: &Json, ask: fn(&mut Self, &Json)) {
        match json {
            Json::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
                items.iter().for_each(|item| ask(self, item));
            }
            _ => ask(self, json),
        }
    }

    fn refuse(&mut self, rule: &'static str) {
        self.refusal.get_or_insert(rule);
    }

    fn succeed(&mut self, rule: &'static str, outright: bool) {
        self.success.get_or_insert(rule);
        self.outright |= outright;
    }

    fn flag(&mut self, json: &Json) {
        match json {
            Json::Null => {}
            // Something in it, whatever it is, is how PHP says true.
            Json::Array(_) | Json::Object(_) => self.succeed("success_flag", true),
            Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                let word = scalar(json);
                let falsy = matches!(word.as_str(), "0" | "0.0" | "no" | "") || is_word(&FAILURE, &word);
                if falsy { self.refuse("success_false") } else { self.succeed("success_flag", true) }
            }
        }
    }

    fn status(&mut self, json: &Json) {
        let word = match json {
            Json::Bool(_) | Json::Number(_) | Json::String(_) => scalar(json),
            Json::Null | Json::Array(_) | Json::Object(_) => return,
        };
        match word.as_str() {
            word if is_word(&FAILURE, word) => self.refuse("status_error"),
            word if is_word(&SUCCESS, word) => self.succeed("status_success", true),
            // Numbers as payment gateways have them.
            "1" | "200" | "201" => self.succeed("status_number", true),
            "0" | "3" | "100" => self.refuse("status_number"),
            "99" => self.pending = Some("status_number_pending"),
            number if number.parse::<i64>().is_ok_and(|n| (400..600).contains(&n)) => {
                self.refuse("status_number")
            }
            number if number.parse::<i64>().is_ok() => self.unclear = true,
            // Any other word is the state of something.
            _ => self.unknown = true,
        }
    }

    fn code(&mut self, json: &Json) {
        match value::integer(json) {
            Some(0 | 1 | 100 | 200..=299 | 1000) => self.succeed("code_success", false),
            Some(code) if code.unsigned_abs() < CODE_LIMIT => self.refuse("code_failure"),
            Some(_) => {}
            None => {
                let word = scalar(json);
                if is_word(&SUCCESS, &word) {
                    self.succeed("code_success", false);
                } else if is_word(&FAILURE, &word) {
                    self.refuse("code_failure");
                }
            }
        }
    }
}

/// A scalar as a folded word.
fn scalar(json: &Json) -> String {
    match json {
        Json::Bool(flag) => flag.to_string(),
        _ => fold(&value::text(json).unwrap_or_default()),
    }
}

fn is_word(table: &[&str], folded: &str) -> bool {
    table.contains(&folded)
}

fn is_failure(json: &Json) -> bool {
    is_word(&FAILURE, &scalar(json))
}

/// Whether there is something in a member whose presence alone means something.
fn is_something(json: &Json) -> bool {
    match json {
        Json::Null => false,
        Json::Bool(flag) => *flag,
        Json::Number(_) | Json::String(_) => !matches!(scalar(json).as_str(), "" | "0" | "false" | "none"),
        Json::Array(items) => items.iter().any(is_something),
        Json::Object(members) => members.values().any(is_something),
    }
}

/// Whether a member holds a state of the thing asked for, so that it says nothing of the answer. True and false
/// are never states, and around a list there are none.
fn is_state(operation: &Operation, name: &str, json: &Json) -> bool {
    let single = matches!(operation.answer.shape, Shape::Done | Shape::Object);
    let word = scalar(json);
    let read = |field: &&crate::contract::Field| field.read_as.iter().any(|known| known == name);
    single
        && !json.is_boolean()
        && operation.told().fields.iter().filter(read).any(|field| match &field.kind {
            Kind::Enum(states) => states.by_word(&word).is_some(),
            _ => false,
        })
}

/// Whether the operation reads this member as a text of its own, such as an order's code.
fn is_read_as_text(operation: &Operation, name: &str) -> bool {
    let texts = operation.told().fields.iter().filter(|field| matches!(field.kind, Kind::Text));
    texts.into_iter().any(|field| field.read_as.iter().any(|known| known == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_what_folding_leaves() {
        let tables: [&[&str]; 7] = [&FLAGS, &STATUSES, &ERRORS, &CODES, &SURROUNDINGS, &FAILURE, &SUCCESS];
        for word in tables.into_iter().flatten() {
            assert_eq!(fold(word), *word);
        }
    }
}
