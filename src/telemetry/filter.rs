//! How much is logged: a level, also by part of the program.

use std::fmt;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The levels, the quietest first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How much is logged, as it was written: `info`, or `info,gizad::policy=debug`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    text: String,
    pub(super) levels: Targets,
}

impl Filter {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with which part of it.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for part in text.split(',').map(str::trim) {
            // A lone word that is no level would be taken for the name of a part, which then logs everything.
            let (target, level) = part.rsplit_once('=').map_or((None, part), |(t, level)| (Some(t), level));
            if !is_level(level) {
                let lone = if target.is_none() { ", nor is a part of the program without one" } else { "" };
                return Err(format!("{level:?} is no level{lone}; there are {}", LEVELS.join(", ")));
            }
            if target.is_some_and(|target| !is_target(target)) {
                return Err(format!("{part:?} names no part of the program, such as gizad::policy"));
            }
            parts.push(part);
        }
        let text = parts.join(",");
        let levels = text.parse().map_err(|error| format!("{text:?} cannot be read: {error}"))?;
        Ok(Self { text, levels })
    }

    /// The most that it logs of any part.
    pub(super) fn most(&self) -> LevelFilter {
        let levels = self.levels.iter().map(|(_, level)| level).chain(self.levels.default_level());
        levels.max().unwrap_or(LevelFilter::OFF)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_level(text: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
}

fn is_target(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_strictly_and_shown_as_it_was_written() {
        for (text, shown, most) in [
            ("info", "info", LevelFilter::INFO),
            ("WARN, gizad::policy=debug", "WARN,gizad::policy=debug", LevelFilter::DEBUG),
            ("off,gizad=error,h2=trace", "off,gizad=error,h2=trace", LevelFilter::TRACE),
        ] {
            let filter = Filter::read(text).expect(text);
            assert_eq!((filter.to_string().as_str(), filter.most()), (shown, most));
        }
        for (wrong, part) in [
            ("", "\"\" is no level"),
            ("loud", "\"loud\" is no level"),
            ("gizad", "\"gizad\" is no level, nor is a part"),
            ("info,", "\"\" is no level"),
            ("info,gizad=loud", "\"loud\" is no level"),
            ("info,gizad=", "\"\" is no level"),
            ("info,=debug", "\"=debug\" names no part"),
            ("info,gizad[span]=debug", "\"gizad[span]=debug\" names no part"),
            ("3", "\"3\" is no level"),
        ] {
            let why = Filter::read(wrong).expect_err(wrong);
            assert!(why.contains(part), "{wrong}: {why}");
        }
    }
}
