//! A record as it is shown: the resource `Operation`, or the answer or fault that its call ended with.

use std::time::Duration;

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::desk::Desk;
use super::run::Preview;
use crate::call::{Reply, Standing};
use crate::contract::{Contract, Operation};
use crate::fault::{Fault, Judged, ProviderMessage, Reason, Sent};
use crate::ledger::Ledger;
use crate::purchase::{Record, State};

/// When what was not sent may be tried again, if nothing says otherwise.
const SOON: Duration = Duration::from_secs(1);
/// The rule of an answer that comes from the record.
const RECORDED: &str = "recorded";

/// What a call is answered whose record this is.
pub(super) fn answer(
    desk: &Desk,
    ledger: &Ledger,
    operation: &Operation,
    record: &Record,
    replayed: bool,
) -> Result<Reply, Fault> {
    let state = record.state();
    match state {
        State::Succeeded if operation.result.is_none() => {
            let bytes = ledger.unseal(&record.id, &record.result).unwrap_or_default();
            let message = DynamicMessage::decode(operation.output.descriptor.clone(), &*bytes);
            let message = message.map_err(|error| {
                let fault = Fault::new(Reason::Internal, "the recorded answer cannot be read");
                Fault { operation: id(record), ..fault.sent(Sent::Answered).with_private(error.to_string()) }
            })?;
            Ok(standing(Reply::new(message, rule(record, replayed), false), record, true, replayed))
        }
        State::Succeeded | State::Found | State::AwaitingApproval | State::Sending
            if operation.result.is_some() =>
        {
            let message = resource(desk.contract, ledger, record);
            let reply = Reply::new(message, rule(record, replayed), false);
            Ok(standing(reply, record, state.is_last(), replayed))
        }
        _ => Err(fault(record, replayed)),
    }
}

/// What decided: the rule that judged the provider's answer, if it came just now.
fn rule(record: &Record, replayed: bool) -> &'static str {
    if replayed || record.rule.is_empty() { RECORDED } else { Judged::known(&record.rule) }
}

fn id(record: &Record) -> Option<std::sync::Arc<str>> {
    Some(record.id.as_str().into())
}

fn standing(reply: Reply, record: &Record, done: bool, replayed: bool) -> Reply {
    let operation = record.id.as_str().into();
    Reply { standing: Some(Box::new(Standing { operation, done, replayed })), ..reply }
}

/// Why a recorded call did not succeed, as its caller is told.
fn fault(record: &Record, replayed: bool) -> Fault {
    let failure = record.failure.clone().unwrap_or_default();
    let named = Reason::named(&failure.reason);
    let fault = match record.state() {
        State::NotSent => {
            unsent(Fault::new(named.unwrap_or(Reason::UpstreamUnreachable), failure.detail.clone()))
        }
        State::Refused => {
            Fault::new(named.unwrap_or(Reason::UpstreamRefused), failure.detail.clone()).sent(Sent::Answered)
        }
        State::FailedNotSent => Fault::new(Reason::OperationGivenUp, failure.detail.clone()),
        State::Absent => {
            let detail = "it was in doubt, and was not carried out";
            Fault::new(Reason::OperationAbsent, detail).sent(Sent::Answered)
        }
        State::Found => {
            let detail = "it was in doubt, and was carried out; what the provider answered is not known";
            Fault::new(Reason::OperationState, detail).sent(Sent::Answered)
        }
        State::AwaitingApproval => {
            Fault::new(Reason::OperationState, "it waits for the consent of another caller")
        }
        State::Succeeded | State::Sending | State::InDoubt | State::NeedsOperator | State::Unknown => {
            let why = if failure.detail.is_empty() { "it is under way" } else { failure.detail.as_str() };
            let detail = format!("{why}; what became of it is found out, and shown at the operation");
            let fault = Fault::new(Reason::OutcomeUnknown, detail).sent(Sent::Maybe);
            Fault { beneath: named, ..fault }
        }
    };
    let judged = (!failure.rule.is_empty()).then(|| Judged {
        rule: Judged::known(&failure.rule),
        status: failure.status.and_then(|status| u16::try_from(status).ok()),
        message: ProviderMessage::clean(&failure.message),
    });
    Fault { answer: judged, operation: id(record), replayed, ..fault }
}

