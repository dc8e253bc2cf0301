//! What the account's limit seems to be: half of the ceiling at first, halved again whenever the provider asks to slow
//! down, and a twentieth of the ceiling more in every quiet minute.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::meter::Rate;
use crate::shared::division::ALL;
use crate::shared::renewal;

/// The part of the ceiling it starts with: the true limit is not documented.
const GENTLE: f64 = 0.5;
/// The least part of the ceiling that is ever used.
const LEAST: f64 = 1.0 / 64.0;
/// What a quiet time adds, in parts of the ceiling.
const STEP: f64 = 0.05;
/// How long a quiet time is.
const QUIET: Duration = Duration::from_secs(60);

/// The present estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    ceiling: Rate,
    part: f64,
    /// The last change.
    changed: Instant,
    /// The last time it was cut.
    cut: Option<Instant>,
}

impl Estimate {
    pub(super) fn new(ceiling: Rate, now: Instant) -> Self {
        Self { ceiling, part: GENTLE, changed: now, cut: None }
    }

    /// The rate to use now, and as much less at once.
    pub(super) fn rate(&self) -> Rate {
        let every = self.ceiling.every.mul_f64(1.0 / self.part);
        let burst = (f64::from(self.ceiling.burst.get()) * self.part).ceil() as u32;
        Rate { every, burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN) }
    }

    /// The part of the ceiling that is used, from 0 to 1.
    pub(super) fn part(&self) -> f64 {
        self.part
    }

    pub(super) fn set_part(&mut self, part: f64) {
        if part.is_finite() {
            self.part = part.clamp(LEAST, 1.0);
        }
    }

    pub(super) fn set_ceiling(&mut self, ceiling: Rate) {
        self.ceiling = ceiling;
    }

    /// Grows with the time that was quiet. True if it did.
    pub(super) fn grow(&mut self, now: Instant) -> bool {
        let before = self.part;
        while self.part < 1.0 && now.saturating_duration_since(self.changed) >= QUIET {
            self.part = (self.part + STEP).min(1.0);
            self.changed += QUIET;
        }
        if self.part >= 1.0 {
            self.changed = now;
        }
        self.part > before
    }

    /// What replicas share of it, at a moment at which the server's clock shows this.
    pub(super) fn told(&self, now: Instant, now_ms: i64) -> renewal::Account {
        let ago = |moment: Instant| {
            now_ms.saturating_sub(
                i64::try_from((now.saturating_duration_since(moment)).as_millis()).unwrap_or(i64::MAX),
            )
        };
        renewal::Account {
            part: (self.part * ALL as f64).round() as u64,
            changed_ms: ago(self.changed),
            cut_ms: self.cut.map_or(0, ago),
            paused_until_ms: 0,
        }
    }

    /// Takes over what replicas share, at a moment at which the server's clock shows this.
    pub(super) fn hear(&mut self, account: &renewal::Account, now: Instant, now_ms: i64) {
        let since = |at_ms: i64| {
            let ago = u64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(0);
            now.checked_sub(Duration::from_millis(ago))
        };
        self.set_part(account.part as f64 / ALL as f64);
        self.changed = since(account.changed_ms).unwrap_or(now);
        self.cut = if account.cut_ms == 0 { None } else { since(account.cut_ms) };
    }

    /// Halves it, if what the provider complains about left after it was halved last. True if it did.
    pub(super) fn cut(&mut self, left: Instant, now: Instant) -> bool {
        if self.cut.is_some_and(|cut| left < cut) {
            return false;
        }
        self.set_part(self.part / 2.0);
        (self.cut, self.changed) = (Some(now), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;

    fn estimate() -> (Estimate, Instant) {
        let ceiling = Rate { every: Duration::from_millis(100), burst: NonZeroU32::MIN };
        let now = ambient::instant();
        (Estimate::new(ceiling, now), now)
    }

    #[test]
    fn it_starts_gently_and_grows_to_the_ceiling_in_ten_minutes() {
        let (mut estimate, now) = estimate();
        assert_eq!(estimate.rate().every, Duration::from_millis(200));
        assert!(!estimate.grow(now + QUIET / 2));
        assert!(estimate.grow(now + QUIET * 9) && estimate.rate().every > Duration::from_millis(100));
        assert!(estimate.grow(now + QUIET * 10));
        assert_eq!(estimate.rate().every, Duration::from_millis(100));
        assert!(!estimate.grow(now + QUIET * 100), "and no further");
    }

    #[test]
    fn one_complaint_about_many_calls_halves_it_once() {
        let (mut estimate, now) = estimate();
        let later = now + Duration::from_secs(1);
        assert!(estimate.cut(now, later));
        assert!(!estimate.cut(now, later), "it had left before");
        assert_eq!(estimate.rate().every, Duration::from_millis(400));
        assert!(estimate.cut(later + Duration::from_secs(1), later + Duration::from_secs(2)));
        assert_eq!(estimate.rate().every, Duration::from_millis(800));
    }

    #[test]
    fn what_one_says_another_hears() {
        let (mut estimate, now) = estimate();
        assert!(estimate.cut(now, now) && estimate.grow(now + QUIET));
        let later = now + QUIET + Duration::from_secs(7);
        let told = estimate.told(later, 1_000_000);
        assert_eq!((told.part, told.changed_ms, told.cut_ms), (300_000_000, 993_000, 933_000));
        let mut other = Estimate::new(estimate.ceiling, now);
        // Its clock shows something else; only how long ago things were counts.
        let there = later + Duration::from_secs(86_400);
        other.hear(&told, there, 1_000_000);
        assert_eq!((other.part(), other.cut), (0.3, Some(there - QUIET - Duration::from_secs(7))));
        assert!(!other.grow(there + Duration::from_secs(52)) && other.grow(there + Duration::from_secs(53)));
        assert!(!other.cut(there - QUIET * 2, there), "that had left before");
    }

    #[test]
    fn it_never_stops_altogether() {
        let (mut estimate, now) = estimate();
        for second in 0..100 {
            estimate.cut(now + Duration::from_secs(second), now + Duration::from_secs(second));
        }
        assert_eq!(estimate.rate().every, Duration::from_millis(6400));
    }
}
