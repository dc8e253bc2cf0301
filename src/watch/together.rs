//! One thing that several replicas want to know of: one of them looks and shows the others what it saw, and whoever finds that
//! nobody looks does it from then on.
//!
//! What another has seen is taken over in the order in which it was seen, and two sights are only in a row if nothing can
//! have been seen between them. Where the others cannot be reached, each looks for itself. Absent here: a decision of who
//! looks; the table makes it.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::time::{Instant, sleep_until, timeout};

use super::Options;
use super::hub::Ask;
use super::look::{self, Key, Subject, jitter};
use super::posted::Posted;
use crate::ambient;
use crate::shared::{Pending, Reading, Sighted, Sights};

/// How long the table is waited for, before each look.
const PATIENCE: Duration = Duration::from_secs(1);
/// After how many looks in vain somebody else may try, whose way to the provider may be another.
const IN_VAIN: u32 = 3;
/// After how many rests without news it is looked whether anybody is still there.
const RESTS: u32 = 2;

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// This replica, for all.
    Us,
    /// Another one.
    They,
    /// Everybody, as far as is known.
    Each,
}

/// Whose turn it is, and what is known by then.
enum Turn {
    Ours(Reading),
    Theirs(Sighted),
    Everybodys,
}

/// This replica's part in it.
pub(super) struct Together {
    sights: Arc<dyn Sights>,
    name: Arc<str>,
    who: Who,
    /// What this replica has written down.
    posted: Posted,
    /// The number of what was seen last, if it was seen by whoever looks for all.
    last: Option<u64>,
    in_vain: u32,
    /// Until when others may try.
    shy_until: Option<Instant>,
}

/// What is answered in time, if anything is.
pub(super) async fn in_time<T>(asked: Pending<'_, T>) -> Option<T> {
    timeout(PATIENCE, asked).await.ok()?.ok()
}

impl Together {
    pub(super) fn new(sights: Arc<dyn Sights>, key: &Key) -> Self {
        let name = sights.name(key.as_bytes());
        let (posted, last, in_vain, shy_until) = (Posted::default(), None, 0, None);
        Self { sights, name, who: Who::Each, posted, last, in_vain, shy_until }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Looks once, or takes over what another has seen.
    pub(super) async fn look(&mut self, subject: &Subject, ask: &Ask, options: &Options) {
        match self.turn().await {
            Turn::Ours(reading) => self.ours(subject, ask, options, reading).await,
            Turn::Theirs(sighted) => self.theirs(subject, options, &sighted),
            Turn::Everybodys => {
                let looked = subject.see(ask).await;
                subject.take(looked, self.who != Who::They);
                (self.who, self.last, self.posted) = (Who::Each, None, Posted::default());
            }
        }
    }

    async fn turn(&self) -> Turn {
        let may_be_ours = self.shy_until.is_none_or(|until| until <= ambient::instant());
        if self.who != Who::They && may_be_ours {
            match in_time(self.sights.claim(&self.name)).await {
                Some(Some(reading)) => return Turn::Ours(reading),
                Some(None) => {}
                None => return Turn::Everybodys,
            }
        }
        let Some(sighted) = in_time(self.sights.read(&self.name)).await else { return Turn::Everybodys };
        if sighted.is_held || !may_be_ours {
            return Turn::Theirs(sighted);
        }
        match in_time(self.sights.claim(&self.name)).await {
            Some(Some(reading)) => Turn::Ours(reading),
            Some(None) => Turn::Theirs(sighted),
            None => Turn::Everybodys,
        }
    }

    /// Looks for all.
    async fn ours(&mut self, subject: &Subject, ask: &Ask, options: &Options, reading: Reading) {
        let looked = subject.see(ask).await;
        // Never later than it was asked for: the server's clock was read before.
        let asked_ms = looked.as_ref().map_or_else(|_| reading.ms(), |sight| reading.there(sight.asked));
        if self.who != Who::Us {
            self.posted = Posted::default();
        }
        self.posted.add(&looked, asked_ms);
        self.last = self.posted.sights.last().map(|look| look.id);
        self.in_vain = if looked.is_ok() { 0 } else { self.in_vain.saturating_add(1) };
        subject.take(looked, self.who != Who::They);
        self.who = Who::Us;
        let body = self.posted.encode_to_vec();
        match in_time(self.sights.post(&self.name, self.posted.asked_ms(), &body)).await {
            Some(true) => {}
            // It took so long that another has taken it for gone.
            Some(false) => {
                self.who = Who::They;
                subject.elsewhere.notify_one();
            }
            // What the others have not seen, nothing is in a row with.
            None => self.posted = Posted::default(),
        }
        if self.in_vain >= IN_VAIN && self.who == Who::Us {
            self.let_go().await;
            self.in_vain = 0;
            self.shy_until = ambient::instant().checked_add(subject.rest(options).saturating_mul(RESTS));
        }
    }

    /// Takes over what another has seen.
    fn theirs(&mut self, subject: &Subject, options: &Options, sighted: &Sighted) {
        (self.who, self.posted) = (Who::They, Posted::default());
        let body = sighted.body.as_deref().and_then(|body| Posted::decode(body).ok()).unwrap_or_default();
        // Whoever looks does it more often than that, if it can.
        let longest = options.slow.saturating_mul(RESTS).saturating_add(look::PATIENCE);
        let mut in_a_row = false;
        for look in &body.sights {
            if Some(look.id) == self.last {
                in_a_row = true;
                continue;
            }
            let sight = look.sight(subject.operation, &sighted.reading, longest);
            // What was seen here meanwhile, while nobody could be reached, is not followed by what is older.
            let Some(sight) = sight.filter(|sight| !subject.knows_since(sight.asked)) else {
                in_a_row = false;
                continue;
            };
            subject.take(Ok(sight), in_a_row);
            (self.last, in_a_row) = (Some(look.id), true);
        }
        if let Some(trouble) = body.trouble() {
            subject.take(Err(trouble), in_a_row);
        }
    }

    /// Rests until it is time to look again, or another has seen something, or nothing is heard of it.
    pub(super) async fn rest(&mut self, subject: &Subject, options: impl Fn() -> Options) {
        if self.who != Who::They {
            return subject.pause(options).await;
        }
        let (read, jitter) = (ambient::instant(), jitter());
        loop {
            let late = read + subject.rest(&options()).saturating_mul(RESTS).mul_f64(jitter);
            tokio::select! {
                () = sleep_until(late) => return,
                () = subject.elsewhere.notified() => return,
                () = subject.nudge.notified() => {
                    if subject.was_stirred() {
                        let _heard_or_not = in_time(self.sights.stir(&self.name)).await;
                    }
                }
            }
        }
    }

    /// Lets others look.
    pub(super) async fn let_go(&mut self) {
        if self.who == Who::Us {
            let _gone_or_dead = in_time(self.sights.let_go(&self.name)).await;
            self.who = Who::They;
        }
    }
}

#[cfg(test)]
mod tests;
