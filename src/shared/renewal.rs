//! What a replica says of itself when it renews its lease, from what it reads of the others. Pure: no clock, no database.
//!
//! Every replica has a row: the share of the account's rate that it uses at most, what it wants, and until when both are
//! believed, by the server's clock. It reads all rows (at the server's time *t*), reckons, **uses no more from then on than it is
//! about to say**, says it in one statement, and uses more only when that was answered.
//!
//! # Why the shares in use never add up to more than the whole
//!
//! *N* is `max_replicas`, *L* how long a lease lasts, *w* what a row wants, *s* its share. What a row is *counted* as is *s* before
//! its end (*t* + *L* of its last renewal) and 1/*N* after it.
//!
//! 1. *What is in use is in the row, or less.* It is reduced before it is said, and grows after it was; a statement that nobody
//!    answered may or may not have been carried out, and either leaves the row no lower than what is used. A replica's own lease
//!    counts from before it read, so it ends before its row does, whatever the clocks show; from then on it uses
//!    min(*s*, 1/*N*), which is no more than it is counted as.
//! 2. *A share grows only within what is left* of the whole beside what all others are counted as, and only if since it was
//!    read no other has grown, come or gone (the revision of `paces`). Rows that are renewed without a revision do not grow, and
//!    are at most 1/*N*, so that one which others have just seen end is still no more than they count it as.
//! 3. *A silent replica may take 1/N after all.* When a row with *s* < 1/*N* ends, all together may be counted as more than the whole,
//!    although no more than the whole is in use. As long as they are, nobody grows, by 2; and everybody who renews falls to
//!    min(*w*, λ), λ being the level at which the others' wants and the silent ones' 1/*N* fill the whole. The row's replica takes
//!    1/*N* only 2·*L* after it last read before a statement (and a margin): then every lease that was granted on the ground of its
//!    former *s* has ended or was renewed. Of those that were renewed, let λₘ be the highest level that any of them reckoned with,
//!    in the rows as they were then. Since nobody has grown, each share that is in use now is at most what that row wanted
//!    then (a row's share is never more than it wants), and at most λₘ; and what has ended since uses at most 1/*N*, which is
//!    at most λₘ, because with no more than *N* rows a level is never below that. So what is in use now is, row by row, at
//!    most what filled the whole then.
//! 4. *Places.* There are at most *N* rows. A newcomer that finds *N* takes the place of the one that was silent longest, and only
//!    after all that are not silent were renewed since it came: they are alive, it is, and so among the others at most as many
//!    are alive as have ended rows left. One whose place was taken while it was cut off uses 1/*N* at most, which one
//!    of those rows is counted for; when it is back it uses nothing until it has a place.
//!    However long a row is silent, it stays otherwise, and whoever it belongs to may use 1/*N*.
//!
//! 5. *Whoever is certainly gone.* A silent row of the same machine and address as one's own is of a process that has ended, since one
//!    listens there now. It is removed, and not counted from the next renewal on. The same is done with a silent row of which a person
//!    has said that its process has ended, and rests on that.
//!
//! The bursts follow: with a share *s*, a replica's is 1 + ⌊(*B* − *N*)·*s*⌋, and all together at most *B*. What they let through in
//! a window is at most what is in their buckets at its beginning, which is at most *B*, and what comes in it.
//!
//! What this rests on: no more than `max_replicas` processes run at once; all have the same `pace` and `max_replicas`; the
//! server's clock is not set back while somebody is cut off (by more than the margin); a machine's monotonic clock does not
//! stand still while the machine runs.

use std::collections::BTreeSet;

use super::division::{ALL, even, floor, level};
use super::lease::LASTS;
use super::planted;

/// The furthest that the end of a lease can be ahead, in milliseconds.
pub(super) const FURTHEST_MS: i64 = 10_000;

/// A replica as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, which no other ever has.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it came, by the server's clock.
    pub begun_ms: i64,
    /// When it last read before it said something. It tells one renewal from another.
    pub renewed_ms: i64,
    /// Until when it is believed.
    pub until_ms: i64,
    /// The most that it uses.
    pub share: u64,
    /// What it wants.
    pub wants: u64,
}

/// The account's own row: what is known of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The part of the configured rate that is used, in billionths.
    pub part: u64,
    /// When it was changed last, or began to be quiet.
    pub changed_ms: i64,
    /// When it was cut last; 0 if never.
    pub cut_ms: i64,
    /// Until when the provider is left alone.
    pub paused_until_ms: i64,
}

/// What is read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the server's clock showed before anything was read.
    pub now_ms: i64,
    /// Who has changed something at this revision was the last who did.
    pub revision: i64,
    /// The account.
    pub account: Account,
    /// Every replica.
    pub rows: Vec<Row>,
}

