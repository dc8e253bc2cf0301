//! What must be true of every run, whatever went wrong in it: the invariants by their names.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use prost::Message as _;

use super::play::{Played, Scene};
use super::provider::{Account, Done, WALLET};
use crate::fault::{Reason, Sent};
use crate::policy::purchase::run;
use crate::purchase::{Record, State};

/// What a caller was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// It was carried out: by which operation, with which answer.
    Success(Vec<u8>),
    /// It was not, and never will be.
    Failure,
    /// Nothing was sent.
    NotSent,
    /// It waits for consent, or is under way.
    Waiting,
    /// Nobody knows.
    Unknown,
    /// This call was not begun, because of another.
    Rejected(Reason),
}

/// What a caller was told, and of which operation.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The operation it would be, if it is new.
    pub(super) id: String,
    pub(super) begun_ms: i64,
    pub(super) at_ms: i64,
    /// How many entries the ledger had then.
    pub(super) written: i64,
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) fingerprint: Vec<u8>,
    pub(super) told: Told,
    pub(super) record: Option<Record>,
}

pub(super) fn told(scene: &Scene, asked: &Record, outcome: &run::Told, begun_ms: i64) -> Answer {
    let (told, record) = match outcome {
        run::Told::Operation { record, .. } => {
            let told = match record.state() {
                State::Succeeded | State::Found => Told::Success(record.result.clone()),
                State::Refused | State::FailedNotSent | State::Absent => Told::Failure,
                State::NotSent => Told::NotSent,
                State::AwaitingApproval => Told::Waiting,
                State::Sending | State::InDoubt | State::NeedsOperator | State::Unknown => Told::Unknown,
            };
            (told, Some(record.as_ref().clone()))
        }
        run::Told::Refused(fault) => match fault.reason {
            Reason::LedgerUnavailable if fault.sent != Sent::Never => (Told::Unknown, None),
            Reason::LedgerUnavailable | Reason::DeadlineExceeded => (Told::NotSent, None),
            other => (Told::Rejected(other), None),
        },
        run::Told::Preview(_) => (Told::Waiting, None),
    };
    Answer {
        id: asked.id.clone(),
        begun_ms,
        at_ms: scene.stage().now_ms(),
        written: scene.shared().lock().entries.len() as i64,
        caller: asked.caller.clone(),
        key: asked.key.clone().unwrap_or_default(),
        fingerprint: asked.fingerprint.clone(),
        told,
        record,
    }
}

/// The record of what is about to be sent, which must be on the disk by now.
pub(super) fn sending(scene: &Scene, caller: &str, key: &str, id: &str) -> Record {
    let disk = scene.shared().lock();
    let own =
        disk.rows.values().find(|kept| kept.row.caller == caller && kept.row.key.as_deref() == Some(key));
    let record = own.and_then(|kept| Record::decode(&*kept.body).ok());
    match record {
        Some(record) if record.state() == State::Sending => record,
        other => {
            drop(disk);
            // What was declared dead by another, and did not hear of it, may send what it had written down.
            let declared = other.as_ref().is_some_and(|record| record.state() == State::InDoubt);
            if !declared {
                let state = other.as_ref().map(|record| record.state().as_str());
                scene.tally().lock().wrong.push(format!("I3: {key} is sent and stands as {state:?}"));
            }
            other.unwrap_or_else(|| Record { id: id.to_owned(), ..Record::default() })
        }
    }
}

/// A request arrives at the provider.
pub(super) fn arrives(scene: &Scene, record: &Record, now_ms: i64, looked_ms: i64) {
    let tally = scene.tally();
    let twin = scene.shared().lock().rows.values().any(|other| {
        let same = Record::decode(&*other.body).is_ok_and(|other| {
            other.fingerprint == record.fingerprint && other.state().is_doubtful() && other.id != record.id
        });
        same && record.attempt > 0
    });
    if twin {
        tally.lock().wrong.push(format!("twin: {} is sent while the same is in doubt", record.id));
    }
    let mut account = scene.provider().lock();
    if record.attempt == 1 && looked_ms < account.last_end_ms {
        tally.lock().wrong.push(format!("alone: {} was looked at while another was sent", record.id));
    }
    let arrival = (record.id.clone(), record.attempt);
    if account.arrived.iter().any(|(_, id, attempt)| (id, attempt) == (&arrival.0, &arrival.1)) {
        tally.lock().wrong.push(format!("I3: attempt {} of {} is sent twice", arrival.1, arrival.0));
    }
    account.arrived.push((now_ms, arrival.0, arrival.1));
}

/// Everything that is wrong with a run.
pub(super) fn violations(played: &Played) -> Vec<String> {
    let mut wrong = played.tally.lock().wrong.clone();
    let account = played.provider.lock();
    let records: BTreeMap<String, Record> = played
        .shared
        .lock()
        .rows
        .values()
        .filter_map(|kept| Some((kept.row.id.clone(), Record::decode(&*kept.body).ok()?)))
        .collect();
    executions(&account, &records, &mut wrong);
    ends(&account, &records, &mut wrong);
    answers(played, &account, &records, &mut wrong);
    drop(account);
    match played.ledger.verify().now_or_never() {
        Some(Ok((_, problems))) => wrong.extend(problems.into_iter().map(|p| format!("chain: {p}"))),
        // The store takes its time; it is verified by the run itself.
        Some(Err(trouble)) => wrong.push(format!("chain: {trouble}")),
        None => {}
    }
    wrong
}