/// A fault of what was not sent, with when it may be called again under the same key.
pub(super) fn unsent(fault: Fault) -> Fault {
    let retry_after = fault.retry_after.or(passes(fault.reason).then_some(SOON));
    Fault { retry_after, ..fault }
}

/// Whether what kept it from being sent passes by itself.
fn passes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UpstreamUnreachable
            | Reason::UpstreamRateLimited
            | Reason::UpstreamMaintenance
            | Reason::UpstreamBlocked
            | Reason::CircuitOpen
            | Reason::PaceExceeded
            | Reason::QuotaExceeded
            | Reason::ShuttingDown
    )
}

/// What a call that was only checked is answered.
pub(super) fn preview(desk: &Desk, operation: &Operation, preview: &Preview) -> Result<Reply, Fault> {
    let mut message = empty(desk.contract, "gizad.v1.Operation");
    set(&mut message, "method", Value::String(operation.name.clone()));
    let mut shown = empty(desk.contract, "gizad.v1.Preview");
    let look = &preview.look;
    set_some(&mut shown, "price_vnd", look.price_vnd.map(Value::I64));
    set(&mut shown, "price_source", Value::String(look.source.clone()));
    set_some(&mut shown, "balance_before_vnd", look.sight.wallet_vnd.map(Value::I64));
    let after =
        look.sight.wallet_vnd.zip(look.price_vnd).map(|(balance, price)| balance.saturating_sub(price));
    set_some(&mut shown, "balance_after_vnd", after.map(Value::I64));
    set(&mut shown, "needs_approval", Value::Bool(preview.needs_approval));
    let objections = preview.objections.iter().map(|(reason, detail)| {
        let mut objection = empty(desk.contract, "gizad.v1.Objection");
        set(&mut objection, "reason", Value::String(reason.as_str().to_owned()));
        set(&mut objection, "detail", Value::String(detail.clone()));
        Value::Message(objection)
    });
    set(&mut shown, "objections", Value::List(objections.collect()));
    set(&mut message, "preview", Value::Message(shown));
    Ok(Reply::new(message, "checked", false))
}

/// The resource.
pub(super) fn resource(contract: &Contract, ledger: &Ledger, record: &Record) -> DynamicMessage {
    let mut shown = empty(contract, "gizad.v1.Operation");
    set(&mut shown, "operation_id", Value::String(record.id.clone()));
    set(&mut shown, "method", Value::String(record.operation.clone()));
    set(&mut shown, "caller", Value::String(record.caller.clone()));
    set(&mut shown, "request_id", Value::String(record.key.clone().unwrap_or_default()));
    set(&mut shown, "state", Value::EnumNumber(record.state));
    set(&mut shown, "done", Value::Bool(record.state().is_last()));
    set(&mut shown, "attempts", Value::I32(i32::try_from(record.attempt).unwrap_or(i32::MAX)));
    set_some(&mut shown, "price_vnd", record.price_vnd.map(Value::I64));
    set(&mut shown, "held_vnd", Value::I64(record.held_vnd));
    set(&mut shown, "posted_vnd", Value::I64(record.posted_vnd));
    set_time(&mut shown, "create_time", record.created_ms);
    set_time(&mut shown, "update_time", record.changed_ms);
    set(&mut shown, "decided_by", Value::String(record.decided_by.clone()));
    set(&mut shown, "note", Value::String(record.note.clone()));
    let operation = contract.operation(&record.operation);
    if let Some(bytes) = ledger.unseal(&record.id, &record.result).filter(|_| !record.result.is_empty())
        && let Some(operation) = operation.filter(|operation| operation.result.is_some())
        && let Ok(told) = DynamicMessage::decode(operation.told().descriptor.clone(), &*bytes)
    {
        set(&mut shown, "purchase", Value::Message(told));
    }
    if let Some(failure) = &record.failure {
        let mut error = empty(contract, "gizad.v1.OperationError");
        set(&mut error, "reason", Value::String(failure.reason.clone()));
        set(&mut error, "detail", Value::String(failure.detail.clone()));
        set(&mut error, "upstream_rule", Value::String(failure.rule.clone()));
        let status = failure.status.and_then(|status| i32::try_from(status).ok());
        set_some(&mut error, "upstream_status", status.map(Value::I32));
        set(&mut error, "upstream_message", Value::String(failure.message.clone()));
        set(&mut shown, "error", Value::Message(error));
    }
    if record.doubted_ms > 0 {
        set(&mut shown, "evidence", Value::Message(evidence(contract, record)));
    }
    shown
}

