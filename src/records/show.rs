//! All about one operation, but what was asked and what was answered: both may carry passwords, and stay sealed.

use std::fmt::Write as _;

use super::{plain, time};
use crate::purchase::{Failure, Record, Sight};

/// What has come of it, and what has happened to it.
pub(super) fn show(record: &Record, history: &[Record]) -> String {
    let mut out = Lines(String::new());
    out.say("operation", &record.id);
    out.say("method", &record.operation);
    out.say("caller", &record.caller);
    out.say("key", record.key.as_deref().unwrap_or("-"));
    out.say("state", record.state().as_str());
    out.say("attempts", &record.attempt.to_string());
    out.say("created", &time(record.created_ms));
    out.say("updated", &time(record.changed_ms));
    if record.doubted_ms > 0 {
        out.say("in doubt since", &time(record.doubted_ms));
    }
    out.say("takes money", if record.spends { "yes" } else { "no" });
    out.say("price", &vnd(record.price_vnd));
    out.say("held", &vnd(Some(record.held_vnd)));
    out.say("posted", &vnd(Some(record.posted_vnd)));
    out.say("services", &if record.services.is_empty() { "-".to_owned() } else { record.services.join(" ") });
    out.say("fingerprint", &hex(&record.fingerprint));
    out.say("writer", &record.owner);
    if !record.rule.is_empty() {
        out.say("judged by", &record.rule);
    }
    if !record.decided_by.is_empty() {
        out.say("decided by", &record.decided_by);
        out.say("note", &record.note);
    }
    out.say("request", &sealed(&record.request));
    out.say("result", &sealed(&record.result));
    if let Some(failure) = &record.failure {
        failed(&mut out, failure);
    }
    for finding in &record.evidence {
        out.say("evidence", finding);
    }
    seen(&mut out, "seen before", record.before.as_ref());
    seen(&mut out, "seen after", record.after.as_ref());
    for record in history {
        let why = record.failure.as_ref().map_or("", |failure| failure.reason.as_str());
        let who =
            if record.decided_by.is_empty() { String::new() } else { format!(" by {}", record.decided_by) };
        let what = format!(
            "{} {} attempt {}{who} {why}",
            time(record.changed_ms),
            record.state().as_str(),
            record.attempt
        );
        out.say("history", what.trim_end());
    }
    out.0
}

struct Lines(String);

impl Lines {
    fn say(&mut self, name: &str, value: &str) {
        let _infallible = writeln!(self.0, "{name:16}{}", plain(value));
    }
}

fn failed(out: &mut Lines, failure: &Failure) {
    out.say("failure", &format!("{}: {}", failure.reason, failure.detail));
    if !failure.rule.is_empty() {
        out.say("failure rule", &failure.rule);
    }
    if let Some(status) = failure.status {
        out.say("failure status", &status.to_string());
    }
    if !failure.message.is_empty() {
        out.say("provider said", &failure.message);
    }
}

fn seen(out: &mut Lines, name: &str, sight: Option<&Sight>) {
    let Some(sight) = sight else { return };
    let count = |what: Option<usize>| what.map_or_else(|| "not read".to_owned(), |count| count.to_string());
    let moves = count(sight.moves.as_ref().map(|moves| moves.marks.len()));
    let things = count(sight.listing.as_ref().map(|listing| listing.items.len()));
    let wallet = vnd(sight.wallet_vnd);
    out.say(name, &format!("{}: wallet {wallet}, debits {moves}, things {things}", time(sight.at_ms)));
    for item in sight.listing.iter().flat_map(|listing| &listing.items).filter(|item| item.fits) {
        let worth = item.worth.map_or_else(String::new, |worth| format!(", {worth}"));
        out.say("", &format!("{} fits{worth}", item.id));
    }
}

fn vnd(amount: Option<i64>) -> String {
    amount.map_or_else(|| "unknown".to_owned(), |amount| format!("{amount} đ"))
}

fn sealed(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { format!("sealed, {} bytes", bytes.len()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::State;

    #[test]
    fn nothing_sealed_and_no_escape_sequence_is_shown() {
        let record = Record {
            id: "op_1".into(),
            request: b"canary-request".to_vec(),
            result: b"canary-result".to_vec(),
            decided_by: "boss".into(),
            note: "seen\u{1b}[2J\nby me".into(),
            evidence: vec!["the wallet went down by 5".into()],
            state: State::Found.into(),
            doubted_ms: 1000,
            after: Some(Sight { at_ms: 2000, wallet_vnd: Some(5), ..Sight::default() }),
            ..Record::default()
        };
        let text = show(&record, std::slice::from_ref(&record));
        assert!(!text.contains("canary") && !text.contains('\u{1b}'), "{text}");
        for expected in [
            "seen [2J by me",
            "sealed, 13 bytes",
            "evidence        the wallet",
            "wallet 5 đ",
            "FOUND attempt 0 by boss",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
    }
}
