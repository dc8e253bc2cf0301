//! What the service manager says to a process that it starts, in variables of its own: sockets that it has opened
//! (sd_listen_fds(3)), where it listens to what the process says (sd_notify(3)), how often it wants to hear that it lives
//! (sd_watchdog_enabled(3)).

use std::ffi::OsString;
use std::time::Duration;

/// What was said.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    /// The names of the sockets that are handed over, as many as there are; a name may be empty.
    pub sockets: Vec<String>,
    /// Where it listens.
    pub notify: Option<OsString>,
    /// After what silence it takes the process for dead.
    pub watchdog: Option<Duration>,
}

/// Reads it. What is meant for another process is nothing.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn manager() -> Manager {
    let named = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let own = |text: &str| text.parse().ok() == Some(std::process::id());
    let count = named("LISTEN_PID").filter(|id| own(id)).and_then(|_| named("LISTEN_FDS"));
    let names = named("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    let watchdog = named("WATCHDOG_USEC").filter(|_| named("WATCHDOG_PID").is_none_or(|id| own(&id)));
    Manager {
        sockets: names.take(count.and_then(|count| count.parse().ok()).unwrap_or(0)).collect(),
        notify: std::env::var_os("NOTIFY_SOCKET").filter(|at| !at.is_empty()),
        watchdog: watchdog
            .and_then(|time| time.parse().ok())
            .filter(|time| *time > 0)
            .map(Duration::from_micros),
    }
}
