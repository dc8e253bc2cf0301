//! Figures: what is counted and measured, so that a graph and an alarm can be made of it.
//!
//! One table says of each figure what it is called, what it means and by what it is told apart; the scrape and
//! `docs/metrics.md` are readings of it. Absent here: a word that a caller can choose. What tells figures apart are operations
//! of the contract, reasons, states, and names of the settings, so that there are only so many whatever comes in.

mod documented;
mod figure;
mod format;
mod process;
mod table;
mod timed;
mod word;

pub use documented::documentation;
pub use figure::{Figure, Total};
pub use format::Format;
pub use process::process;
pub use table::Figures;
pub use timed::Timed;
pub use word::{NOBODY, NONE, Outcome, Word};
