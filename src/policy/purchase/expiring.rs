//! What expires soon, what it costs to renew it, and how far the wallet reaches: asked of the operations that list and price it,
//! in the name of whoever wants to know, behind everything that is urgent.
//!
//! What the provider does not say is not known, and is counted. Absent here: a kind of service, and a price that is guessed.

mod due;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::iter;
use prost_reflect::{DynamicMessage, Value};
use tokio::time::{Instant, timeout_at};

use super::Below;
use super::desk::Desk;
use super::shown::{empty, set, set_some, set_time};
use super::sight::{Eyes, items, number};
use crate::ambient;
use crate::call::{Call, Deadline, Reply};
use crate::contract::{Contract, Expiring, Operation};
use crate::fault::{Fault, Reason};
use due::{Cover, Due, Kind, Window};

/// How far is looked ahead if nothing is said.
const USUALLY: Duration = Duration::from_secs(30 * 86_400);
/// How many prices are asked for at once.
const AT_ONCE: usize = 4;
/// What is left of a call's time for the answer itself; of the rest, the lists may take this part, in quarters.
const MARGIN: Duration = Duration::from_millis(100);
const LISTS: u32 = 3;
/// The rule of an answer that is made of others.
const GATHERED: &str = "gathered";
/// What the wallet is called among what could not be read.
const WALLET: &str = "wallet";

/// Answers one such call.
pub(super) async fn answer(desk: Arc<Desk>, call: Call) -> Result<Reply, Fault> {
    let Some(expiring) = &call.operation.expiring else {
        return Err(Fault::new(Reason::Internal, "it lists nothing that expires"));
    };
    let now_ms = ambient::unix_millis();
    let window = Window::new(now_ms, within(&call));
    let (kinds, time) = (kinds(desk.contract), call.deadline.left().min(Duration::from_secs(3600)));
    let begun = ambient::instant();
    let lists = begun + time.saturating_sub(MARGIN) / 4 * LISTS;
    let asks = Asks { contract: desk.contract, below: for_caller(desk.below(), &call, lists) };
    let asks = &asks;
    let read = kinds.iter().map(|kind| async move { (kind, asks.ask(&kind.listing.from).await) });
    let (read, wallet) = tokio::join!(join_all(read), asks.balance(expiring));
    let (mut services, mut unread, mut unknown_ends) = (Vec::new(), Vec::new(), 0_i32);
    for (kind, list) in read {
        match list {
            Ok(list) => {
                for item in items(&list) {
                    match kind.due(&item, &window) {
                        due::Found::Due(due) => services.push(*due),
                        due::Found::NoEnd => unknown_ends = unknown_ends.saturating_add(1),
                        due::Found::NotYet => {}
                    }
                }
            }
            Err(fault) => unread.push((kind.renews.kind.clone(), fault)),
        }
    }
    if unread.len() == kinds.len()
        && let Some((_, fault)) = unread.first()
    {
        return Err(fault.clone());
    }
    // Those that end together stay in the order in which they were listed.
    services.sort_by_key(|due| due.end_ms);
    let eyes = Eyes {
        contract: desk.contract,
        below: for_caller(desk.below(), &call, begun + time.saturating_sub(MARGIN)),
        urgent: false,
    };
    let priced = iter(services).map(|due| priced(&eyes, due)).buffered(AT_ONCE).collect::<Vec<Due>>().await;
    let balance = wallet.as_ref().ok().copied();
    let cover = Cover::new(&priced, balance);
    let lists_are_whole = unread.is_empty();
    unread.extend(wallet.err().map(|fault| (WALLET.to_owned(), fault)));
    let mut message = empty(desk.contract, call.operation.output.descriptor.full_name());
    let shown = priced.iter().zip(&cover.each).map(|(due, covered)| shown(desk.contract, due, *covered));
    set(&mut message, "services", Value::List(shown.collect()));
    set_time(&mut message, "until", window.until_ms);
    set(&mut message, "total_vnd", Value::I64(cover.total_vnd));
    set(&mut message, "unknown_prices", Value::I32(cover.unknown_prices));
    set(&mut message, "unknown_ends", Value::I32(unknown_ends));
    set_some(&mut message, "balance_vnd", balance.map(Value::I64));
    set_some(&mut message, "missing_vnd", cover.missing_vnd.map(Value::I64));
    let covered = cover.whole(lists_are_whole && unknown_ends == 0);
    set_some(&mut message, "covered", covered.map(Value::Bool));
    if let Some(until) = cover.until(&priced, &window).filter(|_| lists_are_whole) {
        set_time(&mut message, "covered_until", until);
    }
    let unread = unread.iter().map(|(kind, fault)| {
        let mut unread = empty(desk.contract, "gizad.v1.Unread");
        set(&mut unread, "kind", Value::String(kind.clone()));
        set(&mut unread, "reason", Value::String(fault.reason.as_str().to_owned()));
        set(&mut unread, "detail", Value::String(fault.detail.clone()));
        Value::Message(unread)
    });
    set(&mut message, "incomplete", Value::List(unread.collect()));
    Ok(Reply { asked: begun, ..Reply::new(message, GATHERED, false) })
}

