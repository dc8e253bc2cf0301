//! Who may be here at once, in all and from one peer; and who has to go when there is no place left.
//!
//! A newcomer is worth more than somebody who waits: of those for whom gizad does not work, one goes (`pulse` says in which
//! order). So neither silence nor slowness keeps anybody out, and what is being worked at is never given up.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnv::FnvHashMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Limits;
use super::pulse::{Order, Patience, Pulse};
use super::worth::Worth;
use crate::ambient;

/// How often everybody is looked at, unless a limit is shorter than four times this.
const TICK: Duration = Duration::from_millis(250);
/// How many may be on their way out, and how many newcomers may wait for a place, beside those that there are places for.
pub const SPARE: usize = 16;
/// How long a newcomer waits for a place, and how often it looks again.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(5);
/// How long somebody who was asked to finish may wait for the other side.
const LINGER: Duration = Duration::from_secs(5);
/// How long a connection of HTTP/1 that rests may still bring a call once gizad stops: what its client sent before it could know
/// is answered, and told that it was the last.
const LAST: Duration = Duration::from_millis(250);
/// After how many ticks it is said again that somebody had to go.
const SAID_AGAIN: u32 = 40;

/// Whose a connection is, as far as places go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    /// An address, or the network of one: whoever has one address of IPv6 has 2⁶⁴ (RFC 4291, section 2.5.4).
    Address(IpAddr),
    /// A user of this machine.
    User(u32),
}

