//! The calls that ended last, and how long calls took lately: for a person who looks how it goes.
//!
//! Bounded, in memory, and gone with the process. Absent here: anything that was asked or answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ambient;
use crate::call::{Caller, Face};
use crate::contract::Effect;

/// How many calls are remembered one by one.
const CALLS: usize = 200;
/// How many spans of time are remembered, and how long each is: ten minutes in all.
const SPANS: usize = 60;
const SPAN: Duration = Duration::from_secs(10);
/// Times are counted in steps, four to every doubling, from a tenth of a millisecond to some minutes. So a time is shown within
/// a tenth of what it was.
const STEPS: usize = 88;
const FIRST_STEP_MICROS: f64 = 100.0;
const STEPS_A_DOUBLING: f64 = 4.0;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The provider was asked, or may have been.
    Provider,
    /// From memory.
    Memory,
    /// From gizad's own record.
    Record,
    /// Nobody was asked: gizad refused, or nobody waited.
    Nobody,
}

impl Source {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Memory => "memory",
            Self::Record => "record",
            Self::Nobody => "nobody",
        }
    }
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was called.
    pub operation: &'static str,
    /// What that does to the world.
    pub effect: Effect,
    /// Through which face.
    pub face: Face,
    /// Who called, if that is known.
    pub caller: Option<Caller>,
    /// `OK`, or why not.
    pub outcome: &'static str,
    /// Where the answer came from.
    pub source: Source,
    /// How long it took.
    pub took: Duration,
}

/// What happened in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The calls that ended.
    pub calls: u32,
    /// Those of them that did not succeed.
    pub failed: u32,
    /// How long half of those took at most for which the provider was asked.
    pub median: Option<Duration>,
    /// And 99 of 100.
    pub slow: Option<Duration>,
}

/// All that is remembered.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The calls, the latest first.
    pub calls: Vec<Past>,
    /// The spans, the oldest first; the last one is not over.
    pub spans: Vec<Span>,
    /// How long a span is.
    pub span: Duration,
}

/// What is remembered of the calls of this process.
pub(super) struct Recent {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Past>,
    /// Only those in which a call has ended.
    slots: VecDeque<Slot>,
}

struct Slot {
    number: u64,
    calls: u32,
    failed: u32,
    steps: [u32; STEPS],
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { begun: ambient::instant(), state: Mutex::default() }
    }

    /// Which span it is now.
    fn now(&self) -> u64 {
        ambient::instant().saturating_duration_since(self.begun).as_secs() / SPAN.as_secs()
    }

    /// Remembers a call.
    pub(super) fn note(&self, past: Past) {
        let number = self.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.slots.back().is_none_or(|slot| slot.number < number) {
            if state.slots.len() == SPANS {
                state.slots.pop_front();
            }
            state.slots.push_back(Slot { number, calls: 0, failed: 0, steps: [0; STEPS] });
        }
        if let Some(slot) = state.slots.back_mut() {
            slot.count(&past);
        }
        if state.calls.len() == CALLS {
            state.calls.pop_front();
        }
        state.calls.push_back(past);
    }

    /// All that is remembered.
    pub(super) fn shown(&self) -> Shown {
        let now = self.now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spans = vec![Span::default(); SPANS];
        for slot in &state.slots {
            let ago = usize::try_from(now.saturating_sub(slot.number)).unwrap_or(usize::MAX);
            if let Some(span) = spans.iter_mut().rev().nth(ago) {
                *span = slot.shown();
            }
        }
        Shown { calls: state.calls.iter().rev().cloned().collect(), spans, span: SPAN }
    }
}

