//! How a database is spoken to: statements and what they find, without a database's own types; what can go wrong; which
//! steps lead from an older set of tables to this one. And PostgreSQL: how its sessions are made, bounded and kept.
//!
//! Absent here: a table of anybody's.

mod cells;
mod lineage;
mod postgres;
mod statement;
mod trouble;

pub(crate) use cells::{Cells, Value, all, first, unexpected};
pub(crate) use lineage::Lineage;
pub use postgres::{Bounds, Notice, Server, Session};
pub(crate) use postgres::{link, lock, said, tables};
pub(crate) use statement::Statement;
pub use trouble::{Pending, Trouble};