impl Peer {
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The places of some listeners.
pub struct Places {
    limits: Limits,
    patience: Patience,
    tick: Duration,
    clock: Arc<AtomicU32>,
    here: Mutex<Here>,
    /// Somebody has gone.
    gone: Notify,
    staying: TaskTracker,
    waiting: Arc<Semaphore>,
    /// Every answer is the last of its connection.
    closing: AtomicBool,
    /// Whoever rests has to go.
    ending: AtomicBool,
    /// How many had to go for somebody else, and how many newcomers found no place.
    displaced: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Here {
    next: u64,
    all: FnvHashMap<u64, (Peer, Arc<Pulse>)>,
    of: FnvHashMap<Peer, Count>,
    /// How many were asked to make room and have not gone yet.
    leaving: usize,
}

/// Of one peer.
#[derive(Default)]
struct Count {
    all: usize,
    leaving: usize,
}

/// One place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    pub(super) pulse: Arc<Pulse>,
    _staying: TaskTrackerToken,
}

impl Places {
    /// All of them free.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let shortest = limits.head_timeout.min(limits.idle_timeout).min(limits.write_timeout);
        let tick = TICK.min(shortest / 4).max(Duration::from_millis(1));
        // One more than fits, because the first is cut short.
        let ticks = |time: Duration| {
            u32::try_from(time.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u32::MAX / 2).saturating_add(1)
        };
        let patience = Patience {
            head: ticks(limits.head_timeout),
            idle: ticks(limits.idle_timeout),
            write: ticks(limits.write_timeout),
            linger: ticks(limits.write_timeout.min(LINGER)),
        };
        Self {
            limits,
            patience,
            tick,
            clock: Arc::default(),
            here: Mutex::default(),
            gone: Notify::new(),
            staying: TaskTracker::new(),
            waiting: Arc::new(Semaphore::new(SPARE)),
            closing: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            displaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// What there is for a newcomer: a place, or a chance of one; nothing if it is to be turned away. One peer that has all that it
    /// may have keeps nobody else waiting; if all is taken, this waits until fewer wait.
    pub(super) async fn receive(self: &Arc<Self>, peer: Peer) -> Option<Entry> {
        let full = match self.try_enter(peer) {
            Ok(place) => return Some(Entry::Place(place)),
            Err(full) => full,
        };
        let chance = match (self.waiting.clone().try_acquire_owned(), full) {
            (Ok(chance), _) => Some(chance),
            (Err(_), Full::All) => self.waiting.clone().acquire_owned().await.ok(),
            (Err(_), Full::Peer) => None,
        };
        if chance.is_none() {
            self.refused.fetch_add(1, Relaxed);
        }
        Some(Entry::Chance(self.clone(), peer, chance?))
    }

    /// A place for a newcomer. If there is none, and somebody can be spared, that one goes and the newcomer has its place at once.
    fn try_enter(self: &Arc<Self>, peer: Peer) -> Result<Place, Full> {
        let mut here = self.here();
        let (all, own) = (here.staying(None), here.staying(Some(peer)));
        if all >= self.limits.connections {
            self.displace(&mut here, None).ok_or(Full::All)?;
        } else if own >= self.limits.connections_per_peer {
            self.displace(&mut here, Some(peer)).ok_or(Full::Peer)?;
        }
        let number = here.next;
        here.next = number.wrapping_add(1);
        let pulse = Arc::new(Pulse::new(self.clock.clone()));
        here.all.insert(number, (peer, pulse.clone()));
        here.of.entry(peer).or_default().all += 1;
        if self.ending.load(Relaxed) {
            pulse.tell(Order::Finish);
        }
        Ok(Place { places: self.clone(), number, pulse, _staying: self.staying.token() })
    }

    /// A place for a newcomer within a moment, or none.
    async fn enter(self: &Arc<Self>, peer: Peer) -> Option<Place> {
        let until = ambient::instant() + PATIENCE;
        loop {
            match self.try_enter(peer) {
                Ok(place) => return Some(place),
                // Somebody who can be spared by then is as good as somebody who has gone.
                Err(_) if ambient::instant() < until => drop(timeout(AGAIN, self.gone.notified()).await),
                Err(_) => {
                    self.refused.fetch_add(1, Relaxed);
                    return None;
                }
            }
        }
    }

    /// Has one make room that can be spared, of a peer or of all; nothing if there is none, or if too many have been asked to and
    /// are still there.
    fn displace(&self, here: &mut Here, of: Option<Peer>) -> Option<()> {
        if here.leaving >= SPARE {
            return None;
        }
        let those = here.all.iter().filter(|(_, (peer, _))| of.is_none_or(|of| of == *peer));
        // Of two that came to the same tick, the older one.
        let turn = |(number, (_, pulse)): (&u64, &(Peer, Arc<Pulse>))| Some((pulse.turn()?, *number));
        let (turn, number) = those.filter_map(turn).min()?;
        if matches!(turn.worth, Worth::Newcomer | Worth::Busy) {
            return None;
        }
        let (peer, pulse) = here.all.get(&number)?;
        pulse.tell(Order::Leave);
        here.of.entry(*peer).or_default().leaving += 1;
        here.leaving += 1;
        self.displaced.fetch_add(1, Relaxed);
        Some(())
    }

    /// Looks after everybody's time, for ever.
    pub async fn watch(&self) {
        let (mut quiet_until, mut said) = (0, (0, 0));
        loop {
            sleep(self.tick).await;
            let now = self.clock.fetch_add(1, Relaxed).wrapping_add(1);
            for (_, pulse) in self.here().all.values() {
                pulse.look(&self.patience);
            }
            let gone = (self.displaced.load(Relaxed), self.refused.load(Relaxed));
            if gone != said && now >= quiet_until {
                let (displaced, refused) = (gone.0 - said.0, gone.1 - said.1);
                tracing::warn!(
                    displaced,
                    refused,
                    "connections were asked to go, or turned away, because there was no place left"
                );
                (quiet_until, said) = (now.saturating_add(SAID_AGAIN), gone);
            }
        }
    }

    /// Lets everybody finish, and waits until nobody is left, however long that takes. HTTP/2 has a word for it (GOAWAY) that
    /// loses nothing; a connection of HTTP/1 is told so with an answer, if it asks for one soon.
    pub(super) async fn close(&self) {
        self.closing.store(true, Relaxed);
        for (_, pulse) in self.here().all.values().filter(|(_, pulse)| pulse.is_http2()) {
            pulse.tell(Order::Finish);
        }
        self.staying.close();
        if timeout(LAST, self.staying.wait()).await.is_ok() {
            return;
        }
        self.ending.store(true, Relaxed);
        for (_, pulse) in self.here().all.values() {
            pulse.tell(Order::Finish);
        }
        self.staying.wait().await;
    }

    /// Whether what is answered now is the last of its connection.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is for a newcomer.
pub(super) enum Entry {
    /// A place.
    Place(Place),
    /// The chance of one, beside those few who wait for theirs.
    Chance(Arc<Places>, Peer, OwnedSemaphorePermit),
}

impl Entry {
    /// The place, unless there is none within a moment.
    pub(super) async fn place(self) -> Option<Place> {
        match self {
            Self::Place(place) => Some(place),
            Self::Chance(places, peer, _until_then) => places.enter(peer).await,
        }
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// Nobody can be spared.
    All,
    /// Nobody of this peer can be.
    Peer,
}

impl Here {
    /// How many there are, of a peer or of all, without those that were asked to go.
    fn staying(&self, of: Option<Peer>) -> usize {
        match of {
            None => self.all.len().saturating_sub(self.leaving),
            Some(peer) => self.of.get(&peer).map_or(0, |count| count.all.saturating_sub(count.leaving)),
        }
    }

    fn remove(&mut self, number: u64) {
        let Some((peer, pulse)) = self.all.remove(&number) else { return };
        // Only who makes room is told so before it is gone.
        let leaving = usize::from(pulse.is_displaced());
        self.leaving = self.leaving.saturating_sub(leaving);
        if let Some(count) = self.of.get_mut(&peer) {
            count.all = count.all.saturating_sub(1);
            count.leaving = count.leaving.saturating_sub(leaving);
            if count.all == 0 {
                self.of.remove(&peer);
            }
        }
    }
}

impl Place {
    /// What it is one of.
    pub(super) fn standing(&self) -> Arc<Places> {
        self.places.clone()
    }

    /// Streams that its connection may have at once.
    pub(super) fn streams(&self) -> u32 {
        self.places.limits.streams
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.here().remove(self.number);
        self.places.gone.notify_one();
    }
}

#[cfg(test)]
mod tests;
