//! Locks that a session holds and the server lets go of when the session ends, whatever it ended by. Absent here: a
//! lock that runs out.

use ring::digest::{SHA256, digest};

use super::link::Link;
use crate::ledger::cells::{Cells, Value};
use crate::ledger::statement::Statement;
use crate::ledger::store::Trouble;

/// The number that the server knows a lock by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(i64);

impl Key {
    fn new(what: &str, of: &str) -> Self {
        let named = digest(&SHA256, format!("gizad {what} {of}").as_bytes());
        Self(named.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | i64::from(*byte)))
    }

    fn asked(self, text: &str) -> Statement {
        Statement { text: text.into(), values: vec![Value::from(self.0)] }
    }
}

/// Held by a writer as long as it can write.
pub(super) fn of_writer(name: &str) -> Key {
    Key::new("writer", name)
}

/// Held by whoever buys for an account.
pub(super) fn of_turn(account: &str) -> Key {
    Key::new("turn", account)
}

/// Takes a lock if nobody has it.
pub(super) async fn take(link: &Link, key: Key) -> Result<bool, Trouble> {
    is_true(link.rows(&key.asked("SELECT pg_try_advisory_lock($1)")).await?)
}

/// Waits until a lock is free, and takes it.
pub(super) async fn wait(link: &Link, key: Key) -> Result<(), Trouble> {
    link.without_limits().await?;
    link.change_at_leisure(&key.asked("SELECT pg_advisory_lock($1)")).await
}

/// Keeps everybody else from the tables until the transaction ends.
pub(super) fn for_tables() -> Statement {
    Key::new("schema", "").asked("SELECT pg_advisory_xact_lock($1)")
}

/// Whether any session has a lock. It is only looked at: whoever tried to take it would have it for a moment.
pub(super) async fn is_held(link: &Link, key: Key) -> Result<bool, Trouble> {
    is_true(link.rows(&key.asked(&format!("SELECT EXISTS ({HELD})"))).await?)
}

/// Whether the session that asks has a lock.
pub(super) fn is_ours(key: Key) -> Statement {
    key.asked(&format!("SELECT EXISTS ({HELD} AND pid = pg_backend_pid())"))
}

/// A key of 64 bits is shown in two halves.
const HELD: &str = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = \
                    (SELECT oid FROM pg_database WHERE datname = current_database()) AND \
                    ((classid::bigint << 32) | objid::bigint) = $1";

pub(super) fn is_true(rows: Vec<Cells>) -> Result<bool, Trouble> {
    rows.into_iter().next().map_or(Ok(false), |mut row| Ok(row.number()? != 0))
}
