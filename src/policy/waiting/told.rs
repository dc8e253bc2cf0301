//! What was waited for, as its caller is told.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::SEEN;
use crate::ambient;
use crate::call::{Call, Reply};
use crate::contract::Goal;
use crate::watch::Outcome;

/// The fields of an answer that take it.
const CHANGED: &str = "changed";
const WAITED: &str = "waited";
const PENDING: &str = "pending";

/// What came of waiting, in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Waited {
    reached: bool,
    wanted: String,
    seen: String,
    seen_ms: Option<i64>,
    otherwise: bool,
    outstanding: String,
}

impl Waited {
    /// What came of waiting for one goal, after others of which something else was seen, or not.
    pub(super) fn new(goal: &Goal, outcome: &Outcome, otherwise: bool) -> Self {
        let sight = outcome.seen.as_ref();
        let state = sight.map(|sight| sight.what.content().map(|content| goal.state(content.message())));
        let seen = match state {
            None => String::new(),
            Some(None) => "nothing of the kind".to_owned(),
            Some(Some(state)) => goal.words(state),
        };
        let wanted = goal.words(goal.reached);
        let outstanding = match (outcome.reached, state) {
            (true, _) => String::new(),
            (false, None) => format!("{wanted} is not seen yet: nothing was, since"),
            (false, Some(Some(state))) if state == goal.reached => {
                format!("{wanted} was seen once, and not yet twice")
            }
            (false, Some(_)) => format!("{wanted} is not seen yet: {seen} was"),
        };
        let trouble = outcome.trouble.as_ref().filter(|_| !outcome.reached);
        let trouble = trouble.map_or(String::new(), |fault| {
            format!("; the last look failed with {}: {}", fault.reason.as_str(), fault.detail)
        });
        Self {
            reached: outcome.reached,
            wanted,
            seen,
            seen_ms: sight.map(|sight| sight.at_ms),
            otherwise: outcome.otherwise || otherwise,
            outstanding: outstanding + &trouble,
        }
    }

    pub(super) fn otherwise(&self) -> bool {
        self.otherwise
    }
}

/// That what is waited for cannot be looked at before something else has come to its end.
pub(super) fn unfinished(goals: &[Goal]) -> Waited {
    let wanted = goals.last().map(|goal| goal.words(goal.reached)).unwrap_or_default();
    let outstanding = "the operation itself has not come to its end; GetOperation waits for that".to_owned();
    Waited { wanted, outstanding, ..Waited::default() }
}

/// That nobody knows what to look at.
pub(super) fn unnamed(goal: &Goal) -> Waited {
    let wanted = goal.words(goal.reached);
    let outstanding = "the provider did not say which one it is, so it cannot be looked at".to_owned();
    Waited { wanted, outstanding, ..Waited::default() }
}

/// Says whether anything has changed.
pub(super) fn changed(message: &mut DynamicMessage, changed: bool) {
    let _set = message.try_set_field_by_name(CHANGED, Value::Bool(changed));
}

/// Says what was waited for.
pub(super) fn waited(message: &mut DynamicMessage, waited: &Waited) {
    let Some(field) = message.descriptor().get_field_by_name(WAITED) else { return };
    let Some(kind) = field.kind().as_message().cloned() else { return };
    let mut told = DynamicMessage::new(kind.clone());
    let texts = [("wanted", &waited.wanted), ("seen", &waited.seen), ("outstanding", &waited.outstanding)];
    for (name, text) in texts {
        let _set = told.try_set_field_by_name(name, Value::String(text.clone()));
    }
    for (name, flag) in [("reached", waited.reached), ("seen_otherwise", waited.otherwise)] {
        let _set = told.try_set_field_by_name(name, Value::Bool(flag));
    }
    let time = kind.get_field_by_name("seen_time").and_then(|field| field.kind().as_message().cloned());
    if let (Some(ms), Some(time)) = (waited.seen_ms, time) {
        let mut moment = DynamicMessage::new(time);
        let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
        let _set = moment.try_set_field_by_name("seconds", Value::I64(ms.div_euclid(1000)));
        let _set = moment.try_set_field_by_name("nanos", Value::I32(nanos));
        let _set = told.try_set_field_by_name("seen_time", Value::Message(moment));
    }
    message.set_field(&field, Value::Message(told));
    // Only of what has a word for it.
    let _set = message.try_set_field_by_name(PENDING, Value::Bool(!waited.reached));
}

/// The answer to what was not sent, because it is so already.
pub(super) fn spared(call: &Call, goal: &Goal, look: &Reply) -> Reply {
    let mut message = DynamicMessage::new(call.operation.output.descriptor.clone());
    changed(&mut message, false);
    if !call.wait().is_zero() {
        let wanted = goal.words(goal.reached);
        let seen_ms = Some(ambient::unix_millis());
        let told = Waited { reached: true, seen: wanted.clone(), wanted, seen_ms, ..Waited::default() };
        waited(&mut message, &told);
    }
    let reply = Reply::new(message, SEEN, false);
    Reply { asked: look.asked, limit: look.limit, ..reply }
}
