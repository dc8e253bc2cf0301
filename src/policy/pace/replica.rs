//! What one of several replicas knows of its part of the pace: the lease it holds, what it has used lately, and what it has
//! learned of the provider and not told the others yet.
//!
//! Absent here: the others, and how they are told.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Flow;
use super::estimate::Estimate;
use super::shown::{Alive, Replicas};
use crate::policy::meter::Rate;
use crate::shared::division::{ALL, even, floor};
use crate::shared::lease::{Lease, Standing};
use crate::shared::planted;
use crate::shared::renewal::{Account, Needs, View};

/// How soon calls that wait should have passed, in seconds.
const SOON: f64 = 0.2;
/// Calls that wait no longer than this as things are need nothing of others.
const A_MOMENT: Duration = Duration::from_millis(50);
/// The last calls count for what comes now, so many of them, or all that came in so many seconds if these are more.
const LAST: f64 = 16.0;
const WHILE: f64 = 0.5;
/// Where calls come at random moments, there are seldom fewer in a time than usual by so many, and as many times the root of what
/// there are.
const DOUBT: f64 = 3.0;
/// Calls that are further apart count as if they were not, in seconds.
const APART: f64 = 10.0;
/// How soon it is forgotten what came lately, in seconds.
const LATELY: f64 = 2.0;
/// As many complaints are remembered until the others can be told: after so many the rate is the least there is.
const COMPLAINTS: usize = 16;

/// How often calls come.
struct Calls {
    /// The time between two, lately counted, in seconds.
    between: f64,
    /// How many a second there were lately.
    lately: f64,
    /// When the last ones came, the last first.
    at: VecDeque<Instant>,
}

impl Calls {
    fn new(now: Instant) -> Self {
        Self { between: APART, lately: 0.0, at: VecDeque::from([now]) }
    }

    fn since(&self, now: Instant) -> f64 {
        self.at.front().map_or(0.0, |at| now.saturating_duration_since(*at).as_secs_f64())
    }

    fn lately(&self, now: Instant) -> f64 {
        self.lately * (-self.since(now) / LATELY).exp()
    }

    /// As many a second as come now.
    fn now(&self, now: Instant) -> f64 {
        (1.0 / self.between).min(self.most(now))
    }

    /// More than so many a second do not come, since so few have: that they have stopped to come is soon known, too.
    fn most(&self, now: Instant) -> f64 {
        let few = self.at.iter().zip(0_u32..).map(|(at, calls)| {
            let calls = f64::from(calls);
            (calls + DOUBT * (1.0 + calls.sqrt())) / now.saturating_duration_since(*at).as_secs_f64()
        });
        few.fold(f64::INFINITY, f64::min)
    }

    fn note(&mut self, now: Instant) {
        self.lately = self.lately(now) + 1.0 / LATELY;
        let weight = (self.between / WHILE).min(1.0 / LAST);
        self.between += (self.since(now).min(APART) - self.between) * weight;
        self.at.push_front(now);
        self.at.truncate(LAST as usize);
        self.between = self.between.max(1.0 / self.most(now)).min(APART);
    }
}

/// One of several.
pub(super) struct Replica {
    pub(super) most: u32,
    pub(super) lease: Lease,
    /// The share it gets if calls wait, as the others were when they were seen last.
    hope: u64,
    calls: Calls,
    /// What the others were told is wanted, if calls wait.
    pub(super) waits: Option<u64>,
    /// Others wait for what it has, as far as it knows.
    pub(super) is_wanted: bool,
    /// Complaints that the others were not told of: when each call left, and when it came back.
    pub(super) complaints: Vec<(Instant, Instant)>,
    /// A pause that the others were not told of.
    pub(super) pause: Option<Instant>,
    /// What is known of the account.
    pub(super) account: Option<Account>,
    /// When it came, by the server's clock.
    pub(super) came_ms: Option<i64>,
    /// The others, as they were seen last, and when that was.
    pub(super) seen: Option<(View, Instant)>,
    /// Of these somebody has said that they are gone for good, and their rows are still there.
    pub(super) dead: BTreeSet<String>,
    /// It has said farewell.
    pub(super) has_left: bool,
}

impl Replica {
    /// One that has no place yet.
    pub(super) fn new(most: u32, now: Instant) -> Self {
        Self {
            most,
            lease: Lease::none(most),
            hope: even(most),
            calls: Calls::new(now),
            waits: None,
            is_wanted: false,
            complaints: Vec::new(),
            pause: None,
            account: None,
            came_ms: None,
            seen: None,
            dead: BTreeSet::new(),
            has_left: false,
        }
    }

    /// A call came.
    pub(super) fn note(&mut self, now: Instant) {
        self.calls.note(now);
    }

