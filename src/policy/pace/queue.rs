//! Who is next: the higher lane first, and within a lane one of each caller in turn.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::Instant;

use crate::call::{Caller, Deadline};
use crate::contract::Effect;

/// How urgent a call is. A lower lane never holds up a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Purchases, power commands and every other write.
    Write,
    /// Reads that somebody waits for.
    Read,
    /// Reads that are asked over and over, and gizad's own.
    Poll,
}

impl Lane {
    /// All of them, the most urgent first.
    pub(super) const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Poll];

    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Poll => "poll",
        }
    }

    pub(super) fn of(effect: Effect, polls: bool) -> Self {
        match effect {
            Effect::Converge | Effect::Once | Effect::Spend => Self::Write,
            Effect::Public | Effect::Read | Effect::Secret if polls => Self::Poll,
            Effect::Public | Effect::Read | Effect::Secret => Self::Read,
        }
    }
}

/// What a waiting call is told: that it is its turn, or, when the sender is dropped, that it waits in vain.
pub(super) type Turn = Receiver<()>;

/// Everyone who waits.
#[derive(Default)]
pub(super) struct Queue {
    lanes: [Line; 3],
}

/// One who waits.
struct Waiter {
    /// What it has waited for, or, dropped, that it waits in vain.
    turn: Sender<()>,
    deadline: Deadline,
}

impl Waiter {
    /// Whether nobody wants its turn any more.
    fn is_gone(&self) -> bool {
        self.turn.is_closed() || self.deadline.is_given_up()
    }
}

/// One lane.
#[derive(Default)]
struct Line {
    waiting: HashMap<Caller, VecDeque<Waiter>>,
    /// Every caller that waits, once, in the order of their turns.
    turns: VecDeque<Caller>,
}

impl Queue {
    fn line(&mut self, lane: Lane) -> &mut Line {
        let [write, read, poll] = &mut self.lanes;
        match lane {
            Lane::Write => write,
            Lane::Read => read,
            Lane::Poll => poll,
        }
    }

    /// How many wait in a lane.
    pub(super) fn waiting(&mut self, lane: Lane) -> usize {
        let line = self.line(lane);
        line.forget();
        line.waiting.values().map(VecDeque::len).sum()
    }

    /// How many will have their turn before a caller's next in this lane, as things are now.
    pub(super) fn ahead(&mut self, lane: Lane, caller: &Caller) -> usize {
        let above: usize =
            Lane::ALL.into_iter().filter(|other| *other < lane).map(|other| self.waiting(other)).sum();
        let line = self.line(lane);
        line.forget();
        let own = line.waiting.get(caller).map_or(0, VecDeque::len);
        let others = line.waiting.iter().filter(|(other, _)| *other != caller);
        above + own + others.map(|(_, waiting)| waiting.len().min(own + 1)).sum::<usize>()
    }

    /// Waits for a turn, if there are fewer than `most`. Past that, whoever has the most waiting in the least urgent
    /// lane gives up its last place to a caller with fewer.
    pub(super) fn join(
        &mut self,
        lane: Lane,
        caller: &Caller,
        deadline: Deadline,
        most: usize,
    ) -> Option<Turn> {
        let waiting: usize = Lane::ALL.into_iter().map(|lane| self.waiting(lane)).sum();
        if waiting >= most && !self.make_room(lane, caller) {
            return None;
        }
        let (sender, receiver) = channel();
        let line = self.line(lane);
        let own = line.waiting.entry(caller.clone()).or_default();
        if own.is_empty() {
            line.turns.push_back(caller.clone());
        }
        own.push_back(Waiter { turn: sender, deadline });
        Some(receiver)
    }

    fn make_room(&mut self, lane: Lane, caller: &Caller) -> bool {
        let Some(lowest) = Lane::ALL.into_iter().rev().find(|lane| self.waiting(*lane) > 0) else {
            return false;
        };
        if lowest < lane {
            return false;
        }
        let line = self.line(lowest);
        let own = line.waiting.get(caller).map_or(0, VecDeque::len);
        let Some(greedy) = line.waiting.iter().max_by_key(|(name, waiting)| (waiting.len(), *name)) else {
            return false;
        };
        if lowest == lane && greedy.1.len() <= own + 1 {
            return false;
        }
        let greedy = greedy.0.clone();
        if let Some(waiting) = line.waiting.get_mut(&greedy) {
            let _told_by_the_drop = waiting.pop_back();
        }
        line.forget();
        true
    }

