//! The machine: what an event makes of a record, and what is to be done then.
//!
//! ```text
//! ─▶ AWAITING_APPROVAL ─▶ SENDING ─▶ SUCCEEDED
//!          │               │  ▲ └──▶ REFUSED             the provider refused, and nothing moved
//!          ▼               ▼  │
//!  FAILED_NOT_SENT ◀── NOT_SENT      proven
//!                          SENDING ─▶ IN_DOUBT ─▶ FOUND | ABSENT | NEEDS_OPERATOR ─▶ FOUND | ABSENT
//! ```
//!
//! A crash in SENDING is IN_DOUBT, always. The last states never change. No state is left by time alone.

use super::admit::sends_again;
use super::evidence::Verdict;
use super::planted;
use super::record::{Failure, Record, Sight, State};

/// What happens to an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It costs more than may be spent without another caller's consent.
    Hold,
    /// Everything was checked, and it is to be sent.
    Begin,
    /// The exchange with the provider ended.
    Ended(Ending),
    /// The provider had refused: whether anything has moved all the same.
    Moved(bool),
    /// Its writer is gone, and the record says that it was sending.
    Crashed,
    /// The account was looked at.
    Seen(Sight, Verdict),
    /// Somebody consents.
    Approved {
        /// Who.
        by: String,
    },
    /// Somebody gives it up before it was sent.
    GivenUp {
        /// Who.
        by: String,
        /// Why.
        note: String,
    },
    /// Somebody has found out what became of it.
    Resolved {
        /// Who.
        by: String,
        /// Whether it was carried out.
        found: bool,
        /// What was found out.
        note: String,
    },
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It was carried out.
    Succeeded {
        /// The answer, sealed.
        result: Vec<u8>,
        /// The rule that judged it.
        rule: String,
        /// What it has cost, if the provider said so.
        cost_vnd: Option<i64>,
        /// The services that came of it.
        services: Vec<String>,
    },
    /// The provider says that it did nothing.
    Refused(Failure),
    /// It is proven that nothing was sent.
    Unsent(Failure),
    /// Anything else.
    Doubted(Failure),
}

/// What is to be done, in this order. Whatever comes after a write that failed is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write the record down, and have it on the disk.
    Write,
    /// Send the request.
    Send,
    /// Look whether anything has moved.
    Confirm,
    /// Tell whoever waits.
    Tell,
    /// Find out what became of it.
    Reconcile,
}

/// What an event made.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The record as it is from now on.
    pub record: Record,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// An event that cannot happen in this state. Nothing is changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(pub State);

/// The machine.
///
/// # Errors
/// The state, if the event cannot happen in it.
pub fn step(before: &Record, event: Event, now_ms: i64) -> Result<Step, Wrong> {
    use Effect::{Reconcile, Tell, Write};
    let state = before.state();
    let mut record = Record { changed_ms: now_ms.max(before.changed_ms), ..before.clone() };
    let effects = match (state, event) {
        (State::Unknown, Event::Hold) => {
            record.state = State::AwaitingApproval.into();
            record.held_vnd = record.price_vnd.unwrap_or(0);
            vec![Write, Tell]
        }
        (State::Unknown | State::NotSent, Event::Begin) => begin(&mut record),
        (_, Event::Begin) if sends_again(before) => begin(&mut record),
        // Without consent nothing is sent.
        (State::AwaitingApproval, Event::Begin) if !record.decided_by.is_empty() => begin(&mut record),
        (State::AwaitingApproval, Event::Approved { by }) => {
            record.decided_by = by;
            vec![Write]
        }
        (State::AwaitingApproval | State::NotSent, Event::GivenUp { by, note }) => {
            let detail = "it was given up before anything was sent".to_owned();
            record.failure =
                Some(Failure { reason: "OPERATION_GIVEN_UP".to_owned(), detail, ..Failure::default() });
            (record.decided_by, record.note) = (by, note);
            settle(&mut record, State::FailedNotSent, 0);
            vec![Write, Tell]
        }
        (State::Sending, Event::Ended(ending)) => ended(&mut record, ending),
        (State::Sending, Event::Moved(false)) => {
            settle(&mut record, State::Refused, 0);
            vec![Write, Tell]
        }
        (State::Sending, Event::Moved(true)) => {
            doubt(&mut record, now_ms);
            vec![Write, Tell, Reconcile]
        }
        (State::Sending, Event::Crashed) => {
            if planted!(CrashIsFailure) {
                settle(&mut record, State::FailedNotSent, 0);
                return Ok(Step { record, effects: vec![Write] });
            }
            record.failure = record.failure.or_else(|| Some(crashed()));
            doubt(&mut record, now_ms);
            vec![Write, Reconcile]
        }
        (State::InDoubt, Event::Seen(sight, verdict)) => seen(&mut record, sight, verdict),
        (State::InDoubt | State::NeedsOperator, Event::Resolved { by, found, note }) => {
            let posted = if found { record.price_vnd.unwrap_or(0) } else { 0 };
            (record.decided_by, record.note) = (by, note);
            record.failure = record.failure.filter(|_| !found);
            settle(&mut record, if found { State::Found } else { State::Absent }, posted);
            vec![Write, Tell]
        }
        _ => return Err(Wrong(state)),
    };
    Ok(Step { record, effects })
}