/// What a replica needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The share that it uses at most.
    pub used: u64,
    /// What it takes to let the calls pass soon that wait, if any do.
    pub waits: u64,
    /// What it has been asked for lately.
    pub lately: u64,
    /// What it is asked for now.
    pub now: u64,
}

/// What is said to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Somebody waits for more than there is: whoever has more than this should see whether it needs it.
    Wanted(u64),
    /// Somebody has given back what another waits for.
    Free,
    /// The account is slower, or paused.
    Slower,
}

/// What a renewal does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The share that is used at most from now on, until it is known to be done.
    pub uses: u64,
    /// The share that may be used when it is.
    pub share: u64,
    /// What is wanted.
    pub wants: u64,
    /// The share that one gets for whom calls wait.
    pub hope: u64,
    /// Whether others lack what they may have.
    pub is_wanted: bool,
    /// Whether it holds only at the revision that was read.
    pub guarded: bool,
    /// Whose rows are removed, as they were read.
    pub removed: Vec<(String, i64)>,
    /// What others should know.
    pub word: Option<Word>,
}

impl Row {
    /// Whether its lease has ended.
    #[must_use]
    pub fn is_silent(&self, now_ms: i64) -> bool {
        // No lease ends so far ahead: the server's clock was set back, as it may be when another takes over.
        self.until_ms <= now_ms || self.until_ms > now_ms.saturating_add(FURTHEST_MS)
    }

    /// Whether this is of a process that is certainly gone: it listened on the same machine where this one listens now, and is
    /// silent. A program that was killed is started again there.
    fn is_succeeded_by(&self, (name, address): (&str, &str), now_ms: i64) -> bool {
        let machine = |name: &str| name.rsplit_once('-').map(|(machine, _)| machine.to_owned());
        let same = self.address == address && !address.is_empty() && machine(&self.name) == machine(name);
        same && self.name != name && self.is_silent(now_ms)
    }

    /// What it may use, as far as anybody can know.
    #[must_use]
    pub fn counted(&self, now_ms: i64, most: u32) -> u64 {
        match self.is_silent(now_ms) {
            true if planted!(SilentIsGone) => 0,
            true => even(most),
            false => self.share,
        }
    }
}

/// A time as the tables have it.
pub(crate) fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl View {
    /// Until when what is said on the ground of this is believed.
    #[must_use]
    pub fn until_ms(&self) -> i64 {
        self.now_ms.saturating_add(millis(LASTS))
    }

    /// The row of a replica.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Whose place a newcomer takes that came at a moment: nobody's while there is room. Nothing if there is none yet.
    fn place(&self, came_ms: i64, most: u32) -> Option<Option<&Row>> {
        if self.rows.len() < usize::try_from(most).unwrap_or(usize::MAX) {
            return Some(None);
        }
        let (silent, others): (Vec<_>, Vec<_>) = self.rows.iter().partition(|row| row.is_silent(self.now_ms));
        if others.iter().any(|row| row.renewed_ms <= came_ms) && !planted!(PlaceTakenAtOnce) {
            return None;
        }
        silent.into_iter().min_by_key(|row| row.until_ms).map(Some)
    }
}

/// What a replica says of itself, by its name and the address that it listens on, and having been told that some are gone. Nothing if
/// there is no place for it yet among as many as there may be.
#[must_use]
pub fn renewal(
    view: &View,
    (name, address): (&str, &str),
    came_ms: i64,
    most: u32,
    needs: Needs,
    dead: &BTreeSet<String>,
) -> Option<Renewal> {
    let (now_ms, own) = (view.now_ms, view.row(name));
    let replaced = if own.is_none() { view.place(came_ms, most)? } else { None };
    let others = || {
        let is_other = move |row: &&Row| {
            row.name != name && Some(row.name.as_str()) != replaced.map(|row| row.name.as_str())
        };
        view.rows.iter().filter(is_other)
    };
    let alive = || others().filter(|row| !row.is_silent(now_ms));
    let silent = others().filter(|row| row.is_silent(now_ms));
    let there = ALL.saturating_sub(silent.map(|row| row.counted(now_ms, most)).sum());
    let level_with = |wants: u64| level(there, alive().map(|row| row.wants).chain([wants]));

    let wants = wanted(needs, there, &alive().collect::<Vec<_>>(), most);
    let level = level_with(wants);
    let target = wants.min(level);
    let uses = needs.used.min(target);
    let left = ALL.saturating_sub(others().map(|row| row.counted(now_ms, most)).sum());
    let granted = target.min(left);
    let share = if planted!(SaysLessFirst) { granted } else { granted.max(uses) };

    let is_dead = |row: &Row| row.is_silent(now_ms) && dead.contains(&row.name);
    let gone = |row: &&Row| is_dead(row) || row.is_succeeded_by((name, address), now_ms);
    let removed: Vec<_> =
        others().filter(gone).chain(replaced).map(|row| (row.name.clone(), row.renewed_ms)).collect();
    let only_shrinks = own.is_some_and(|own| !own.is_silent(now_ms) && share <= own.share);
    let blindly = planted!(GrowsBlindly) || planted!(LargeIsRenewedBlindly) && only_shrinks;
    let guarded = own.is_none() || !removed.is_empty() || !blindly && (!only_shrinks || share > even(most));

    let is_wanted = alive().any(|row| row.share < row.wants.min(level));
    let word = if needs.waits > 0 && share < target {
        Some(Word::Wanted(level))
    } else if own.is_some_and(|own| share < own.share) && is_wanted {
        Some(Word::Free)
    } else {
        None
    };
    Some(Renewal { uses, share, wants, hope: level_with(ALL), is_wanted, guarded, removed, word })
}

