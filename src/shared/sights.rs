//! What is watched: which replica looks, and what was seen last.
//!
//! One replica has a thing and looks at it for all; it writes down what it saw and says so. Another one takes the thing over
//! when the first has let go of it or is gone. Absent here: what a thing is, and what was seen of it; both are bytes.

use std::sync::Arc;

use super::{Pending, Reading};

/// The table of what is watched.
pub trait Sights: Send + Sync {
    /// The name that all replicas have for a thing, and nobody else can make anything of.
    fn name(&self, what: &[u8]) -> Arc<str>;

    /// Takes a thing to look at it, unless another replica has it that is there. What the server's clock shows then is earlier
    /// than any look that follows.
    fn claim<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Reading>>;

    /// What another replica has seen.
    fn read<'a>(&'a self, name: &'a str) -> Pending<'a, Sighted>;

    /// Writes down what was seen, by a look that was begun at this time of the server's, and tells everybody. False if another
    /// replica has the thing by now, and then nothing is written.
    fn post<'a>(&'a self, name: &'a str, asked_ms: i64, body: &'a [u8]) -> Pending<'a, bool>;

    /// Lets go of a thing, so that others may have it at once.
    fn let_go<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;

    /// Tells whoever looks at a thing that it is of interest how it goes on.
    fn stir<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;
}

/// What is known of a thing that another replica may have.
#[derive(Clone, Debug)]
pub struct Sighted {
    /// What the server's clock showed.
    pub reading: Reading,
    /// Whether a replica has it that is there.
    pub is_held: bool,
    /// What was written down last.
    pub body: Option<Vec<u8>>,
}
