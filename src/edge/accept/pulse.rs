//! What one connection is about, as those see it who decide whether it may stay: without a lock, and by a clock that only
//! counts ticks, because every request passes here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::worth::{Turn, Worth};
use crate::ambient;

/// The most that a connection may send beside the heads and bodies of requests, in bytes, before time has forgiven it: thirty
/// thousand pings of HTTP/2, and more than the body that may be on its way unread.
const MAX_EXCESS: i64 = 512 * 1024;
/// What is forgiven in a tick, in bytes. A client that pings every second says a tenth of it.
const FORGIVEN: i64 = 256;
/// How long it counts as new that something is there to be taken, in ticks.
const NEW: u32 = 2;
/// How long a newcomer may take to say something before another may have the place, and how long whoever was just answered.
const GRACE: Duration = Duration::from_millis(5);
const BUSY: Duration = Duration::from_millis(40);
/// What the head of one request may have taken.
const HEAD: i64 = super::MAX_HEAD as i64;

/// What a connection has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// Nothing.
    Stay,
    /// To finish what it has begun, and to take nothing new.
    Finish,
    /// To make room: to end now if it waits for the other side, and to finish if gizad has begun to work for it meanwhile.
    Leave,
    /// To end now.
    End,
}

/// How long a connection may be about one thing, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Saying who it is and what it wants.
    pub(super) head: u32,
    /// Wanting nothing.
    pub(super) idle: u32,
    /// Not taking the answer that is there.
    pub(super) write: u32,
    /// Waiting for the other side when it was asked to finish.
    pub(super) linger: u32,
}

/// Where a call waits for the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its body is not here whole.
    Arriving,
    /// Its answer is not gone.
    Leaving,
}

/// Of one connection.
pub(super) struct Pulse {
    begun: Instant,
    clock: Arc<AtomicU32>,
    /// When it began to be about what it is about.
    since: AtomicU32,
    /// Whether a head is on its way, as it is before the first.
    arriving: AtomicBool,
    is_http2: AtomicBool,
    /// Whether any call of it was ever answered, and how long after its beginning the last one was, in microseconds.
    served: AtomicBool,
    answered: AtomicU64,
    /// Calls whose head is here and whose answer is not gone.
    open: AtomicU32,
    /// Those among them that wait for the other side.
    bodies: AtomicU32,
    leaving: AtomicU32,
    /// Answers, or pieces of them, that the other side has not yet made room for; and since when none was taken.
    offered: AtomicU32,
    stalled: AtomicU32,
    /// Since when the system takes no bytes for it, one tick later; 0 if it does.
    blocked: AtomicU32,
    /// What it has sent beside heads and bodies, in bytes.
    excess: AtomicI64,
    order: AtomicU8,
    displaced: AtomicBool,
    /// For how many ticks it has waited for the other side since it was asked to finish.
    lingered: AtomicU32,
    waker: AtomicWaker,
}

impl Pulse {
    pub(super) fn new(clock: Arc<AtomicU32>) -> Self {
        let now = clock.load(Relaxed);
        Self {
            begun: ambient::instant(),
            clock,
            since: AtomicU32::new(now),
            arriving: AtomicBool::new(true),
            is_http2: AtomicBool::new(false),
            served: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            open: AtomicU32::new(0),
            bodies: AtomicU32::new(0),
            leaving: AtomicU32::new(0),
            offered: AtomicU32::new(0),
            stalled: AtomicU32::new(0),
            blocked: AtomicU32::new(0),
            excess: AtomicI64::new(0),
            order: AtomicU8::new(Order::Stay as u8),
            displaced: AtomicBool::new(false),
            lingered: AtomicU32::new(0),
            waker: AtomicWaker::new(),
        }
    }

    fn now(&self) -> u32 {
        self.clock.load(Relaxed)
    }

    /// It has said so many bytes.
    pub(super) fn read(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let more = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.excess.fetch_add(more, Relaxed).saturating_add(more) > MAX_EXCESS {
            self.tell(Order::End);
        }
        let is_silent = self.open.load(Relaxed) == 0 && !self.arriving.load(Relaxed);
        if is_silent && !self.is_http2.load(Relaxed) {
            self.arriving.store(true, Relaxed);
            self.since.store(self.now(), Relaxed);
        }
    }

    /// It speaks HTTP/2, where a byte says nothing of a head, and may rest from the start.
    pub(super) fn speaks_http2(&self) {
        self.is_http2.store(true, Relaxed);
        self.arriving.store(false, Relaxed);
        self.since.store(self.now(), Relaxed);
    }

