//! The audit log: who did what, one line each, in a file that shows when a line of it was changed or taken away.
//!
//! A line carries a MAC over itself and the MAC of the line before it, also from one file to the next. Absent here: what is
//! worth a line, what is done if it cannot be written, and a secret: what was asked stands there as a keyed digest.

mod chain;
mod entry;
mod file;
mod verify;
mod writer;

pub use chain::Key;
pub use entry::{Entry, Event};
pub use verify::{Verdict, verify};
pub use writer::{Log, Place, Tally};
