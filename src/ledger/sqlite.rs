//! The ledger of one process: SQLite in a folder that nobody else reads. One writer, held by a lock, and any number of
//! readers, who see what is committed and never wait for the disk. Absent here: another machine.

mod database;
mod reserve;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::task::spawn_blocking;

use self::writer::Writer;
use super::store::{Entry, Filter, Kept, Period, Row, Store};
use super::{name, read, statement};
use crate::database::{Cells, Pending, Statement, Trouble, all, first};

/// A folder is for one account, so its tables name none.
const ACCOUNT: &str = "";

/// The entries of one account in a folder.
#[derive(Debug)]
pub struct Sqlite {
    // Closed before the writer, which then leaves a whole file behind.
    reader: Arc<Mutex<Connection>>,
    /// None where only reading is wanted.
    writer: Option<Arc<Mutex<Writer>>>,
    name: String,
}

impl Sqlite {
    /// Opens the ledger in a folder, which is made if it is not there, and keeps every other writer out of it. Blocks.
    ///
    /// # Errors
    /// When another process has it, when a newer version wrote it, when it is damaged, or when the folder cannot be
    /// used.
    pub fn open(folder: &Path) -> Result<Self, Trouble> {
        let writer = Writer::open(folder)?;
        let reader = Arc::new(Mutex::new(database::reader(folder)?));
        Ok(Self { reader, writer: Some(Arc::new(Mutex::new(writer))), name: name::new()? })
    }

    /// Opens the ledger in a folder for reading, also while another process writes it. Blocks.
    ///
    /// # Errors
    /// When there is none, or when it has another schema.
    pub fn read_only(folder: &Path) -> Result<Self, Trouble> {
        let reader = Arc::new(Mutex::new(database::reader(folder)?));
        Ok(Self { reader, writer: None, name: String::new() })
    }

    async fn ask(&self, statement: Statement) -> Result<Vec<Cells>, Trouble> {
        let reader = Arc::clone(&self.reader);
        blocking(move || {
            // Whoever panicked with it in his hands was reading, too.
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            database::rows(&reader, &statement)
        })
        .await
    }

    /// Writes, in a thread that goes on to the end even if nobody waits for it any more.
    async fn write(
        &self,
        write: impl FnOnce(&mut Writer) -> Result<(), Trouble> + Send + 'static,
    ) -> Result<(), Trouble> {
        let Some(writer) = self.writer.as_ref().map(Arc::clone) else {
            return Err(Trouble::Unfit("the ledger is open for reading only".into()));
        };
        blocking(move || {
            let mut writer = writer
                .lock()
                .map_err(|_| Trouble::Failed("the ledger is poisoned: a write to it panicked".into()))?;
            write(&mut writer)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    spawn_blocking(work)
        .await
        .map_err(|error| Trouble::Failed(format!("the ledger's thread did not finish: {error}")))?
}

impl Store for Sqlite {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        let (entry, row) = (entry.clone(), row.clone());
        Box::pin(self.write(move |writer| writer.append(&entry, &row)))
    }

    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>> {
        Box::pin(async { first(self.ask(statement::last(ACCOUNT)).await?, read::place) })
    }

    fn by_id<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(async { first(self.ask(statement::by_id(ACCOUNT, id)).await?, read::kept) })
    }

    fn by_key<'a>(&'a self, caller: &'a str, key: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(async { first(self.ask(statement::by_key(ACCOUNT, caller, key)).await?, read::kept) })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Vec<Kept>> {
        Box::pin(async { all(self.ask(statement::list(ACCOUNT, filter)).await?, read::kept) })
    }

    fn spent<'a>(&'a self, caller: &'a str, period: Period) -> Pending<'a, i64> {
        Box::pin(async move {
            let rows = self.ask(statement::spent(ACCOUNT, caller, period)).await?;
            Ok(first(rows, |mut row| row.number())?.unwrap_or(0))
        })
    }

    fn entries(&self, behind: i64, most: u32) -> Pending<'_, Vec<Entry>> {
        Box::pin(async move { all(self.ask(statement::entries(ACCOUNT, behind, most)).await?, read::entry) })
    }

    fn history<'a>(&'a self, id: &'a str) -> Pending<'a, Vec<Entry>> {
        Box::pin(async { all(self.ask(statement::history(ACCOUNT, id)).await?, read::entry) })
    }

    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async { first(self.ask(statement::note(ACCOUNT, name)).await?, |mut row| row.bytes()) })
    }

    fn set_note<'a>(&'a self, name: &'a str, value: &'a [u8], before: Option<&'a [u8]>) -> Pending<'a, ()> {
        let statement = statement::set_note(ACCOUNT, name, value, before);
        Box::pin(async { self.write(move |writer| writer.change(&statement?)).await })
    }

    fn writer(&self) -> &str {
        &self.name
    }

    /// Whoever has the lock is the only one alive. Who only reads has proven nothing.
    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool> {
        Box::pin(async move { Ok(self.writer.is_none() || writer == self.name) })
    }

    /// No other process can write at all.
    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async { Ok(Box::new(()) as Box<dyn Send>) })
    }
}
