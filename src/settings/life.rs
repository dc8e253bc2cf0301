//! The settings of what happens to a running gizad: that it is stopped, and that its files change.

use std::time::Duration;

use super::Shutdown;
use super::check::{Check, duration};

/// The shortest and the longest time between two looks at the files.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3600));

impl Check<'_> {
    pub(super) fn shutdown(&mut self, exchange: Duration) -> Shutdown {
        const DELAY: &str = "shutdown.delay";
        let grace = self.duration("shutdown.grace");
        let written = self.text(DELAY);
        let delay = if written == "0s" { Some(Duration::ZERO) } else { duration(&written) };
        let delay = delay.unwrap_or_else(|| {
            self.wrong(DELAY, "a duration from 0s to 24h, such as 5s");
            Duration::ZERO
        });
        if grace < exchange {
            self.wrong("shutdown.grace", "no less than upstream.timeout, or a stop would cut a purchase off");
        } else if grace < exchange.saturating_add(delay) {
            self.wrong(
                "shutdown.grace",
                "no less than upstream.timeout and shutdown.delay together, or a stop would cut a purchase off",
            );
        }
        Shutdown { delay, grace }
    }

    pub(super) fn reload_every(&mut self) -> Option<Duration> {
        const EVERY: &str = "reload.every";
        let written = self.text(EVERY);
        if written == "off" {
            return None;
        }
        let read = duration(&written).filter(|every| (LOOKS.0..=LOOKS.1).contains(every));
        if read.is_none() {
            self.wrong(EVERY, "a duration from 50ms to 1h, such as 1s, or \"off\"");
        }
        read
    }
}