fn evidence(contract: &Contract, record: &Record) -> DynamicMessage {
    let texts = |texts: &[String]| Value::List(texts.iter().cloned().map(Value::String).collect());
    let mut evidence = empty(contract, "gizad.v1.Evidence");
    set(&mut evidence, "findings", texts(&record.evidence));
    set(&mut evidence, "service_ids", texts(&record.services));
    let wallet = |sight: &Option<crate::purchase::Sight>| sight.as_ref().and_then(|sight| sight.wallet_vnd);
    set_some(&mut evidence, "balance_before_vnd", wallet(&record.before).map(Value::I64));
    set_some(&mut evidence, "balance_after_vnd", wallet(&record.after).map(Value::I64));
    if let Some(after) = &record.after {
        set_time(&mut evidence, "look_time", after.at_ms);
    }
    evidence
}

/// What has happened to it.
pub(super) fn history(contract: &Contract, records: &[Record]) -> Value {
    let events = records.iter().map(|record| {
        let mut event = empty(contract, "gizad.v1.OperationEvent");
        set(&mut event, "state", Value::EnumNumber(record.state));
        set_time(&mut event, "time", record.changed_ms);
        set(&mut event, "attempt", Value::I32(i32::try_from(record.attempt).unwrap_or(i32::MAX)));
        let reason = record.failure.as_ref().map_or(String::new(), |failure| failure.reason.clone());
        set(&mut event, "reason", Value::String(reason));
        Value::Message(event)
    });
    Value::List(events.collect())
}

/// An empty message of this build's own protos.
#[expect(clippy::expect_used, reason = "the names are constants, and every test of an answer meets them")]
pub(super) fn empty(contract: &Contract, name: &str) -> DynamicMessage {
    DynamicMessage::new(contract.pool().get_message_by_name(name).expect("a message of gizad.v1"))
}

/// Sets a field. One that does not exist shows in every test.
pub(super) fn set(message: &mut DynamicMessage, name: &str, value: Value) {
    let set = message.try_set_field_by_name(name, value);
    debug_assert!(set.is_ok(), "{name}: {set:?}");
}

pub(super) fn set_some(message: &mut DynamicMessage, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        set(message, name, value);
    }
}

pub(super) fn set_time(message: &mut DynamicMessage, name: &str, unix_ms: i64) {
    let Some(field) = message.descriptor().get_field_by_name(name) else { return };
    let kind = field.kind();
    let Some(descriptor) = kind.as_message() else { return };
    let mut time = DynamicMessage::new(descriptor.clone());
    set(&mut time, "seconds", Value::I64(unix_ms.div_euclid(1000)));
    let nanos = i32::try_from(unix_ms.rem_euclid(1000)).unwrap_or(0).saturating_mul(1_000_000);
    set(&mut time, "nanos", Value::I32(nanos));
    set(message, name, Value::Message(time));
}
