//! Where the page of a reason is: what the `type` of an error says, and the link of one in gRPC. Absent here: the pages.

use std::sync::OnceLock;

use crate::fault::Reason;

/// What all of them begin with, in this process. It never changes, and an answer is the last thing that should need to be
/// handed it.
static BASE: OnceLock<Box<str>> = OnceLock::new();

/// Says what they begin with.
pub(super) fn begin(base: &str) {
    let _first = BASE.set(base.into());
}

/// The `type` of a reason: where its page is, or would be.
pub(super) fn of(reason: Reason) -> String {
    let base = BASE.get().map_or("/errors/", |base| base);
    format!("{base}{}", reason.as_str())
}

/// The same, where it can be opened from anywhere.
pub(super) fn anywhere(reason: Reason) -> Option<String> {
    Some(of(reason)).filter(|page| page.starts_with("http"))
}
