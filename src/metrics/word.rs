//! What tells figures of one name apart. Every word comes from a closed list, or is a name that the settings know.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::call::{Caller, Face, Taken};
use crate::contract::Operation;
use crate::fault::Reason;

/// Whoever has shown nothing that is known. No name has brackets.
pub const NOBODY: Word = Word(Kept::Fixed("(unknown)"));
/// The operation of a request that never became a call of one.
pub const NONE: Word = Word(Kept::Fixed("(none)"));

/// One word.
#[derive(Clone, Debug)]
pub struct Word(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Fixed(&'static str),
    Named(Arc<str>),
}

impl Word {
    /// Where there is none.
    pub(super) const NOTHING: Self = Self(Kept::Fixed(""));

    /// A word of the ledger or of the contract, where nothing else stands than what is a word here.
    #[must_use]
    pub fn written(text: &str) -> Self {
        Self(Kept::Named(text.into()))
    }

    /// The word as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kept::Fixed(text) => text,
            Kept::Named(name) => name,
        }
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word {}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&'static str> for Word {
    fn from(text: &'static str) -> Self {
        Self(Kept::Fixed(text))
    }
}

impl From<&'static Operation> for Word {
    fn from(operation: &'static Operation) -> Self {
        Self(Kept::Fixed(&operation.name))
    }
}

impl From<&Caller> for Word {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Anonymous => Self(Kept::Fixed("anonymous")),
            Caller::Gizad => Self(Kept::Fixed("gizad")),
            Caller::Metrics => Self(Kept::Fixed("gizad.metrics")),
            Caller::Watch => Self(Kept::Fixed("gizad.watch")),
            Caller::Owner => Self(Kept::Fixed("owner")),
            Caller::Named(name) => Self(Kept::Named(name.clone())),
        }
    }
}

impl From<Option<&Caller>> for Word {
    fn from(caller: Option<&Caller>) -> Self {
        caller.map_or(NOBODY, Self::from)
    }
}

impl From<Reason> for Word {
    fn from(reason: Reason) -> Self {
        Self(Kept::Fixed(reason.as_str()))
    }
}

impl From<Face> for Word {
    fn from(face: Face) -> Self {
        Self(Kept::Fixed(face.as_str()))
    }
}

impl From<Taken> for Word {
    fn from(taken: Taken) -> Self {
        Self(Kept::Fixed(match taken {
            Taken::Hit => "hit",
            Taken::Revalidating => "revalidating",
            Taken::InsteadOfError(..) => "stale",
            Taken::Missing => "miss",
            Taken::Expired => "expired",
            Taken::Requested => "requested",
            Taken::Bypassed => "bypass",
        }))
    }
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It did not, and why.
    Failed(Reason),
    /// Nobody waited for it to its end.
    Cancelled,
}

impl Outcome {
    /// The word for it, in the log as among the figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed(reason) => reason.as_str(),
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl From<Outcome> for Word {
    fn from(outcome: Outcome) -> Self {
        Self(Kept::Fixed(outcome.as_str()))
    }
}
