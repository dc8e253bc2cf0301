//! A ledger as it is after years, made in a minute: the ledger's own code chains, seals and encodes every entry, and a
//! store of this file takes them by the thousand and syncs none.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gizad::ledger::{Entry, Filter, Kept, Ledger, Pending, Period, Row, Sqlite, Store, Trouble, Wrap};
use gizad::purchase::{Record, calendar};
use rusqlite::{Connection, params};

/// How many entries are written at once.
const BATCH: usize = 20_000;
/// The span that the operations are spread over, in milliseconds: a year, which ends now.
const SPAN: i64 = 365 * 86_400_000;

/// The key of one of the operations, which says nothing of its place.
pub(crate) fn key(number: u64) -> String {
    format!("{:016x}{:016x}", scattered(number), scattered(!number))
}

/// SplitMix64: no two numbers become the same.
pub(crate) fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Copies the one operation of a ledger so many times, each under a name and a key of its own.
pub(crate) async fn grow(folder: &Path, wrap: &Wrap, count: u64) {
    let history = {
        let young = Ledger::read(Arc::new(Sqlite::read_only(folder).expect("a ledger")), wrap, None);
        let young = young.await.expect("its key");
        let bought = young.list(&Filter::default()).await.expect("a list");
        young.history(&bought.first().expect("an operation").id).await.expect("its history")
    };
    let bulk = Arc::new(Bulk::open(&folder.join("ledger.db")));
    let ledger = Ledger::open(bulk.clone(), wrap, None).await.expect("a ledger");
    let last = history.last().expect("an end");
    let open = |sealed: &[u8]| ledger.unseal(&last.id, sealed).expect("what was sealed");
    let (request, result) = (open(&last.request), open(&last.result));
    let step = SPAN / i64::try_from(count).expect("a count");
    for number in 0..count {
        let created_ms = last.created_ms - SPAN + step * i64::try_from(number).expect("a count");
        let id = format!("op_{created_ms:012x}{:016x}", scattered(number));
        let (sealed, answered) = (ledger.seal(&id, &request), ledger.seal(&id, &result));
        for then in &history {
            let (day, month) = calendar(created_ms);
            let record = Record {
                id: id.clone(),
                key: Some(key(number)),
                created_ms,
                changed_ms: created_ms + (then.changed_ms - then.created_ms),
                day,
                month,
                request: sealed.clone(),
                result: if then.result.is_empty() { Vec::new() } else { answered.clone() },
                ..then.clone()
            };
            let head = ledger.head().await.expect("a head");
            ledger.append_at(head, &record).await.expect("appended");
        }
    }
    bulk.close();
}

/// Takes entries, and nothing else.
#[derive(Debug)]
struct Bulk(Mutex<Taken>);

#[derive(Debug)]
struct Taken {
    connection: Connection,
    head: (i64, [u8; 32]),
    waiting: Vec<(Entry, Row)>,
}

impl Bulk {
    fn open(file: &Path) -> Self {
        let connection = Connection::open(file).expect("a database");
        let fast = "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                    PRAGMA foreign_keys = OFF; PRAGMA cache_size = -400000";
        connection.execute_batch(fast).expect("set");
        let last = "SELECT seq, mac FROM entries ORDER BY seq DESC LIMIT 1";
        let head = connection.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("an entry");
        Self(Mutex::new(Taken { connection, head, waiting: Vec::new() }))
    }

    /// Has everything on the disk.
    fn close(&self) {
        let mut taken = self.0.lock().expect("whole");
        taken.write().expect("written");
        taken.connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL").expect("set");
        let file = std::fs::File::open(taken.connection.path().expect("a path")).expect("a file");
        file.sync_all().expect("synced");
    }
}

impl Taken {
    fn write(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut entries =
                transaction.prepare("INSERT INTO entries VALUES ('', ?1, ?2, ?3, ?4, ?5)").expect("a table");
            let mut operations = transaction.prepare(
                "INSERT INTO operations VALUES ('', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
                 ?15)",
            )?;
            for (entry, row) in &self.waiting {
                entries.execute(params![entry.seq, entry.at_ms, entry.id, entry.body, entry.mac])?;
                // What goes on has its row with its last entry.
                if row.open {
                    continue;
                }
                operations.execute(params![
                    row.id,
                    row.caller,
                    row.key,
                    row.operation,
                    row.state,
                    row.open,
                    row.sending,
                    row.owner,
                    row.held_vnd,
                    row.posted_vnd,
                    row.day,
                    row.month,
                    row.created_ms,
                    row.changed_ms,
                    entry.seq
                ])?;
            }
        }
        let (seq, mac) = self.head;
        let note = [&seq.to_be_bytes()[..], &mac].concat();
        transaction.execute("UPDATE notes SET value = ?1 WHERE name = 'head'", [note])?;
        self.waiting.clear();
        transaction.commit()
    }
}

/// What it does not do.
fn never<'a, T: Send + 'a>() -> Pending<'a, T> {
    Box::pin(async { Err(Trouble::Unfit("it only takes entries".to_owned())) })
}

impl Store for Bulk {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        Box::pin(async {
            let mut taken = self.0.lock().expect("whole");
            taken.head = (entry.seq, entry.mac);
            taken.waiting.push((entry.clone(), row.clone()));
            if taken.waiting.len() < BATCH {
                return Ok(());
            }
            taken.write().map_err(|error| Trouble::Failed(error.to_string()))
        })
    }

    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>> {
        Box::pin(async { Ok(Some(self.0.lock().expect("whole").head)) })
    }

    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let taken = self.0.lock().expect("whole");
            let found =
                taken
                    .connection
                    .query_row("SELECT value FROM notes WHERE name = ?1", [name], |row| row.get(0));
            found.map_err(|error| Trouble::Failed(error.to_string()))
        })
    }

    fn by_id<'a>(&'a self, _id: &'a str) -> Pending<'a, Option<Kept>> {
        never()
    }

    fn by_key<'a>(&'a self, _caller: &'a str, _key: &'a str) -> Pending<'a, Option<Kept>> {
        never()
    }

    fn list<'a>(&'a self, _filter: &'a Filter) -> Pending<'a, Vec<Kept>> {
        never()
    }

    fn spent<'a>(&'a self, _caller: &'a str, _period: Period) -> Pending<'a, i64> {
        never()
    }

    fn entries(&self, _behind: i64, _most: u32) -> Pending<'_, Vec<Entry>> {
        never()
    }

    fn history<'a>(&'a self, _id: &'a str) -> Pending<'a, Vec<Entry>> {
        never()
    }

    fn set_note<'a>(
        &'a self,
        _name: &'a str,
        _value: &'a [u8],
        _before: Option<&'a [u8]>,
    ) -> Pending<'a, ()> {
        never()
    }

    fn writer(&self) -> &str {
        ""
    }

    fn is_alive<'a>(&'a self, _writer: &'a str) -> Pending<'a, bool> {
        never()
    }

    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        never()
    }
}
