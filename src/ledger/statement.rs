//! What both stores say to their databases, in the words that SQLite and PostgreSQL have in common, and how the
//! answers are read. Absent here: a connection, and whatever only one of them understands.

use super::store::{Entry, Filter, Period, Row};
use crate::database::{Cells, Statement, Trouble};

/// The note that the store itself keeps.
pub(super) const HEAD: &str = "head";
/// How many of the latest entries are counted when a ledger is opened.
const TAIL: i64 = 1000;

/// An entry and what goes with it. All of it is one transaction; it begins with [`last`].
pub(super) struct Writing {
    pub(super) entry: Statement,
    pub(super) operation: Statement,
    pub(super) head: Statement,
}

impl Writing {
    pub(super) fn new(account: &str, entry: &Entry, row: &Row) -> Self {
        Self {
            entry: Statement::new(
                "INSERT INTO entries (account, seq, at_ms, id, body, mac) VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    account.into(),
                    entry.seq.into(),
                    entry.at_ms.into(),
                    entry.id.as_str().into(),
                    entry.body.as_slice().into(),
                    entry.mac.as_slice().into(),
                ],
            ),
            operation: Statement::new(
                "INSERT INTO operations (account, id, caller, key, operation, state, open, sending, owner, held_vnd, \
                 posted_vnd, day, month, created_ms, changed_ms, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
                 $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (account, id) DO UPDATE SET caller = excluded.caller, \
                 key = excluded.key, operation = excluded.operation, state = excluded.state, open = excluded.open, \
                 sending = excluded.sending, owner = excluded.owner, held_vnd = excluded.held_vnd, posted_vnd = \
                 excluded.posted_vnd, day = excluded.day, month = excluded.month, created_ms = excluded.created_ms, \
                 changed_ms = excluded.changed_ms, seq = excluded.seq",
                [
                    account.into(),
                    row.id.as_str().into(),
                    row.caller.as_str().into(),
                    row.key.as_deref().into(),
                    row.operation.as_str().into(),
                    row.state.as_str().into(),
                    row.open.into(),
                    row.sending.into(),
                    row.owner.as_str().into(),
                    row.held_vnd.into(),
                    row.posted_vnd.into(),
                    row.day.into(),
                    row.month.into(),
                    row.created_ms.into(),
                    row.changed_ms.into(),
                    entry.seq.into(),
                ],
            ),
            head: Statement::new(
                "INSERT INTO notes (account, name, value) VALUES ($1, $2, $3) ON CONFLICT (account, name) DO UPDATE \
                 SET value = excluded.value",
                [account.into(), HEAD.into(), head_note(entry.seq, &entry.mac).as_slice().into()],
            ),
        }
    }
}

/// Eight bytes of place, then the MAC.
pub(super) fn head_note(seq: i64, mac: &[u8]) -> Vec<u8> {
    [&seq.to_be_bytes(), mac].concat()
}

/// The place and the MAC of the latest entry.
pub(super) fn last(account: &str) -> Statement {
    Statement::new(
        "SELECT seq, mac FROM entries WHERE account = $1 ORDER BY seq DESC LIMIT 1",
        [account.into()],
    )
}

/// Whether an operation has an entry.
pub(super) fn is_known(account: &str, id: &str) -> Statement {
    Statement::new("SELECT seq FROM operations WHERE account = $1 AND id = $2", [account.into(), id.into()])
}

/// What [`check`] reads, in one statement and so of one moment.
pub(super) fn ending(account: &str) -> Statement {
    Statement::new(
        format!(
            "SELECT (SELECT MAX(seq) FROM entries WHERE account = $1), \
             (SELECT mac FROM entries WHERE account = $1 ORDER BY seq DESC LIMIT 1), \
             (SELECT value FROM notes WHERE account = $1 AND name = '{HEAD}'), \
             (SELECT COUNT(*) FROM entries WHERE account = $1 \
             AND seq > (SELECT MAX(seq) FROM entries WHERE account = $1) - {TAIL})"
        ),
        [account.into()],
    )
}

/// Checks that the latest entries are there, and that the last is the one that was written last.
///
/// # Errors
/// When something is missing.
pub(super) fn check(mut cells: Cells) -> Result<(), Trouble> {
    let (seq, mac, head) = (cells.maybe_number()?, cells.maybe_bytes()?, cells.maybe_bytes()?);
    let counted = cells.number()?;
    let written = seq.zip(mac).map(|(seq, mac)| head_note(seq, &mac));
    if written != head || counted != seq.unwrap_or(0).min(TAIL) {
        return Err(Trouble::Unfit(format!(
            "the ledger is damaged at its end (entry {}): entries are missing or were changed; nothing is bought with \
             it, restore it from a copy",
            seq.unwrap_or(0)
        )));
    }
    Ok(())
}