fn begin(record: &mut Record) -> Vec<Effect> {
    record.state = State::Sending.into();
    record.attempt = record.attempt.saturating_add(1);
    record.held_vnd = record.price_vnd.unwrap_or(0);
    record.failure = None;
    if planted!(SendBeforeWrite) {
        vec![Effect::Send, Effect::Write]
    } else {
        vec![Effect::Write, Effect::Send]
    }
}

fn ended(record: &mut Record, ending: Ending) -> Vec<Effect> {
    use Effect::{Confirm, Reconcile, Tell, Write};
    match ending {
        Ending::Succeeded { result, rule, cost_vnd, services } => {
            (record.result, record.rule, record.services) = (result, rule, services);
            let cost = cost_vnd.or(record.price_vnd).unwrap_or(0);
            settle(record, State::Succeeded, cost);
            if planted!(TellBeforeWrite) { vec![Tell, Write] } else { vec![Write, Tell] }
        }
        Ending::Refused(failure) => {
            record.failure = Some(failure);
            // Nobody's money can have moved, so there is nothing to look at.
            if !record.spends || planted!(RefusalUnconfirmed) {
                settle(record, State::Refused, 0);
                return vec![Write, Tell];
            }
            vec![Confirm]
        }
        Ending::Unsent(failure) => {
            record.failure = Some(failure);
            record.state = State::NotSent.into();
            record.held_vnd = 0;
            vec![Write, Tell]
        }
        Ending::Doubted(failure) => {
            record.failure = Some(failure);
            if planted!(DoubtIsFailure) {
                settle(record, State::FailedNotSent, 0);
                return vec![Write, Tell];
            }
            if planted!(DoubtIsUnsent) {
                record.state = State::NotSent.into();
                record.held_vnd = 0;
                return vec![Write, Tell];
            }
            doubt(record, record.changed_ms);
            vec![Write, Tell, Reconcile]
        }
    }
}

fn seen(record: &mut Record, sight: Sight, verdict: Verdict) -> Vec<Effect> {
    use Effect::{Tell, Write};
    record.after = Some(sight);
    record.looked = record.looked.saturating_add(1);
    match verdict {
        Verdict::Found { services, says } => {
            record.evidence = says;
            record.services = services;
            record.failure = None;
            settle(record, State::Found, record.price_vnd.unwrap_or(0));
            vec![Write, Tell]
        }
        Verdict::Absent { says } => {
            record.evidence = says;
            settle(record, State::Absent, 0);
            vec![Write, Tell]
        }
        Verdict::Person { says } => {
            record.evidence = says;
            record.state = State::NeedsOperator.into();
            vec![Write, Tell]
        }
        Verdict::Wait { clean, says } => {
            record.evidence = says;
            record.clean = if clean { record.clean.saturating_add(1) } else { 0 };
            Vec::new()
        }
    }
}

