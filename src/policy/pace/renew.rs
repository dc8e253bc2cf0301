//! Talks with the other replicas: says what this one uses and wants, takes what it is granted, and passes on what the provider
//! has complained about. Every now and then, and at once when something has changed.
//!
//! Absent here: anything that a call waits for. What is granted, or not any more, is in the account, which a call asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::account::{Account, State};
use super::bucket::{Bucket, Flow};
use crate::ambient;
use crate::shared::division::ALL;
use crate::shared::lease::Standing;
use crate::shared::pace::{Heard, Saying, Store, Trouble};
use crate::shared::planted;
use crate::shared::renewal::{self, Needs, Row, View, Word, renewal};

/// How often a lease is renewed, and how much less often at most if there are many.
const EVERY: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_millis(1000);
/// How long another statement is waited for. What is asked once more does no harm.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is tried again when another was faster, before it waits for its next time.
const TRIES: u32 = 8;
/// So many renewals may follow each other at once, and then one in this time for every replica there is: so that together they
/// ask the database for no more, however many they are.
const AT_ONCE: u32 = 4;
const SPACING: Duration = Duration::from_millis(6);
/// How often one that has what others wait for sees whether it still needs it. It asks nobody for that.
const LOOK: Duration = Duration::from_millis(10);

/// Fractions that differ from replica to replica, and are the same ones for the same name.
struct Jitter(u64);

impl Jitter {
    fn of(name: &str) -> Self {
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    /// The next, from 0 to 1.
    fn next(&mut self) -> f64 {
        // Steele, Lea and Flood's SplitMix.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What is about to be said, and what it was made of.
struct Draft {
    saying: Saying,
    complaints: usize,
    pause: Option<Instant>,
}

/// Renews for as long as the replica is there.
pub(super) async fn run(account: Arc<Account>, store: Arc<dyn Store>) {
    let (mut ears, mut jitter) = (store.ears(), Jitter::of(store.name()));
    let (mut spacing, mut standing) = (Bucket::full(pace_of(1), ambient::instant()), None);
    loop {
        let replicas = {
            let _speaking = account.speaking.lock().await;
            if account.lock().replica.as_ref().is_none_or(|replica| replica.has_left) {
                return;
            }
            let trouble = renew(&account, &*store, &mut jitter).await.err();
            if let Some(trouble) = &trouble {
                tracing::debug!(%trouble, "what replicas share is out of reach");
            }
            standing = Some(account.note_standing(standing, trouble.as_ref()));
            account.replicas()
        };
        spacing.change(pace_of(replicas), ambient::instant());
        let every = EVERY.max(SPACING.saturating_mul(replicas).saturating_mul(2)).min(SELDOM);
        let due = sleep(every.mul_f64(0.8 + 0.4 * jitter.next()));
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                () = &mut due => break,
                () = account.news.notified() => {}
                heard = ears.hear() => if !account.heeds(heard) { continue },
                () = sleep(LOOK), if account.is_wanted() => if !account.has_spare() { continue },
            }
            match spacing.take(ambient::instant()) {
                Ok(()) => break,
                // Whatever else comes meanwhile is seen to at the same time.
                Err(wait) => {
                    tokio::select! {
                        biased;
                        () = sleep(wait) => {}
                        () = &mut due => {}
                    }
                    let _at_zero = spacing.take(ambient::instant());
                    break;
                }
            }
        }
    }
}

/// How often one of so many may renew.
fn pace_of(replicas: u32) -> Flow {
    Flow { per_second: 1.0 / SPACING.saturating_mul(replicas.max(1)).as_secs_f64(), burst: AT_ONCE }
}

/// Says farewell: nothing is sent from now on, and the others need not keep anything.
pub(super) async fn leave(account: &Account, store: &dyn Store) {
    let _speaking = account.speaking.lock().await;
    {
        let mut state = account.lock();
        let now = ambient::instant();
        state.grow(now);
        let Some(replica) = &mut state.replica else { return };
        replica.has_left = true;
        replica.lease.lose();
        state.reflow(now);
    }
    account.news.notify_one();
    let said = timeout(PATIENCE, store.leave()).await.unwrap_or_else(|_| Err(too_late()));
    if let Err(trouble) = said {
        tracing::debug!(%trouble, "no farewell could be said: a share is kept");
    }
}

/// Renews once, unless others are too quick or there is no place yet.
async fn renew(account: &Account, store: &dyn Store, jitter: &mut Jitter) -> Result<(), Trouble> {
    for again in 0..TRIES {
        let asked = ambient::instant();
        let Some(view) = in_time(store.read()).await? else {
            in_time(store.begin(account.part())).await?;
            continue;
        };
        let heard = ambient::instant();
        let Some(draft) = account.prepare(&view, (store.name(), store.address()), heard) else {
            return Ok(());
        };
        if in_time(store.say(&draft.saying)).await? {
            let row = draft.saying.row(store.name(), store.address());
            account.granted(draft, row, asked, heard);
            return Ok(());
        }
        // Another was faster. Of many who try again, not all do so at the same time.
        sleep(Duration::from_millis(u64::from(again)).mul_f64(2.0 * jitter.next())).await;
    }
    Ok(())
}

async fn in_time<T>(asked: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(too_late()))
}

