//! Answers that are the same for everyone, which one replica asks for and all have.
//!
//! Whoever finds nothing fresh takes the question for as long as it takes to ask it; the others wait for what it brings. An
//! answer is worth nothing any more once the ledger has grown: what was bought since may have changed it. Absent here: what is
//! asked, and what was answered; both are bytes.

use std::sync::Arc;
use std::time::Duration;

use super::{Pending, Reading};

/// The table of answers.
pub trait Answers: Send + Sync {
    /// The name that all replicas have for a question, and nobody else can make anything of.
    fn name(&self, what: &[u8]) -> Arc<str>;

    /// What is known of a question.
    fn find<'a>(&'a self, name: &'a str) -> Pending<'a, Found>;

    /// Takes a question, to be asked within this time, unless another replica is at it that is there.
    fn claim<'a>(&'a self, name: &'a str, time: Duration) -> Pending<'a, Option<Found>>;

    /// Writes an answer down that was asked for at this time of the server's, when the ledger was as long as this, and tells
    /// everybody; unless there is a newer one.
    fn put<'a>(&'a self, name: &'a str, asked: Age, body: &'a [u8]) -> Pending<'a, ()>;

    /// Gives a question back that got no answer, so that others may ask it at once.
    fn give_back<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;
}

/// When an answer was asked for: by the server's clock, in milliseconds since 1970, and by the length of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// By the server's clock.
    pub ms: i64,
    /// By the length of the ledger.
    pub place: i64,
}

/// What is known of a question.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the server's clock showed.
    pub reading: Reading,
    /// How long the ledger was.
    pub place: i64,
    /// For how long another replica may still be at it that is there.
    pub asking: Option<Duration>,
    /// The answer that is kept, and when it was asked for.
    pub answer: Option<(Age, Vec<u8>)>,
}
