//! The log: to standard error, as text for a person at a terminal and as JSON for everybody else.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// The log's settings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    levels: Targets,
    json: bool,
}

impl Options {
    /// Reads the levels (`info`, `info,gizad=debug`) and the format (`text`, `json`, `auto`).
    ///
    /// # Errors
    /// The settings that are wrong, each with what was expected.
    pub fn read(level: &str, format: &str) -> Result<Self, Vec<(&'static str, &'static str)>> {
        // A lone word that is no level would be taken for the name of a part, which then logs everything.
        let lone = level.split(',').filter(|part| !part.contains('='));
        let known =
            !level.is_empty() && lone.into_iter().all(|part| part.trim().parse::<LevelFilter>().is_ok());
        let levels = level.parse::<Targets>().ok().filter(|_| known);
        let json = match format {
            "json" => Some(true),
            "text" => Some(false),
            "auto" => Some(!io::stderr().is_terminal()),
            _ => None,
        };
        match (levels, json) {
            (Some(levels), Some(json)) => Ok(Self { levels, json }),
            (levels, json) => {
                let level = "a level (error, warn, info, debug, trace), also by part: info,gizad=debug";
                let wrong = [
                    levels.is_none().then_some(("log.level", level)),
                    json.is_none().then_some(("log.format", "one of auto, text, json")),
                ];
                Err(wrong.into_iter().flatten().collect())
            }
        }
    }
}

/// Starts logging.
///
/// # Errors
/// If something logs already.
pub fn start(options: &Options) -> Result<(), TryInitError> {
    let registry = tracing_subscriber::registry().with(options.levels.clone());
    if options.json {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    } else {
        let colours = io::stderr().is_terminal();
        registry.with(fmt::layer().with_ansi(colours).with_writer(io::stderr)).try_init()
    }
}
