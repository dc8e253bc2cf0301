//! The settings as they are used, as a file that could be used again, with secrets masked.

use std::fmt::Write as _;

use super::layers::{Given, Source};

pub(super) fn print(given: &Given) -> String {
    let mut out = String::new();
    let mut section = "";
    for entry in &given.entries {
        let (at, key) = entry.path.rsplit_once('.').unwrap_or(("", &entry.path));
        if at != section {
            let gap = if out.is_empty() { "" } else { "\n" };
            let _infallible = writeln!(out, "{gap}[{at}]");
            section = at;
        }
        let origin = match &entry.source {
            Source::Default => String::new(),
            source => format!("  # from {source}"),
        };
        let _infallible = writeln!(out, "{key} = {}{origin}", entry.shown());
    }
    out
}
