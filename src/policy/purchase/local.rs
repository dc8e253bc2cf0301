//! What is asked of gizad's own record: operations are listed, read, waited for, looked at, consented to and decided.
//!
//! Nothing here is sent to the provider but the harmless reads of a look.

use std::sync::Arc;
use std::time::Duration;

use prost_reflect::{DynamicMessage, Value};
use tokio::time::timeout_at;

use super::begin;
use super::desk::Desk;
use super::order::Provider;
use super::part::Part;
use super::refused::unwritten;
use super::run;
use super::running::Running;
use super::{news, reconcile, shown};
use crate::ambient;
use crate::call::{Call, Caller, Deadline, Key, Reply, Scope};
use crate::contract::{Violation, Watch};
use crate::fault::{Fault, Reason};
use crate::ledger::{Filter, Ledger, Trouble};
use crate::purchase::{Event, Record, State, step};

/// How many operations are listed if the caller does not say.
const PAGE: u32 = 50;
/// How often it is looked what other processes have written.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The rule of an answer from the record.
pub(super) const RECORDED: &str = "recorded";

/// Answers one such call.
pub(super) async fn answer(desk: Arc<Desk>, call: Call) -> Result<Reply, Fault> {
    let ledger = desk.ledger()?.clone();
    let method = call.operation.name.rsplit('.').next().unwrap_or_default();
    match method {
        "ListOperations" => list(&desk, &ledger, &call).await,
        "WatchOperations" => Ok(news::answer(desk.clone(), ledger, &call)),
        "GetOperation" => get(&desk, &ledger, &call).await,
        "ReconcileOperation" => {
            admin(&call)?;
            let record = own(&ledger, &call).await?;
            reconcile::look(&desk, &ledger, &record).await?;
            let record = own(&ledger, &call).await?;
            Ok(resource(&desk, &ledger, &record))
        }
        "ApproveOperation" => approve(&desk, &ledger, &call).await,
        "ResolveOperation" => resolve(&desk, &ledger, &call).await,
        other => Err(Fault::new(Reason::Internal, format!("nobody answers {other}"))),
    }
}

/// Whether a caller sees and decides what is another's.
fn is_admin(call: &Call) -> bool {
    call.scopes.has(Scope::Admin)
}

/// Whose operations are asked for: its own, unless it sees those of others.
pub(super) fn seen_by(call: &Call) -> Option<String> {
    let wanted = Some(text(call, "caller")).filter(|caller| !caller.is_empty());
    if is_admin(call) { wanted } else { Some(call.caller.as_str().to_owned()) }
}

/// Refuses whoever decides only for itself.
fn admin(call: &Call) -> Result<(), Fault> {
    if is_admin(call) { Ok(()) } else { Err(Fault::lacking(Scope::Admin)) }
}

fn resource(desk: &Desk, ledger: &Ledger, record: &Record) -> Reply {
    Reply::new(shown::resource(desk.contract, ledger, record), RECORDED, false)
}

