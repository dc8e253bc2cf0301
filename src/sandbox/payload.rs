//! What the account answers, before a personality has spelled it.

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    /// It was done.
    Done(&'static str),
    /// It was accepted, for the next stop and start.
    NextBoot(&'static str),
    /// One thing, under a name.
    One(&'static str, Row),
    /// One thing that is not finished: a payment that has not arrived.
    NotYet(&'static str, Row),
    /// Many things.
    Many(Many),
    /// Whether a machine is on.
    Power(i64, bool),
}

/// A list.
#[derive(Clone, Debug)]
pub(super) struct Many {
    /// Its name.
    pub(super) plural: &'static str,
    /// The name of one item.
    pub(super) singular: &'static str,
    /// The field that identifies an item.
    pub(super) key: &'static str,
    /// The items.
    pub(super) rows: Vec<Row>,
    /// How many there are over all pages.
    pub(super) total: usize,
}

/// Named values in order.
pub(super) type Row = Vec<(&'static str, Cell)>;

/// A value that each personality spells in its own way.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Id(i64),
    Ids(Vec<i64>),
    Text(String),
    /// Whole đồng.
    Money(i64),
    /// Milliseconds since 1970, or never.
    Date(Option<i64>),
    Texts(Vec<String>),
    Amounts(Vec<(&'static str, i64)>),
    Rows(Vec<Row>),
}

/// Text from anything that is one.
pub(super) fn text(words: impl Into<String>) -> Cell {
    Cell::Text(words.into())
}

/// Why the provider does not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The kind, which some personalities turn into a status.
    pub(super) kind: Kind,
    /// What it says.
    pub(super) words: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Auth,
    Invalid,
    Balance,
    Missing,
    Conflict,
}

impl Refusal {
    pub(super) fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }
}
