//! The settings of metrics: who may read them, and what is asked of the account for them.

use std::time::Duration;

use super::check::Check;

/// How often the account may be looked at.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(86_400);

/// Metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Whether everybody who reaches the admin listener may read them, and not this machine alone.
    pub everyone: bool,
    /// How often the account is looked at for them, if it is.
    pub account: Option<Duration>,
}

impl Check<'_> {
    pub(super) fn metrics(&mut self) -> Metrics {
        Metrics { everyone: self.flag("metrics.everyone"), account: self.account_interval() }
    }

    fn account_interval(&mut self) -> Option<Duration> {
        let path = "metrics.account.interval";
        if self.written(path) == Some("off") {
            return None;
        }
        let before = self.mistakes.len();
        let interval = self.duration(path);
        if self.mistakes.len() > before || !INTERVALS.contains(&interval) {
            self.mistakes.truncate(before);
            self.wrong(path, "a duration from 1m to 24h, such as 5m, or \"off\"");
        }
        Some(interval)
    }
}
