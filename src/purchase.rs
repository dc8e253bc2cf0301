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
    ($bug:ident) => {{
        #[cfg(test)]
        let planted = $crate::purchase::plant::is(&$crate::purchase::plant::Bug::$bug);
        #[cfg(not(test))]
        let planted = $crate::purchase::never();
        planted
    }};
}
pub(crate) use planted;

/// What stands for a planted mistake outside of tests.
#[cfg(not(test))]
pub(crate) fn never() -> bool {
    false
}