/// Everything that can be renewed, as the contract has it.
fn kinds(contract: &'static Contract) -> Vec<Kind> {
    let kind = |operation: &'static Operation| {
        let (renews, listing) = (operation.trace.renews.as_ref()?, operation.trace.listing.as_ref()?);
        Kind::new(operation, renews, listing)
    };
    contract.operations().iter().filter_map(kind).collect()
}

/// How far a caller looks ahead. The contract has seen to it that it is written like that.
fn within(call: &Call) -> Duration {
    let text = call.request.get_field_by_name("within");
    let text = text.as_ref().and_then(|text| text.as_str()).unwrap_or_default();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return USUALLY,
    };
    Duration::from_secs(number.parse::<u64>().unwrap_or(0).saturating_mul(seconds))
}

/// The rest of the stack, asked for a caller: what it asks is in its name and counts against its share, is as fresh as it wants
/// it, and is over at some moment.
fn for_caller(below: Below, call: &Call, until: Instant) -> Below {
    let (face, caller, scopes, wishes) = (call.face, call.caller.clone(), call.scopes, call.wishes);
    Arc::new(move |own: Call| {
        let effect = own.effect;
        let deadline =
            Deadline::new(ambient::instant(), Some(until.saturating_duration_since(ambient::instant())));
        let asked = below(Call { face, caller: caller.clone(), scopes, wishes, deadline, ..own });
        Box::pin(async move {
            // A flight that was joined has a time of its own.
            timeout_at(until, asked).await.unwrap_or_else(|_late| Err(Fault::late(effect, false)))
        })
    })
}

/// What is asked without parameters.
struct Asks {
    contract: &'static Contract,
    below: Below,
}

impl Asks {
    async fn ask(&self, name: &str) -> Result<DynamicMessage, Fault> {
        let operation = self.contract.operation(name);
        let operation =
            operation.ok_or_else(|| Fault::new(Reason::Internal, format!("there is no operation {name}")))?;
        let request = DynamicMessage::new(operation.input.descriptor.clone());
        let reply = (self.below)(Call::own(operation, request, Duration::MAX)).await?;
        Ok(reply.content.message().clone())
    }

    async fn balance(&self, expiring: &Expiring) -> Result<i64, Fault> {
        let told = self.ask(&expiring.wallet).await?;
        let untold =
            || Fault::new(Reason::UpstreamShapeUnknown, "the provider did not say what is in the wallet");
        number(&told, &expiring.balance).ok_or_else(untold)
    }
}

/// The same with its price, or why that is not known.
async fn priced(eyes: &Eyes, due: Due) -> Due {
    match eyes.price(due.renewed_by, &due.request).await {
        Ok((price, told)) => Due { why: if price.is_some() { String::new() } else { told }, price, ..due },
        Err(fault) => Due { why: format!("{}: {}", fault.reason.as_str(), fault.detail), ..due },
    }
}

fn shown(contract: &Contract, due: &Due, covered: Option<bool>) -> Value {
    let mut shown = empty(contract, "gizad.v1.ExpiringService");
    set(&mut shown, "kind", Value::String(due.kind.clone()));
    set(&mut shown, "service_id", Value::I64(due.id));
    set(&mut shown, "name", Value::String(due.name.clone()));
    set(&mut shown, "state", Value::String(due.state.clone()));
    set_time(&mut shown, "expire_time", due.end_ms);
    set(&mut shown, "days_left", Value::I32(due.days_left));
    set(&mut shown, "billing_cycle", Value::String(due.cycle.clone()));
    set_some(&mut shown, "price_vnd", due.price.map(Value::I64));
    set(&mut shown, "price_known", Value::Bool(due.price.is_some()));
    set(&mut shown, "price_unknown", Value::String(due.why.clone()));
    set_some(&mut shown, "covered", covered.map(Value::Bool));
    set(&mut shown, "renewed_by", Value::String(due.renewed_by.name.clone()));
    Value::Message(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_can_be_renewed_and_listed_is_there() {
        let contract = Contract::embedded().expect("sound");
        let named: Vec<String> = kinds(contract).iter().map(|kind| kind.renews.kind.clone()).collect();
        assert_eq!(named, ["email", "hosting", "vps"]);
        // Whoever adds one that is listed says what it is.
        for operation in contract.operations() {
            let listing = operation.trace.listing.as_ref();
            let grows = listing.is_some_and(|l| matches!(l.changes, Some(crate::contract::Change::Later(_))));
            assert_eq!(grows, operation.trace.renews.is_some(), "{}", operation.name);
        }
    }

    #[test]
    fn how_far_is_written_in_hours_days_and_weeks() {
        let operation = Contract::embedded().expect("sound").operation("ServiceService.ListExpiringServices");
        let operation = operation.expect("there");
        for (text, hours) in [("", 720), ("36h", 36), ("14d", 336), ("2w", 336), ("0d", 0)] {
            let mut request = DynamicMessage::new(operation.input.descriptor.clone());
            request.set_field_by_name("within", Value::String(text.to_owned()));
            assert_eq!(operation.input.violations(&request), [], "{text}");
            let call = Call::own(operation, request, Duration::from_secs(1));
            assert_eq!(within(&call), Duration::from_secs(hours * 3600), "{text}");
        }
    }
}
