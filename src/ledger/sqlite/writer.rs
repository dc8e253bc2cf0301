//! The one that writes: what is done in a transaction, what a full disk means, and that nothing is written any more
//! after a failure. Absent here: reading for others.

use std::fs::{File, TryLockError};
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::reserve::Reserve;
use super::{ACCOUNT, database};
use crate::database::{Statement, Trouble, first};
use crate::ledger::read;
use crate::ledger::statement::{self, Writing};
use crate::ledger::store::{Entry, Row};

const LOCK: &str = "ledger.lock";

/// The only connection that writes, and the lock that makes it so.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    reserve: Reserve,
    /// Why nothing is written any more.
    poisoned: Option<String>,
    // Given back last.
    _lock: File,
}

impl Writer {
    pub(super) fn open(folder: &Path) -> Result<Self, Trouble> {
        database::folder(folder)?;
        let lock = lock(folder)?;
        let connection = database::writer(folder)?;
        let mut reserve = Reserve::of(folder);
        // What is there can be read, and an outcome written down, on a full disk, too; only nothing new is begun.
        let _later = reserve.secure();
        Ok(Self { connection, reserve, poisoned: None, _lock: lock })
    }

    pub(super) fn append(&mut self, entry: &Entry, row: &Row) -> Result<(), Trouble> {
        self.guarded(|writer| {
            // Whether something has begun that must be brought to its end. Nothing is sent on the reserve: it is for
            // what comes of it.
            let begun = !row.sending && (!row.open || writer.is_known(&row.id)?);
            if !begun {
                writer.reserve.secure()?;
            }
            let writing = Writing::new(ACCOUNT, entry, row);
            match writer.transact(entry.seq, &writing) {
                Err(Trouble::Full(_)) if begun && writer.reserve.give_up() => {
                    writer.transact(entry.seq, &writing)
                }
                other => other,
            }
        })
    }

    /// Changes one row of what is kept beside the entries.
    pub(super) fn change(&mut self, statement: &Statement) -> Result<(), Trouble> {
        self.guarded(|writer| match database::change(&writer.connection, statement)? {
            0 => Err(Trouble::Taken),
            _ => Ok(()),
        })
    }

    /// After a failure nobody knows what is on the disk: a sync that failed once may succeed the next time without
    /// having written what the first had not. So nothing is written until the file has been opened anew.
    fn guarded(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Trouble>) -> Result<(), Trouble> {
        if let Some(why) = &self.poisoned {
            return Err(Trouble::Failed(format!(
                "the ledger is poisoned since a write failed, and takes nothing more until a restart ({why})"
            )));
        }
        let written = write(self);
        if let Err(Trouble::Failed(why)) = &written {
            self.poisoned = Some(why.clone());
        }
        written
    }

    fn is_known(&self, id: &str) -> Result<bool, Trouble> {
        Ok(!database::rows(&self.connection, &statement::is_known(ACCOUNT, id))?.is_empty())
    }

    fn transact(&mut self, seq: i64, writing: &Writing) -> Result<(), Trouble> {
        let written = self.attempt(seq, writing);
        if matches!(written, Err(Trouble::Full(_) | Trouble::Taken)) && !self.connection.is_autocommit() {
            return Err(Trouble::Failed("the ledger: a transaction could not be taken back".into()));
        }
        written
    }

    /// All or nothing: whatever is returned early takes the transaction back.
    fn attempt(&mut self, seq: i64, writing: &Writing) -> Result<(), Trouble> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| database::trouble(&error))?;
        let last = first(database::rows(&transaction, &statement::last(ACCOUNT))?, read::place)?;
        if last.map_or(0, |(seq, _)| seq).checked_add(1) != Some(seq) {
            return Err(Trouble::Taken);
        }
        for statement in [&writing.entry, &writing.operation, &writing.head] {
            database::change(&transaction, statement)?;
        }
        transaction.commit().map_err(|error| database::trouble(&error))
    }
}

