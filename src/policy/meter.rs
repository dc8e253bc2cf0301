//! How often something may happen: governor's GCRA on our clock, with a rate that can change.
//!
//! In every window, what passes is at most the burst and the rate times the window. A change of rate takes what has
//! been used along, so that it never lets a second burst through.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::ambient;
use crate::call::Limit;

/// A steady rate, and how much may come at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time between two at the steady rate; above zero.
    pub every: Duration,
    /// How many may come at once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// How long it takes until everything is there again.
    #[must_use]
    pub fn window(self) -> Duration {
        self.every.saturating_mul(self.burst.get())
    }

    /// This rate as a limit with a name, of which so much is left.
    #[must_use]
    pub fn limit(self, name: &'static str, remaining: u32, reset: Duration) -> Limit {
        Limit { name, quota: self.burst.get(), window: self.window(), remaining, reset }
    }
}

/// Lets things pass at a rate.
pub(super) struct Meter {
    limiter: RateLimiter<NotKeyed, InMemoryState, Ticks, StateInformationMiddleware>,
    rate: Rate,
    /// When nothing of what was used counts any more.
    rested: Instant,
}

impl Meter {
    /// One that is well rested.
    pub(super) fn new(rate: Rate) -> Self {
        // A period of nothing is the only one governor refuses.
        let period = rate.every.max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let clock = Ticks(ambient::instant());
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(rate.burst), clock);
        Self { limiter: limiter.with_middleware(), rate, rested: ambient::instant() }
    }

    /// Takes one, and says how many are left.
    ///
    /// # Errors
    /// How long it is until there is one.
    pub(super) fn take(&mut self) -> Result<u32, Duration> {
        let left = self.limiter.check().map_err(|until| until.wait_time_from(self.limiter.clock().now()))?;
        let left = left.remaining_burst_capacity();
        let used = self.rate.burst.get().saturating_sub(left);
        self.rested = ambient::instant() + self.rate.every.saturating_mul(used);
        Ok(left)
    }

    /// How many are left, without taking one.
    pub(super) fn left(&self) -> u32 {
        let used = self.resets_in().as_nanos().div_ceil(self.rate.every.as_nanos().max(1));
        self.rate.burst.get().saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// How long it is until everything is there again.
    pub(super) fn resets_in(&self) -> Duration {
        self.rested.saturating_duration_since(ambient::instant())
    }

    /// Whether it remembers nothing.
    pub(super) fn is_rested(&self) -> bool {
        self.resets_in().is_zero()
    }

    /// Changes the rate. What is left is never more than it was.
    pub(super) fn change(&mut self, rate: Rate) {
        if rate == self.rate {
            return;
        }
        let left = self.take().map_or(0, |left| left + 1);
        let mut changed = Self::new(rate);
        if let Some(used) = NonZeroU32::new(rate.burst.get().saturating_sub(left)) {
            changed.spend(used);
        }
        *self = changed;
    }

    /// Takes so many of a meter that is well rested.
    fn spend(&mut self, used: NonZeroU32) {
        let _fits = self.limiter.check_n(used);
        self.rested = ambient::instant() + self.rate.every.saturating_mul(used.get());
    }
}

/// Tokio's clock, which a test can hold, counted from the beginning of a meter.
#[derive(Clone, Copy)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        ambient::instant().saturating_duration_since(self.0)
    }
}

#[cfg(test)]
pub(super) mod steps {
    //! What happens to whatever lets things pass at a rate.

    use std::ops::Range;

    use proptest::prelude::*;

    /// Time passes, in units of its own; so many want to pass; the rate changes to one in so many milliseconds, and the burst.
    #[derive(Clone, Debug)]
    pub(in crate::policy) enum Step {
        Pass(u64),
        Wants(usize),
        Change(u64, u32),
    }

    /// Steps of which time takes so much, the rate changes so often and to such bursts, and there are so many.
    pub(in crate::policy) fn steps(
        times: Range<u64>,
        (changes, bursts): (u32, Range<u32>),
        many: Range<usize>,
    ) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => times.prop_map(Step::Pass),
            6 => (1usize..15).prop_map(Step::Wants),
            changes => (5u64..500, bursts).prop_map(|(every, burst)| Step::Change(every, burst)),
        ];
        prop::collection::vec(step, many)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::steps::{Step, steps};
    use super::*;

    fn rate(millis: u64, burst: u32) -> Rate {
        Rate { every: Duration::from_millis(millis), burst: NonZeroU32::new(burst).expect("above zero") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate() {
        let mut meter = Meter::new(rate(100, 3));
        for left in [2, 1, 0] {
            assert_eq!((meter.left(), meter.take(), meter.left()), (left + 1, Ok(left), left));
        }
        assert_eq!(meter.take(), Err(Duration::from_millis(100)));
        advance(Duration::from_millis(99)).await;
        assert_eq!(meter.left(), 0);
        advance(Duration::from_millis(1)).await;
        assert_eq!((meter.left(), meter.take()), (1, Ok(0)));
        assert_eq!(meter.resets_in(), Duration::from_millis(300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_rate_lets_no_second_burst_through() {
        let mut meter = Meter::new(rate(100, 3));
        while meter.take().is_ok() {}
        meter.change(rate(10, 50));
        assert_eq!(meter.take(), Err(Duration::from_millis(10)));
        meter.change(rate(1000, 2));
        assert!(meter.take().is_err());
        advance(Duration::from_secs(2)).await;
        assert_eq!([meter.take(), meter.take()], [Ok(1), Ok(0)]);
    }

    proptest! {
        /// In every window: what passed is at most the burst and the rate times the window, also while both change.
        #[test]
        fn no_window_lets_more_through(steps in steps(1..5_000, (1, 1..30), 1..150)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(async {
                let mut meter = Meter::new(rate(100, 10));
                // The moments at which something passed, each with what was the most between any two changes.
                let begun = ambient::instant();
                let mut passed: Vec<f64> = Vec::new();
                let mut rates = vec![(0.0, meter.rate)];
                for step in steps {
                    let now = begun.elapsed().as_secs_f64();
                    match step {
                        Step::Pass(millis) => advance(Duration::from_millis(millis)).await,
                        Step::Wants(times) => passed.extend((0..times).filter_map(|_| meter.take().ok().map(|_| now))),
                        Step::Change(every, burst) => {
                            meter.change(rate(every, burst));
                            rates.push((now, meter.rate));
                        }
                    }
                }
                for (first, from) in passed.iter().enumerate() {
                    for (last, to) in passed.iter().enumerate().skip(first) {
                        let most = most_between(&rates, *from, *to);
                        let got = (last - first + 1) as f64;
                        assert!(got <= most + 1e-6, "{got} passed between {from} and {to}, at most {most}");
                    }
                }
            });
        }
    }

    /// The burst at the beginning, and what has come since at each rate.
    fn most_between(rates: &[(f64, Rate)], from: f64, to: f64) -> f64 {
        let starts = rates.iter().enumerate();
        let mut most = 0.0;
        for (index, (start, rate)) in starts {
            let end = rates.get(index + 1).map_or(f64::INFINITY, |next| next.0);
            let (begin, end) = (start.max(from), end.min(to));
            if *start <= from && end >= from {
                most = f64::from(rate.burst.get()).max(most);
            }
            most += (end - begin).max(0.0) / rate.every.as_secs_f64();
        }
        most
    }
}
