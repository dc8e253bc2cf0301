//! The time a call has, and whether it has left for the provider before that ran out.
//!
//! The two belong together: whoever says "your time is up" must know, at that very moment, whether the request is on
//! its way. One atomic word decides it, so that no call is both given up as unsent and sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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
    state: Arc<AtomicU8>,
}

impl Deadline {
    /// A budget that the caller asked for, counted from when its request came in; or none yet.
    #[must_use]
    pub fn new(begun: Instant, asked: Option<Duration>) -> Self {
        let end = asked.and_then(|asked| begun.checked_add(asked));
        Self { begun, end, state: Arc::default() }
    }

    /// The same with a bound: what it has if nothing was asked for, and the most it can have.
    #[must_use]
    pub fn bounded(self, usual: Duration, longest: Duration) -> Self {
        let most = self.begun + longest;
        let end = self.end.unwrap_or(self.begun + usual).min(most);
        Self { end: Some(end), ..self }
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

    /// Marks the call as under way. False if it was given up: then it must not be sent.
    #[must_use]
    pub fn depart(&self) -> bool {
        let change = |state| (state == WAITING || state == DEPARTED).then_some(DEPARTED);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }

    /// Marks the call as not under way any more: nothing of it was sent, and that is proven.
    pub fn returned(&self) {
        let _late = self.state.compare_exchange(DEPARTED, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Gives the call up. True if nothing was sent, and then nothing will be.
    #[must_use]
    pub fn give_up(&self) -> bool {
        let change = |state| Some(if state == WAITING || state == VOID { VOID } else { LATE });
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        matches!(before, Ok(WAITING | VOID))
    }

    /// Whether the call is or was under way.
    #[must_use]
    pub fn has_departed(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), DEPARTED | LATE)
    }

    /// Whether whoever waited for the call has been answered already.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), VOID | LATE)
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
        assert!(!deadline.clone().depart());
        assert!(!deadline.has_departed());
    }

    #[test]
    fn what_is_under_way_is_not_given_up_as_unsent() {
        let deadline = deadline();
        assert!(deadline.depart() && deadline.depart(), "a second attempt may follow the first");
        assert!(!deadline.give_up() && deadline.has_departed() && deadline.is_given_up());
        assert!(!deadline.depart(), "and no third once it was given up");
    }

    #[test]
    fn what_came_back_unsent_is_unsent() {
        let deadline = deadline();
        assert!(deadline.depart());
        deadline.returned();
        assert!(!deadline.has_departed() && deadline.give_up());
    }

    #[test]
    fn a_budget_has_a_default_and_a_most() {
        let begun = ambient::instant();
        let (usual, longest) = (Duration::from_secs(30), Duration::from_secs(60));
        let end = |asked| Deadline::new(begun, asked).bounded(usual, longest).end().expect("bounded") - begun;
        assert_eq!(end(None), usual);
        assert_eq!(end(Some(Duration::from_millis(5))), Duration::from_millis(5));
        assert_eq!(end(Some(Duration::MAX)), usual, "more than a clock can hold is as good as nothing");
        assert_eq!(end(Some(Duration::from_secs(3600))), longest);
    }
}
