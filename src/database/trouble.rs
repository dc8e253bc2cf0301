//! Why a database did not do what it was asked.

use std::fmt;
use std::pin::Pin;

/// What a database does, on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// Why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody was faster: what must be there once is taken. Nothing was written.
    Taken,
    /// There is no room. Nothing was written.
    Full(String),
    /// It cannot be used as it is: other tables, another account's, or in use by another process.
    Unfit(String),
    /// It failed. Whether anything was written, nobody knows.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("another writer was faster"),
            Self::Full(what) => write!(f, "there is no room: {what}"),
            Self::Unfit(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Trouble {}