fn text(call: &Call, name: &str) -> String {
    let value = call.request.get_field_by_name(name);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn flag(call: &Call, name: &str) -> bool {
    call.request.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default()
}

/// The operation that a call names, if its caller may see it. That there is another's is not said.
async fn own(ledger: &Ledger, call: &Call) -> Result<Record, Fault> {
    let id = text(call, "operation_id");
    let record = ledger.by_id(&id).await.map_err(|trouble| unwritten(&trouble))?;
    let record = record.filter(|record| is_admin(call) || record.caller == call.caller.as_str());
    record.ok_or_else(|| Fault::new(Reason::OperationNotFound, "there is no such operation"))
}

async fn get(desk: &Desk, ledger: &Ledger, call: &Call) -> Result<Reply, Fault> {
    let mut written = desk.announcements();
    let asked = call.wait();
    // A little is left for the answer itself.
    let most = call.deadline.left().saturating_sub(Duration::from_millis(100));
    let until = ambient::instant() + asked.min(most);
    loop {
        written.mark_unchanged();
        let record = own(ledger, call).await?;
        let stands = record.state().is_last() || record.state() == State::NeedsOperator;
        if stands || desk.is_closing() || ambient::instant() >= until {
            let mut message = shown::resource(desk.contract, ledger, &record);
            let history = ledger.history(&record.id).await.map_err(|trouble| unwritten(&trouble))?;
            shown::set(&mut message, "history", shown::history(desk.contract, &history));
            return Ok(Reply::new(message, RECORDED, false));
        }
        let soon = until.min(ambient::instant() + LOOK_AGAIN);
        let _either = timeout_at(soon, written.changed()).await;
    }
}

async fn list(desk: &Desk, ledger: &Ledger, call: &Call) -> Result<Reply, Fault> {
    let states = call.request.get_field_by_name("states");
    let states = states.as_ref().and_then(|value| value.as_list()).unwrap_or_default().iter();
    let states = states.filter_map(Value::as_enum_number).filter_map(|state| State::try_from(state).ok());
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let size = call.request.get_field_by_name("page_size").and_then(|size| size.as_i32()).unwrap_or(0);
    let size = u32::try_from(size).ok().filter(|size| *size > 0).unwrap_or(PAGE);
    let after = match text(call, "page_token") {
        token if token.is_empty() => None,
        token => Some(read_token(&token).ok_or_else(|| {
            let what = Violation::new("page_token", "is none that an answer has given");
            Fault::violated(Reason::InvalidArgument, vec![what])
        })?),
    };
    let behind = call.request.get_field_by_name(Watch::AFTER).and_then(|place| place.as_i64());
    let behind = behind.filter(|_| call.request.has_field_by_name(Watch::AFTER));
    let filter = Filter {
        caller: seen_by(call),
        key: filled(text(call, "request_id")),
        states: states.map(|state| state.as_str().to_owned()).collect(),
        from_ms: moment(&call.request, "created_from"),
        until_ms: moment(&call.request, "created_until"),
        after,
        open: flag(call, Watch::OPEN).then_some(true),
        behind,
        // One more than is shown tells whether there are more; of changes all are shown.
        most: if behind.is_some() { 0 } else { size + 1 },
        ..Filter::default()
    };
    let (latest, mut records) = listed(desk, ledger, call, &filter).await?;
    let size = if behind.is_some() { u32::MAX } else { size };
    let more = records.len() > size as usize;
    records.truncate(size as usize);
    let next = records.last().filter(|_| more).map(|last| format!("{}-{}", last.created_ms, last.id));
    let mut message = DynamicMessage::new(call.operation.output.descriptor.clone());
    let shown = records.iter().map(|record| Value::Message(shown::resource(desk.contract, ledger, record)));
    shown::set(&mut message, "operations", Value::List(shown.collect()));
    shown::set(&mut message, "next_page_token", Value::String(next.unwrap_or_default()));
    shown::set(&mut message, Watch::LATEST, Value::I64(latest));
    Ok(Reply::new(message, RECORDED, false))
}

/// What fits, and up to which place of the ledger that is true; if asked to, not before there is something.
async fn listed(
    desk: &Desk,
    ledger: &Ledger,
    call: &Call,
    filter: &Filter,
) -> Result<(i64, Vec<Record>), Fault> {
    let mut written = desk.announcements();
    let wait = call.wait();
    let most = call.deadline.left().saturating_sub(Duration::from_millis(100));
    let until = ambient::instant() + wait.min(most);
    loop {
        written.mark_unchanged();
        // The place first: what happens between the two is told once more, and never missed.
        let head = ledger.head().await.map_err(|trouble| unwritten(&trouble))?;
        let records = ledger.list(filter).await.map_err(|trouble| unwritten(&trouble))?;
        if !records.is_empty() || ambient::instant() >= until {
            return Ok((head.place(), records));
        }
        if desk.is_closing() {
            return Err(Fault::new(Reason::ShuttingDown, "gizad is stopping"));
        }
        let soon = until.min(ambient::instant() + LOOK_AGAIN);
        let _either = timeout_at(soon, written.changed()).await;
    }
}

fn read_token(token: &str) -> Option<(i64, String)> {
    let (time, id) = token.split_once('-')?;
    Some((time.parse().ok()?, id.to_owned()))
}

fn moment(request: &DynamicMessage, name: &str) -> Option<i64> {
    if !request.has_field_by_name(name) {
        return None;
    }
    let time = request.get_field_by_name(name)?;
    let part = |name: &str| time.as_message()?.get_field_by_name(name).map(std::borrow::Cow::into_owned);
    let nanos = i64::from(part("nanos")?.as_i32()?);
    part("seconds")?.as_i64()?.checked_mul(1000)?.checked_add(nanos / 1_000_000)
}

/// Consents, and has it sent.
async fn approve(desk: &Arc<Desk>, ledger: &Ledger, call: &Call) -> Result<Reply, Fault> {
    admin(call)?;
    let record = own(ledger, call).await?;
    if record.caller == call.caller.as_str() {
        let detail = "whoever asked for it cannot consent to it; another caller with the scope admin can";
        return Err(Fault::new(Reason::SelfApproval, detail));
    }
    let by = call.caller.as_str().to_owned();
    let consented = changed(ledger, &record, Event::Approved { by }).await?;
    let Some((operation, request)) = desk.asked(ledger, &record) else {
        return Err(Fault::new(Reason::Internal, "the recorded request cannot be read"));
    };
    let options = desk.options();
    let part = Part::new(&call.trace, operation);
    let running = Arc::new(Running::new(record.id.clone(), record.fingerprint.clone(), part.trace()));
    let later = Call {
        operation,
        effect: crate::contract::Effect::Spend,
        request,
        caller: Caller::named(&record.caller),
        key: record.key.as_deref().and_then(Key::new),
        deadline: Deadline::new(ambient::instant(), Some(options.time)),
        trace: part.trace().clone(),
        ..call.clone()
    };
    let limits = options.limits(&record.caller);
    let provider = Provider::unasked(desk, ledger, later, running.clone());
    let (desk_, ledger_, task) = (desk.clone(), ledger.clone(), running.clone());
    let at_work = desk.takes_up(&running);
    desk.tasks.spawn(async move {
        let _at_work = at_work;
        let job = begin::consented(&ledger_, &desk_.turn, &provider, &consented.id, &limits);
        let told = part.whole(job).await;
        desk_.announce();
        desk_.heard.before(&told).await;
        let _heard = task.tell(told);
    });
    let end = call.deadline.end().unwrap_or_else(ambient::instant);
    let soon = end.checked_sub(Duration::from_millis(100)).unwrap_or(end);
    match timeout_at(soon, running.told()).await {
        Ok(Some(run::Told::Refused(fault))) => Err(*fault),
        _ => Ok(resource(desk, ledger, &own(ledger, call).await?)),
    }
}

/// Takes down what a person has found out.
async fn resolve(desk: &Desk, ledger: &Ledger, call: &Call) -> Result<Reply, Fault> {
    let record = own(ledger, call).await?;
    let by = call.caller.as_str().to_owned();
    let note = text(call, "note");
    let outcome = call.request.get_field_by_name("outcome").and_then(|outcome| outcome.as_enum_number());
    let event = match outcome {
        Some(1) => Event::Resolved { by, found: true, note },
        Some(2) => Event::Resolved { by, found: false, note },
        Some(3) => Event::GivenUp { by, note },
        _ => {
            let what = Violation::new("outcome", "must be one of FOUND, ABSENT, GIVEN_UP");
            return Err(Fault::violated(Reason::InvalidArgument, vec![what]));
        }
    };
    // What became of money is not for everyone to say.
    if !matches!(event, Event::GivenUp { .. }) {
        admin(call)?;
    }
    let record = changed(ledger, &record, event).await?;
    desk.announce_found();
    tracing::warn!(
        operation = record.id,
        state = record.state().as_str(),
        by = record.decided_by,
        "resolved"
    );
    Ok(resource(desk, ledger, &record))
}

async fn changed(ledger: &Ledger, record: &Record, event: Event) -> Result<Record, Fault> {
    let next = step(record, event, ambient::unix_millis()).map_err(|wrong| {
        let detail = format!("{} is {}, where this cannot be done", record.id, wrong.0.as_str());
        Fault { operation: Some(record.id.as_str().into()), ..Fault::new(Reason::OperationState, detail) }
    })?;
    match ledger.update(record, &next.record).await {
        Ok(()) => Ok(next.record),
        Err(Trouble::Taken) => {
            let detail = format!("{} has changed meanwhile; read it again", record.id);
            Err(Fault::new(Reason::OperationState, detail))
        }
        Err(trouble) => Err(unwritten(&trouble)),
    }
}
