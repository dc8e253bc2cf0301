//! Looks at the account now and then, for figures: what is in the wallet, which services there are, and when the next one
//! expires. Asked like anybody's reads are, behind everybody else, and by a caller of its own name.
//!
//! What was not told is not known. Absent here: a number that nobody has said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost_reflect::{DynamicMessage, ReflectMessage as _};
use tokio::time::sleep;

use super::purchase::Desk;
use crate::ambient;
use crate::call::{Call, Caller, Reply, Wishes};
use crate::contract::Contract;
use crate::fault::Fault;
use crate::metrics::Figures;

/// The operation that tells the balance, and its field.
const WALLET: (&str, &str) = ("WalletService.GetWallet", "balance_vnd");
/// The operations that list services, each of which has its kind in its name.
const LISTS: [&str; 3] = ["VpsService.ListVps", "HostingService.ListHosting", "EmailService.ListEmail"];
/// The fields of a service that are read.
const STATE: &str = "state";
const END: &str = "expire_time";
/// The states in which nothing ends any more.
const OVER: [&str; 2] = ["EXPIRED", "ENDED"];
/// What a state is called that the provider has not told, or in no way that is known.
const UNKNOWN: &str = "UNKNOWN";
/// How long one question may take: nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was seen last.
#[derive(Debug, Default)]
pub struct Survey(Mutex<Arc<Seen>>);

/// The account as it was seen. What could not be read is missing.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What was in the wallet.
    pub balance_vnd: Option<i64>,
    /// The services, by their kinds.
    pub services: BTreeMap<String, Services>,
    /// When everything was read last, in milliseconds since 1970.
    pub whole_at_ms: Option<i64>,
}

/// The services of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// How many are in each state that one can be in.
    pub states: BTreeMap<String, usize>,
    /// When the next one expires that has not, in milliseconds since 1970.
    pub next_end_ms: Option<i64>,
}

impl Survey {
    /// What was seen last.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks again and again, for ever; or never, if it is not to.
    pub async fn run(
        &self,
        desk: &Desk,
        contract: &'static Contract,
        figures: &Figures,
        every: Option<Duration>,
    ) {
        let Some(every) = every else { return std::future::pending().await };
        for result in ["success", "failure"] {
            let _at_zero = figures.account_looks.at([result.into()]);
        }
        loop {
            let before = self.seen().whole_at_ms;
            let (seen, whole) = look(desk, contract).await;
            let whole_at_ms = if whole { Some(ambient::unix_millis()) } else { before };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Seen { whole_at_ms, ..seen });
            // Last, so that whoever sees the count sees what was seen.
            let result = if whole { "success" } else { "failure" };
            figures.account_looks.at([result.into()]).inc();
            sleep(every).await;
        }
    }
}

/// Everything that can be seen, one question after the other, and whether that is all.
async fn look(desk: &Desk, contract: &'static Contract) -> (Seen, bool) {
    let (mut seen, mut whole) = (Seen::default(), true);
    match ask(desk, contract, WALLET.0).await {
        Ok(reply) => seen.balance_vnd = number(reply.content.message(), WALLET.1),
        Err(_logged) => {}
    }
    whole &= seen.balance_vnd.is_some();
    for operation in LISTS {
        match ask(desk, contract, operation).await {
            Ok(reply) => drop(seen.services.insert(kind(operation), services(reply.content.message()))),
            Err(_logged) => whole = false,
        }
    }
    (seen, whole)
}

/// What is listed by an operation of this name.
fn kind(operation: &str) -> String {
    operation.split("Service.").next().unwrap_or_default().to_lowercase()
}

async fn ask(desk: &Desk, contract: &'static Contract, name: &str) -> Result<Reply, Fault> {
    let Some(operation) = contract.operation(name) else {
        return Err(Fault::new(crate::fault::Reason::Internal, format!("there is no {name}")));
    };
    let request = DynamicMessage::new(operation.input.descriptor.clone());
    let own = Call::own(operation, request, PATIENCE);
    // Whatever is kept for others is new enough.
    let answer = desk.below()(Call { caller: Caller::Metrics, wishes: Wishes::default(), ..own }).await;
    answer.inspect_err(|fault| {
        let outcome = fault.reason.as_str();
        tracing::info!(operation = name, outcome, "the account could not be looked at for metrics");
    })
}

