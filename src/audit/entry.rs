//! What a line says. Names and numbers only: no field of a request but those of its path, and none of an answer but a price.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::chain::{self, Head, Key};
use crate::ambient;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A call is about to be carried out.
    Intent,
    /// It has ended, or nobody waits for it any more.
    Outcome,
    /// A call was refused because of who called.
    Refused,
}

/// A line, as far as its writer does not add to it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// What it is about.
    pub event: Event,
    /// The name of the call in the log and in its answer.
    pub request_id: String,
    /// Who called; nothing if nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The caller that somebody pretended to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// The front end that it came through.
    pub face: &'static str,
    /// What was called.
    pub operation: &'static str,
    /// What that does to the world.
    pub effect: &'static str,
    /// What it was called on: the variables of its path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, String>,
    /// A digest of everything that was asked for: two of the same are the same request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The price, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_vnd: Option<i64>,
    /// `OK`, or the reason of the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// Whether the provider may have acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<&'static str>,
    /// The recorded operation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// How many refusals before this one were too many to have lines of their own.
    #[serde(skip_serializing_if = "is_zero")]
    pub unlisted: u64,
}

/// The first line that a process writes to a file.
#[derive(Debug, Serialize)]
pub(super) struct Opened<'a> {
    event: &'static str,
    /// The MAC of the line before it, which may stand in another file.
    before: String,
    /// Which key the lines from here on are signed with.
    key: &'a str,
    version: &'static str,
    /// What a process that was cut off had written of a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_off: Option<String>,
}

impl<'a> Opened<'a> {
    pub(super) const EVENT: &'static str = "opened";

    pub(super) fn new(head: Head, key: &'a Key, cut_off: Option<String>) -> Self {
        let (event, version) = (Self::EVENT, env!("CARGO_PKG_VERSION"));
        Self { event, before: chain::hex(&head.mac), key: key.name(), version, cut_off }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it this way")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the writer adds.
#[derive(Serialize)]
struct Numbered<'a, T> {
    seq: u64,
    time: String,
    #[serde(skip_serializing_if = "is_zero")]
    unwritten: u64,
    #[serde(flatten)]
    entry: &'a T,
}

/// The next line of a chain, and where the chain ends with it. `unwritten` lines before it could not be written.
pub(super) fn next<T: Serialize>(head: Head, key: &Key, unwritten: u64, entry: &T) -> (String, Head) {
    let (seq, now_ms) = (head.seq + 1, ambient::unix_millis());
    let time =
        Timestamp::from_millisecond(now_ms).map_or_else(|_| now_ms.to_string(), |time| format!("{time:.3}"));
    // Names and numbers written to memory: it cannot fail.
    let object = serde_json::to_string(&Numbered { seq, time, unwritten, entry }).unwrap_or_default();
    let mac = key.mac(&head.mac, chain::text(&object));
    (chain::line(&object, &mac), Head { seq, mac })
}
