//! What repeats may cost: a tenth of the calls, and one a second. Tighter than the usual fifth (Finagle, linkerd),
//! because every repeat takes a turn that is scarce.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::ambient;

/// What a call pays in.
const DEPOSIT: f64 = 0.1;
/// What a second pays in.
const PER_SECOND: f64 = 1.0;
/// The most that is saved.
const MOST: f64 = 10.0;

/// Repeats that may still be made.
pub(super) struct Budget {
    saved: Mutex<(f64, Instant)>,
}

impl Budget {
    /// One repeat is there from the beginning.
    pub(super) fn new() -> Self {
        Self { saved: Mutex::new((1.0, ambient::instant())) }
    }

    /// Pays in for a call.
    pub(super) fn deposit(&self) {
        self.change(|saved| (saved + DEPOSIT).min(MOST));
    }

    /// Pays for one repeat, if there is enough.
    pub(super) fn withdraw(&self) -> bool {
        let mut paid = false;
        self.change(|saved| {
            paid = saved >= 1.0;
            if paid { saved - 1.0 } else { saved }
        });
        paid
    }

    /// How many repeats are paid for.
    pub(super) fn saved(&self) -> f64 {
        let mut left = 0.0;
        self.change(|saved| {
            left = saved;
            saved
        });
        left
    }

    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let now = ambient::instant();
        let earned = now.saturating_duration_since(saved.1).as_secs_f64() * PER_SECOND;
        *saved = (change((saved.0 + earned).min(MOST)), now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeats_are_paid_by_calls_and_by_time() {
        let budget = Budget::new();
        assert!(budget.withdraw() && !budget.withdraw());
        (0..9).for_each(|_| budget.deposit());
        assert!(!budget.withdraw());
        (0..2).for_each(|_| budget.deposit());
        assert!(budget.withdraw() && !budget.withdraw());
        advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| budget.withdraw()).count(), 10, "and no more is saved");
    }
}