fn of_key<'a>(account: &'a Account, caller: &'a str, key: &'a str) -> impl Iterator<Item = &'a Done> {
    account.done.iter().filter(move |done| done.caller == caller && done.key == key)
}

fn executions(account: &Account, records: &BTreeMap<String, Record>, wrong: &mut Vec<String>) {
    for done in &account.done {
        let times = of_key(account, &done.caller, &done.key).count();
        if times > 1 {
            wrong.push(format!("I1: {} of {} was carried out {times} times", done.key, done.caller));
        }
        let Some(record) = records.get(&done.id) else {
            wrong.push(format!("I5: {} was carried out and is in no record", done.id));
            continue;
        };
        let known =
            matches!(record.state(), State::Succeeded | State::Found | State::InDoubt | State::NeedsOperator);
        if !known {
            wrong.push(format!("I5: {} was carried out and is {}", done.id, record.state().as_str()));
        }
        if record.fingerprint != done.fingerprint {
            wrong.push(format!("I8: {} was carried out as something else", done.id));
        }
        if record.caller != done.caller {
            wrong.push(format!("I9: {} was carried out for another caller", done.id));
        }
    }
}

fn ends(account: &Account, records: &BTreeMap<String, Record>, wrong: &mut Vec<String>) {
    for record in records.values() {
        let state = record.state();
        let times = account.done.iter().filter(|done| done.id == record.id).count();
        match state {
            State::Succeeded | State::Found => {
                if times != 1 {
                    wrong.push(format!(
                        "I2: {} is {} and was carried out {times} times",
                        record.id,
                        state.as_str()
                    ));
                }
                if Some(record.posted_vnd) != record.price_vnd {
                    wrong.push(format!("I6: {} has cost {}", record.id, record.posted_vnd));
                }
            }
            State::Sending | State::InDoubt | State::Unknown => {
                wrong.push(format!("I7: {} is still {}", record.id, state.as_str()));
            }
            State::NeedsOperator
            | State::AwaitingApproval
            | State::NotSent
            | State::Refused
            | State::FailedNotSent
            | State::Absent => {}
        }
        let sent = account.arrived.iter().filter(|(_, id, _)| *id == record.id).count();
        if sent > record.attempt as usize {
            wrong.push(format!("I3: {} was sent {sent} times in {} attempts", record.id, record.attempt));
        }
    }
    let gone: i64 = account.done.iter().map(|done| done.wish.price).sum();
    let posted: i64 = records.values().map(|record| record.posted_vnd).sum();
    let open = records.values().filter(|record| record.state() == State::NeedsOperator);
    let doubted: i64 = open
        .filter(|record| account.done.iter().any(|done| done.id == record.id))
        .map(|record| record.price_vnd.unwrap_or(0))
        .sum();
    if gone != posted + doubted {
        wrong.push(format!("I6: of {WALLET}, {gone} are gone, {posted} posted and {doubted} in doubt"));
    }
}

fn answers(played: &Played, account: &Account, records: &BTreeMap<String, Record>, wrong: &mut Vec<String>) {
    for answer in &played.answers {
        let Answer { caller, key, .. } = answer;
        if let Some(record) = &answer.record {
            if record.caller != *caller {
                wrong.push(format!("I9: {caller} was told of {}, which is of {}", record.id, record.caller));
            }
            if record.fingerprint != answer.fingerprint {
                wrong.push(format!("I8: {caller} was told of {}, which is something else", record.id));
            }
        }
        match &answer.told {
            Told::Success(result) => {
                let times = of_key(account, caller, key).count();
                if times != 1 {
                    wrong.push(format!("I2: {caller} was told that {key} succeeded; it ran {times} times"));
                }
                // From the moment it was told, it is in the ledger for ever.
                let id = answer.record.as_ref().map(|record| record.id.clone()).unwrap_or_default();
                let since = played.shared.lock();
                let written =
                    since.entries.iter().filter(|entry| entry.id == id && entry.seq <= answer.written);
                let ended = written
                    .filter_map(|entry| Record::decode(&*entry.body).ok())
                    .any(|record| matches!(record.state(), State::Succeeded | State::Found));
                if !ended {
                    wrong.push(format!("I2: {key} was told to have succeeded before that was written down"));
                }
                if records.get(&id).is_some_and(|record| record.result != *result) {
                    wrong.push(format!("I10: {key} was told another answer than is recorded"));
                }
            }
            Told::Failure => {
                if of_key(account, caller, key).any(|done| done.fingerprint == answer.fingerprint) {
                    wrong.push(format!("I4: {caller} was told that {key} failed, and it was carried out"));
                }
            }
            Told::NotSent => {
                // What another call sends meanwhile, its own caller is told of.
                let sent = |done: &Done| done.sent_ms < answer.begun_ms || done.id == answer.id;
                if of_key(account, caller, key).any(|done| sent(done) && done.sent_ms <= answer.at_ms) {
                    wrong.push(format!("I4: {caller} was told that {key} was not sent, and it had been"));
                }
            }
            Told::Waiting | Told::Unknown | Told::Rejected(_) => {}
        }
    }
}
