//! What one call of an operation does to the world, and so what may be cached, shared and repeated.

use std::fmt;

use prost_reflect::prost_types::method_options::IdempotencyLevel;

/// The six effects, from harmless to costly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// The catalog: the same for everyone, sent without credentials.
    Public,
    /// The account's own data.
    Read,
    /// A read whose answer is itself a credential.
    Secret,
    /// A write that lands in the same state however often it runs.
    Converge,
    /// A write that must not run twice, without money.
    Once,
    /// Takes money from the wallet.
    Spend,
}

impl Effect {
    /// All of them, for settings and documentation.
    pub const ALL: [Self; 6] =
        [Self::Public, Self::Read, Self::Secret, Self::Converge, Self::Once, Self::Spend];

    /// The effect that the options of an RPC declare.
    ///
    /// # Errors
    /// The combinations that contradict themselves.
    pub(super) fn declared(
        level: IdempotencyLevel,
        public: bool,
        sensitive: bool,
        spends: bool,
    ) -> Result<Self, &'static str> {
        use IdempotencyLevel::{IdempotencyUnknown, Idempotent, NoSideEffects};
        match (level, public, sensitive, spends) {
            (NoSideEffects, true, false, false) => Ok(Self::Public),
            (NoSideEffects, false, false, false) => Ok(Self::Read),
            (NoSideEffects, false, true, false) => Ok(Self::Secret),
            (Idempotent, false, false, false) => Ok(Self::Converge),
            (IdempotencyUnknown, false, false, false) => Ok(Self::Once),
            (IdempotencyUnknown, false, false, true) => Ok(Self::Spend),
            (NoSideEffects | Idempotent, _, _, true) => Err("`spends` goes with no idempotency_level"),
            (_, true, true, _) => Err("an answer that everyone may see cannot be `sensitive`"),
            (Idempotent | IdempotencyUnknown, _, _, _) => {
                Err("`public` and `sensitive` go with NO_SIDE_EFFECTS only")
            }
        }
    }

    /// Whether a call leaves the world as it was.
    #[must_use]
    pub fn is_read(self) -> bool {
        match self {
            Self::Public | Self::Read | Self::Secret => true,
            Self::Converge | Self::Once | Self::Spend => false,
        }
    }

    /// Whether a call may be sent again when nobody knows what became of the first.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::Public | Self::Read | Self::Secret | Self::Converge => true,
            Self::Once | Self::Spend => false,
        }
    }

    /// The word used in settings, logs and documentation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Read => "read",
            Self::Secret => "secret",
            Self::Converge => "converge",
            Self::Once => "once",
            Self::Spend => "spend",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
