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

    /// Takes a question, to be asked within this time; unless another replica is at it that is there, or there is another answer
    /// than was found.
    fn claim<'a>(&'a self, name: &'a str, found: &'a Found, time: Duration) -> Pending<'a, bool>;

    /// Writes an answer down and tells everybody, unless there is a newer one.
    fn put<'a>(&'a self, name: &'a str, asked: Asked, body: &'a [u8]) -> Pending<'a, ()>;

    /// Gives a question back that got no answer, so that others may ask it at once.
    fn give_back<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;
}

/// When an answer was asked for, or earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// By the server's clock, in milliseconds since 1970.
    pub ms: i64,
    /// By the place of the ledger's latest entry.
    pub place: i64,
}

/// What is known of a question.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the server's clock showed.
    pub reading: Reading,
    /// The place of the ledger's latest entry.
    pub place: i64,
    /// For how long another replica may be at it that is there; zero if none is.
    pub asking: Duration,
    /// When the answer was asked for that is kept; zero if there is none.
    pub asked: Asked,
    /// That answer.
    pub body: Option<Vec<u8>>,
}

impl Found {
    /// Whether the ledger has stood still since the answer was asked for.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.asked.place == self.place
    }
}