/// From now on nobody knows, until somebody finds out. What was set aside stays set aside.
fn doubt(record: &mut Record, now_ms: i64) {
    record.state = State::InDoubt.into();
    record.doubted_ms = now_ms;
    (record.clean, record.looked) = (0, 0);
    if planted!(HoldReleasedInDoubt) {
        record.held_vnd = 0;
    }
}

fn settle(record: &mut Record, state: State, posted_vnd: i64) {
    record.state = state.into();
    (record.held_vnd, record.posted_vnd) = (0, posted_vnd);
}

fn crashed() -> Failure {
    Failure {
        reason: "OUTCOME_UNKNOWN".to_owned(),
        detail: "gizad ended while this was being sent".to_owned(),
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_state(state: State) -> Record {
        Record { state: state.into(), spends: true, price_vnd: Some(100), held_vnd: 100, ..Record::default() }
    }

    fn events() -> Vec<Event> {
        let failure = Failure::default;
        let succeeded =
            Ending::Succeeded { result: vec![1], rule: String::new(), cost_vnd: None, services: Vec::new() };
        let (by, note) = (String::from("b"), String::new());
        let seen = |verdict| Event::Seen(Sight::default(), verdict);
        vec![
            Event::Hold,
            Event::Begin,
            Event::Ended(succeeded),
            Event::Ended(Ending::Refused(failure())),
            Event::Ended(Ending::Unsent(failure())),
            Event::Ended(Ending::Doubted(failure())),
            Event::Moved(false),
            Event::Moved(true),
            Event::Crashed,
            seen(Verdict::Found { services: Vec::new(), says: Vec::new() }),
            seen(Verdict::Absent { says: Vec::new() }),
            seen(Verdict::Person { says: Vec::new() }),
            seen(Verdict::Wait { clean: true, says: Vec::new() }),
            Event::Approved { by: by.clone() },
            Event::GivenUp { by: by.clone(), note: note.clone() },
            Event::Resolved { by: by.clone(), found: true, note: note.clone() },
            Event::Resolved { by, found: false, note },
        ]
    }

    #[test]
    fn the_last_states_never_change() {
        for state in State::ALL.into_iter().filter(|state| state.is_last()) {
            for event in events() {
                assert_eq!(step(&in_state(state), event, 1), Err(Wrong(state)));
            }
        }
    }

    /// Whatever the state and the event: nothing is sent that was not written down just before, nothing is told that was
    /// not, and what is set aside is let go only when the outcome is known.
    #[test]
    fn every_step_keeps_the_promise() {
        let mut steps = 0;
        for state in [State::Unknown].into_iter().chain(State::ALL) {
            for event in events() {
                let Ok(Step { record, effects }) = step(&in_state(state), event.clone(), 5) else { continue };
                steps += 1;
                let at = |effect| effects.iter().position(|e| *e == effect);
                for after in [Effect::Send, Effect::Tell, Effect::Reconcile] {
                    if let Some(place) = at(after) {
                        assert!(at(Effect::Write).is_some_and(|write| write < place), "{state:?} {event:?}");
                    }
                }
                assert_eq!(at(Effect::Send).is_some(), event == Event::Begin, "{state:?} {event:?}");
                let now = record.state();
                if now.is_doubtful() || now == State::AwaitingApproval {
                    assert_eq!((record.held_vnd, record.posted_vnd), (100, 0), "{state:?} {event:?}");
                } else {
                    assert_eq!(record.held_vnd, 0, "{state:?} {event:?}");
                }
                if state == State::InDoubt && !matches!(event, Event::Seen(..) | Event::Resolved { .. }) {
                    panic!("{event:?} ends a doubt");
                }
            }
        }
        assert!(steps > 20, "{steps}");
    }

    #[test]
    fn without_consent_nothing_is_sent() {
        let held = step(&Record { decided_by: String::new(), ..in_state(State::Unknown) }, Event::Hold, 1);
        let held = held.expect("possible").record;
        assert_eq!(step(&held, Event::Begin, 2), Err(Wrong(State::AwaitingApproval)));
        let consented = step(&held, Event::Approved { by: "boss".into() }, 3).expect("possible").record;
        assert_eq!(step(&consented, Event::Begin, 4).expect("possible").record.state(), State::Sending);
    }
}
