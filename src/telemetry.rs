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
    /// The setting that is wrong, and what was expected.
    pub fn read(level: &str, format: &str) -> Result<Self, (&'static str, String)> {
        let expected = "a level (error, warn, info, debug, trace), also by part: info,gizad=debug";
        let levels: Targets = level.parse().map_err(|_| ("log.level", expected.to_owned()))?;
        // A lone word that is no level would be taken for the name of a part, which then logs everything.
        let lone = level.split(',').filter(|part| !part.contains('='));
        if level.is_empty() || lone.into_iter().any(|part| part.trim().parse::<LevelFilter>().is_err()) {
            return Err(("log.level", expected.to_owned()));
        }
        let json = match format {
            "json" => true,
            "text" => false,
            "auto" => !io::stderr().is_terminal(),
            _ => return Err(("log.format", "one of auto, text, json".to_owned())),
        };
        Ok(Self { levels, json })
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
