//! What becomes of a call that must not run twice: a record, the states it passes, and what proves an outcome that
//! nobody was told.
//!
//! Pure: a state and an event make a state and effects. Absent here: a clock, a disk, a socket, randomness, and any
//! knowledge of what is bought.

mod admit;
mod budget;
mod evidence;
mod machine;
#[cfg(test)]
pub(crate) mod plant;
mod record;

pub use admit::{Admission, Want, admit};
pub use budget::{Limits, Spent, calendar, exceeded};
pub use evidence::{Evidence, Rules, Says, Verdict, weigh};
pub use machine::{Effect, Ending, Event, Step, Wrong, step};
pub use record::{Failure, Item, Listing, Marks, Record, Sight, State};

/// Whether a mistake was planted, to see that it is found. Nothing is planted outside of tests.
macro_rules! planted {
    ($bug:ident) => {
        $crate::plant::planted!(purchase, $bug)
    };
}
pub(crate) use planted;
