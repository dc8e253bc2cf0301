//! What can be seen of the account: the wallet, its movements, the list that a purchase adds to or changes, and the price.
//!
//! Asked of the provider like any caller would, never from memory. Absent here: what it proves.

use std::sync::Arc;
use std::time::Duration;

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, Value};
use ring::digest::{SHA256, digest};

use super::Below;
use crate::ambient;
use crate::call::{Call, Content};
use crate::contract::{Change, Contract, Listing, Operation, Price, canonical};
use crate::fault::{Fault, Reason};
use crate::purchase::{self, Item, Marks, Sight};

/// The operation that tells the balance, and its field.
const WALLET: (&str, &str) = ("WalletService.GetWallet", "balance_vnd");
/// The operation that lists the movements, and the fields of one.
const MOVES: (&str, &str, &str) = ("WalletService.ListTransactions", "transaction_id", "amount_vnd");
/// More movements than these are not compared.
const MOST_MOVES: usize = 4096;
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(20);

/// Who looks.
#[derive(Clone)]
pub(super) struct Eyes {
    pub(super) contract: &'static Contract,
    pub(super) below: Below,
    /// Whether a purchase waits for it, and it goes in its lane.
    pub(super) urgent: bool,
}

impl Eyes {
    /// Everything that can be seen for an operation. What the provider says in no way that is known is left out.
    pub(super) async fn see(&self, operation: &Operation, request: &DynamicMessage) -> Result<Sight, Fault> {
        let at_ms = ambient::unix_millis();
        let (wallet, moves, listing) = tokio::join!(
            self.wallet(),
            self.moves(),
            self.listing(operation.trace.listing.as_ref(), request)
        );
        Ok(Sight { at_ms, wallet_vnd: wallet?, moves: moves?, listing: listing?, place: None })
    }

    async fn wallet(&self) -> Result<Option<i64>, Fault> {
        let told = self.ask(WALLET.0, None).await?;
        Ok(told.and_then(|told| number(told.message(), WALLET.1)))
    }

    async fn moves(&self) -> Result<Option<Marks>, Fault> {
        let Some(told) = self.ask(MOVES.0, None).await? else { return Ok(None) };
        let moves = items(told.message());
        let signed = moves.iter().any(|item| number(item, MOVES.2).is_some_and(|amount| amount < 0));
        let mut seen = Marks::default();
        for item in &moves {
            let name = text(item, MOVES.1);
            seen.marks.push(if name.is_empty() { mark(&canonical(item)) } else { mark(name.as_bytes()) });
            let amount = number(item, MOVES.2).unwrap_or(0);
            // Where debits have a sign, what has none is no debit.
            seen.amounts.push(if signed { (-amount).max(0) } else { amount });
        }
        Ok((moves.len() <= MOST_MOVES).then_some(seen))
    }

    async fn listing(
        &self,
        listing: Option<&Listing>,
        request: &DynamicMessage,
    ) -> Result<Option<purchase::Listing>, Fault> {
        let Some(listing) = listing else { return Ok(None) };
        let Some(told) = self.ask(&listing.from, Some(request)).await? else { return Ok(None) };
        let items = items(told.message()).into_iter().map(|item| Item {
            id: text(&item, &listing.id),
            fits: fits(&listing.matches, request, &item),
            worth: listing.changes.as_ref().and_then(|change| worth(change, &item)),
        });
        Ok(Some(purchase::Listing { items: items.collect() }))
    }

    /// The price, and where it stands; or nothing, and why it cannot be known.
    pub(super) async fn price(
        &self,
        operation: &Operation,
        request: &DynamicMessage,
    ) -> Result<(Option<i64>, String), Fault> {
        let Some(price) = &operation.trace.price else {
            return Ok((None, "the provider lists no price for this".to_owned()));
        };
        let Some(told) = self.ask(&price.from, Some(request)).await? else {
            return Ok((None, format!("the answer of {} fits no rule", price.from)));
        };
        let listed = items(told.message());
        let asked = |(field, _): &&(String, String)| !text(request, field).is_empty();
        let given = price.matches.iter().filter(asked).cloned().collect::<Vec<_>>();
        let mut fitting = listed.iter().filter(|item| fits(&given, request, item));
        match (fitting.next(), fitting.next()) {
            (Some(item), None) => Ok(amount(price, request, item)),
            (None, _) => Ok((None, format!("{} lists no such item", price.from))),
            (Some(_), Some(_)) => {
                Ok((None, format!("{} lists several prices, and none was chosen", price.from)))
            }
        }
    }

