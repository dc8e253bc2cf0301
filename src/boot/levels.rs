//! How much is logged while gizad runs: what the settings say, or for a while what somebody has asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::ambient;
use crate::telemetry::{self, Filter};

/// The hand on it.
pub(super) struct Levels {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// What the settings say.
    usual: Filter,
    now: Filter,
    /// When it goes back to that by itself.
    until: Option<Instant>,
}

impl Levels {
    /// What the settings say.
    pub(super) fn new(usual: Filter) -> Self {
        let state = State { now: usual.clone(), usual, until: None };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs so much from now on: for this time, or until somebody says something else.
    pub(super) fn set(&self, filter: &Filter, time: Option<Duration>) {
        let mut state = self.lock();
        state.until = time.and_then(|time| ambient::instant().checked_add(time));
        take(&mut state, filter, "asked for");
        drop(state);
        self.changed.notify_one();
    }

    /// Logs again what the settings say.
    pub(super) fn reset(&self) {
        let usual = self.lock().usual.clone();
        self.set(&usual, None);
    }

    /// Takes other settings over. The same as before change nothing, so that they end nothing that was asked for.
    pub(super) fn reload(&self, usual: &Filter) {
        let mut state = self.lock();
        if state.usual != *usual {
            (state.usual, state.until) = (usual.clone(), None);
            take(&mut state, usual, "the settings have changed");
        }
    }

    /// What is logged now, what the settings say, and how much time is left until that is logged again.
    pub(super) fn shown(&self) -> Value {
        let state = self.lock();
        let left = state.until.map(|until| until.saturating_duration_since(ambient::instant()).as_secs());
        json!({"filter": state.now.to_string(), "settings": state.usual.to_string(), "left_s": left})
    }

    /// Goes back to the settings whenever the time is over that somebody has asked for, for ever.
    pub(super) async fn run(&self) {
        loop {
            let until = self.lock().until;
            match until {
                Some(until) => {
                    tokio::select! {
                        () = sleep_until(until) => self.end(until),
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// The time is over, unless somebody has asked for another meanwhile.
    fn end(&self, until: Instant) {
        let mut state = self.lock();
        if state.until == Some(until) {
            state.until = None;
            let usual = state.usual.clone();
            take(&mut state, &usual, "the time for it is over");
        }
    }
}

/// Logs so much from now on, and says so: before, if it would not be seen afterwards.
fn take(state: &mut State, filter: &Filter, why: &'static str) {
    let (before, left) = (state.now.to_string(), state.until);
    let left_s = left.map(|until| until.saturating_duration_since(ambient::instant()).as_secs());
    let say = || tracing::info!(filter = %filter, before, left_s, why, "log level changed");
    let is_seen = tracing::enabled!(tracing::Level::INFO);
    if is_seen {
        say();
    }
    state.now = filter.clone();
    telemetry::change(filter);
    if !is_seen {
        say();
    }
}
