//! The fields of the lines that say what became of a request: described here, compared in a test with what is logged, and shown
//! in `docs/logs.md`.

use std::fmt::Write as _;

/// A field of a line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What kind of JSON it is: `text` or `number`.
    pub kind: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// When it is not there.
    pub absent: &'static str,
    /// The lines that have it, by their messages.
    pub lines: &'static [&'static str],
}

/// The line of a call, and that of a request that never became one.
pub const CALL: &str = "call";
/// The same of a request that never became a call.
pub const REFUSED: &str = "request refused";

const BOTH: &[&str] = &[CALL, REFUSED];
const CALLS: &[&str] = &[CALL];
const REFUSALS: &[&str] = &[REFUSED];

macro_rules! fields {
    ($($name:ident: $kind:ident in $lines:ident, $meaning:literal, absent $absent:literal;)+) => {
        /// All fields, in the order in which they are written.
        pub const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            kind: stringify!($kind),
            meaning: $meaning,
            absent: $absent,
            lines: $lines,
        },)+];
    };
}

fields! {
    timestamp: text in BOTH, "when it ended: RFC 3339 in UTC, to the microsecond", absent "never";
    level: text in BOTH, "`INFO`; `DEBUG` if it was answered from memory; `WARN` if the provider or gizad's key is to be looked at; `ERROR` for a mistake in gizad", absent "never";
    message: text in BOTH, "`call`, or `request refused` if the request never became a call: it could not be read, breaks a rule, or there is nothing at its path", absent "never";
    request_id: text in BOTH, "the name of the request: its `X-Request-Id` if it can be repeated safely, otherwise one of gizad's, which is the `trace_id` unless a context came in", absent "never";
    trace_id: text in BOTH, "the trace it belongs to: that of its `traceparent`, or one that begins here; 32 hexadecimal digits", absent "never";
    span_id: text in BOTH, "its span in that trace; 16 hexadecimal digits", absent "never";
    operation: text in CALLS, "what was called, as `gizad routes` lists it", absent "never";
    effect: text in CALLS, "what that does to the world: `public`, `read`, `secret`, `converge`, `once` or `spend`", absent "never";
    face: text in BOTH, "`rest` or `grpc`", absent "never";
    caller: text in CALLS, "who called: a name of `[callers]`, `owner` or `anonymous`", absent "if whoever called has shown something that is of no caller";
    outcome: text in BOTH, "`OK`, the reason of an error as `GET /errors` lists it, or `CANCELLED` if the caller hung up", absent "never";
    operation_id: text in CALLS, "the recorded operation that it is about", absent "if it is about none";
    source: text in CALLS, "where the answer came from: `provider`, `memory`, `record` (gizad's own), or `nobody` if gizad refused", absent "never";
    rule: text in CALLS, "the rule by which the provider's answer was judged", absent "if there was none";
    sent: text in BOTH, "whether the provider may have acted: `never`, `maybe` or `answered`", absent "never";
    duration_ms: number in CALLS, "how long it took from when it was read to its end, in milliseconds, to the microsecond", absent "never";
    cause: text in CALLS, "what only the log is told of why", absent "if there is nothing to add";
    provider: text in CALLS, "the provider's own words in an error, without credentials", absent "if it had none";
    detail: text in REFUSALS, "what the caller was told", absent "never";
    target: text in BOTH, "the part of gizad that says it", absent "never";
}

/// The fields as a table for people.
#[must_use]
pub fn table() -> String {
    let mut table =
        String::from("| field | kind | in | what it says | absent |\n| --- | --- | --- | --- | --- |\n");
    for field in FIELDS {
        let lines: Vec<String> = field.lines.iter().map(|line| format!("`{line}`")).collect();
        let (lines, Field { name, kind, meaning, absent, .. }) = (lines.join(", "), field);
        let _infallible = writeln!(table, "| `{name}` | {kind} | {lines} | {meaning} | {absent} |");
    }
    table
}
