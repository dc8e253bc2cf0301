//! The share of the account's rate that a replica may use at a moment, also when nobody has told it anything for long: a function
//! of its own clock, which only ever measures how much time has passed.
//!
//! Absent here: a task that would have to run for a lease to end. Whoever is about to send something asks, and is told what is
//! true at that moment, whatever the process has slept through.

use std::time::Duration;

use tokio::time::Instant;

use super::division::even;
use super::planted;

/// How long a replica is believed to use the share that it has said.
pub const LASTS: Duration = Duration::from_secs(3);
/// What two clocks may differ by in how they measure twice that time, the server's being set included.
const MARGIN: Duration = Duration::from_secs(1);

/// What may be used.
#[derive(Clone, Debug)]
pub struct Lease {
    most: u32,
    share: u64,
    held: Option<Held>,
}

/// What follows a grant when no other does.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The share ends; what is left is an even one at most.
    ends: Instant,
    /// All others have noticed, or what they were granted has ended as well: it may be an even one.
    rises: Instant,
}

/// How a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has no place among the others, and uses nothing.
    Outside,
    /// It has a share.
    Held,
    /// It has heard nothing for so long that it uses an even share, or less.
    Alone {
        /// Since when.
        since: Instant,
    },
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Held => "held",
            Self::Alone { .. } => "alone",
        }
    }
}

impl Lease {
    /// Nothing yet, of an account that has so many replicas at most.
    #[must_use]
    pub fn none(most: u32) -> Self {
        Self { most, share: 0, held: None }
    }

    /// The share that may be used at a moment.
    #[must_use]
    pub fn share(&self, now: Instant) -> u64 {
        let even = even(self.most);
        match self.held {
            None => 0,
            Some(held) if now < held.ends || planted!(LeaseForEver) => self.share,
            Some(_) if planted!(EvenAtOnce) => even,
            Some(held) if now < held.rises && planted!(EndKeepsTheShare) => self.share,
            Some(held) if now < held.rises => self.share.min(even),
            Some(_) => even,
        }
    }

    /// The next moment after this one at which that changes by itself.
    #[must_use]
    pub fn turn(&self, after: Instant) -> Option<Instant> {
        let Held { ends, rises } = self.held?;
        [ends, rises].into_iter().filter(|turn| *turn > after).min()
    }

    /// How it stands at a moment.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        match self.held {
            None => Standing::Outside,
            Some(held) if now < held.ends => Standing::Held,
            Some(held) => Standing::Alone { since: held.ends },
        }
    }

    /// No more than this is used from now on. Others are about to be told, on the ground of what was heard at a moment; from then
    /// on they may believe it for as long as a lease lasts, whether or not this replica hears that they were.
    pub fn prepare(&mut self, most: u64, now: Instant, heard: Instant) {
        self.share = self.share(now).min(most);
        if let Some(held) = &mut self.held
            && !planted!(RiseFromTheLastAnswer)
        {
            held.rises = held.rises.max(heard + LASTS * 2 + MARGIN);
        }
    }

    /// A share was granted on the ground of what was asked for at one moment and heard at another.
    pub fn grant(&mut self, share: u64, asked: Instant, heard: Instant) {
        let from = if planted!(LeaseFromTheAnswer) { heard + LASTS } else { asked };
        let ends = from + LASTS;
        let rises = heard + LASTS * 2 + MARGIN;
        self.held = Some(Held { ends, rises });
        self.share = share;
    }

    /// Nothing is used from now on.
    pub fn lose(&mut self) {
        *self = Self::none(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;
    use crate::shared::division::ALL;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_share_ends_before_others_may_believe_that_it_has_and_an_even_one_begins_when_they_all_must() {
        let begun = ambient::instant();
        let mut lease = Lease::none(4);
        assert_eq!(
            (lease.share(begun), lease.standing(begun), lease.turn(begun)),
            (0, Standing::Outside, None)
        );
        let (asked, heard) = (begun + SECOND, begun + SECOND * 2);
        for (share, meanwhile) in [(ALL / 2, ALL / 4), (ALL / 100, ALL / 100)] {
            lease.grant(share, asked, heard);
            let (ends, rises) = (asked + LASTS, heard + LASTS * 2 + MARGIN);
            let just = |moment: Instant| moment - Duration::from_nanos(1);
            assert_eq!([lease.share(just(ends)), lease.share(ends)], [share, meanwhile]);
            assert_eq!([lease.share(just(rises)), lease.share(rises)], [meanwhile, ALL / 4]);
            assert_eq!((lease.turn(asked), lease.turn(ends)), (Some(ends), Some(rises)));
            assert_eq!(lease.standing(rises), Standing::Alone { since: ends });
            let later = rises + SECOND * 86_400 * 30;
            assert_eq!((lease.turn(rises), lease.share(later)), (None, ALL / 4), "however long it takes");
        }
    }

    /// What was asked for and not answered may have been done: others may believe in a small share for as long.
    #[test]
    fn what_others_may_believe_is_waited_for() {
        let begun = ambient::instant();
        let mut lease = Lease::none(4);
        lease.grant(ALL / 2, begun, begun);
        let late = begun + SECOND * 60;
        assert_eq!(lease.share(late), ALL / 4);
        lease.prepare(ALL / 100, late, late);
        assert_eq!(lease.share(late + LASTS * 2), ALL / 100);
        assert_eq!(lease.share(late + LASTS * 2 + MARGIN), ALL / 4);
        lease.lose();
        assert_eq!(lease.share(late), 0);
    }
}
