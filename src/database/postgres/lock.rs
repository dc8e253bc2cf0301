//! Locks that a session holds and the server lets go of when the session ends, whatever it ended by. Absent here: a
//! lock that runs out.

use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::link::Link;
use crate::database::cells::{Cells, Value};
use crate::database::statement::Statement;
use crate::database::trouble::Trouble;

/// The number that the server knows a lock by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(i64);

impl Key {
    pub(crate) fn new(what: &str, of: &str) -> Self {
        let named = digest(&SHA256, format!("gizad {what} {of}").as_bytes());
        Self(named.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | i64::from(*byte)))
    }

    fn asked(self, text: &str) -> Statement {
        Statement { text: text.into(), values: vec![Value::from(self.0)] }
    }
}

/// Takes a lock if nobody has it.
pub(crate) async fn take(link: &Link, key: Key) -> Result<bool, Trouble> {
    is_true(link.rows(&key.asked("SELECT pg_try_advisory_lock($1)")).await?)
}

/// Waits until a lock is free, and takes it. It is let go of when nothing is said over the link for so long.
pub(crate) async fn wait(link: &Link, key: Key, silence: Duration) -> Result<(), Trouble> {
    link.at_leisure(silence).await?;
    link.change_at_leisure(&key.asked("SELECT pg_advisory_lock($1)")).await
}

/// Waits for a lock that is let go of when the transaction ends.
pub(crate) fn for_this_transaction(key: Key) -> Statement {
    key.asked("SELECT pg_advisory_xact_lock($1)")
}

/// Whether any session has a lock. It is only looked at: whoever tried to take it would have it for a moment.
pub(crate) async fn is_held(link: &Link, key: Key) -> Result<bool, Trouble> {
    is_true(link.rows(&key.asked(&format!("SELECT EXISTS ({HELD})"))).await?)
}

/// Whether the session that asks has a lock.
pub(crate) fn is_ours(key: Key) -> Statement {
    key.asked(&format!("SELECT EXISTS ({HELD} AND pid = pg_backend_pid())"))
}

/// A key of 64 bits is shown in two halves.
const HELD: &str = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = \
                    (SELECT oid FROM pg_database WHERE datname = current_database()) AND \
                    ((classid::bigint << 32) | objid::bigint) = $1";

pub(crate) fn is_true(rows: Vec<Cells>) -> Result<bool, Trouble> {
    rows.into_iter().next().map_or(Ok(false), |mut row| Ok(row.number()? != 0))
}
