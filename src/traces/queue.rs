//! The spans that wait to be sent: a bounded number, and whoever brings one more never waits for a place.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::span::Ended;

/// The most that wait; more are dropped, and counted.
const MOST: usize = 4096;
/// How many are sent at once.
pub(super) const BATCH: usize = 512;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Arc<Ended>>>,
    full: Notify,
    tally: Tally,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Tally {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Tally {
    /// Those that the collector has taken.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Those that it has not: there was no place for them, or it did not take them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Ended>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one more, if there is a place. Those that wait already stay: what led to trouble is older than what followed it.
    pub(super) fn push(&self, span: Ended) {
        let waiting = {
            let mut waiting = self.lock();
            if waiting.len() < MOST {
                waiting.push_back(Arc::new(span));
                waiting.len()
            } else {
                drop(waiting);
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        if waiting >= BATCH {
            self.full.notify_one();
        }
    }

    /// Waits until there are enough to send, or this time is over.
    pub(super) async fn gathered(&self, time: Duration) {
        let _or_over = timeout(time, self.full.notified()).await;
    }

    /// The oldest. They stay here until they have been sent or given up, so that none is lost with whoever sends them.
    pub(super) fn oldest(&self) -> Vec<Arc<Ended>> {
        self.lock().iter().take(BATCH).cloned().collect()
    }

    /// The oldest are gone: so many of them, of which so many were not taken.
    pub(super) fn done(&self, spans: usize, refused: u64) {
        {
            let mut waiting = self.lock();
            let spans = spans.min(waiting.len());
            drop(waiting.drain(..spans));
        }
        let spans = spans as u64;
        let refused = refused.min(spans);
        self.tally.sent.fetch_add(spans - refused, Ordering::Relaxed);
        self.tally.dropped.fetch_add(refused, Ordering::Relaxed);
    }

    /// Gives up all that wait, and says how many that were.
    pub(super) fn abandon(&self) -> usize {
        let waiting = self.lock().len();
        self.done(waiting, waiting as u64);
        waiting
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::{Context, Kind};

    #[tokio::test]
    async fn what_has_no_place_is_dropped_and_counted() {
        let queue = Arc::new(Queue::default());
        let context = Context::of([1; 16], [2; 8]);
        let (trace, span) = super::super::span::begin(&queue, context.trace, Some(context));
        for _ in 0..MOST + 10 {
            drop(trace.child("one", Kind::Internal));
        }
        drop(span);
        assert_eq!((queue.tally().sent(), queue.tally().dropped()), (0, 11));
        queue.gathered(Duration::from_secs(60)).await;
        let first = queue.oldest();
        assert_eq!(first.len(), BATCH);
        queue.done(first.len(), 2);
        assert_eq!((queue.tally().sent(), queue.tally().dropped()), (BATCH as u64 - 2, 13));
        assert_eq!(queue.abandon(), MOST - BATCH);
        assert!(queue.oldest().is_empty());
    }
}