/// What a replica wants: what it is asked for, and what takes those who wait. As long as nobody lacks anything, a little more than it
/// was asked for lately, and its part of what nobody wants, so that it can begin at once.
fn wanted(needs: Needs, there: u64, others: &[&Row], most: u32) -> u64 {
    let lacks = |row: &&Row| row.share < row.wants;
    let wants = if needs.waits > 0 || others.iter().any(lacks) {
        needs.now.saturating_add(needs.waits)
    } else {
        let replicas = u64::try_from(others.len()).unwrap_or(u64::MAX).saturating_add(1);
        let free = there.saturating_sub(others.iter().map(|row| row.wants).sum());
        let with_air = needs.lately.saturating_add(needs.lately / 4);
        with_air.max(free.min(there.checked_div(replicas).unwrap_or(0)))
    };
    wants.clamp(floor(most), ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 4;
    const NOW: i64 = 1_000_000;

    fn row(name: &str, share: u64, wants: u64) -> Row {
        Row {
            name: name.to_owned(),
            version: String::new(),
            address: String::new(),
            begun_ms: NOW - 60_000,
            renewed_ms: NOW - 500,
            until_ms: NOW + 2_500,
            share,
            wants,
        }
    }

    fn silent(name: &str, share: u64, since: i64) -> Row {
        Row { renewed_ms: NOW - since - 3_000, until_ms: NOW - since, ..row(name, share, share) }
    }

    fn view(rows: &[Row]) -> View {
        let account = Account { part: ALL, changed_ms: NOW, cut_ms: 0, paused_until_ms: 0 };
        View { now_ms: NOW, revision: 7, account, rows: rows.to_vec() }
    }

    fn idle(used: u64) -> Needs {
        Needs { used, waits: 0, lately: 0, now: 0 }
    }

    fn waiting(used: u64) -> Needs {
        Needs { waits: ALL, ..idle(used) }
    }

    fn of_a(rows: &[Row], needs: Needs) -> Renewal {
        renewal(&view(rows), ("a", ""), NOW - 1_000, MOST, needs, &BTreeSet::new()).expect("a place")
    }

    #[test]
    fn one_alone_has_everything_and_two_that_are_idle_have_half_each() {
        let alone = of_a(&[], idle(0));
        assert_eq!((alone.share, alone.guarded, alone.word), (ALL, true, None));
        let again = of_a(&[row("a", ALL, ALL)], idle(ALL));
        assert_eq!((again.share, again.guarded), (ALL, true), "more than an even share");
        // A newcomer gets nothing that is in use, and what it gets is given back first.
        let second = of_a(&[row("b", ALL, ALL)], idle(0));
        assert_eq!((second.share, second.wants), (0, floor(MOST)));
        let first = of_a(&[row("a", ALL, ALL), row("b", 0, floor(MOST))], idle(ALL));
        assert_eq!(first.share, floor(MOST), "until it has what it needs");
        let first = of_a(&[row("a", floor(MOST), floor(MOST)), row("b", floor(MOST), floor(MOST))], idle(0));
        assert_eq!(first.share, ALL / 2);
    }

    #[test]
    fn for_whom_calls_wait_gets_what_others_do_not_need() {
        let idle_ones = [row("b", ALL / 4, ALL / 4), row("c", ALL / 4, ALL / 4)];
        let asks = of_a(&[&[row("a", ALL / 2, ALL / 2)], &idle_ones[..]].concat(), waiting(ALL / 2));
        assert_eq!((asks.share, asks.wants, asks.hope), (ALL / 2, ALL, ALL / 2));
        let asks = of_a(&[&[row("a", 0, 0)], &idle_ones[..]].concat(), waiting(0));
        assert_eq!((asks.share, asks.guarded), (ALL / 2, true), "what nobody has is there at once");
        // Who is idle gives up all but the floor, and says so, since somebody waits for it.
        let rows = [row("a", ALL / 2, ALL / 2), row("b", ALL / 4, ALL)];
        let gives = of_a(&rows, idle(ALL / 2));
        assert_eq!((gives.uses, gives.share, gives.word), (floor(MOST), floor(MOST), Some(Word::Free)));
        assert!(!gives.guarded, "less is said without regard to others");
        let busy = Needs { now: ALL / 10, ..idle(ALL / 2) };
        assert_eq!(of_a(&rows, busy).share, ALL / 10, "but for what it is asked for");
    }

    #[test]
    fn what_is_in_use_is_said_whatever_is_left() {
        let rows = [row("a", ALL / 2, ALL), row("b", ALL / 2, ALL), silent("c", 0, 100)];
        let falls = of_a(&rows, waiting(ALL / 2));
        assert_eq!((falls.uses, falls.share), (ALL / 8 * 3, ALL / 8 * 3), "at once, and not below its level");
        let lost = of_a(&[row("a", ALL / 4, ALL), row("b", ALL / 2, ALL)], waiting(ALL / 8));
        assert_eq!((lost.uses, lost.share), (ALL / 8, ALL / 2), "a lost answer left it with less");
    }

    #[test]
    fn a_silent_one_is_counted_as_an_even_share_until_somebody_says_that_it_is_gone() {
        let rows = [row("a", 0, ALL), silent("b", ALL / 100, 1)];
        assert_eq!(of_a(&rows, waiting(0)).share, ALL / 4 * 3);
        let month = 30 * 86_400_000;
        let rows = [row("a", 0, ALL), silent("b", ALL, month), row("c", 0, 0)];
        let kept = of_a(&rows, waiting(0));
        assert_eq!((kept.share, kept.removed), (ALL / 4 * 3, Vec::new()), "it may still use it");
        // One that lives is not removed, whatever is said of it.
        let dead = ["b", "c"].map(str::to_owned).into();
        let told = renewal(&view(&rows), ("a", ""), NOW - 1_000, MOST, waiting(0), &dead).expect("a place");
        assert_eq!(told.removed, [("b".to_owned(), NOW - month - 3_000)]);
        assert!(told.guarded);
        let ended = of_a(&[silent("a", ALL / 4, 1)], idle(ALL / 4));
        assert!(ended.guarded, "others count it otherwise than it is about to be");
    }

    #[test]
    fn who_listens_where_a_killed_one_did_takes_its_row_away() {
        let at = |name: &str, address: &str, since: i64| Row {
            address: address.to_owned(),
            ..silent(name, ALL / 8, since)
        };
        let removed = |row: Row| {
            let own = ("pod-2222", "127.0.0.1:7070");
            let renewal =
                renewal(&view(&[row]), own, NOW - 1_000, MOST, idle(0), &BTreeSet::new()).expect("a place");
            (renewal.removed.len(), renewal.share, renewal.guarded)
        };
        let kept = (0, ALL / 4 * 3, true);
        assert_eq!(
            removed(at("pod-1111", "127.0.0.1:7070", 1)),
            (1, ALL / 4 * 3, true),
            "and counted once more"
        );
        assert_eq!(removed(at("pod-1111", "127.0.0.1:7071", 1)), kept, "another one on the same machine");
        assert_eq!(removed(at("other-1111", "127.0.0.1:7070", 1)), kept, "another pod");
        assert_eq!(
            removed(at("pod-1111", "127.0.0.1:7070", -2_500)).0,
            0,
            "one that lives, such as before a handover"
        );
    }

    /// As it is when another server takes over whose clock is behind.
    #[test]
    fn a_lease_that_ends_too_far_ahead_has_ended() {
        assert!(!silent("b", 0, -FURTHEST_MS).is_silent(NOW));
        assert!(silent("b", 0, -FURTHEST_MS - 1).is_silent(NOW));
    }

    #[test]
    fn a_place_is_taken_from_who_was_silent_longest_and_only_when_the_others_are_known_to_be_alive() {
        let rows = |renewed_ms: i64| {
            let fresh = |name| Row { renewed_ms, ..row(name, ALL / 8, ALL / 8) };
            [fresh("b"), fresh("c"), silent("d", ALL / 2, 9_000), silent("e", ALL / 8, 10_000)]
        };
        let join =
            |rows: &[Row]| renewal(&view(rows), ("a", ""), NOW - 1_000, MOST, waiting(0), &BTreeSet::new());
        assert_eq!(join(&rows(NOW - 1_000)), None, "they may have died since");
        let joins = join(&rows(NOW - 999)).expect("a place");
        assert_eq!(joins.removed, [("e".to_owned(), NOW - 13_000)]);
        assert_eq!(joins.share, ALL / 2, "the other silent one is still counted");
        let all = ["b", "c", "d", "e"].map(|name| row(name, 0, 0));
        assert_eq!(join(&all), None, "there are more than there may be");
    }
}
