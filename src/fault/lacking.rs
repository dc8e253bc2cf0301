//! What a caller lacks that may not do what it asks for.

use super::{Fault, Reason};
use crate::call::Scope;

/// What it has to show first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Who it is.
    Name,
    /// A token that is known: the one it showed is not.
    Token,
    /// This scope.
    Scope(Scope),
}

impl Fault {
    /// A caller that was not granted what a call needs.
    #[must_use]
    pub fn lacking(scope: Scope) -> Self {
        let fault = Self::new(Reason::ScopeMissing, format!("this needs the scope {}", scope.as_str()));
        Self { lacks: Some(Lacking::Scope(scope)), ..fault }
    }

    /// A caller that is not known.
    #[must_use]
    pub fn unknown(lacks: Lacking, detail: impl Into<String>) -> Self {
        Self { lacks: Some(lacks), ..Self::new(Reason::Unauthenticated, detail) }
    }
}
