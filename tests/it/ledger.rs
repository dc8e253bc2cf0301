//! The two stores of the ledger: what both promise, played against each, and what only one of them has to.

mod postgres;
mod promises;
mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gizad::ledger::{Entry, Postgres, Row, Sqlite, Store};

/// A folder that is gone when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("gizad-it-ledger-{}", unique())))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _never_made = std::fs::remove_dir_all(&self.0);
    }
}

/// What a next version might add.
pub const NEXT: &str = "ALTER TABLE operations ADD COLUMN further INTEGER; CREATE TABLE further (id INTEGER); \
                        INSERT INTO schema_version VALUES (2, 0)";

/// A word that no other test uses.
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos();
    format!("{}-{}-{at}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The server that `tests/postgres` has started.
pub fn server() -> String {
    std::env::var("TEST_POSTGRES").expect(
        "TEST_POSTGRES names no server: run the tests with tests/run, or put `tests/postgres run` before the \
         command",
    )
}

/// A store of each kind, and what has to live as long.
pub async fn sqlite() -> (Arc<dyn Store>, Option<Folder>) {
    let folder = Folder::new();
    let store = Sqlite::open(folder.path()).expect("a ledger");
    (Arc::new(store), Some(folder))
}

pub async fn postgres() -> (Arc<dyn Store>, Option<Folder>) {
    (Arc::new(Postgres::connect(&server(), &unique()).await.expect("a ledger")), None)
}

/// An entry of an operation in its first state.
pub fn step(seq: i64, id: &str) -> (Entry, Row) {
    let entry = Entry {
        seq,
        at_ms: 1_000 + seq,
        id: id.into(),
        body: format!("{id} at {seq}").into_bytes(),
        mac: [u8::try_from(seq % 256).unwrap(); 32],
    };
    let row = Row {
        id: id.into(),
        caller: "caller".into(),
        key: None,
        operation: "CreateVps".into(),
        state: "RESERVED".into(),
        open: true,
        sending: false,
        owner: "owner".into(),
        held_vnd: 0,
        posted_vnd: 0,
        day: 20_000,
        month: 657,
        created_ms: 1_000,
        changed_ms: 1_000 + seq,
    };
    (entry, row)
}

/// The same with something else in its row.
pub fn step_with(seq: i64, id: &str, change: impl FnOnce(&mut Row)) -> (Entry, Row) {
    let (entry, mut row) = step(seq, id);
    change(&mut row);
    (entry, row)
}