const KEPT: &str = "SELECT o.id, o.caller, o.key, o.operation, o.state, o.open, o.sending, o.owner, o.held_vnd, \
                    o.posted_vnd, o.day, o.month, o.created_ms, o.changed_ms, o.seq, e.body FROM operations o JOIN \
                    entries e ON e.account = o.account AND e.seq = o.seq WHERE o.account = $1";

pub(super) fn by_id(account: &str, id: &str) -> Statement {
    Statement::new(format!("{KEPT} AND o.id = $2"), [account.into(), id.into()])
}

pub(super) fn by_key(account: &str, caller: &str, key: &str) -> Statement {
    Statement::new(
        format!("{KEPT} AND o.caller = $2 AND o.key = $3"),
        [account.into(), caller.into(), key.into()],
    )
}

pub(super) fn list(account: &str, filter: &Filter) -> Statement {
    let mut asked = Statement::new(KEPT, [account.into()]);
    if let Some(caller) = &filter.caller {
        asked.add(" AND o.caller = $?", caller.as_str());
    }
    if let Some(key) = &filter.key {
        asked.add(" AND o.key = $?", key.as_str());
    }
    for (at, state) in filter.states.iter().enumerate() {
        asked.add(if at == 0 { " AND (o.state = $?" } else { " OR o.state = $?" }, state.as_str());
    }
    if !filter.states.is_empty() {
        asked.text.push(')');
    }
    match filter.open {
        // Literally, so that the index of what is open can serve.
        Some(true) => asked.text.push_str(" AND o.open = 1"),
        Some(false) => asked.text.push_str(" AND o.open = 0"),
        None => {}
    }
    if let Some(from) = filter.from_ms {
        asked.add(" AND o.created_ms >= $?", from);
    }
    if let Some(until) = filter.until_ms {
        asked.add(" AND o.created_ms < $?", until);
    }
    if let Some(from) = filter.changed_from_ms {
        asked.add(" AND o.changed_ms >= $?", from);
    }
    if let Some(behind) = filter.behind {
        asked.add(" AND o.seq > $?", behind);
    }
    if let Some((created, id)) = &filter.after {
        asked.add(" AND (o.created_ms, o.id) < ($?, ", *created);
        asked.add("$?)", id.as_str());
    }
    asked.text.push_str(" ORDER BY o.created_ms DESC, o.id DESC");
    if filter.most > 0 {
        asked.add(" LIMIT $?", i64::from(filter.most));
    }
    asked
}

pub(super) fn spent(account: &str, caller: &str, period: Period) -> Statement {
    let (column, value) = match period {
        Period::Day(day) => ("day", day),
        Period::Month(month) => ("month", month),
    };
    Statement::new(
        // The sum of integers is a wider type in PostgreSQL; one that does not fit is an error in both.
        format!(
            "SELECT CAST(COALESCE(SUM(held_vnd + posted_vnd), 0) AS BIGINT) FROM operations WHERE account = $1 AND \
             caller = $2 AND {column} = $3"
        ),
        [account.into(), caller.into(), value.into()],
    )
}

pub(super) fn entries(account: &str, behind: i64, most: u32) -> Statement {
    Statement::new(
        "SELECT seq, at_ms, id, body, mac FROM entries WHERE account = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        [account.into(), behind.into(), i64::from(most).into()],
    )
}

pub(super) fn history(account: &str, id: &str) -> Statement {
    Statement::new(
        "SELECT seq, at_ms, id, body, mac FROM entries WHERE account = $1 AND id = $2 ORDER BY seq",
        [account.into(), id.into()],
    )
}

pub(super) fn note(account: &str, name: &str) -> Statement {
    Statement::new("SELECT value FROM notes WHERE account = $1 AND name = $2", [account.into(), name.into()])
}

/// Changes one row, or none if it is not as expected.
///
/// # Errors
/// When the note is the one that the store itself keeps.
pub(super) fn set_note(
    account: &str,
    name: &str,
    value: &[u8],
    before: Option<&[u8]>,
) -> Result<Statement, Trouble> {
    if name == HEAD {
        return Err(Trouble::Unfit(format!("the note {HEAD} is the ledger's own")));
    }
    let values = [account.into(), name.into(), value.into()];
    Ok(match before {
        None => Statement::new(
            "INSERT INTO notes (account, name, value) VALUES ($1, $2, $3) ON CONFLICT (account, name) DO NOTHING",
            values,
        ),
        Some(before) => Statement::new(
            "UPDATE notes SET value = $3 WHERE account = $1 AND name = $2 AND value = $4",
            values.into_iter().chain([before.into()]),
        ),
    })
}