fn number(message: &DynamicMessage, name: &str) -> Option<i64> {
    message.has_field_by_name(name).then(|| message.get_field_by_name(name)?.as_i64()).flatten()
}

/// What a list of services says.
fn services(list: &DynamicMessage) -> Services {
    let mut found = Services::default();
    let items =
        list.descriptor().fields().find(|field| field.is_list() && field.kind().as_message().is_some());
    let Some(items) = items else { return found };
    let states =
        items.kind().as_message().and_then(|item| item.get_field_by_name(STATE)?.kind().as_enum().cloned());
    let known = states.iter().flat_map(|states| states.values().collect::<Vec<_>>());
    // Those in which none is are told, too: how else would an alarm end.
    found.states = known.map(|state| (named(state.number(), state.name()), 0)).collect();
    let held = list.get_field(&items);
    for item in held.as_list().unwrap_or_default().iter().filter_map(|item| item.as_message()) {
        let number =
            item.get_field_by_name(STATE).and_then(|state| state.as_enum_number()).unwrap_or_default();
        let value = states.as_ref().and_then(|states| states.get_value(number));
        let state = value.map_or_else(|| UNKNOWN.to_owned(), |value| named(number, value.name()));
        if !OVER.contains(&state.as_str())
            && let Some(end) = end_ms(item)
        {
            found.next_end_ms = Some(found.next_end_ms.map_or(end, |next| next.min(end)));
        }
        *found.states.entry(state).or_default() += 1;
    }
    found
}

/// The number 0 stands for what was not told.
fn named(number: i32, name: &str) -> String {
    if number == 0 { UNKNOWN.to_owned() } else { name.to_owned() }
}

fn end_ms(service: &DynamicMessage) -> Option<i64> {
    if !service.has_field_by_name(END) {
        return None;
    }
    let end = service.get_field_by_name(END)?;
    end.as_message()?.get_field_by_name("seconds")?.as_i64()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use prost_reflect::Value;

    use super::*;

    /// A list of servers with these states and ends, in seconds since 1970.
    fn list(servers: &[(i32, Option<i64>)]) -> DynamicMessage {
        let operation = Contract::embedded().expect("sound").operation("VpsService.ListVps").expect("there");
        let mut list = DynamicMessage::new(operation.output.descriptor.clone());
        let vps = list.descriptor().get_field_by_name("vps").expect("a list");
        let item = vps.kind().as_message().cloned().expect("of messages");
        let servers = servers.iter().map(|(state, end)| {
            let mut server = DynamicMessage::new(item.clone());
            server.set_field_by_name(STATE, Value::EnumNumber(*state));
            if let Some(end) = end {
                let time = item.get_field_by_name(END).expect("an end").kind().as_message().cloned();
                let mut time = DynamicMessage::new(time.expect("a time"));
                time.set_field_by_name("seconds", Value::I64(*end));
                server.set_field_by_name(END, Value::Message(time));
            }
            Value::Message(server)
        });
        list.set_field(&vps, Value::List(servers.collect()));
        list
    }

    #[test]
    fn what_is_over_expires_no_more_and_what_was_not_told_is_not_known() {
        let found = services(&list(&[(2, Some(300)), (2, Some(200)), (4, Some(100)), (0, None), (99, None)]));
        assert_eq!(found.next_end_ms, Some(200_000));
        let count = |state: &str| found.states.get(state).copied();
        assert_eq!([count("ACTIVE"), count("EXPIRED"), count(UNKNOWN)], [Some(2), Some(1), Some(2)]);
        assert_eq!(count("SUSPENDED"), Some(0));
        assert_eq!(services(&list(&[(3, None)])).next_end_ms, None);
    }
}