fn too_late() -> Trouble {
    Trouble::Failed("the database does not answer in time".to_owned())
}

impl Account {
    /// The part of the configured rate in use.
    fn part(&self) -> u64 {
        let state = self.lock();
        (state.estimate.part() * ALL as f64).round() as u64
    }

    /// How many replicas were seen last.
    fn replicas(&self) -> u32 {
        let state = self.lock();
        let seen = state.replica.as_ref().and_then(|replica| replica.seen.as_ref());
        seen.map_or(1, |(view, _)| u32::try_from(view.rows.len()).unwrap_or(u32::MAX))
    }

    /// Whether what was heard concerns this one.
    fn heeds(&self, heard: Heard) -> bool {
        let mut state = self.lock();
        let Some(replica) = &mut state.replica else { return false };
        match heard {
            Heard::Missed | Heard::Word(Word::Slower) => true,
            Heard::Word(Word::Free) => replica.waits.is_some(),
            Heard::Word(Word::Wanted(level)) => {
                replica.is_wanted = true;
                // Who waits itself has a right to what everybody else has, and who uses what it has nothing to give.
                state.needs(ambient::instant()).is_some_and(|needs| match needs.waits {
                    0 => state.has_spare(needs),
                    _ => needs.used > level,
                })
            }
        }
    }

    /// Whether others wait for what this one has, as far as it knows.
    fn is_wanted(&self) -> bool {
        self.lock().replica.as_ref().is_some_and(|replica| replica.is_wanted)
    }

    /// Whether it does not need what it has.
    fn has_spare(&self) -> bool {
        let mut state = self.lock();
        let needs = state.needs(ambient::instant());
        needs.is_some_and(|needs| needs.waits == 0 && state.has_spare(needs))
    }

    /// Reckons what to say, and uses no more from now on. Nothing if there is no place for this one yet.
    fn prepare(&self, view: &View, own: (&str, &str), heard: Instant) -> Option<Draft> {
        let mut state = self.lock();
        let now = ambient::instant();
        let needs = state.needs(now)?;
        let State { replica: Some(replica), estimate, .. } = &mut *state else { return None };
        if view.row(own.0).is_none() {
            // What it has had went to another, who took it for dead.
            if replica.lease.standing(now) != Standing::Outside {
                replica.lease.lose();
                replica.came_ms = None;
            }
            replica.came_ms.get_or_insert(view.now_ms);
        }
        let came_ms = *replica.came_ms.get_or_insert(view.now_ms);
        let said = renewal(view, own, came_ms, replica.most, needs, &replica.dead);
        let account = replica.news(&view.account, estimate, heard, view.now_ms);
        replica.waits = (needs.waits > 0).then(|| said.as_ref().map_or(0, |said| said.wants));
        replica.see(view.clone(), heard);
        replica.is_wanted = said.as_ref().is_some_and(|said| said.is_wanted);
        let (complaints, pause) = (replica.complaints.len(), replica.pause);
        if said.is_none() {
            // Nobody gives it anything before there is a place for it.
            replica.may_hope_for(0);
        }
        let draft = said.map(|mut said| {
            if !planted!(SaysLessFirst) {
                replica.lease.prepare(said.uses, now, heard);
            }
            replica.may_hope_for(said.hope);
            if account.is_some() {
                said.word = Some(Word::Slower);
            }
            Draft {
                saying: Saying { view: view.clone(), came_ms, renewal: said, account },
                complaints,
                pause,
            }
        });
        if account.is_none() {
            state.adopt(&view.account, view.now_ms, heard);
        }
        state.reflow(now);
        draft
    }

