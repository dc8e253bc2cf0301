//! What is looked at again and again, because somebody waits for it or watches it: one look for everybody.
//!
//! It asks by calls like everybody's, through the same stack, in a name of its own and behind everyone else: often after
//! something was done to a thing, and then ever more rarely. What was seen once may be an old state, so that nothing counts
//! before two looks in a row agree. Of several replicas one looks, and the others see what it saw.
//!
//! Absent here: a provider, a wire, and any thread that looks at what nobody wants to know.

mod goal;
mod hub;
mod look;
mod news;
mod posted;
mod together;

use std::time::Duration;

pub use goal::{Outcome, wait};
pub use hub::{Ask, Begun, Hub, Slot, Watching};
pub use look::{Key, Seen, Sight, What};
pub use news::news;

/// The settings of waiting and watching.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long it takes to the next look right after something was done.
    pub quick: Duration,
    /// How long it takes at most.
    pub slow: Duration,
    /// How many streams one caller may have at once.
    pub streams: usize,
    /// Whether it is looked first whether there is anything to do.
    pub look_first: bool,
}

#[cfg(test)]
mod tests;
