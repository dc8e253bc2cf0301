//! The account's pace: one bucket, one estimate, one queue, and a pause when the provider asks for one. Of several replicas, each
//! has its part of the bucket.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turns, Notify};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::Options;
use super::bucket::{Bucket, Flow};
use super::estimate::Estimate;
use super::queue::{Lane, Queue, Turn};
use super::replica::Replica;
use super::shown::{Replicas, Shown};
use crate::ambient;
use crate::call::{Caller, Deadline, Limit};
use crate::policy::meter::Rate;
use crate::shared::planted;

/// Shared by everyone who calls for the account.
pub(super) struct Account {
    state: Mutex<State>,
    /// Wakes the one who gives turns when what it waits for has changed.
    pub(super) changed: Notify,
    /// Wakes the one who talks with other replicas when there is something to say.
    pub(super) news: Notify,
    /// Held by whoever says something to other replicas.
    pub(super) speaking: Turns<()>,
    pub(super) tasks: TaskTracker,
}

pub(super) struct State {
    pub(super) bucket: Bucket,
    pub(super) estimate: Estimate,
    pub(super) queue: Queue,
    places: usize,
    longest_pause: Duration,
    paused: Option<Instant>,
    /// Whether somebody gives turns.
    served: bool,
    /// What this one is among several, if there are several.
    pub(super) replica: Option<Replica>,
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

impl Account {
    /// The pace of an account that is alone, or of a replica that has no part of it until it talks with the others.
    pub(super) fn new(options: &Options, tasks: TaskTracker) -> Self {
        let now = ambient::instant();
        let estimate = Estimate::new(options.rate, now);
        let replica = options.replicas.map(|most| Replica::new(most.get(), now));
        let bucket = match replica {
            None => Bucket::full(Flow::of(estimate.rate()), now),
            Some(_) => Bucket::empty(Flow::NONE, now),
        };
        let state = State {
            bucket,
            estimate,
            queue: Queue::default(),
            places: options.queue,
            longest_pause: options.longest_pause,
            paused: None,
            served: false,
            replica,
        };
        let (changed, news) = (Notify::new(), Notify::new());
        Self { state: Mutex::new(state), changed, news, speaking: Turns::new(()), tasks }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a turn that comes in time.
    pub(super) fn enter(self: &Arc<Self>, lane: Lane, caller: &Caller, deadline: &Deadline) -> Entry {
        let mut state = self.lock();
        let now = ambient::instant();
        state.grow(now);
        if let Some(replica) = &mut state.replica {
            replica.note(now);
        }
        let pause = state.pause(now);
        if pause.is_zero() && state.queue.is_empty() && state.bucket.take(now).is_ok() {
            return Entry::Now;
        }
        let ahead = state.queue.ahead(lane, caller);
        let flow = state.hope(now);
        let wait = pause.max(state.bucket.next(flow)) + flow.time(ahead as f64);
        let limit = state.limit(pause, pause.max(flow.told(wait)));
        let in_time = |latest: Instant| wait <= latest.saturating_duration_since(ambient::instant());
        if !deadline.latest().is_none_or(in_time) {
            return Entry::Never(limit);
        }
        let places = state.places;
        let Some(turn) = state.queue.join(lane, caller, deadline.clone(), places) else {
            return Entry::Never(limit);
        };
        let rate = state.rate();
        if state.replica.as_ref().is_some_and(|replica| replica.lacks(rate, ahead.saturating_add(1), now)) {
            self.news.notify_one();
        }
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
        let now = ambient::instant();
        let pause = state.pause(now);
        let flow = state.hope(now);
        state.limit(pause, pause.max(flow.told(flow.time(1.0))))
    }

    /// Gives turns until nobody waits.
    async fn serve(&self) {
        loop {
            let wait = {
                let mut state = self.lock();
                let now = ambient::instant();
                state.grow(now);
                if state.queue.is_empty() {
                    state.served = false;
                    if state.replica.as_ref().is_some_and(|replica| replica.waits.is_some()) {
                        // What was got for those who waited, others may need.
                        self.news.notify_one();
                    }
                    return;
                }
                let pause = state.pause(now);
                if pause.is_zero() {
                    match state.bucket.take(now) {
                        Ok(()) => {
                            state.queue.next();
                            continue;
                        }
                        Err(wait) => wait.min(state.until_turn(now)),
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
        state.grow(now);
        if state.estimate.cut(left, now) {
            state.reflow(now);
            let per_second = Flow::of(state.estimate.rate()).per_second;
            tracing::warn!(
                per_second,
                pause_s = pause.map(|p| p.as_secs()),
                "the provider asks to slow down"
            );
            if let Some(replica) = &mut state.replica {
                replica.complain(left, now);
            }
        }
        if let Some(pause) = pause {
            let until = now + pause.min(state.longest_pause);
            let until = state.pause_until(until);
            if let Some(replica) = &mut state.replica {
                replica.pause = Some(until);
            }
        }
        drop(state);
        self.changed.notify_one();
        self.news.notify_one();
    }

    /// Sends everyone away who waits.
    pub(super) fn dismiss(&self) {
        self.lock().queue = Queue::default();
    }

    /// Takes new settings over. How many replicas there are at most is decided when gizad starts.
    pub(super) fn change(&self, options: &Options) {
        let mut state = self.lock();
        (state.places, state.longest_pause) = (options.queue, options.longest_pause);
        state.estimate.set_ceiling(options.rate);
        let now = ambient::instant();
        state.reflow(now);
        drop(state);
        self.changed.notify_one();
    }

    /// What is worth remembering: the part of the ceiling, and until when the account is paused.
    pub(super) fn learned(&self) -> (f64, Option<Instant>) {
        let state = self.lock();
        (state.estimate.part(), state.paused)
    }

    /// Goes on from what was learned before, and as if everything had been used just now: a restart is no rest. What other
    /// replicas have learned since comes when they are heard.
    pub(super) fn recall(&self, part: f64, pause: Duration) {
        let mut state = self.lock();
        let now = ambient::instant();
        state.estimate.set_part(part);
        state.reflow(now);
        state.bucket.use_up(now);
        if !pause.is_zero() {
            let until = now + pause.min(state.longest_pause);
            state.paused = Some(until);
            if let Some(replica) = &mut state.replica {
                replica.pause = Some(until);
            }
        }
    }

    pub(super) fn shown(&self) -> Shown {
        let mut state = self.lock();
        let now = ambient::instant();
        state.grow(now);
        let pause = state.pause(now);
        Shown {
            per_second: state.flow(now).per_second,
            account_per_second: Flow::of(state.estimate.rate()).per_second,
            part: state.estimate.part(),
            paused_for: (!pause.is_zero()).then_some(pause),
            waiting: Lane::ALL.map(|lane| state.queue.waiting(lane)),
            replicas: state.replica.as_ref().map(|replica| Replicas::of(replica, now)),
        }
    }
}

impl State {
    /// Brings everything up to the present: what ended while nobody looked has ended then.
    pub(super) fn grow(&mut self, now: Instant) {
        while let Some(turn) = self.turn().filter(|turn| *turn <= now)
            && !planted!(EndUnseenByCalls)
        {
            let flow = self.flow(turn);
            self.bucket.change(flow, turn);
        }
        if self.estimate.grow(now) {
            self.reflow(now);
        }
        self.bucket.settle(now);
        // All that waited for the end of a pause does not go at once.
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            self.bucket.use_up(now);
        }
    }

    /// The next moment at which what may be used changes by itself.
    fn turn(&self) -> Option<Instant> {
        self.replica.as_ref().and_then(|replica| replica.lease.turn(self.bucket.at()))
    }

    /// How long it is until then.
    fn until_turn(&self, now: Instant) -> Duration {
        let turn = self.replica.as_ref().and_then(|replica| replica.lease.turn(now));
        turn.map_or(Duration::MAX, |turn| turn.saturating_duration_since(now))
    }

    /// How many wait.
    pub(super) fn waiting(&mut self) -> usize {
        Lane::ALL.map(|lane| self.queue.waiting(lane)).iter().sum()
    }

    /// What fills the bucket at a moment.
    pub(super) fn flow(&self, now: Instant) -> Flow {
        let rate = self.rate();
        self.replica.as_ref().map_or_else(|| Flow::of(rate), |replica| replica.flow(rate, now))
    }

    /// What a call may count on that has to wait.
    fn hope(&self, now: Instant) -> Flow {
        let rate = self.rate();
        self.replica.as_ref().map_or_else(|| Flow::of(rate), |replica| replica.hope(rate, now))
    }

    /// The account's rate. Replicas that cannot hear of each other may each send a call at the same moment.
    pub(super) fn rate(&self) -> Rate {
        let rate = self.estimate.rate();
        let most = self.replica.as_ref().and_then(|replica| NonZeroU32::new(replica.most));
        Rate { burst: rate.burst.max(most.unwrap_or(NonZeroU32::MIN)), ..rate }
    }

    /// What fills the bucket has changed.
    pub(super) fn reflow(&mut self, now: Instant) {
        let flow = self.flow(now);
        self.bucket.change(flow, now);
    }

    /// Pauses at least until a moment; says until when it is.
    pub(super) fn pause_until(&mut self, until: Instant) -> Instant {
        let until = self.paused.map_or(until, |paused| paused.max(until));
        self.paused = Some(until);
        // Better now than when it is too late.
        self.queue.dismiss(until);
        until
    }

    pub(super) fn longest_pause(&self) -> Duration {
        self.longest_pause
    }

    /// What is left of a pause.
    fn pause(&self, now: Instant) -> Duration {
        self.paused.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// The limit that there is nothing left of: what the account takes, or, in a pause, whatever the provider counts.
    fn limit(&self, pause: Duration, wait: Duration) -> Limit {
        let own = self.rate().limit("account", 0, wait);
        if pause.is_zero() { own } else { Limit { name: "upstream", quota: 0, ..own } }
    }
}
