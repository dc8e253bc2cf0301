//! Why a call goes nowhere, whatever scopes its caller has. It is found out before the call is logged, so that the log knows
//! the name; and said by whoever refuses. Absent here: a refusal.

use std::sync::Arc;

/// What stands against a call before anybody asks what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Barred {
    /// What came as a token is none.
    NoToken,
    /// The token names this caller, and is none of its own, or not any more.
    Unknown(Arc<str>),
    /// This caller's time was over at this moment, in milliseconds since 1970.
    Expired(Arc<str>, i64),
    /// The connection says whose it is, and that is no caller: in words.
    Stranger(Arc<str>),
    /// The operation is not among those that its caller may call.
    NotListed,
}

impl Barred {
    /// The caller that somebody pretends to be, or was.
    #[must_use]
    pub fn claimed(&self) -> Option<&Arc<str>> {
        match self {
            Self::Unknown(name) | Self::Expired(name, _) => Some(name),
            Self::NoToken | Self::Stranger(_) | Self::NotListed => None,
        }
    }
}