    /// Sends away whoever has no time left at this moment.
    pub(super) fn dismiss(&mut self, moment: Instant) {
        for line in &mut self.lanes {
            for waiting in line.waiting.values_mut() {
                waiting.retain(|waiter| waiter.deadline.end().is_none_or(|end| end >= moment));
            }
            line.forget();
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&mut self) -> bool {
        Lane::ALL.into_iter().all(|lane| self.waiting(lane) == 0)
    }

    /// Gives the next its turn. False if nobody waits.
    pub(super) fn next(&mut self) -> bool {
        Lane::ALL.into_iter().any(|lane| self.line(lane).next())
    }
}

impl Line {
    fn next(&mut self) -> bool {
        while let Some(caller) = self.turns.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&caller) else { continue };
            let mut given = false;
            while let Some(waiter) = waiting.pop_front() {
                // Who has gone away does not take its turn.
                if !waiter.is_gone() && waiter.turn.send(()).is_ok() {
                    given = true;
                    break;
                }
            }
            if waiting.is_empty() {
                self.waiting.remove(&caller);
            } else {
                self.turns.push_back(caller);
            }
            if given {
                return true;
            }
        }
        false
    }

    /// Forgets those who have gone away.
    fn forget(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|waiter| !waiter.is_gone());
            !waiting.is_empty()
        });
        let waiting = &self.waiting;
        self.turns.retain(|caller| waiting.contains_key(caller));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::ambient;

    fn deadline() -> Deadline {
        Deadline::new(ambient::instant(), Some(Duration::from_secs(60)))
    }

    fn named(name: &str) -> Caller {
        Caller::Named(name.into())
    }

    /// Who has had its turn since the last look.
    fn served<'a>(turns: &mut Vec<(&'a str, Turn)>) -> Vec<&'a str> {
        let (done, waiting) = std::mem::take(turns).into_iter().partition::<Vec<_>, _>(|(_, turn)| {
            // A turn that was given is readable at once.
            !turn.is_empty()
        });
        *turns = waiting;
        done.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_higher_lane_goes_first_and_callers_take_turns() {
        let mut queue = Queue::default();
        let mut turns = Vec::new();
        for (name, lane) in
            [("a", Lane::Poll), ("a", Lane::Read), ("a", Lane::Read), ("a", Lane::Read), ("b", Lane::Read)]
        {
            turns.push((name, queue.join(lane, &named(name), deadline(), 10).expect("room")));
        }
        assert_eq!(queue.ahead(Lane::Read, &named("c")), 2, "one of each of the other two");
        assert_eq!(queue.ahead(Lane::Read, &named("b")), 3);
        assert_eq!(queue.ahead(Lane::Poll, &named("b")), 5);
        turns.push(("w", queue.join(Lane::Write, &named("w"), deadline(), 10).expect("room")));
        let mut order = Vec::new();
        while queue.next() {
            order.extend(served(&mut turns));
        }
        assert_eq!(order, ["w", "a", "b", "a", "a", "a"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_has_gone_away_takes_no_turn_and_no_place() {
        let mut queue = Queue::default();
        let gone = queue.join(Lane::Read, &named("a"), deadline(), 1);
        drop(gone);
        let turn = queue.join(Lane::Read, &named("b"), deadline(), 1).expect("the place is free again");
        assert!(queue.next() && !turn.is_empty());
        assert!(!queue.next());
        // Its task may still wait, for a caller that was answered long ago.
        let given_up = deadline();
        let _turn = queue.join(Lane::Read, &named("a"), given_up.clone(), 2);
        assert!(given_up.give_up());
        assert!(!queue.next() && queue.is_empty());
    }

    #[test]
    fn who_has_no_time_for_a_pause_is_sent_away() {
        let mut queue = Queue::default();
        let mut short = queue.join(Lane::Write, &named("a"), deadline(), 9).expect("room");
        let long = Deadline::new(ambient::instant(), Some(Duration::from_secs(600)));
        let long = queue.join(Lane::Write, &named("a"), long, 9).expect("room");
        queue.dismiss(ambient::instant() + Duration::from_secs(300));
        assert_eq!(short.try_recv(), Err(TryRecvError::Closed));
        assert!(queue.next() && !long.is_empty() && !queue.next());
    }

    #[test]
    fn a_full_queue_makes_room_for_the_more_urgent_and_for_who_has_less() {
        let mut queue = Queue::default();
        let join = |queue: &mut Queue, lane, name, most| queue.join(lane, &named(name), deadline(), most);
        let mut greedy: Vec<Turn> =
            (0..3).map(|_| join(&mut queue, Lane::Read, "greedy", 3).expect("room")).collect();
        assert!(join(&mut queue, Lane::Read, "greedy", 3).is_none(), "not for itself");
        let modest = join(&mut queue, Lane::Read, "modest", 3).expect("room was made");
        let last = greedy.last_mut().expect("three").try_recv();
        assert_eq!(last, Err(TryRecvError::Closed), "by the last of who has most");
        assert!(join(&mut queue, Lane::Poll, "poller", 3).is_none(), "not for who can wait");
        let write = join(&mut queue, Lane::Write, "greedy", 3).expect("room was made");
        assert!(queue.next() && !write.is_empty() && modest.is_empty());
        let writes = ["w", "x"].map(|name| join(&mut queue, Lane::Write, name, 2));
        assert!(writes.iter().all(Option::is_some));
        assert!(join(&mut queue, Lane::Write, "y", 2).is_none(), "all that wait are as urgent");
    }
}