    /// What was said was carried out.
    fn granted(&self, draft: Draft, row: Row, asked: Instant, heard: Instant) {
        let Draft { saying: Saying { mut view, renewal, account, .. }, complaints, pause } = draft;
        let mut state = self.lock();
        let now = ambient::instant();
        state.grow(now);
        let Some(replica) = &mut state.replica else { return };
        let comes = replica.lease.standing(now) == Standing::Outside;
        replica.lease.grant(renewal.share, asked, heard);
        replica.told(complaints, pause);
        view.rows.retain(|other| {
            other.name != row.name && !renewal.removed.iter().any(|(name, _)| *name == other.name)
        });
        view.rows.push(row);
        let now_ms = view.now_ms;
        replica.see(view, heard);
        if let Some(account) = account {
            state.adopt(&account, now_ms, heard);
        }
        state.grow(now);
        state.reflow(now);
        if comes && planted!(NewcomerIsRested) {
            state.bucket = Bucket::full(state.flow(now), now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Says once in the log that this replica is on its own, or not any more.
    fn note_standing(&self, before: Option<Standing>, trouble: Option<&Trouble>) -> Standing {
        let state = self.lock();
        let now = ambient::instant();
        let Some(replica) = &state.replica else { return Standing::Outside };
        let (standing, per_second) = (replica.lease.standing(now), state.flow(now).per_second);
        match (before, standing) {
            (Some(Standing::Held), Standing::Held)
            | (Some(Standing::Outside), Standing::Outside)
            | (Some(Standing::Alone { .. }), Standing::Alone { .. }) => {}
            (_, Standing::Held) => tracing::info!("this replica has a share of the account's pace"),
            (_, Standing::Alone { .. }) => {
                tracing::warn!(
                    per_second = (per_second * 1000.0).round() / 1000.0,
                    trouble = trouble.map(ToString::to_string),
                    "what replicas share is out of reach: this one goes on with its even share, and buys nothing"
                );
            }
            (_, Standing::Outside) => {
                tracing::error!(
                    max_replicas = replica.most,
                    "there is no place for this replica: it sends nothing"
                );
            }
        }
        standing
    }
}

impl State {
    /// What this replica needs as things are at a moment, if it is one of several.
    fn needs(&mut self, now: Instant) -> Option<Needs> {
        self.grow(now);
        let (rate, waiting, at_once) = (self.rate(), self.waiting(), self.bucket.at_once());
        Some(self.replica.as_ref()?.needs(rate, waiting, at_once, now))
    }

    fn has_spare(&self, needs: Needs) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.has_spare(needs))
    }

    /// Takes over what is known of the account, if it is something else than before.
    fn adopt(&mut self, account: &renewal::Account, now_ms: i64, heard: Instant) {
        let longest = self.longest_pause();
        let Some(replica) = &mut self.replica else { return };
        let before = replica.account.replace(*account);
        if before == Some(*account) {
            return;
        }
        let part = self.estimate.part();
        self.estimate.hear(account, heard, now_ms);
        self.estimate.grow(heard);
        if self.estimate.part() < part && before.is_some() {
            let per_second = Flow::of(self.estimate.rate()).per_second;
            tracing::info!(per_second, "another replica was asked to slow down");
        }
        let paused = u64::try_from(account.paused_until_ms.saturating_sub(now_ms)).unwrap_or(0);
        if paused > 0 {
            self.pause_until(heard + Duration::from_millis(paused).min(longest));
        }
    }
}
