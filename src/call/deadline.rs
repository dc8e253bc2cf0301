//! The time a call has, and whether it has left for the provider before that ran out.
//!
//! The two belong together: whoever says "your time is up" must know, at that very moment, whether the request is on
//! its way. One atomic word decides it, so that no call is both given up as unsent and sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::ambient;

/// Not under way. It may depart.
const WAITING: u8 = 0;
/// Under way, or back without a proof that nothing was sent.
const DEPARTED: u8 = 1;
/// Given up before it departed. It never will.
const VOID: u8 = 2;
/// Given up while it was under way.
const LATE: u8 = 3;

/// One budget of time for everything that is done for a call. Its copies share what became of the call.
#[derive(Clone, Debug)]
pub struct Deadline {
    begun: Instant,
    end: Option<Instant>,
    /// What must be left of it for anything to begin.
    least: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    /// When the exchange began that is under way, in milliseconds since the call did and one more; 0 if none is.
    left: AtomicU64,
}

/// What becomes of an attempt to depart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It departs, and nothing of the call has been sent before.
    First,
    /// It departs, and an attempt before it may have been sent.
    Again,
    /// The call was given up, so nothing is sent any more.
    Refused,
}

impl Deadline {
    /// A budget that the caller asked for, counted from when its request came in; or none yet.
    #[must_use]
    pub fn new(begun: Instant, asked: Option<Duration>) -> Self {
        let end = asked.and_then(|asked| begun.checked_add(asked));
        Self { begun, end, least: Duration::ZERO, shared: Arc::default() }
    }

    /// The same with bounds: what it has if nothing was asked for, the most it can have, and what must be left of it for
    /// anything to begin.
    #[must_use]
    pub fn bounded(self, usual: Duration, longest: Duration, least: Duration) -> Self {
        let most = self.begun + longest;
        let end = self.end.unwrap_or(self.begun + usual).min(most);
        Self { end: Some(end), least, ..self }
    }

    /// When the call's request came in.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The last moment for an answer; none if it was not bounded.
    #[must_use]
    pub fn end(&self) -> Option<Instant> {
        self.end
    }

    /// What is left of it.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(ambient::instant()))
    }

    /// The last moment at which it is worth to begin; none if it was not bounded.
    #[must_use]
    pub fn latest(&self) -> Option<Instant> {
        self.end.map(|end| end.checked_sub(self.least).unwrap_or(self.begun))
    }

    /// Marks the call as under way, unless it was given up.
    #[must_use]
    pub fn depart(&self) -> Departure {
        let change = |state| (state == WAITING || state == DEPARTED).then_some(DEPARTED);
        let departure = match self.shared.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, change) {
            Ok(WAITING) => Departure::First,
            Ok(_) => Departure::Again,
            Err(_) => return Departure::Refused,
        };
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.left.store(since.saturating_add(1), Ordering::Release);
        departure
    }

    /// Ends what `depart` began. If the call departed for the first time and it is proven that nothing was sent, then it
    /// is as if it never had.
    pub fn arrive(&self, departure: Departure, sent: bool) {
        self.shared.left.store(0, Ordering::Release);
        if departure == Departure::First && !sent {
            let _late =
                self.shared.state.compare_exchange(DEPARTED, WAITING, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// For how long the exchange has been under way that is; none if none is.
    #[must_use]
    pub fn under_way_for(&self) -> Option<Duration> {
        let left = self.shared.left.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_millis(left)))
    }

    /// Gives the call up. True if nothing was sent, and then nothing will be.
    #[must_use]
    pub fn give_up(&self) -> bool {
        let change = |state| Some(if state == WAITING || state == VOID { VOID } else { LATE });
        let before = self.shared.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        matches!(before, Ok(WAITING | VOID))
    }

    /// Whether the call is or was under way.
    #[must_use]
    pub fn has_departed(&self) -> bool {
        matches!(self.shared.state.load(Ordering::Acquire), DEPARTED | LATE)
    }

    /// Whether whoever waited for the call has been answered already.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.shared.state.load(Ordering::Acquire), VOID | LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline() -> Deadline {
        Deadline::new(ambient::instant(), None)
    }

    #[test]
    fn what_was_given_up_before_it_departed_never_departs() {
        let deadline = deadline();
        assert!(deadline.give_up(), "nothing was sent");
        assert_eq!(deadline.clone().depart(), Departure::Refused);
        assert!(!deadline.has_departed());
    }

    #[test]
    fn what_is_under_way_is_not_given_up_as_unsent() {
        let deadline = deadline();
        assert_eq!((deadline.depart(), deadline.depart()), (Departure::First, Departure::Again));
        assert!(!deadline.give_up() && deadline.has_departed() && deadline.is_given_up());
        assert_eq!(deadline.depart(), Departure::Refused, "no third attempt once it was given up");
    }

    #[test]
    fn what_came_back_unsent_is_unsent_unless_an_attempt_before_it_was_sent() {
        let deadline = deadline();
        assert_eq!(deadline.under_way_for(), None);
        let departure = deadline.depart();
        assert!(deadline.under_way_for().is_some());
        deadline.arrive(departure, false);
        assert!(!deadline.has_departed() && deadline.under_way_for().is_none());
        let sent = deadline.depart();
        deadline.arrive(sent, true);
        let again = deadline.depart();
        deadline.arrive(again, false);
        assert!(deadline.has_departed() && !deadline.give_up(), "the second of three was sent");
    }

    #[test]
    fn a_budget_has_a_default_and_a_most() {
        let begun = ambient::instant();
        let (usual, longest) = (Duration::from_secs(30), Duration::from_secs(60));
        let end = |asked| {
            Deadline::new(begun, asked).bounded(usual, longest, Duration::ZERO).end().expect("bounded")
                - begun
        };
        assert_eq!(end(None), usual);
        assert_eq!(end(Some(Duration::from_millis(5))), Duration::from_millis(5));
        assert_eq!(end(Some(Duration::MAX)), usual, "more than a clock can hold is as good as nothing");
        assert_eq!(end(Some(Duration::from_secs(3600))), longest);
    }
}