    /// Whether it is known to speak HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Relaxed)
    }

    /// The head of a call is here.
    pub(super) fn begins(&self) {
        self.open.fetch_add(1, Relaxed);
        self.arriving.store(false, Relaxed);
        self.since.store(self.now(), Relaxed);
        self.excuse(HEAD);
    }

    /// So many bytes belonged to something.
    pub(super) fn excuse(&self, bytes: i64) {
        let excess = self.excess.load(Relaxed);
        if excess > 0 {
            self.excess.fetch_sub(bytes.min(excess), Relaxed);
        }
    }

    /// A call waits for the other side from now on.
    pub(super) fn enters(&self, stage: Stage) {
        self.at(stage).fetch_add(1, Relaxed);
    }

    /// It does no longer.
    pub(super) fn leaves(&self, stage: Stage) {
        self.at(stage).fetch_sub(1, Relaxed);
    }

    fn at(&self, stage: Stage) -> &AtomicU32 {
        match stage {
            Stage::Arriving => &self.bodies,
            Stage::Leaving => &self.leaving,
        }
    }

    /// The answer to a call is there.
    pub(super) fn serves(&self) {
        self.served.store(true, Relaxed);
        let answered = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.answered.store(answered, Relaxed);
    }

    /// That answer is gone, or will never be needed.
    pub(super) fn ends(&self) {
        self.since.store(self.now(), Relaxed);
        self.open.fetch_sub(1, Relaxed);
    }

    /// Something is there for the other side to take.
    pub(super) fn offers(&self) {
        self.since.store(self.now(), Relaxed);
        if self.offered.fetch_add(1, Relaxed) == 0 {
            self.stalled.store(self.now(), Relaxed);
        }
    }

    /// It was taken, or nobody wants it.
    pub(super) fn taken(&self) {
        self.stalled.store(self.now(), Relaxed);
        self.offered.fetch_sub(1, Relaxed);
    }

    /// Whether the system takes bytes for it.
    pub(super) fn flows(&self, does: bool) {
        if does {
            if self.blocked.load(Relaxed) != 0 {
                self.blocked.store(0, Relaxed);
            }
        } else if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.now().wrapping_add(1).max(1), Relaxed);
        }
    }

    /// The system has taken some of what it did not take before.
    pub(super) fn moves(&self) {
        if self.blocked.load(Relaxed) != 0 {
            self.blocked.store(self.now().wrapping_add(1).max(1), Relaxed);
        }
    }

    pub(super) fn tell(&self, order: Order) {
        if order == Order::Leave {
            self.displaced.store(true, Relaxed);
        }
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.waker.wake();
        }
    }

    /// What it has been told; whoever asks is woken when there is more.
    pub(super) fn told(&self, waker: &Waker) -> Order {
        self.waker.register(waker);
        self.order()
    }

    /// What it has been told.
    pub(super) fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Stay,
            1 => Order::Finish,
            2 => Order::Leave,
            _ => Order::End,
        }
    }

    /// Whether it waits for the other side, with all the calls that it has.
    pub(super) fn waits(&self) -> bool {
        let waiting = self.bodies.load(Relaxed).saturating_add(self.leaving.load(Relaxed));
        waiting >= self.open.load(Relaxed)
    }

    /// Whether it can be spared for somebody else's sake, and if so its turn in that, the smallest first.
    pub(super) fn turn(&self) -> Option<Turn> {
        if !self.waits() || self.is_leaving() {
            return None;
        }
        let since = self.since.load(Relaxed);
        let is_new = |since: u32| self.now().wrapping_sub(since) < NEW;
        // What the system does not take at once is more than a caller leaves lying; in HTTP/2 there is always something on its way.
        let is_untaken = self.blocked.load(Relaxed) != 0
            || self.offered.load(Relaxed) > 0 && !is_new(self.stalled.load(Relaxed));
        let age = self.begun.elapsed();
        let worth = if is_untaken {
            Worth::Untaken
        } else if !self.served.load(Relaxed) {
            if age < GRACE { Worth::Newcomer } else { Worth::Unknown }
        } else if age < Duration::from_micros(self.answered.load(Relaxed)) + BUSY {
            Worth::Busy
        } else {
            Worth::Idle
        };
        Some(Turn { worth, since })
    }

    /// Whether it is told to go.
    fn is_leaving(&self) -> bool {
        self.order() >= Order::Leave
    }

    /// Whether it was told to make room, whatever it was told since.
    pub(super) fn is_displaced(&self) -> bool {
        self.displaced.load(Relaxed)
    }

    /// Looks at it once a tick, and tells it what follows.
    pub(super) fn look(&self, patience: &Patience) {
        let now = self.now();
        let excess = self.excess.load(Relaxed);
        self.excess.fetch_sub(excess.clamp(0, FORGIVEN), Relaxed);
        let blocked = self.blocked.load(Relaxed);
        let stuck = blocked != 0 && now.wrapping_sub(blocked.wrapping_sub(1)) >= patience.write;
        let untaken =
            self.offered.load(Relaxed) > 0 && now.wrapping_sub(self.stalled.load(Relaxed)) >= patience.write;
        // Others may be at work in the same connection; they finish.
        if stuck || untaken && self.waits() {
            return self.tell(Order::End);
        } else if untaken {
            self.tell(Order::Finish);
        }
        if self.order() >= Order::Finish && self.waits() {
            if self.lingered.fetch_add(1, Relaxed) >= patience.linger {
                self.tell(Order::End);
            }
            return;
        }
        self.lingered.store(0, Relaxed);
        if self.open.load(Relaxed) > 0 {
            return;
        }
        let rested = now.wrapping_sub(self.since.load(Relaxed));
        if self.arriving.load(Relaxed) {
            if rested >= patience.head {
                self.tell(Order::End);
            }
        } else if rested >= patience.idle {
            self.tell(Order::Finish);
        }
    }
}

#[cfg(test)]
mod tests;
