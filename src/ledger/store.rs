//! Where entries are kept. Two stores do the same: SQLite in a file of this process, PostgreSQL for several replicas.
//!
//! A store decides nothing but who was first: the next sequence number, a caller's key, and the one place for sending
//! are unique, and whoever comes second is told so. Absent here: what an entry means.

use std::fmt;

use crate::database::Pending;

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place: 1, 2, 3 and so on without a gap.
    pub seq: i64,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: i64,
    /// The operation it is about.
    pub id: String,
    /// The whole record of that operation.
    pub body: Vec<u8>,
    /// The MAC over all of this and the MAC of the entry before it.
    pub mac: [u8; 32],
}

/// What the latest entry of an operation can be found by. It is derived from the entry's body, never the other way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The operation.
    pub id: String,
    /// Who called.
    pub caller: String,
    /// The caller's idempotency key, if there was one.
    pub key: Option<String>,
    /// What was asked for, by the contract's name.
    pub operation: String,
    /// The state, by its name.
    pub state: String,
    /// Whether it is under way, in doubt, or waits for consent.
    pub open: bool,
    /// Whether it is being sent. At most one operation of an account is, of those that take money.
    pub sending: bool,
    /// The writer that is at it.
    pub owner: String,
    /// What is set aside for it, in đồng.
    pub held_vnd: i64,
    /// What it has cost, in đồng.
    pub posted_vnd: i64,
    /// The day it counts for, in days since 1970.
    pub day: i64,
    /// The month it counts for, in months since 1970.
    pub month: i64,
    /// When it came in, in milliseconds since 1970.
    pub created_ms: i64,
    /// When its latest entry was written, in milliseconds since 1970.
    pub changed_ms: i64,
}

/// An operation as it stands: its row, and the latest entry's place and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it can be found by.
    pub row: Row,
    /// The place of its latest entry.
    pub seq: i64,
    /// The body of its latest entry.
    pub body: Vec<u8>,
}

/// Which operations to list. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this caller.
    pub caller: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// In one of these states; empty: in any.
    pub states: Vec<String>,
    /// Only those that are under way, in doubt or wait for consent; or only the others.
    pub open: Option<bool>,
    /// Came in at this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Came in before this time.
    pub until_ms: Option<i64>,
    /// Changed at this time or later.
    pub changed_from_ms: Option<i64>,
    /// Something has happened to it behind this place.
    pub behind: Option<i64>,
    /// Follows this one in the list, which is the newest first: the time it came in, and its identifier.
    pub after: Option<(i64, String)>,
    /// No more than so many; 0: as many as there are.
    pub most: u32,
}

/// A span of time that a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A day, in days since 1970.
    Day(i64),
    /// A month, in months since 1970.
    Month(i64),
}

/// A place for the entries of one account.
pub trait Store: Send + Sync + fmt::Debug {
    /// Writes an entry and what its operation can be found by, both or neither, and has them on the disk before it
    /// returns.
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()>;

    /// The place and the MAC of the latest entry.
    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>>;

    /// An operation by its identifier.
    fn by_id<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Kept>>;

    /// An operation by its caller's key.
    fn by_key<'a>(&'a self, caller: &'a str, key: &'a str) -> Pending<'a, Option<Kept>>;

    /// The operations that fit, the newest first (by the time they came in, then by identifier, both descending).
    fn list<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Vec<Kept>>;

    /// What a caller has spent and what is set aside for it, in đồng, in a period.
    fn spent<'a>(&'a self, caller: &'a str, period: Period) -> Pending<'a, i64>;

    /// Entries in their order, from behind a place on, no more than so many.
    fn entries(&self, behind: i64, most: u32) -> Pending<'_, Vec<Entry>>;

    /// The entries of one operation in their order.
    fn history<'a>(&'a self, id: &'a str) -> Pending<'a, Vec<Entry>>;

    /// Something that is kept beside the entries.
    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>>;

    /// Keeps something beside the entries: if it is not there yet, or in the place of exactly what was there before.
    /// [`Trouble::Taken`](crate::database::Trouble::Taken) if it is not as expected.
    fn set_note<'a>(&'a self, name: &'a str, value: &'a [u8], before: Option<&'a [u8]>) -> Pending<'a, ()>;

    /// The name of this writer, which is told from all that ever were.
    fn writer(&self) -> &str;

    /// Sees to it that the writer's name is one that can be written under: a session that was lost is made anew.
    fn wake(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether a writer can still write. False only if it is proven that it cannot.
    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool>;

    /// Waits until no other process buys for the account. As long as the guard is held, none does; a store that is asked
    /// over a connection may take the guard for gone when that is lost.
    fn turn(&self) -> Pending<'_, Box<dyn Send>>;

    /// Whether a write that failed may be done later: a connection is made anew, and a disk that has failed is not believed
    /// again.
    fn mends(&self) -> bool {
        false
    }
}
