//! The account's pace: one meter, one estimate, one queue, and a pause when the provider asks for one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::Options;
use super::estimate::Estimate;
use super::queue::{Lane, Queue, Turn};
use crate::ambient;
use crate::call::{Caller, Deadline, Limit};
use crate::policy::meter::Meter;

/// Shared by everyone who calls for the account.
pub(super) struct Account {
    state: Mutex<State>,
    /// Wakes the one who gives turns when what it waits for has changed.
    changed: Notify,
    tasks: TaskTracker,
}

struct State {
    meter: Meter,
    estimate: Estimate,
    queue: Queue,
    places: usize,
    longest_pause: Duration,
    paused: Option<Instant>,
    /// Whether somebody gives turns.
    served: bool,
}

/// What a call gets that wants to go.
pub(super) enum Entry {
    /// It may go.
    Now,
    /// It waits.
    Later(Turn),
    /// There is no turn in time.
    Never(Limit),
}

/// The pace as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Calls a second, as they are let through now.
    pub per_second: f64,
    /// The part of the configured rate that this is, from 0 to 1.
    pub part: f64,
    /// How long the provider is left alone, if it is.
    pub paused_for: Option<Duration>,
    /// How many wait: writes, reads, polls.
    pub waiting: [usize; 3],
}

impl Account {
    pub(super) fn new(options: &Options, tasks: TaskTracker) -> Self {
        let estimate = Estimate::new(options.rate, ambient::instant());
        let state = State {
            meter: Meter::new(estimate.rate()),
            estimate,
            queue: Queue::default(),
            places: options.queue,
            longest_pause: options.longest_pause,
            paused: None,
            served: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), tasks }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a turn that comes in time.
    pub(super) fn enter(self: &Arc<Self>, lane: Lane, caller: &Caller, deadline: &Deadline) -> Entry {
        let mut state = self.lock();
        state.grow();
        let now = ambient::instant();
        let pause = state.pause(now);
        let next = if pause.is_zero() && state.queue.is_empty() {
            match state.meter.take() {
                Ok(_) => return Entry::Now,
                Err(wait) => wait,
            }
        } else {
            state.meter.next()
        };
        let ahead = u32::try_from(state.queue.ahead(lane, caller)).unwrap_or(u32::MAX);
        let wait = pause.max(next) + state.meter.rate().every.saturating_mul(ahead);
        let limit = state.limit(pause, wait);
        let in_time = |latest: Instant| wait <= latest.saturating_duration_since(ambient::instant());
        if !deadline.latest().is_none_or(in_time) {
            return Entry::Never(limit);
        }
        let places = state.places;
        let Some(turn) = state.queue.join(lane, caller, deadline.clone(), places) else {
            return Entry::Never(limit);
        };
        if !state.served {
            state.served = true;
            let account = self.clone();
            self.tasks.spawn(async move { account.serve().await });
        }
        Entry::Later(turn)
    }

    /// The limit, as it stands for somebody whose place went to somebody else.
    pub(super) fn limit(&self) -> Limit {
        let state = self.lock();
        let pause = state.pause(ambient::instant());
        state.limit(pause, pause.max(state.meter.rate().every))
    }

    /// Gives turns until nobody waits.
    async fn serve(&self) {
        loop {
            let wait = {
                let mut state = self.lock();
                state.grow();
                if state.queue.is_empty() {
                    state.served = false;
                    return;
                }
                let pause = state.pause(ambient::instant());
                if pause.is_zero() {
                    match state.meter.take() {
                        Ok(_) => {
                            state.queue.next();
                            continue;
                        }
                        Err(wait) => wait,
                    }
                } else {
                    pause
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// The provider complains about a call that left at this moment. It is called half as often, and not at all for
    /// as long as it asks for.
    pub(super) fn slow_down(&self, left: Instant, pause: Option<Duration>) {
        let mut state = self.lock();
        let now = ambient::instant();
        if state.estimate.cut(left, now) {
            let rate = state.estimate.rate();
            state.meter.change(rate);
            let per_second = 1.0 / rate.every.as_secs_f64();
            tracing::warn!(
                per_second,
                pause_s = pause.map(|p| p.as_secs()),
                "the provider asks to slow down"
            );
        }
        if let Some(pause) = pause {
            let until = now + pause.min(state.longest_pause);
            let until = state.paused.map_or(until, |paused| paused.max(until));
            state.paused = Some(until);
            // Better now than when it is too late.
            state.queue.dismiss(until);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Sends everyone away who waits.
    pub(super) fn dismiss(&self) {
        self.lock().queue = Queue::default();
    }

    /// Takes new settings over.
    pub(super) fn change(&self, options: &Options) {
        let mut state = self.lock();
        (state.places, state.longest_pause) = (options.queue, options.longest_pause);
        state.estimate.set_ceiling(options.rate);
        let rate = state.estimate.rate();
        state.meter.change(rate);
        drop(state);
        self.changed.notify_one();
    }

    /// What is worth remembering: the part of the ceiling, and until when the account is paused.
    pub(super) fn learned(&self) -> (f64, Option<Instant>) {
        let state = self.lock();
        (state.estimate.part(), state.paused)
    }

    /// Goes on from what was learned before, and as if everything had been used just now: a restart is no rest.
    pub(super) fn recall(&self, part: f64, pause: Duration) {
        let mut state = self.lock();
        state.estimate.set_part(part);
        let rate = state.estimate.rate();
        state.meter.change(rate);
        state.meter.use_up();
        if !pause.is_zero() {
            state.paused = Some(ambient::instant() + pause.min(state.longest_pause));
        }
    }

    pub(super) fn shown(&self) -> Shown {
        let mut state = self.lock();
        state.grow();
        let pause = state.pause(ambient::instant());
        Shown {
            per_second: 1.0 / state.estimate.rate().every.as_secs_f64(),
            part: state.estimate.part(),
            paused_for: (!pause.is_zero()).then_some(pause),
            waiting: Lane::ALL.map(|lane| state.queue.waiting(lane)),
        }
    }
}

impl State {
    /// Brings everything up to the present.
    fn grow(&mut self) {
        let now = ambient::instant();
        if self.estimate.grow(now) {
            self.meter.change(self.estimate.rate());
        }
        // All that waited for the end of a pause does not go at once.
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            self.meter.use_up();
        }
    }

    /// What is left of a pause.
    fn pause(&self, now: Instant) -> Duration {
        self.paused.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// The limit that there is nothing left of: what the account takes, or, in a pause, whatever the provider counts.
    fn limit(&self, pause: Duration, wait: Duration) -> Limit {
        let own = self.meter.rate().limit("account", 0, wait);
        if pause.is_zero() { own } else { Limit { name: "upstream", quota: 0, ..own } }
    }
}
