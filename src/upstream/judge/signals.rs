//! The envelope: which members of an answer say whether it worked. Tables of names and words, seen in APIs of
//! this family; a new one is a row.

use serde_json::{Map, Value as Json};

use super::super::value;
use crate::contract::{Kind, Operation, fold};

/// Members that are true or false about the whole answer.
const FLAGS: [&str; 2] = ["success", "ok"];
/// Members that hold a word about the whole answer, unless they hold a state of the thing asked for.
const STATUSES: [&str; 2] = ["result", "status"];
/// Members that mean failure whenever there is something in them.
const ERRORS: [&str; 7] = ["error", "errors", "err", "errormsg", "errormessage", "warning", "warnings"];
/// Members that hold a number about the whole answer.
const CODES: [&str; 6] = ["code", "coderesponse", "errcode", "errorcode", "statuscode", "responsecode"];
/// Members that only surround an answer: counts, times and the like.
const SURROUNDINGS: [&str; 18] = [
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
];

/// Words of failure in a status.
const FAILURE: [&str; 7] = ["error", "fail", "failed", "failure", "denied", "invalid", "unauthorized"];
/// Words of success in a status.
const SUCCESS: [&str; 6] = ["success", "successful", "succeeded", "ok", "true", "thành công"];
/// Numbers of success in a code.
const SUCCESS_CODES: [i64; 6] = [0, 1, 100, 200, 201, 1000];
/// Codes from here on are identifiers and not codes.
const CODE_LIMIT: u64 = 10_000;

/// What the envelope says.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The rule by which it is a refusal.
    pub(super) refusal: Option<&'static str>,
    /// The rule by which it is a success.
    pub(super) success: Option<&'static str>,
    /// The rule by which it is accepted and not finished.
    pub(super) pending: Option<&'static str>,
    /// Whether a flag or a word, and not only a code, says success.
    outright: bool,
    /// A number that is neither.
    unclear: bool,
}

impl Signals {
    /// Reads the members at the top of an answer.
    pub(super) fn of(operation: &Operation, members: &Map<String, Json>) -> Self {
        let mut signals = Self::default();
        for (name, json) in members {
            let name = fold(name);
            match name.as_str() {
                name if FLAGS.contains(&name) => signals.flag(json),
                name if STATUSES.contains(&name) && !is_state(operation, name, json) => signals.status(json),
                name if ERRORS.contains(&name) && is_something(json) => signals.refuse("error_present"),
                name if CODES.contains(&name) && !is_read_as_text(operation, name) => signals.code(json),
                "done" => {
                    if is_something(json) {
                        signals.succeed("done", true);
                    } else {
                        signals.refuse("done_empty");
                    }
                }
                "onboot" if is_something(json) => signals.pending = Some("onboot"),
                "uid" if value::integer(json) == Some(-1) => signals.refuse("uid_minus_one"),
                _ => {}
            }
        }
        signals
    }

    /// Whether a member belongs to the envelope and not to the thing asked for.
    pub(super) fn is_envelope(name: &str) -> bool {
        FLAGS.contains(&name)
            || STATUSES.contains(&name)
            || ERRORS.contains(&name)
            || CODES.contains(&name)
            || SURROUNDINGS.contains(&name)
            || matches!(name, "done" | "onboot" | "success")
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
                let falsy = matches!(word.as_str(), "false" | "0" | "0.0" | "no" | "")
                    || FAILURE.contains(&word.as_str());
                if falsy { self.refuse("success_false") } else { self.succeed("success_flag", true) }
            }
        }
    }

    fn status(&mut self, json: &Json) {
        let word = match json {
            Json::Bool(_) | Json::Number(_) | Json::String(_) => scalar(json),
            Json::Null | Json::Array(_) | Json::Object(_) => return,
        };
        let folded_success = SUCCESS.iter().any(|success| fold(success) == word);
        match word.as_str() {
            word if FAILURE.contains(&word) => self.refuse("status_error"),
            "false" => self.refuse("status_error"),
            _ if folded_success => self.succeed("status_success", true),
            // Numbers as payment gateways have them.
            "1" | "200" | "201" => self.succeed("status_number", true),
            "0" | "3" | "100" => self.refuse("status_number"),
            "99" => self.pending = Some("status_number_pending"),
            number if number.parse::<i64>().is_ok_and(|n| (400..600).contains(&n)) => {
                self.refuse("status_number")
            }
            number if number.parse::<i64>().is_ok() => self.unclear = true,
            // Any other word is the state of something.
            _ => {}
        }
    }

    fn code(&mut self, json: &Json) {
        match value::integer(json) {
            Some(code) if SUCCESS_CODES.contains(&code) => self.succeed("code_success", false),
            Some(code) if code.unsigned_abs() < CODE_LIMIT => self.refuse("code_failure"),
            Some(_) => {}
            None => {
                let word = scalar(json);
                if SUCCESS.contains(&word.as_str()) {
                    self.succeed("code_success", false);
                } else if FAILURE.contains(&word.as_str()) {
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

/// Whether a member holds a state of the thing asked for, so that it says nothing of the answer.
fn is_state(operation: &Operation, name: &str, json: &Json) -> bool {
    let word = scalar(json);
    operation.output.fields.iter().any(|field| match &field.kind {
        Kind::Enum(states) => field.read_as.iter().any(|n| n == name) && states.by_word(&word).is_some(),
        _ => false,
    })
}

/// Whether the operation reads this member as a text of its own, such as an order's code.
fn is_read_as_text(operation: &Operation, name: &str) -> bool {
    let fields = operation.output.fields.iter();
    fields
        .filter(|field| matches!(field.kind, Kind::Text))
        .any(|field| field.read_as.iter().any(|n| n == name))
}
