//! Where the price of a purchase stands, and where its outcome shows afterwards.

use prost_reflect::DynamicMessage;

use super::operation::{Operation, Shape};
use super::{Kind, Message, options};

/// Where a purchase leaves traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Where its price stands.
    pub price: Option<Price>,
    /// Where its outcome shows, beside the wallet.
    pub listing: Option<Listing>,
}

/// A list with prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The operation that lists it.
    pub from: String,
    /// What tells the item that is bought: the request's field, and the item's.
    pub matches: Vec<(String, String)>,
    /// The item's field with one price.
    pub amount: String,
    /// The item's field with a price for each billing cycle.
    pub amounts: Option<String>,
    /// The request's field with that cycle.
    pub cycle: Option<String>,
    /// The request's field with how many are bought.
    pub quantity: Option<String>,
    /// The billing cycle that the one price is for.
    pub usual: Option<String>,
}

/// A list of what a purchase adds to or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The operation that lists it.
    pub from: String,
    /// The item's field with its identifier.
    pub id: String,
    /// What tells an item that came of the purchase, or that it changes: the request's field, and the item's.
    pub matches: Vec<(String, String)>,
    /// What changes, if an item that was there before does. Otherwise there is a new one.
    pub changes: Option<Change>,
}

/// What a purchase changes of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A time that is later afterwards.
    Later(String),
    /// An enum field that has this number afterwards.
    Becomes(String, i32),
}

/// Reads the option.
pub(super) fn read(option: Option<&DynamicMessage>) -> (Trace, Option<(String, String)>) {
    let Some(option) = option else { return (Trace::default(), None) };
    let filled = |message: &DynamicMessage, name: &str| {
        Some(options::text(message, name)).filter(|text| !text.is_empty())
    };
    let matches = |message: &DynamicMessage| -> Vec<(String, String)> {
        let all = options::messages(message, "match");
        all.iter().map(|m| (options::text(m, "request"), options::text(m, "item"))).collect()
    };
    let price = options::message(option, "price").map(|price| Price {
        from: options::text(&price, "from"),
        matches: matches(&price),
        amount: options::text(&price, "amount"),
        amounts: filled(&price, "amounts"),
        cycle: filled(&price, "cycle"),
        quantity: filled(&price, "quantity"),
        usual: filled(&price, "usual"),
    });
    let mut becomes = None;
    let listing = options::message(option, "listing").map(|listing| {
        becomes = filled(&listing, "state").zip(filled(&listing, "becomes"));
        Listing {
            from: options::text(&listing, "from"),
            id: options::text(&listing, "id"),
            matches: matches(&listing),
            changes: filled(&listing, "grows").map(Change::Later),
        }
    });
    (Trace { price, listing }, becomes)
}

/// What is wrong with the traces of an operation, given all of them. Fills in what only the others know.
pub(super) fn resolve(
    operation: &Operation,
    becomes: Option<&(String, String)>,
    all: &[Operation],
) -> Result<Trace, String> {
    let mut trace = operation.trace.clone();
    if let Some(price) = &trace.price {
        let items = items(operation, &price.from, all)?;
        matched(operation, &price.matches, items)?;
        has(items, &price.amount, &price.from)?;
        if let Some(name) = &price.amounts {
            has(items, name, &price.from)?;
        }
        for name in price.cycle.iter().chain(&price.quantity) {
            has(&operation.input, name, &operation.name)?;
        }
    }
    if let Some(listing) = &mut trace.listing {
        let items = items(operation, &listing.from, all)?;
        matched(operation, &listing.matches, items)?;
        has(items, &listing.id, &listing.from)?;
        if let Some(Change::Later(name)) = &listing.changes {
            has(items, name, &listing.from)?;
        }
        if let Some((field, value)) = becomes {
            has(items, field, &listing.from)?;
            let number = items.field(field).and_then(|field| match &field.kind {
                Kind::Enum(states) => states.by_name(value).map(|value| value.number),
                _ => None,
            });
            let number = number.ok_or_else(|| format!("{field:?} of {} has no {value:?}", listing.from))?;
            listing.changes = Some(Change::Becomes(field.clone(), number));
        }
    }
    Ok(trace)
}

/// What the items of another operation's list are.
fn items<'a>(operation: &Operation, from: &str, all: &'a [Operation]) -> Result<&'a Message, String> {
    let other = all.iter().find(|other| other.name == *from);
    let other = other.filter(|other| other.answer.shape == Shape::List && other.effect.is_read());
    let other = other.ok_or_else(|| format!("its trace names {from:?}, which lists nothing"))?;
    for variable in other.path.variables() {
        has(&operation.input, variable, &operation.name)?;
    }
    let list = other.output.fields.iter().find_map(|field| match (&field.kind, field.repeated) {
        (Kind::Message(items), true) => Some(items),
        _ => None,
    });
    list.map(|items| &**items).ok_or_else(|| format!("{from} lists no messages"))
}

fn matched(operation: &Operation, matches: &[(String, String)], items: &Message) -> Result<(), String> {
    if matches.is_empty() {
        return Err("its trace does not say which item it is about".to_owned());
    }
    for (asked, found) in matches {
        has(&operation.input, asked, &operation.name)?;
        has(items, found, "the item")?;
    }
    Ok(())
}

fn has(message: &Message, name: &str, whose: &str) -> Result<(), String> {
    message.field(name).map(drop).ok_or_else(|| format!("its trace: {whose} has no field {name:?}"))
}
