//! What must still be known after `kill -9`: every call that must not run twice, from before its first byte leaves to
//! its end.
//!
//! The ledger is a list of entries that only grows; each is the whole record of one operation after something has
//! happened to it, and carries a MAC over itself and the MAC before it. Absent here: how a call is made.

mod book;
mod keys;
mod name;
mod postgres;
mod read;
mod schema;
mod sqlite;
mod statement;
mod store;

pub use book::{Head, Ledger};
pub use keys::Wrap;
pub use postgres::Postgres;
pub use sqlite::Sqlite;
pub use store::{Entry, Filter, Kept, Period, Row, Store};

pub use crate::database::{Pending, Trouble};
