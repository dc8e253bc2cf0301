//! The file and its connections: how they are opened, checked and asked. Absent here: who may write, and what is
//! written.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{
    Connection, Error, ErrorCode, OpenFlags, ToSql, TransactionBehavior, ffi, params, params_from_iter,
};

use super::ACCOUNT;
use crate::ambient;
use crate::database::{Cells, Statement, Trouble, Value, first};
use crate::ledger::schema::TABLES;
use crate::ledger::statement;

const FILE: &str = "ledger.db";
/// A reader waits so long for another process that is just recovering the file.
const BUSY: Duration = Duration::from_secs(5);
/// Up to this size, in bytes, the whole file is checked when it is opened.
const CHEAP_TO_CHECK: u64 = 64 * 1024 * 1024;
/// What `PRAGMA synchronous` says for `FULL`.
const FULL: i64 = 2;

/// Makes the folder, or takes it from everybody else.
pub(super) fn folder(path: &Path) -> Result<(), Trouble> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        close(path, 0o700)?;
        // So that the folder itself is still there after a power cut. A parent that may not be read is the operator's.
        path.parent().and_then(|parent| File::open(parent).ok()).map_or(Ok(()), |parent| parent.sync_all())
    };
    make().map_err(|error| unfit(path, &error))
}

/// Opens a file that only this user reads, and makes it if it is not there.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    close(path, 0o600)?;
    Ok(file)
}

fn close(path: &Path, mode: u32) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The connection that writes.
pub(super) fn writer(folder: &Path) -> Result<Connection, Trouble> {
    let path = folder.join(FILE);
    private(&path).map_err(|error| unfit(&path, &error))?;
    let mut connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let prepared = prepare(&mut connection, &path);
    prepared.map_err(|error| opening(&path, &error))?;
    migrate(&mut connection)?;
    ending(&connection)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unfit(folder, &error))?;
    Ok(connection)
}

/// A connection that reads.
pub(super) fn reader(folder: &Path) -> Result<Connection, Trouble> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Err(Trouble::Unfit(format!("there is no ledger at {}", path.display())));
    }
    let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found = version(&connection).map_err(|error| opening(&path, &error))?;
    if TABLES.missing(found)?.next().is_some() {
        return Err(Trouble::Unfit(format!(
            "the ledger at {} has schema {found} and this build reads {}: start the daemon once, which \
             brings it up to date",
            path.display(),
            TABLES.known()
        )));
    }
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, Trouble> {
    let connect = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    connect().map_err(|error| opening(path, &error))
}

/// What must hold before anything is written: each is asked for again, for SQLite ignores what it cannot do.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let says = |told: &str| {
        Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(format!("SQLite does not {told}")))
    };
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    let keys: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    if mode != "wal" {
        return Err(says("keep a write-ahead log on this file system"));
    }
    if synchronous != FULL {
        return Err(says("wait for the disk"));
    }
    if !keys {
        return Err(says("hold foreign keys"));
    }
    if fs::metadata(path).is_ok_and(|file| file.len() < CHEAP_TO_CHECK) {
        let found: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if found != "ok" {
            return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(found)));
        }
    }
    Ok(())
}

/// The version of the schema; 0 where there is none.
fn version(connection: &Connection) -> Result<i64, Error> {
    let tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_version'";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    connection.query_row("SELECT COALESCE(MAX(version), 0) FROM schema_version", [], |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> Result<(), Trouble> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| trouble(&error))?;
    for (version, step) in TABLES.missing(version(&transaction).map_err(|error| trouble(&error))?)? {
        transaction.execute_batch(&TABLES.begin()).map_err(|error| trouble(&error))?;
        transaction.execute_batch(step).map_err(|error| trouble(&error))?;
        transaction
            .execute("INSERT INTO schema_version VALUES (?1, ?2)", params![version, ambient::unix_millis()])
            .map_err(|error| trouble(&error))?;
    }
    transaction.commit().map_err(|error| trouble(&error))
}

fn ending(connection: &Connection) -> Result<(), Trouble> {
    first(rows(connection, &statement::ending(ACCOUNT))?, statement::check)?;
    Ok(())
}

