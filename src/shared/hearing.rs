//! What replicas tell each other, and how one of them knows that it hears.
//!
//! A connection that stands still says nothing, and neither does a server that has nothing to say: only what was asked and
//! answered over the same connection proves that everything said before was heard. Absent here: what is done about it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::{Notice, Pending, Reading};

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something was seen of this thing.
    Seen(Arc<str>),
    /// It is of interest how this thing goes on.
    Stirred(Arc<str>),
    /// This question was answered, or is free.
    Answered(Arc<str>),
    /// Something was written down of this operation, and whether it is being sent and takes money.
    Written(Arc<str>, bool),
    /// That this operation is being sent is known by this replica.
    Known(Arc<str>, Arc<str>),
}

impl Told {
    /// Their words, in that order.
    pub(super) const SEEN: &'static str = "seen";
    pub(super) const STIRRED: &'static str = "stir";
    pub(super) const ANSWERED: &'static str = "answered";
    pub(super) const WRITTEN: &'static str = "ledger";
    pub(super) const KNOWN: &'static str = "known";

    /// Reads what was said, if it is for this account and known here. What a newer gizad says is not always.
    #[must_use]
    pub fn read(account: &str, said: &str) -> Option<Self> {
        let mut words = said.strip_prefix(account)?.strip_prefix(' ')?.split(' ');
        let (topic, name) = (words.next()?, Arc::from(words.next()?));
        match topic {
            Self::SEEN => Some(Self::Seen(name)),
            Self::STIRRED => Some(Self::Stirred(name)),
            Self::ANSWERED => Some(Self::Answered(name)),
            Self::WRITTEN => Some(Self::Written(name, words.next()? == "1")),
            Self::KNOWN => Some(Self::Known(name, words.next()?.into())),
            _ => None,
        }
    }

    pub(super) fn say(account: &str, topic: &str, name: &str) -> String {
        format!("{account} {topic} {name}")
    }
}

/// The ear of a replica.
pub trait Hearing: Send + Sync {
    /// The account that this replica is of.
    fn account(&self) -> &str;

    /// What is said from now on.
    fn notices(&self) -> broadcast::Receiver<Notice>;

    /// Asks the server over the connection that listens: whatever was said before the question has been heard by the time it
    /// is answered.
    fn pulse(&self) -> Pending<'_, Pulse>;

    /// Tells all that this replica knows that an operation is being sent.
    fn knows<'a>(&'a self, operation: &'a str) -> Pending<'a, ()>;

    /// The other replicas that are there: no other one can take anything for fresh without asking the server first.
    fn others(&self) -> Pending<'_, Vec<Arc<str>>>;

    /// Forgets what was shown to others long ago by somebody who is gone.
    fn sweep(&self) -> Pending<'_, ()>;
}

/// How things stood at a moment of the server's.
#[derive(Clone, Debug)]
pub struct Pulse {
    /// What the server's clock showed.
    pub reading: Reading,
    /// How long the ledger was.
    pub place: i64,
    /// The operation that is being sent and takes money, if there is one.
    pub sending: Option<Arc<str>>,
    /// For how long this replica is taken by others to be there; zero if it is not.
    pub lease: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_the_account_and_known_is_read() {
        let read = |said: &str| Told::read("abc", said);
        assert_eq!(read("abc seen 01ff"), Some(Told::Seen("01ff".into())));
        assert_eq!(read("abc ledger op_1 1"), Some(Told::Written("op_1".into(), true)));
        assert_eq!(read("abc known op_1 pod-2"), Some(Told::Known("op_1".into(), "pod-2".into())));
        assert_eq!(read("abc ledger op_1 0"), Some(Told::Written("op_1".into(), false)));
        assert_eq!(read(&Told::say("abc", Told::ANSWERED, "02")), Some(Told::Answered("02".into())));
        for other in ["abcd seen 01", "abc", "abc seen", "abc pace 1 2", "ab c seen 01", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