    /// Its part of the account's rate at a moment.
    pub(super) fn flow(&self, rate: Rate, now: Instant) -> Flow {
        self.part(rate, self.lease.share(now))
    }

    /// The part of the account's rate that a call may count on which has to wait: the others are told, and give it what it may have.
    pub(super) fn hope(&self, rate: Rate, now: Instant) -> Flow {
        let hope = if self.has_left { 0 } else { self.hope };
        self.part(rate, self.lease.share(now).max(hope))
    }

    /// The rates of all shares make the whole rate, and their bursts never more than the whole burst.
    fn part(&self, rate: Rate, share: u64) -> Flow {
        if share == 0 {
            return Flow::NONE;
        }
        let whole = Flow::of(rate);
        let beyond = u64::from(whole.burst.saturating_sub(self.most));
        let part = beyond.saturating_mul(share).checked_div(ALL).unwrap_or(0);
        let burst = u32::try_from(part).unwrap_or(u32::MAX).saturating_add(1);
        let burst = if planted!(BurstOfEach) { whole.burst } else { burst };
        Flow { per_second: whole.per_second * (share as f64 / ALL as f64), burst }
    }

    /// What it needs, for so many that wait and with so many calls that may pass at once.
    pub(super) fn needs(&self, rate: Rate, waiting: usize, at_once: f64, now: Instant) -> Needs {
        let (just_now, lately) = (self.calls.now(now), self.calls.lately(now));
        // What is there is used before it overflows: others may have what comes meanwhile.
        let spare = (at_once - f64::from(self.flow(rate, now).burst) / 2.0).max(0.0);
        let without = just_now - (spare / WHILE).min(just_now / 2.0);
        Needs {
            used: self.lease.share(now),
            waits: self.lacking(rate, waiting, now),
            lately: of_the_rate(just_now.max(lately), rate),
            now: of_the_rate(without, rate),
        }
    }

    /// What would let so many pass soon, if what there is does not.
    fn lacking(&self, rate: Rate, waiting: usize, now: Instant) -> u64 {
        let waiting = waiting as f64;
        if self.flow(rate, now).time(waiting) <= A_MOMENT { 0 } else { of_the_rate(waiting / SOON, rate) }
    }

    /// Whether so much of what it has is not needed that it is worth telling.
    pub(super) fn has_spare(&self, needs: Needs) -> bool {
        needs.used > needs.now.saturating_add(needs.now / 8).max(floor(self.most))
    }

    /// Whether the others should hear, now that so many wait.
    pub(super) fn lacks(&self, rate: Rate, waiting: usize, now: Instant) -> bool {
        // What was said once is not said again until it is twice as much.
        self.waits.unwrap_or(0) < ALL && self.lacking(rate, waiting, now) / 2 > self.waits.unwrap_or(0)
    }

    /// What the others have made of the account, with what this one has learned and they do not know; nothing if that is nothing.
    pub(super) fn news(
        &self,
        known: &Account,
        estimate: &Estimate,
        heard: Instant,
        now_ms: i64,
    ) -> Option<Account> {
        let mut shared = *estimate;
        shared.hear(known, heard, now_ms);
        shared.grow(heard);
        let mut cut = false;
        for (left, back) in &self.complaints {
            cut |= shared.cut(*left, *back);
        }
        let paused_until_ms = self.pause.map_or(0, |until| {
            let left = until.saturating_duration_since(heard);
            if left.is_zero() {
                0
            } else {
                now_ms.saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
            }
        });
        let paused = paused_until_ms > known.paused_until_ms;
        let told = if cut { shared.told(heard, now_ms) } else { *known };
        (cut || paused)
            .then_some(Account { paused_until_ms: known.paused_until_ms.max(paused_until_ms), ..told })
    }

    /// The provider has complained about a call.
    pub(super) fn complain(&mut self, left: Instant, back: Instant) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.push((left, back));
        }
    }

    /// What a renewal that was granted has told the others is told.
    pub(super) fn told(&mut self, complaints: usize, pause: Option<Instant>) {
        self.complaints.drain(..complaints.min(self.complaints.len()));
        if self.pause == pause {
            self.pause = None;
        }
    }

    /// The share that calls may count on from now on.
    pub(super) fn may_hope_for(&mut self, share: u64) {
        self.hope = share;
    }

    /// Sees the others as they were when they were heard of.
    pub(super) fn see(&mut self, view: View, heard: Instant) {
        // One that is there again was not gone: when it is silent the next time, nobody has said so.
        self.dead.retain(|name| view.row(name).is_some_and(|row| row.is_silent(view.now_ms)));
        self.seen = Some((view, heard));
    }

    /// Has what is kept for another taken away, which is gone for good.
    pub(super) fn forget(&mut self, name: &str, now: Instant) -> Result<(), Alive> {
        let all = Replicas::of(self, now).all;
        let other = all.iter().find(|other| other.name == name).ok_or(Alive::Unknown)?;
        if !other.is_silent {
            return Err(Alive::Heard(other.lag));
        }
        self.dead.insert(name.to_owned());
        Ok(())
    }

    /// How long it has been on its own, if it is.
    pub(super) fn alone_for(&self, now: Instant) -> Option<Duration> {
        match self.lease.standing(now) {
            Standing::Outside | Standing::Held => None,
            Standing::Alone { since } => Some(now.saturating_duration_since(since)),
        }
    }
}