/// What a statement finds.
pub(super) fn rows(connection: &Connection, statement: &Statement) -> Result<Vec<Cells>, Trouble> {
    let read = || {
        let mut prepared = connection.prepare(&spelled(statement))?;
        let width = prepared.column_count();
        prepared
            .query_map(params_from_iter(&statement.values), |row| {
                (0..width).map(|at| row.get_ref(at)?.try_into()).collect::<Result<_, Error>>().map(Cells::new)
            })?
            .collect::<Result<_, Error>>()
    };
    read().map_err(|error| trouble(&error))
}

/// How many rows a statement changes.
pub(super) fn change(connection: &Connection, statement: &Statement) -> Result<usize, Trouble> {
    connection
        .execute(&spelled(statement), params_from_iter(&statement.values))
        .map_err(|error| trouble(&error))
}

/// SQLite takes `$1` for a name; its numbered parameters have a question mark.
fn spelled(statement: &Statement) -> String {
    statement.text.replace('$', "?")
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => text.as_deref().into(),
            Self::Number(number) => (*number).map_or(ValueRef::Null, ValueRef::Integer),
            Self::Bytes(bytes) => bytes.as_deref().map_or(ValueRef::Null, ValueRef::Blob),
        }))
    }
}

impl TryFrom<ValueRef<'_>> for Value {
    type Error = Error;

    fn try_from(found: ValueRef<'_>) -> Result<Self, Error> {
        Ok(match found {
            ValueRef::Null => Self::Bytes(None),
            ValueRef::Integer(number) => Self::Number(Some(number)),
            ValueRef::Text(text) => Self::Text(Some(std::str::from_utf8(text)?.to_owned())),
            ValueRef::Blob(bytes) => Self::Bytes(Some(bytes.to_vec())),
            ValueRef::Real(_) => {
                return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_MISMATCH), None));
            }
        })
    }
}

/// What an error means to whoever was writing or reading.
pub(super) fn trouble(error: &Error) -> Trouble {
    let told = || format!("the ledger: {error}");
    match error.sqlite_error() {
        Some(ffi::Error {
            extended_code: ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
            ..
        }) => Trouble::Taken,
        Some(ffi::Error { code: ErrorCode::DiskFull, .. }) => Trouble::Full(told()),
        _ => Trouble::Failed(told()),
    }
}

/// What an error means to whoever was opening the file.
fn opening(path: &Path, error: &Error) -> Trouble {
    match trouble(error) {
        Trouble::Failed(told) => unfit(path, &told),
        other => other,
    }
}

pub(super) fn unfit(path: &Path, why: &dyn Display) -> Trouble {
    Trouble::Unfit(format!("{} cannot be used: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::store::{Filter, Period};

    /// SQLite chooses an index by rules and not by what is in the tables, so an empty ledger shows what a long one does.
    #[test]
    fn what_a_purchase_asks_reads_no_more_of_the_ledger_than_the_answer() {
        let mut connection = Connection::open_in_memory().expect("a database");
        migrate(&mut connection).expect("the tables");
        let open = Filter { open: Some(true), ..Filter::default() };
        let ended = Filter { open: Some(false), changed_from_ms: Some(1), ..Filter::default() };
        for (asked, index) in [
            (statement::list(ACCOUNT, &open), "operations_open (account=? AND open=?)"),
            (statement::list(ACCOUNT, &ended), "operations_ended (account=? AND open=? AND changed_ms>?)"),
            (statement::by_key(ACCOUNT, "a", "k"), "operations_key (account=? AND caller=? AND key=?)"),
            (statement::spent(ACCOUNT, "a", Period::Day(1)), "COVERING INDEX operations_day ("),
            (statement::spent(ACCOUNT, "a", Period::Month(1)), "COVERING INDEX operations_month ("),
        ] {
            let mut plan =
                connection.prepare(&format!("EXPLAIN QUERY PLAN {}", spelled(&asked))).expect("SQL");
            let steps = plan.query_map(params_from_iter(&asked.values), |row| row.get::<_, String>(3));
            let steps: Vec<String> = steps.expect("a plan").collect::<Result<_, _>>().expect("text");
            assert!(steps.first().is_some_and(|step| step.contains(index)), "{}: {steps:?}", asked.text);
        }
    }
}
