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
    /// What is renewed, if it is something whose end is listed.
    pub renews: Option<Renews>,
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

/// What an operation renews: items of its listing, whose price is found by their own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renews {
    /// What the items are called.
    pub kind: String,
    /// The item's field with what people call it.
    pub name: String,
    /// The item's field that says how it stands.
    pub state: String,
    /// The values of one whose time has run out.
    pub expired: Vec<String>,
    /// The values of one that nothing brings back.
    pub ended: Vec<String>,
    /// The billing cycle: the request's field, and the item's.
    pub cycle: (String, String),
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
    let renews = options::message(option, "renews").map(|renews| {
        let cycle = options::message(&renews, "cycle");
        let part = |name| cycle.as_ref().map_or_else(String::new, |cycle| options::text(cycle, name));
        Renews {
            kind: options::text(&renews, "kind"),
            name: options::text(&renews, "name"),
            state: options::text(&renews, "state"),
            expired: options::texts(&renews, "expired"),
            ended: options::texts(&renews, "ended"),
            cycle: (part("request"), part("item")),
        }
    });
    (Trace { price, listing, renews }, becomes)
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
    if let Some(expiring) = &operation.expiring {
        expiring.check(all)?;
    }
    if let Some(renews) = &trace.renews {
        renewable(operation, &trace, renews, all)?;
    }
    Ok(trace)
}

/// What has to be there for one to know what of it expires, and what that costs.
fn renewable(operation: &Operation, trace: &Trace, renews: &Renews, all: &[Operation]) -> Result<(), String> {
    let (Some(_), Some(listing)) = (&trace.price, &trace.listing) else {
        return Err("it renews something, and has no price and no listing of that".to_owned());
    };
    if renews.kind.is_empty() || !matches!(listing.changes, Some(Change::Later(_))) {
        return Err("what it renews has no kind, or nothing that `grows`".to_owned());
    }
    let items = items(operation, &listing.from, all)?;
    if !items.field(&listing.id).is_some_and(|field| matches!(field.kind, Kind::Int64)) {
        return Err(format!("{:?} of {} is no number", listing.id, listing.from));
    }
    has(items, &renews.name, &listing.from)?;
    has(items, &renews.cycle.1, &listing.from)?;
    has(&operation.input, &renews.cycle.0, &operation.name)?;
    let Some(Kind::Enum(states)) = items.field(&renews.state).map(|field| &field.kind) else {
        return Err(format!("{:?} of {} is no enum field", renews.state, listing.from));
    };
    let mut named = renews.expired.iter().chain(&renews.ended);
    match named.find(|name| states.by_name(name).is_none()) {
        Some(name) => Err(format!("{:?} of {} has no {name:?}", renews.state, listing.from)),
        None => Ok(()),
    }
}

/// An operation that lists what expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// The operation that tells what is in the wallet.
    pub wallet: String,
    /// The field of its response with the balance.
    pub balance: String,
}

impl Expiring {
    /// Reads the option.
    pub(super) fn read(option: Option<&DynamicMessage>) -> Option<Self> {
        let option = option?;
        Some(Self { wallet: options::text(option, "wallet"), balance: options::text(option, "balance") })
    }

    /// What is wrong with it, given all operations.
    pub(super) fn check(&self, all: &[Operation]) -> Result<(), String> {
        let wallet = all.iter().find(|other| other.name == self.wallet && other.effect.is_read());
        let wallet = wallet.ok_or_else(|| format!("{:?} is no operation that reads", self.wallet))?;
        has(&wallet.output, &self.balance, &self.wallet)
    }
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
