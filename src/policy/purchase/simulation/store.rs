//! A store in memory that several processes share, and that fails in every way a disk and a database do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stage::Stage;
use super::tally::{Fault, Tally};
use crate::ledger::{Entry, Filter, Kept, Pending, Period, Row, Store, Trouble};

#[derive(Default)]
pub(super) struct Disk {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: BTreeMap<String, Kept>,
    notes: BTreeMap<String, Vec<u8>>,
    pub(super) alive: Vec<String>,
    turn: Option<String>,
    turns: u64,
}

/// What all processes share.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing has to be looked after: everything has ended, waits to be asked again, or is for a person.
    pub(super) fn is_settled(&self) -> bool {
        let parked = ["NOT_SENT", "NEEDS_OPERATOR"];
        self.lock().rows.values().all(|kept| !kept.row.open || parked.contains(&kept.row.state.as_str()))
    }

    /// A writer is gone for the database: its session has ended, and so has its turn.
    pub(super) fn gone(&self, writer: &str) {
        let mut disk = self.lock();
        disk.alive.retain(|alive| alive != writer);
        if disk.turn.as_deref().is_some_and(|turn| turn.starts_with(writer)) {
            disk.turn = None;
        }
    }
}

/// The store as one process has it.
pub(super) struct Memory {
    pub(super) stage: Stage,
    pub(super) shared: Shared,
    pub(super) tally: Tally,
    pub(super) writer: String,
    pub(super) poisoned: Mutex<bool>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    fn is_poisoned(&self) -> bool {
        *self.poisoned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poison(&self) -> Trouble {
        *self.poisoned.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Trouble::Failed("the disk failed".to_owned())
    }

    async fn read<T>(&self, read: impl FnOnce(&Disk) -> T) -> Result<T, Trouble> {
        self.stage.moment(3).await;
        if self.tally.strikes(Fault::ReadError, 2) {
            return Err(Trouble::Failed("the disk cannot be read".to_owned()));
        }
        Ok(read(&self.shared.lock()))
    }
}

impl Store for Memory {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        Box::pin(async move {
            self.stage.moment(5).await;
            if self.is_poisoned() {
                return Err(Trouble::Failed("the ledger is poisoned".to_owned()));
            }
            if !self.shared.lock().alive.contains(&self.writer) {
                return Err(Trouble::Failed("the session is lost".to_owned()));
            }
            let new = !self.shared.lock().rows.contains_key(&row.id);
            // Room for outcomes is kept free.
            if new && self.tally.strikes(Fault::FullDisk, 15) {
                return Err(Trouble::Full("no space left".to_owned()));
            }
            if self.tally.strikes(Fault::DiskError, 5) {
                return Err(self.poison());
            }
            {
                let mut disk = self.shared.lock();
                let taken = entry.seq != disk.entries.len() as i64 + 1
                    || disk.rows.values().any(|other| {
                        let same_key = row.key.is_some()
                            && (&other.row.caller, &other.row.key) == (&row.caller, &row.key);
                        other.row.id != row.id && (same_key || (row.sending && other.row.sending))
                    });
                if taken {
                    return Err(Trouble::Taken);
                }
                disk.entries.push(entry.clone());
                let kept = Kept { row: row.clone(), seq: entry.seq, body: entry.body.clone() };
                disk.rows.insert(row.id.clone(), kept);
            }
            self.tally.written(&self.shared);
            // It was written, and whoever wrote it does not hear of it.
            if self.tally.strikes(Fault::DiskError, 5) {
                return Err(self.poison());
            }
            self.stage.moment(3).await;
            Ok(())
        })
    }

    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>> {
        Box::pin(self.read(|disk| disk.entries.last().map(|last| (last.seq, last.mac))))
    }

    fn by_id<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(self.read(move |disk| disk.rows.get(id).cloned()))
    }

    fn by_key<'a>(&'a self, caller: &'a str, key: &'a str) -> Pending<'a, Option<Kept>> {
        let fits = move |kept: &&Kept| kept.row.caller == caller && kept.row.key.as_deref() == Some(key);
        Box::pin(self.read(move |disk| disk.rows.values().find(fits).cloned()))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Vec<Kept>> {
        let fits = move |row: &Row| {
            filter.caller.as_ref().is_none_or(|caller| *caller == row.caller)
                && filter.key.as_ref().is_none_or(|key| row.key.as_ref() == Some(key))
                && filter.open.is_none_or(|open| open == row.open)
                && filter.changed_from_ms.is_none_or(|from| row.changed_ms >= from)
                && filter.after.as_ref().is_none_or(|(ms, id)| (row.created_ms, &row.id) < (*ms, id))
        };
        Box::pin(self.read(move |disk| {
            let mut found: Vec<Kept> = disk.rows.values().filter(|kept| fits(&kept.row)).cloned().collect();
            found.sort_by(|a, b| (b.row.created_ms, &b.row.id).cmp(&(a.row.created_ms, &a.row.id)));
            found.truncate(if filter.most == 0 { usize::MAX } else { filter.most as usize });
            found
        }))
    }

    fn spent<'a>(&'a self, caller: &'a str, period: Period) -> Pending<'a, i64> {
        let counts = move |row: &Row| match period {
            Period::Day(day) => row.day == day,
            Period::Month(month) => row.month == month,
        };
        Box::pin(self.read(move |disk| {
            let rows = disk.rows.values().map(|kept| &kept.row);
            let own = rows.filter(|row| row.caller == caller && counts(row));
            own.map(|row| row.held_vnd + row.posted_vnd).sum()
        }))
    }

    fn entries(&self, behind: i64, most: u32) -> Pending<'_, Vec<Entry>> {
        Box::pin(self.read(move |disk| {
            disk.entries.iter().filter(|e| e.seq > behind).take(most as usize).cloned().collect()
        }))
    }

    fn history<'a>(&'a self, id: &'a str) -> Pending<'a, Vec<Entry>> {
        Box::pin(self.read(move |disk| disk.entries.iter().filter(|e| e.id == id).cloned().collect()))
    }

    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.shared.lock().notes.get(name).cloned()) })
    }

    fn set_note<'a>(&'a self, name: &'a str, value: &'a [u8], before: Option<&'a [u8]>) -> Pending<'a, ()> {
        Box::pin(async move {
            let mut disk = self.shared.lock();
            if disk.notes.get(name).map(Vec::as_slice) != before {
                return Err(Trouble::Taken);
            }
            disk.notes.insert(name.to_owned(), value.to_vec());
            Ok(())
        })
    }

    fn writer(&self) -> &str {
        &self.writer
    }

    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool> {
        Box::pin(self.read(move |disk| disk.alive.iter().any(|alive| alive == writer)))
    }

    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async move {
            loop {
                {
                    let mut disk = self.shared.lock();
                    if !disk.alive.contains(&self.writer) {
                        return Err(Trouble::Failed("the session is lost".to_owned()));
                    }
                    if disk.turn.is_none() {
                        disk.turns += 1;
                        let name = format!("{} {}", self.writer, disk.turns);
                        disk.turn = Some(name.clone());
                        let guard: Box<dyn Send> = Box::new(Turn { shared: self.shared.clone(), name });
                        return Ok(guard);
                    }
                }
                self.stage.moment(50).await;
            }
        })
    }
}

struct Turn {
    shared: Shared,
    name: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut disk = self.shared.lock();
        if disk.turn.as_ref() == Some(&self.name) {
            disk.turn = None;
        }
    }
}
