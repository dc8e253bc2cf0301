//! What a caller may do.

/// One of the things that callers are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reads the account, and its own operations.
    Read,
    /// Reads what is itself a credential: passwords, consoles, licence keys.
    Sensitive,
    /// Changes what there is, without money.
    Write,
    /// Takes money from the wallet.
    Spend,
    /// Sees everyone's operations, consents to purchases, and states what became of those in doubt.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Sensitive, Self::Write, Self::Spend, Self::Admin];

    /// The word used in settings and errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sensitive => "sensitive",
            Self::Write => "write",
            Self::Spend => "spend",
            Self::Admin => "admin",
        }
    }

    /// A scope by its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Sensitive => 2,
            Self::Write => 4,
            Self::Spend => 8,
            Self::Admin => 16,
        }
    }
}

/// Any number of scopes. None includes another: who may spend may not read unless that is granted, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// No scope.
    pub const NONE: Self = Self(0);

    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether one is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_granted_alone() {
        for scope in Scope::ALL {
            let alone: Scopes = [scope].into_iter().collect();
            for other in Scope::ALL {
                assert_eq!(alone.has(other), scope == other, "{scope:?} {other:?}");
            }
            assert!(Scopes::all().has(scope) && !Scopes::NONE.has(scope));
            assert_eq!(Scope::named(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::named("Admin"), None);
    }
}
