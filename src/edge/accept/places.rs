//! Who may be here at once, in all and from one peer; and who has to go when there is no place left.
//!
//! A newcomer is worth more than somebody who waits: of those for whom gizad does not work, one goes (`pulse` says in which
//! order). So neither silence nor slowness keeps anybody out, and what is being worked at is never given up.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fnv::FnvHashMap;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Limits;
use super::pulse::{GRACE, Order, Patience, Pulse, Worth};

/// How often everybody is looked at, unless a limit is shorter than four times this.
const TICK: Duration = Duration::from_millis(250);
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
    closing: AtomicBool,
    /// How many had to go for somebody else, and how many newcomers found no place.
    displaced: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Here {
    next: u64,
    all: FnvHashMap<u64, (Peer, Arc<Pulse>)>,
    of: FnvHashMap<Peer, usize>,
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
        };
        Self {
            limits,
            patience,
            tick,
            clock: Arc::default(),
            here: Mutex::default(),
            gone: Notify::new(),
            staying: TaskTracker::new(),
            closing: AtomicBool::new(false),
            displaced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A place for a newcomer, as soon as there is one; nothing if its peer has all that it may have, and gizad works for all of
    /// them.
    pub(super) async fn enter(self: &Arc<Self>, peer: Peer) -> Option<Place> {
        loop {
            match self.try_enter(peer) {
                Ok(place) => return Some(place),
                Err(Full::Refused) => {
                    self.refused.fetch_add(1, Relaxed);
                    return None;
                }
                // Somebody who can be spared by then is as good as somebody who has gone.
                Err(Full::Waiting) => drop(timeout(GRACE / 2, self.gone.notified()).await),
            }
        }
    }

    fn try_enter(self: &Arc<Self>, peer: Peer) -> Result<Place, Full> {
        let mut here = self.here();
        let its_own = here.of.get(&peer).is_some_and(|count| *count >= self.limits.connections_per_peer);
        if its_own {
            let leaving = self.displace(&here, Some(peer));
            return Err(if leaving { Full::Waiting } else { Full::Refused });
        }
        if here.all.len() >= self.limits.connections {
            self.displace(&here, None);
            return Err(Full::Waiting);
        }
        let number = here.next;
        here.next = number.wrapping_add(1);
        let pulse = Arc::new(Pulse::new(self.clock.clone()));
        here.all.insert(number, (peer, pulse.clone()));
        *here.of.entry(peer).or_default() += 1;
        if self.closing.load(Relaxed) {
            pulse.tell(Order::Finish);
        }
        Ok(Place { places: self.clone(), number, pulse, _staying: self.staying.token() })
    }

    /// Has one make room that can be spared, of a peer or of all; says whether one will, or can soon be asked to.
    fn displace(&self, here: &Here, of: Option<Peer>) -> bool {
        let those = || here.all.iter().filter(|(_, (peer, _))| of.is_none_or(|of| of == *peer));
        // Of two that came to the same tick, the older one.
        let turn = |(number, (_, pulse)): (&u64, &(Peer, Arc<Pulse>))| Some((pulse.turn()?, *number));
        match those().filter_map(turn).min() {
            // Whoever was not spared for it might have been a caller.
            Some((turn, _)) if matches!(turn.worth, Worth::Newcomer | Worth::Busy) => true,
            Some((_, number)) => {
                self.displaced.fetch_add(1, Relaxed);
                here.all.get(&number).inspect(|(_, pulse)| pulse.tell(Order::Leave)).is_some()
            }
            None => those().any(|(_, (_, pulse))| pulse.is_leaving()),
        }
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
                tracing::warn!(displaced, refused, "connections had to go, because there was no place left");
                (quiet_until, said) = (now.saturating_add(SAID_AGAIN), gone);
            }
        }
    }

    /// Lets everybody finish, and waits until nobody is left, however long that takes.
    pub(super) async fn close(&self) {
        self.closing.store(true, Relaxed);
        for (_, pulse) in self.here().all.values() {
            pulse.tell(Order::Finish);
        }
        self.staying.close();
        self.staying.wait().await;
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
enum Full {
    /// There will be one.
    Waiting,
    /// Nobody of this peer can be spared.
    Refused,
}

impl Here {
    fn remove(&mut self, number: u64) {
        let Some((peer, _)) = self.all.remove(&number) else { return };
        if let Some(count) = self.of.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&peer);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.here().remove(self.number);
        self.places.gone.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    fn places(connections: usize, connections_per_peer: usize) -> Arc<Places> {
        let minute = Duration::from_secs(60);
        Arc::new(Places::new(Limits {
            connections,
            connections_per_peer,
            head_timeout: minute,
            idle_timeout: minute,
            write_timeout: minute,
        }))
    }

    fn is_told(place: &Place, order: Order) -> bool {
        place.pulse.told(std::task::Waker::noop()) == order
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_displace_those_who_wait_and_never_those_who_are_worked_for() {
        let places = places(3, 3);
        let (one, two) = (Peer::User(1), Peer::User(2));
        let busy = places.try_enter(one).expect("a place");
        busy.pulse.begins();
        let served = places.try_enter(one).expect("a place");
        served.pulse.begins();
        served.pulse.ends();
        let silent = places.try_enter(one).expect("a place");
        assert_eq!(places.try_enter(two).err(), Some(Full::Waiting));
        assert!(is_told(&silent, Order::Stay), "it has only just come");
        sleep(GRACE).await;
        assert_eq!(places.try_enter(two).err(), Some(Full::Waiting));
        let told = [&silent, &served, &busy].map(|place| place.pulse.told(std::task::Waker::noop()));
        assert_eq!(told, [Order::Leave, Order::Stay, Order::Stay]);
        drop(silent);
        let other = places.try_enter(two).expect("that of the silent one");
        other.pulse.begins();
        assert_eq!(places.try_enter(two).err(), Some(Full::Waiting));
        assert!(is_told(&served, Order::Leave));
        assert_eq!(places.try_enter(two).err(), Some(Full::Waiting), "nobody else can be spared");
        assert!(is_told(&busy, Order::Stay) && is_told(&other, Order::Stay));
        drop(busy);
        assert!(places.try_enter(two).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_all_its_places_displaces_only_itself() {
        let places = places(100, 2);
        let (one, two) = (Peer::User(1), Peer::User(2));
        let other = places.try_enter(two).expect("a place");
        let busy = places.try_enter(one).expect("a place");
        busy.pulse.begins();
        let silent = places.try_enter(one).expect("a place");
        sleep(GRACE).await;
        for _ in 0..2 {
            assert_eq!(places.try_enter(one).err(), Some(Full::Waiting), "the silent one is on its way");
        }
        assert!(is_told(&silent, Order::Leave) && is_told(&other, Order::Stay));
        drop(silent);
        let next = places.enter(one).await.expect("its place");
        next.pulse.begins();
        assert!(places.enter(one).await.is_none(), "all are at work");
        drop(busy);
        assert!(places.enter(one).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_all_at_work_waits_for_one_to_be_done() {
        let places = places(1, 1);
        let busy = places.try_enter(Peer::User(1)).expect("a place");
        busy.pulse.begins();
        let (waiting, ()) = tokio::join!(places.enter(Peer::User(2)), async {
            sleep(Duration::from_secs(5)).await;
            busy.pulse.ends();
            poll_fn(|cx| match busy.pulse.told(cx.waker()) {
                Order::Leave => Poll::Ready(()),
                Order::Stay | Order::Finish | Order::End => Poll::Pending,
            })
            .await;
            drop(busy);
        });
        assert!(waiting.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_waits_for_everybody_and_newcomers_are_told() {
        let places = places(2, 2);
        let here = places.try_enter(Peer::User(1)).expect("a place");
        let closing = tokio::join!(timeout(Duration::from_secs(9), places.close()), async {
            assert!(is_told(&here, Order::Finish));
            let late = places.try_enter(Peer::User(1)).expect("a place");
            assert!(is_told(&late, Order::Finish));
            drop((here, late));
        });
        assert!(closing.0.is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let at = |text: &str| Peer::at(text.parse().expect("an address"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }
}