/// Keeps every other writer out, of this process as well. The system gives it back when the process ends, however it
/// does.
fn lock(folder: &Path) -> Result<File, Trouble> {
    let path = folder.join(LOCK);
    let file = database::private(&path).map_err(|error| database::unfit(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Trouble::Unfit(format!(
            "{} is held by another gizad that writes this ledger: stop that one first, or give this one a folder of \
             its own",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(database::unfit(&path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seq: i64, id: &str, open: bool) -> (Entry, Row) {
        let entry = Entry { seq, at_ms: seq, id: id.into(), body: vec![7; 20_000], mac: [1; 32] };
        let row = Row {
            id: id.into(),
            caller: "caller".into(),
            key: None,
            operation: "operation".into(),
            state: "state".into(),
            open,
            sending: false,
            owner: "owner".into(),
            held_vnd: 0,
            posted_vnd: 0,
            day: 0,
            month: 0,
            created_ms: 0,
            changed_ms: 0,
        };
        (entry, row)
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("gizad-ledger-{name}-{}", std::process::id()));
        let _of_an_earlier_run = std::fs::remove_dir_all(&folder);
        folder
    }

    /// The file may not grow any more, or may again.
    fn full(writer: &Writer, is: bool) {
        let pages: i64 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let most = if is { pages } else { i64::from(u32::MAX) - 1 };
        writer
            .connection
            .pragma_update_and_check(None, "max_page_count", most, |row| row.get::<_, i64>(0))
            .unwrap();
    }

    fn append(writer: &mut Writer, (entry, row): &(Entry, Row)) -> Result<(), Trouble> {
        writer.append(entry, row)
    }

    #[test]
    fn a_full_disk_stops_what_is_new_and_the_reserve_is_for_what_has_begun() {
        let folder = folder("full");
        let reserve = folder.join("ledger.reserve");
        let mut writer = Writer::open(&folder).unwrap();
        assert_eq!(std::fs::metadata(&reserve).unwrap().len(), SIZE_OF_RESERVE);
        append(&mut writer, &step(1, "begun", true)).unwrap();

        full(&writer, true);
        assert!(matches!(append(&mut writer, &step(2, "new", true)), Err(Trouble::Full(_))));
        assert!(reserve.exists(), "what is new does not get it");
        let mut sending = step(2, "begun", true);
        sending.1.sending = true;
        assert!(matches!(append(&mut writer, &sending), Err(Trouble::Full(_))));
        assert!(reserve.exists(), "nothing is sent on it");

        // Here the room does not come from the reserve, so that the second try fails as well; it was made, though.
        assert!(matches!(append(&mut writer, &step(2, "begun", false)), Err(Trouble::Full(_))));
        assert!(!reserve.exists(), "what has begun gets it");

        full(&writer, false);
        append(&mut writer, &step(2, "begun", false)).unwrap();
        assert!(!reserve.exists(), "an outcome does not wait for it");
        append(&mut writer, &step(3, "new", true)).unwrap();
        assert!(reserve.exists(), "it is made again before anything new");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn without_a_reserve_nothing_new_is_begun() {
        let folder = folder("reserve");
        let mut writer = Writer::open(&folder).unwrap();
        append(&mut writer, &step(1, "begun", true)).unwrap();
        writer.reserve.give_up();
        // Nothing can be made where a folder is in the way.
        std::fs::create_dir(folder.join("ledger.reserve")).unwrap();
        assert!(matches!(append(&mut writer, &step(2, "new", true)), Err(Trouble::Full(_))));
        append(&mut writer, &step(2, "begun", false)).unwrap();
        std::fs::remove_dir(folder.join("ledger.reserve")).unwrap();
        append(&mut writer, &step(3, "new", true)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn after_a_failure_nothing_is_written_any_more() {
        let folder = folder("poison");
        let mut writer = Writer::open(&folder).unwrap();
        append(&mut writer, &step(1, "one", true)).unwrap();
        assert_eq!(append(&mut writer, &step(1, "two", true)), Err(Trouble::Taken));
        writer.connection.pragma_update(None, "query_only", true).unwrap();
        assert!(matches!(append(&mut writer, &step(2, "two", true)), Err(Trouble::Failed(_))));
        writer.connection.pragma_update(None, "query_only", false).unwrap();
        let Err(Trouble::Failed(told)) = append(&mut writer, &step(2, "two", true)) else {
            panic!("poisoned")
        };
        assert!(told.contains("poisoned"), "{told}");
        let note = statement::set_note(ACCOUNT, "name", b"value", None).unwrap();
        assert!(matches!(writer.change(&note), Err(Trouble::Failed(_))));
        assert!(writer.is_known("one").unwrap(), "reads go on");
        drop(writer);
        append(&mut Writer::open(&folder).unwrap(), &step(2, "two", true)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    const SIZE_OF_RESERVE: u64 = 1024 * 1024;
}