/// So many a second as a part of the account's rate.
fn of_the_rate(per_second: f64, rate: Rate) -> u64 {
    let share = per_second / Flow::of(rate).per_second * ALL as f64;
    if share < ALL as f64 { share.ceil() as u64 } else { ALL }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::ambient;
    use crate::shared::renewal::Row;

    proptest! {
        /// However the whole is divided, all together may send no more at once than the account may.
        #[test]
        fn bursts_are_divided_with_the_shares(burst in 1u32..500, most in 1u32..500, cuts in prop::collection::vec(0..=ALL, 0..100)) {
            let most = most.min(burst);
            let rate = Rate { every: Duration::from_millis(10), burst: NonZeroU32::new(burst).expect("above zero") };
            let replica = Replica::new(most, ambient::instant());
            let mut cuts: Vec<u64> = cuts.into_iter().take(most as usize - 1).chain([0, ALL]).collect();
            cuts.sort_unstable();
            let parts: Vec<Flow> = cuts.windows(2).map(|ends| replica.part(rate, ends[1] - ends[0])).collect();
            prop_assert!(parts.iter().map(|flow| flow.burst).sum::<u32>() <= burst);
            prop_assert!((parts.iter().map(|flow| flow.per_second).sum::<f64>() - 100.0).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_said_of_one_that_is_silent_does_not_hold_for_the_next_time() {
        let now = ambient::instant();
        let account = Account { part: ALL, changed_ms: 0, cut_ms: 0, paused_until_ms: 0 };
        let view = |until_ms: i64| {
            let row = Row {
                name: "other".to_owned(),
                version: String::new(),
                address: String::new(),
                begun_ms: 0,
                renewed_ms: until_ms - 3_000,
                until_ms,
                share: 0,
                wants: 0,
            };
            View { now_ms: 10_000, revision: 1, account, rows: vec![row] }
        };
        let (silent, alive) = (view(9_000), view(12_000));
        let mut replica = Replica::new(2, now);
        assert_eq!(replica.forget("other", now), Err(Alive::Unknown));
        replica.see(silent.clone(), now);
        assert_eq!(replica.forget("other", now), Ok(()));
        replica.see(silent.clone(), now);
        assert!(replica.dead.contains("other"), "its row is still there");
        replica.see(alive, now);
        assert!(matches!(replica.forget("other", now), Err(Alive::Heard(_))));
        replica.see(silent, now);
        assert!(replica.dead.is_empty());
    }

    #[test]
    fn a_complaint_that_others_know_is_no_news() {
        let now = ambient::instant();
        let rate = Rate { every: Duration::from_millis(10), burst: NonZeroU32::MIN };
        let estimate = Estimate::new(rate, now);
        let mut replica = Replica::new(2, now);
        let known = Account { part: ALL / 2, changed_ms: 100_000, cut_ms: 100_000, paused_until_ms: 0 };
        let second = Duration::from_secs(1);
        // The account was cut two seconds ago.
        let heard = now + second * 10;
        replica.complain(heard - second * 3, heard - second);
        assert_eq!(replica.news(&known, &estimate, heard, 102_000), None);
        replica.complain(heard - second, heard);
        let news = replica.news(&known, &estimate, heard, 102_000).expect("that left after it");
        assert_eq!((news.part, news.cut_ms, news.paused_until_ms), (ALL / 4, 102_000, 0));
        replica.pause = Some(heard + second * 5);
        let news = replica.news(&known, &estimate, heard, 102_000).expect("and a pause");
        assert_eq!((news.part, news.paused_until_ms), (ALL / 4, 107_000));
        replica.told(2, replica.pause);
        assert_eq!(replica.news(&known, &estimate, heard, 102_000), None);
        // A pause that is known, or over, is no news either.
        replica.pause = Some(heard + second);
        let longer = Account { paused_until_ms: 104_000, ..known };
        assert_eq!(replica.news(&longer, &estimate, heard, 102_000), None);
        assert_eq!(replica.news(&known, &estimate, heard + second, 103_000), None);
    }
}
