//! What replicas of one account share beside the ledger, in PostgreSQL: who is there, the account's pace, what is watched, and
//! the public catalog.
//!
//! All of it may be lost or out of reach: a replica then goes on by itself, more slowly, and never the account faster. The
//! server's clock is the only one that replicas have in common; between one of them and the server only durations travel.
//! Absent here: what is shared for good, which is the ledger; a call; and anything of the account in clear.

mod answers;
mod board;
pub mod division;
mod hearing;
pub mod lease;
pub mod pace;
#[cfg(test)]
pub(crate) mod plant;
#[cfg(test)]
pub(crate) mod play;
mod reading;
pub mod renewal;
mod sights;

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::ambient;
use crate::database::{Lineage, Server, Session, tables};

pub use crate::database::{Notice, Pending, Trouble};
pub use answers::{Answers, Asked, Found};
pub use board::{Board, Seal};
pub use hearing::{Hearing, Pulse, Told};
pub use reading::Reading;
pub use sights::{Sighted, Sights};

/// Whether a mistake was planted, to see that it is found. Nothing is planted outside of tests.
macro_rules! planted {
    ($bug:ident) => {
        $crate::plant::planted!(shared, $bug)
    };
}
pub(crate) use planted;

/// The tables.
const TABLES: Lineage = Lineage {
    of: "what is shared",
    versions: "shared_version",
    steps: &[include_str!("shared/migrations/1.sql")],
};

/// This replica's hand on what is shared.
#[derive(Clone, Debug)]
pub struct Shared {
    session: Arc<Session>,
    account: Arc<str>,
    name: Arc<str>,
    max_replicas: NonZeroU32,
}

impl Shared {
    /// Makes the tables that are missing, and listens to what others say. The replica's name begins with that of its machine or
    /// pod, and no other ever has it.
    ///
    /// # Errors
    /// When the server cannot be reached, or a newer version has made the tables.
    pub async fn open(
        server: Arc<Server>,
        account: &str,
        machine: &str,
        max_replicas: NonZeroU32,
    ) -> Result<Self, Trouble> {
        tables::prepare(&mut server.link().await?, &TABLES).await?;
        let session = Session::listening(server);
        // So that nothing is missed that is said from here on.
        session.link().await?;
        let random: String = ambient::random().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{machine}-{random}").into();
        Ok(Self { session: Arc::new(session), account: account.into(), name, max_replicas })
    }

    /// A look at it, which makes and changes nothing; nothing if nothing was ever shared in this database.
    ///
    /// # Errors
    /// When the server cannot be reached, or the tables cannot be read by this build.
    pub async fn look(server: Arc<Server>, account: &str) -> Result<Option<Self>, Trouble> {
        if !tables::look(&mut server.link().await?, &TABLES).await? {
            return Ok(None);
        }
        let session = Arc::new(Session::new(server));
        Ok(Some(Self { session, account: account.into(), name: "".into(), max_replicas: NonZeroU32::MIN }))
    }

    /// The name of this replica.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The most replicas that there ever are at once.
    #[must_use]
    pub fn max_replicas(&self) -> NonZeroU32 {
        self.max_replicas
    }
}
