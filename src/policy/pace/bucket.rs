//! What may pass: tokens that come at a rate, up to a burst, counted in parts of a token, because the rate changes several
//! times a second and nothing of one may get lost or come twice.
//!
//! In every window, what passes is at most what was there at its beginning and what came in it; and what is there is never more
//! than the burst, also when the burst has just become smaller.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::meter::Rate;
use crate::shared::lease::LASTS;

/// Parts of a token that two ways to reckon may differ by.
const TINY: f64 = 1e-9;
/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(30 * 86_400);

/// How fast tokens come, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flow {
    pub(super) per_second: f64,
    pub(super) burst: u32,
}

impl Flow {
    /// Nothing at all.
    pub(super) const NONE: Self = Self { per_second: 0.0, burst: 0 };

    /// A rate as a whole.
    pub(super) fn of(rate: Rate) -> Self {
        // A period of nothing would be no limit at all.
        let every = rate.every.max(Duration::from_nanos(1));
        Self { per_second: 1.0 / every.as_secs_f64(), burst: rate.burst.get() }
    }

    /// How long a number of tokens takes.
    pub(super) fn time(self, tokens: f64) -> Duration {
        if tokens <= 0.0 {
            return Duration::ZERO;
        }
        let seconds = tokens / self.per_second;
        if seconds >= FOR_EVER.as_secs_f64() || seconds.is_nan() {
            return FOR_EVER;
        }
        // Who waits for nothing at all would ask again and again without any time passing.
        Duration::from_secs_f64(seconds).max(Duration::from_nanos(1))
    }

    /// What is told of a wait: where nothing comes at all, nobody knows for how long, and it is asked again soon.
    pub(super) fn told(self, wait: Duration) -> Duration {
        if self.per_second > 0.0 { wait } else { wait.min(LASTS) }
    }
}

/// The bucket.
pub(super) struct Bucket {
    flow: Flow,
    level: f64,
    /// Up to when what has come is in the level.
    at: Instant,
}

impl Bucket {
    /// One that is well rested.
    pub(super) fn full(flow: Flow, now: Instant) -> Self {
        Self { flow, level: f64::from(flow.burst), at: now }
    }

    /// One with nothing in it.
    pub(super) fn empty(flow: Flow, now: Instant) -> Self {
        Self { flow, level: 0.0, at: now }
    }

    /// How many may pass at once, as it was counted last.
    pub(super) fn at_once(&self) -> f64 {
        self.level
    }

    /// Up to when what has come is counted.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Counts what has come until a moment.
    pub(super) fn settle(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let come = self.level + passed.as_secs_f64() * self.flow.per_second;
        let kept = f64::from(self.flow.burst);
        let kept = if crate::shared::planted!(BurstIsKept) { kept.max(self.level) } else { kept };
        self.level = come.min(kept);
        self.at = self.at.max(now);
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long it is until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.settle(now);
        if self.level < 1.0 - TINY {
            return Err(self.next(self.flow));
        }
        // What was taken too early is missing the next time.
        self.level -= 1.0;
        Ok(())
    }

    /// How long it is from the last count until there is one, if it came at a flow.
    pub(super) fn next(&self, flow: Flow) -> Duration {
        flow.time(1.0 - self.level)
    }

    /// Changes the flow from a moment on. What is there is never more than it was.
    pub(super) fn change(&mut self, flow: Flow, now: Instant) {
        self.settle(now);
        self.flow = flow;
        if !crate::shared::planted!(BurstIsKept) {
            self.level = self.level.min(f64::from(flow.burst));
        }
    }

    /// Uses up all that is there.
    pub(super) fn use_up(&mut self, now: Instant) {
        self.settle(now);
        self.level = self.level.min(0.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ambient;
    use crate::policy::meter::steps::{Step, steps};

    fn flow(per_second: f64, burst: u32) -> Flow {
        Flow { per_second, burst }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let begun = ambient::instant();
        let mut bucket = Bucket::full(flow(10.0, 3), begun);
        for _ in 0..3 {
            assert_eq!(bucket.take(begun), Ok(()));
        }
        assert_eq!(bucket.take(begun), Err(Duration::from_millis(100)));
        let later = begun + Duration::from_millis(50);
        assert_eq!(bucket.take(later), Err(Duration::from_millis(50)));
        assert_eq!(bucket.take(begun + Duration::from_millis(100)), Ok(()));
        assert!(bucket.take(begun + Duration::from_millis(199)).is_err());
        assert_eq!(bucket.take(begun + Duration::from_millis(200)), Ok(()));
        bucket.settle(begun + Duration::from_secs(60));
        assert!((bucket.level - 3.0).abs() < TINY);
        bucket.use_up(begun + Duration::from_secs(60));
        assert!(bucket.take(begun + Duration::from_secs(60)).is_err());
    }

    #[test]
    fn a_change_neither_gives_nor_takes() {
        let begun = ambient::instant();
        let mut bucket = Bucket::empty(flow(10.0, 5), begun);
        let mut now = begun;
        // Ten changes in a second, each at an odd moment: governor would forget a part of a token at each.
        for turn in 0..20_u32 {
            now += Duration::from_millis(50);
            bucket.change(if turn % 2 == 0 { flow(5.0, 5) } else { flow(10.0, 5) }, now);
        }
        assert!((bucket.level - 5.0).abs() < TINY, "{}", bucket.level);
        bucket.change(flow(1.0, 2), now);
        assert!((bucket.level - 2.0).abs() < TINY, "no more than is kept now");
        bucket.change(flow(1.0, 9), now);
        assert!((bucket.level - 2.0).abs() < TINY, "and it does not come back");
        bucket.change(Flow::NONE, now);
        assert_eq!(bucket.take(now + Duration::from_secs(1000)), Err(FOR_EVER));
    }

    proptest! {
        /// In every window: what passed is at most the burst of its beginning and what came in it at each rate.
        #[test]
        fn no_window_lets_more_through(steps in steps(1..5_000_000, (4, 0..30), 1..200)) {
            let mut now = ambient::instant();
            let mut bucket = Bucket::full(flow(10.0, 10), now);
            // The fullest that a bucket could be that never does more than it may.
            let (mut most, mut rate, mut burst) = (10.0_f64, 10.0, 10.0);
            for step in steps {
                match step {
                    Step::Pass(micros) => {
                        now += Duration::from_micros(micros);
                        most = (most + rate * micros as f64 / 1e6).min(burst);
                    }
                    Step::Wants(times) => for _ in 0..times {
                        if bucket.take(now).is_ok() {
                            most -= 1.0;
                        } else {
                            prop_assert!(most < 1.0 + 1e-6, "nothing gets lost: {most} are there");
                        }
                        prop_assert!(most > -1e-6, "{most}");
                    },
                    Step::Change(every, kept) => {
                        (rate, burst) = (1000.0 / every as f64, f64::from(kept));
                        bucket.change(flow(rate, kept), now);
                        most = most.min(burst);
                    }
                }
            }
        }
    }
}
