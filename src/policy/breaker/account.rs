//! What is known of the provider's health: closed while it is well, open for a moment once it is down, then half-open while
//! one call tries.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Options;
use crate::ambient;
use crate::contract::Operation;
use crate::fault::Heard;
use crate::metrics::Figures;
use crate::policy::Answer;

/// When to come back while one call tries.
const WHILE_TRYING: Duration = Duration::from_secs(1);

/// The state of the breaker, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Calls pass.
    Closed,
    /// Nothing is sent.
    Open,
    /// One call tries.
    HalfOpen,
}

impl Shown {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What all calls for the account share.
pub(in crate::policy) struct Account {
    state: Mutex<State>,
    /// Told when it opens, so that what waits for its turn does not wait any longer.
    pub(super) opened: Notify,
    /// The harmless question.
    pub(super) question: Option<&'static Operation>,
    figures: Arc<Figures>,
}

struct State {
    options: Options,
    mode: Mode,
    in_a_row: u32,
    /// Calls and failures of this window and of the one before.
    counts: [(u32, u32); 2],
    window_began: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Closed,
    Open {
        until: Instant,
    },
    /// One call is trying.
    Trying,
}

/// What a call may do.
pub(super) enum Entry {
    Pass,
    Try,
    Refused(Duration),
}

/// What an answer says about the provider's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Down,
    Unknown,
}

impl Account {
    pub(in crate::policy) fn new(options: Options, question: Option<&'static Operation>) -> Self {
        let state = State {
            options,
            mode: Mode::Closed,
            in_a_row: 0,
            counts: [(0, 0); 2],
            window_began: ambient::instant(),
        };
        Self { state: Mutex::new(state), opened: Notify::new(), question, figures: Arc::default() }
    }

    /// The same, with its openings counted there.
    pub(in crate::policy) fn counted(self, figures: &Arc<Figures>) -> Self {
        let _at_zero = figures.breaker_openings.at([]);
        Self { figures: figures.clone(), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::policy) fn change(&self, options: Options) {
        self.lock().options = options;
    }

    pub(in crate::policy) fn shown(&self) -> Shown {
        match self.lock().mode {
            Mode::Closed => Shown::Closed,
            Mode::Open { .. } => Shown::Open,
            Mode::Trying => Shown::HalfOpen,
        }
    }

    pub(super) fn enter(&self) -> Entry {
        let mut state = self.lock();
        match state.mode {
            Mode::Open { until } if ambient::instant() >= until => {
                state.mode = Mode::Trying;
                Entry::Try
            }
            _ => state.look(),
        }
    }

    /// What a call may do that does not try.
    pub(super) fn look(&self) -> Entry {
        self.lock().look()
    }

    pub(super) fn rest(&self) -> Duration {
        self.lock().options.rest
    }

    /// Learns from the end of a call.
    pub(super) fn learn(&self, tried: bool, health: Health) {
        let mut state = self.lock();
        match (tried, health) {
            (true, Health::Well) => {
                tracing::info!("the provider answers again: calls pass");
                state.mode = Mode::Closed;
                state.forget();
            }
            (true, Health::Down) => {
                state.open();
                self.figures.breaker_openings.at([]).inc();
            }
            // The next one tries.
            (true, Health::Unknown) => state.mode = Mode::Open { until: ambient::instant() },
            (false, Health::Unknown) => {}
            (false, health) => {
                // What left before it opened says nothing about now.
                if matches!(state.mode, Mode::Closed) && state.count(health == Health::Down) {
                    let (in_a_row, rest) = (state.in_a_row, state.options.rest);
                    tracing::warn!(
                        in_a_row,
                        rest_ms = rest.as_millis() as u64,
                        "the provider is down: nothing is sent"
                    );
                    state.open();
                    drop(state);
                    self.figures.breaker_openings.at([]).inc();
                    self.opened.notify_waiters();
                }
            }
        }
    }
}

impl State {
    fn look(&self) -> Entry {
        match self.mode {
            Mode::Closed => Entry::Pass,
            Mode::Open { until } => Entry::Refused(until.saturating_duration_since(ambient::instant())),
            Mode::Trying => Entry::Refused(WHILE_TRYING),
        }
    }

    fn open(&mut self) {
        self.mode = Mode::Open { until: ambient::instant() + self.options.rest };
        self.forget();
    }

    fn forget(&mut self) {
        (self.in_a_row, self.counts) = (0, [(0, 0); 2]);
    }

    /// Counts one call; true when that is one failure too many.
    fn count(&mut self, failed: bool) -> bool {
        let passed = self.window_began.elapsed();
        if passed >= self.options.window {
            let [now, _] = self.counts;
            // After a long silence, the window before was silent too.
            let before = if passed >= self.options.window * 2 { (0, 0) } else { now };
            self.counts = [(0, 0), before];
            self.window_began = ambient::instant();
        }
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
        let [(calls, failures), (calls_before, failures_before)] = &mut self.counts;
        *calls += 1;
        *failures += u32::from(failed);
        let (calls, failures) = (*calls + *calls_before, *failures + *failures_before);
        let most = u64::from(failures) * 100 >= u64::from(calls) * u64::from(self.options.percent);
        failed && (self.in_a_row >= self.options.failures || (calls >= self.options.least && most))
    }
}

/// What an answer says: any answer is a sign of health, also one that is not understood; a break is none, and our own
/// refusals say nothing.
pub(super) fn health(answer: &Answer) -> Health {
    let Err(fault) = answer else { return Health::Well };
    match fault.happened().heard() {
        Heard::Failure | Heard::Barrier => Health::Down,
        Heard::Answer | Heard::Later => Health::Well,
        Heard::Nothing => Health::Unknown,
    }
}
