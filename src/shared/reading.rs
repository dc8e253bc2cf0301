//! The server's clock, read from here. It is the only clock that replicas have in common: between a replica and the server
//! only durations travel, and each is taken for longer rather than for shorter than it is.

use std::time::Duration;

use tokio::time::Instant;

use crate::ambient;

/// Both clocks are read in whole milliseconds, of which the rest was cut off.
const CUT_OFF: Duration = Duration::from_millis(1);

/// What the server's clock showed, and between which moments here.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    asked: Instant,
    answered: Instant,
    ms: i64,
}

impl Reading {
    /// What was asked for at a moment and is answered now.
    #[must_use]
    pub fn new(asked: Instant, ms: i64) -> Self {
        Self { asked, answered: ambient::instant(), ms }
    }

    /// What the server's clock showed, in milliseconds since 1970.
    #[must_use]
    pub fn ms(&self) -> i64 {
        self.ms
    }

    /// When the server was asked.
    #[must_use]
    pub fn asked(&self) -> Instant {
        self.asked
    }

    /// The moment here of a time there, or an earlier one: what was seen then is never taken for younger than it is. None of
    /// what is still to come there, because then its clock was turned back and nobody knows.
    #[must_use]
    pub fn here(&self, then_ms: i64) -> Option<Instant> {
        let age = u64::try_from(self.ms.checked_sub(then_ms)?).ok()?;
        self.asked.checked_sub(Duration::from_millis(age).checked_add(CUT_OFF)?)
    }

    /// The time there of a moment here, or an earlier one.
    #[must_use]
    pub fn there(&self, moment: Instant) -> i64 {
        let ahead = moment.saturating_duration_since(self.answered).as_millis();
        let behind = self.answered.saturating_duration_since(moment).as_micros().div_ceil(1000);
        let whole = |ms: u128| i64::try_from(ms).unwrap_or(i64::MAX);
        self.ms.saturating_add(whole(ahead)).saturating_sub(whole(behind))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_for_younger_than_it_is() {
        // Longer ago than anything below, which would have no moment here otherwise.
        advance(Duration::from_secs(60)).await;
        let asked = ambient::instant();
        advance(Duration::from_millis(300)).await;
        // The server has read its clock at some time within these 300 ms.
        let reading = Reading::new(asked, 1_000_000);
        assert_eq!(asked - reading.here(995_000).expect("known"), Duration::from_millis(5001));
        assert_eq!(reading.here(1_000_001), None, "of a clock that was turned back nothing is known");
        advance(Duration::from_secs(2)).await;
        assert_eq!(reading.there(ambient::instant()), 1_002_000);
        assert_eq!(reading.there(asked), 999_700);
        assert!(reading.here(reading.there(asked)).expect("known") <= asked);
    }
}