impl Slot {
    fn count(&mut self, past: &Past) {
        self.calls = self.calls.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(past.outcome != "OK"));
        let counted = past.source == Source::Provider;
        if let Some(step) = self.steps.get_mut(step(past.took)).filter(|_| counted) {
            *step = step.saturating_add(1);
        }
    }

    fn shown(&self) -> Span {
        let (median, slow) = (self.within(50), self.within(99));
        Span { calls: self.calls, failed: self.failed, median, slow }
    }

    /// How long so many of a hundred took at most.
    fn within(&self, percent: u64) -> Option<Duration> {
        let all: u64 = self.steps.iter().copied().map(u64::from).sum();
        let wanted = all.saturating_mul(percent).div_ceil(100).max(1);
        let mut so_far = 0;
        let reaches = |count: &u32| {
            so_far += u64::from(*count);
            so_far >= wanted
        };
        self.steps.iter().position(reaches).map(middle)
    }
}

/// The step that a time is counted in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "held between the ends of the scale"
)]
fn step(took: Duration) -> usize {
    let steps = (took.as_secs_f64() * 1e6 / FIRST_STEP_MICROS).log2() * STEPS_A_DOUBLING;
    steps.clamp(0.0, STEPS as f64 - 1.0) as usize
}

/// A time in the middle of a step.
fn middle(step: usize) -> Duration {
    let micros = FIRST_STEP_MICROS * ((step as f64 + 0.5) / STEPS_A_DOUBLING).exp2();
    Duration::from_secs_f64(micros / 1e6)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn past(millis: u64, outcome: &'static str, source: Source) -> Past {
        Past {
            at_ms: 0,
            operation: "WalletService.GetWallet",
            effect: Effect::Read,
            face: Face::Rest,
            caller: Some(Caller::Anonymous),
            outcome,
            source,
            took: Duration::from_millis(millis),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_calls_are_kept_and_no_more() {
        let recent = Recent::new();
        for number in 0..1000 {
            recent.note(past(number, "OK", Source::Provider));
        }
        let shown = recent.shown();
        assert_eq!(shown.calls.len(), CALLS);
        assert_eq!(shown.calls.first().map(|past| past.took.as_millis()), Some(999), "the latest first");
        assert_eq!(shown.calls.last().map(|past| past.took.as_millis()), Some(800));
    }

    #[tokio::test(start_paused = true)]
    async fn times_of_what_asked_the_provider_are_shown_within_a_tenth() {
        let recent = Recent::new();
        for _ in 0..98 {
            recent.note(past(100, "OK", Source::Provider));
        }
        recent.note(past(2000, "UPSTREAM_TIMEOUT", Source::Provider));
        recent.note(past(2000, "OK", Source::Provider));
        for source in [Source::Memory, Source::Record, Source::Nobody] {
            recent.note(past(60_000, "OK", source));
        }
        let span = *recent.shown().spans.last().expect("one");
        assert_eq!((span.calls, span.failed), (103, 1));
        let near = |shown: Option<Duration>, millis: f64| {
            let ratio = shown.expect("a time").as_secs_f64() * 1000.0 / millis;
            assert!((0.9..1.1).contains(&ratio), "{shown:?} for {millis} ms");
        };
        near(span.median, 100.0);
        near(span.slow, 2000.0);
        assert_eq!(step(Duration::ZERO), 0);
        assert_eq!(step(Duration::from_secs(100_000)), STEPS - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn spans_pass_whether_or_not_anything_happens_in_them() {
        let recent = Recent::new();
        recent.note(past(1, "OK", Source::Memory));
        advance(SPAN * 3).await;
        recent.note(past(1, "OK", Source::Memory));
        let counts = |recent: &Recent| recent.shown().spans.iter().map(|span| span.calls).collect::<Vec<_>>();
        let seen = counts(&recent);
        assert_eq!((seen.len(), seen.get(SPANS - 4..)), (SPANS, Some(&[1, 0, 0, 1][..])));
        assert_eq!(recent.shown().spans.last().expect("one").median, None, "memory asks nobody");
        advance(SPAN * 58).await;
        assert_eq!(counts(&recent).iter().sum::<u32>(), 1, "the first one is forgotten");
        for _ in 0..200 {
            advance(SPAN).await;
            recent.note(past(1, "OK", Source::Memory));
        }
        assert_eq!(recent.state.lock().expect("sound").slots.len(), SPANS);
        assert_eq!(counts(&recent), vec![1; SPANS]);
    }
}
