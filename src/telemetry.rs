//! The log: to standard error, as text for a person at a terminal and as JSON for everybody else.

mod convention;
mod filter;

use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

pub use convention::{CALL, FIELDS, Field, REFUSED, table};
pub use filter::Filter;

/// The log's settings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How much is logged.
    pub levels: Filter,
    json: bool,
}

impl Options {
    /// Reads the levels (`info`, `info,gizad=debug`) and the format (`text`, `json`, `auto`).
    ///
    /// # Errors
    /// The settings that are wrong, each with what was expected.
    pub fn read(level: &str, format: &str) -> Result<Self, Vec<(&'static str, &'static str)>> {
        let levels = Filter::read(level).ok();
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

/// Has a panic say where it was, and not what it said: that may be made of a request, an answer or a secret.
pub fn hush_panics() {
    panic::set_hook(Box::new(|about| {
        let at = place(about);
        if tracing::dispatcher::has_been_set() {
            tracing::error!(at, "a mistake in gizad: something panicked");
        } else {
            let _nobody_reads =
                writeln!(io::stderr(), "gizad: a mistake in gizad: something panicked at {at}");
        }
    }));
}

fn place(about: &PanicHookInfo<'_>) -> String {
    about.location().map_or_else(|| "a place that is not known".to_owned(), ToString::to_string)
}

/// Starts logging.
///
/// # Errors
/// If something logs already.
pub fn start(options: &Options) -> Result<(), TryInitError> {
    let (levels, handle) = reload::Layer::new(options.levels.levels.clone());
    let registry = tracing_subscriber::registry().with(levels);
    if options.json {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()?;
    } else {
        let colours = io::stderr().is_terminal();
        registry.with(fmt::layer().with_ansi(colours).with_writer(io::stderr)).try_init()?;
    }
    let _first = LEVELS.set(handle);
    Ok(())
}

/// The hand on how much is logged. There is one log in a process, and so one hand.
static LEVELS: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Logs so much from now on.
pub fn change(filter: &Filter) {
    // Gone only with the log itself.
    let _there = LEVELS.get().map(|levels| levels.reload(filter.levels.clone()));
    // What other libraries say by way of `log` has a threshold of its own.
    log::set_max_level(match filter.most() {
        LevelFilter::OFF => log::LevelFilter::Off,
        LevelFilter::ERROR => log::LevelFilter::Error,
        LevelFilter::WARN => log::LevelFilter::Warn,
        LevelFilter::INFO => log::LevelFilter::Info,
        LevelFilter::DEBUG => log::LevelFilter::Debug,
        LevelFilter::TRACE => log::LevelFilter::Trace,
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static SAID: Mutex<String> = Mutex::new(String::new());

    struct Kept;

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            SAID.lock().expect("sound").push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_says_where_and_not_what() {
        let log = tracing_subscriber::registry().with(fmt::layer().json().with_writer(|| Kept));
        log.try_init().expect("nothing logs yet");
        let usual = panic::take_hook();
        hush_panics();
        let caught = panic::catch_unwind(|| panic!("{}", "canary-in-a-panic"));
        panic::set_hook(usual);
        let said = SAID.lock().expect("sound").clone();
        assert!(caught.is_err() && said.contains("src/telemetry.rs:"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