    /// Asks an operation, with the fields of the same name taken from another request. Nothing if its answer is none that
    /// is understood.
    async fn ask(&self, name: &str, like: Option<&DynamicMessage>) -> Result<Option<Arc<Content>>, Fault> {
        let Some(operation) = self.contract.operation(name) else { return Ok(None) };
        let mut request = DynamicMessage::new(operation.input.descriptor.clone());
        for variable in operation.path.variables() {
            if let (Some(field), Some(like)) = (operation.input.field(variable), like)
                && let Some(value) = like.get_field_by_name(variable)
            {
                request.set_field(&field.descriptor, value.into_owned());
            }
        }
        let call = Call { urgent: self.urgent, ..Call::own(operation, request, LOOK) };
        match (self.below)(call).await {
            Ok(reply) => Ok(Some(reply.content)),
            Err(fault) if is_mute(fault.reason) => Ok(None),
            // A read that failed has sent nothing that matters.
            Err(fault) => Err(Fault { sent: crate::fault::Sent::Never, ..fault }),
        }
    }
}

/// Whether the provider has answered, and in no way that is of use.
fn is_mute(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UpstreamShapeUnknown
            | Reason::UpstreamRefused
            | Reason::NotFound
            | Reason::NotOwned
            | Reason::InvalidArgument
            | Reason::ServiceExpired
    )
}

/// The items of a list.
pub(super) fn items(message: &DynamicMessage) -> Vec<DynamicMessage> {
    let list =
        message.descriptor_fields().find(|field| field.is_list() && field.kind().as_message().is_some());
    let Some(list) = list else { return Vec::new() };
    let held = message.get_field(&list);
    held.as_list().unwrap_or_default().iter().filter_map(|item| item.as_message().cloned()).collect()
}

trait Fields {
    fn descriptor_fields(&self) -> impl Iterator<Item = FieldDescriptor>;
}

impl Fields for DynamicMessage {
    fn descriptor_fields(&self) -> impl Iterator<Item = FieldDescriptor> {
        prost_reflect::ReflectMessage::descriptor(self).fields().collect::<Vec<_>>().into_iter()
    }
}

/// A number, if it was told.
pub(super) fn number(message: &DynamicMessage, name: &str) -> Option<i64> {
    if !message.has_field_by_name(name) {
        return None;
    }
    message.get_field_by_name(name).and_then(|value| value.as_i64())
}

/// A field as text, in the form in which texts are compared; empty if it is not set.
pub(super) fn text(message: &DynamicMessage, name: &str) -> String {
    if !message.has_field_by_name(name) {
        return String::new();
    }
    match message.get_field_by_name(name).as_deref() {
        Some(Value::String(text)) => text.trim().to_lowercase(),
        Some(Value::I64(number)) => number.to_string(),
        Some(Value::I32(number) | Value::EnumNumber(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn fits(matches: &[(String, String)], request: &DynamicMessage, item: &DynamicMessage) -> bool {
    matches.iter().all(|(asked, found)| text(request, asked) == text(item, found))
}

fn worth(change: &Change, item: &DynamicMessage) -> Option<i64> {
    match change {
        Change::Later(name) => {
            let time = item.get_field_by_name(name).filter(|_| item.has_field_by_name(name))?;
            let seconds = time.as_message()?.get_field_by_name("seconds")?.as_i64()?;
            seconds.checked_mul(1000)
        }
        Change::Becomes(name, number) => {
            let stands = item.get_field_by_name(name)?.as_enum_number()?;
            (stands != 0).then(|| i64::from(stands == *number))
        }
    }
}

fn amount(price: &Price, request: &DynamicMessage, item: &DynamicMessage) -> (Option<i64>, String) {
    let cycle = price.cycle.as_deref().map(|name| text(request, name)).filter(|cycle| !cycle.is_empty());
    let of_cycle = price.amounts.as_deref().zip(cycle.as_deref()).and_then(|(amounts, cycle)| {
        let amounts = item.get_field_by_name(amounts)?;
        let found = amounts.as_map()?.iter().find(|(key, _)| match key {
            MapKey::String(key) => key.trim().to_lowercase() == cycle,
            _ => false,
        })?;
        found.1.as_i64()
    });
    // One price is that of the usual cycle.
    let usual = cycle.is_none() || cycle == price.usual;
    let one = of_cycle.or_else(|| number(item, &price.amount).filter(|_| usual));
    let many = match price.quantity.as_deref().map(|name| text(request, name)).as_deref() {
        None | Some("") => 1,
        Some(count) => count.parse().unwrap_or(1),
    };
    match one.and_then(|one| one.checked_mul(many)) {
        Some(whole) => (Some(whole), price.from.clone()),
        None => (None, format!("{} gives no price for this billing cycle", price.from)),
    }
}

fn mark(of: &[u8]) -> u64 {
    let digest = digest(&SHA256, of);
    digest.as_ref().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}
