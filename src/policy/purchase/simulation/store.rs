//! A store in memory that several processes share, and that fails in every way a disk, a database and the way to it do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::mischief::{AWAY_MS, GIVEN_UP_MS};
use super::play::CALLERS;
use super::stage::Stage;
use super::tally::{Fault, Tally};
use crate::ledger::{Entry, Filter, Kept, Pending, Period, Row, Store, Trouble};
use crate::purchase::planted;

/// How long a statement is waited for.
const PATIENCE_MS: u64 = 15_000;
/// What writers are called, each name once in a run.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| (0..10_000).map(|n| format!("writer{n}")).collect());

#[derive(Default)]
pub(super) struct Disk {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: BTreeMap<String, Kept>,
    notes: BTreeMap<String, Vec<u8>>,
    /// The names whose session the server knows.
    alive: BTreeSet<&'static str>,
    names: usize,
    turn: Option<Held>,
    turns: u64,
    /// Until when nobody is answered.
    down_until_ms: i64,
}

/// Somebody has the turn.
struct Held {
    number: u64,
    group: usize,
    /// Only the server believes it: whoever had it has let go of it, or never knew.
    orphaned: bool,
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

    /// The server begins anew: every session is gone at once, and every turn, while everybody lives on.
    pub(super) fn restarts(&self, down_until_ms: i64) {
        let mut disk = self.lock();
        disk.alive.clear();
        disk.turn = None;
        disk.down_until_ms = disk.down_until_ms.max(down_until_ms);
    }

    /// Gives the turn to somebody if nobody has it.
    fn give_turn(&self, group: usize, orphaned: bool) -> Option<u64> {
        let mut disk = self.lock();
        if disk.turn.is_some() {
            return None;
        }
        disk.turns += 1;
        let number = disk.turns;
        disk.turn = Some(Held { number, group, orphaned });
        Some(number)
    }

    /// The turn is free again if it is still this one.
    fn take_turn(&self, number: u64) {
        let mut disk = self.lock();
        if disk.turn.as_ref().is_some_and(|turn| turn.number == number) {
            disk.turn = None;
        }
    }

    fn new_name(&self) -> &'static str {
        let mut disk = self.lock();
        disk.names += 1;
        let name = NAMES.get(disk.names).expect("enough names").as_str();
        disk.alive.insert(name);
        name
    }

    /// What a transaction does in the end: all of it, or nothing.
    fn commit(&self, entry: &Entry, row: &Row) -> Result<(), Trouble> {
        let mut disk = self.lock();
        let taken = entry.seq != disk.entries.len() as i64 + 1
            || disk.rows.values().any(|other| {
                let same_key =
                    row.key.is_some() && (&other.row.caller, &other.row.key) == (&row.caller, &row.key);
                other.row.id != row.id && (same_key || (row.sending && other.row.sending))
            });
        if taken {
            return Err(Trouble::Taken);
        }
        disk.entries.push(entry.clone());
        let kept = Kept { row: row.clone(), seq: entry.seq, body: entry.body.clone() };
        disk.rows.insert(row.id.clone(), kept);
        Ok(())
    }
}

/// The way from one process to the store.
#[derive(Default)]
struct Line {
    /// All names that it ever had; the last is that of its session.
    names: Vec<&'static str>,
    /// It has hung up, or has found that the session is gone, and makes a new one for the next write.
    lost: bool,
    /// Nothing passes, in either direction.
    cut: bool,
    /// It writes nothing any more.
    poisoned: bool,
}

/// The store as one process has it.
#[derive(Clone)]
pub(super) struct Memory {
    stage: Stage,
    shared: Shared,
    tally: Tally,
    group: usize,
    line: Arc<Mutex<Line>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// The store of a process that begins, and that takes the place of another.
    pub(super) fn new(
        stage: Stage,
        shared: Shared,
        tally: Tally,
        group: usize,
        former: Option<&Self>,
    ) -> Self {
        let name = match former.map(|former| former.writer_name()) {
            Some(name) if planted!(NameUsedAgain) => {
                shared.lock().alive.insert(name);
                name
            }
            _ => shared.new_name(),
        };
        let line = Arc::new(Mutex::new(Line { names: vec![name], ..Line::default() }));
        Self { stage, shared, tally, group, line }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer_name(&self) -> &'static str {
        self.line().names.last().copied().unwrap_or_default()
    }

    /// Whether it ever wrote under a name.
    pub(super) fn was(&self, name: &str) -> bool {
        self.line().names.contains(&name)
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.line().poisoned
    }

    /// From now on it writes nothing.
    pub(super) fn poison(&self) {
        self.line().poisoned = true;
    }

    /// The server finds its sessions dead, whatever is true.
    pub(super) fn is_given_up(&self) {
        let line = self.line();
        let mut disk = self.shared.lock();
        disk.alive.retain(|alive| !line.names.contains(alive));
        if disk.turn.as_ref().is_some_and(|turn| turn.group == self.group) {
            disk.turn = None;
        }
    }

    /// Nothing passes between it and the store for a while. The server gives it up early, late, or never.
    pub(super) fn goes_away(&self) {
        self.line().cut = true;
        let early = self.stage.per_mille(200);
        let short = self.stage.per_mille(300);
        let (store, stage) = (self.clone(), self.stage.clone());
        self.stage.spawn(CALLERS, async move {
            stage.moment(if early { 1 } else { GIVEN_UP_MS }).await;
            if store.is_cut() {
                store.is_given_up();
            }
        });
        let (store, stage) = (self.clone(), self.stage.clone());
        self.stage.spawn(CALLERS, async move {
            stage.moment(if short { GIVEN_UP_MS } else { AWAY_MS }).await;
            store.heal();
        });
    }

    pub(super) fn is_cut(&self) -> bool {
        self.line().cut
    }

    /// Everything passes again, and the server hears who has hung up meanwhile.
    fn heal(&self) {
        let mut line = self.line();
        line.cut = false;
        let mut disk = self.shared.lock();
        if line.lost {
            disk.alive.retain(|alive| !line.names.contains(alive));
        }
        if disk.turn.as_ref().is_some_and(|turn| turn.group == self.group && turn.orphaned) {
            disk.turn = None;
        }
    }

    fn is_away(&self) -> bool {
        self.is_cut() || self.stage.now_ms() < self.shared.lock().down_until_ms
    }

    /// Waits as long as anybody does for a store that does not answer.
    async fn reach(&self) -> Result<(), Trouble> {
        if self.is_away() {
            self.stage.moment(PATIENCE_MS).await;
            if self.is_away() {
                return Err(Trouble::Failed("the store does not answer in time".to_owned()));
            }
        }
        Ok(())
    }

    async fn read<T>(&self, read: impl FnOnce(&Disk) -> T) -> Result<T, Trouble> {
        self.stage.moment(3).await;
        self.reach().await?;
        if self.tally.strikes(Fault::ReadError, 2) {
            return Err(Trouble::Failed("the disk cannot be read".to_owned()));
        }
        Ok(read(&self.shared.lock()))
    }

    /// The name of the session that writes: a new one if the last is known to be gone.
    fn session(&self) -> Result<&'static str, Trouble> {
        let mut line = self.line();
        if line.lost {
            let name = match line.names.last() {
                Some(name) if planted!(NameUsedAgain) => {
                    self.shared.lock().alive.insert(name);
                    name
                }
                _ => self.shared.new_name(),
            };
            line.names.push(name);
            line.lost = false;
        }
        let name = line.names.last().copied().unwrap_or_default();
        if !self.shared.lock().alive.contains(name) {
            line.lost = true;
            return Err(Trouble::Failed("the session is gone".to_owned()));
        }
        Ok(name)
    }

    /// Whoever writes gives up waiting. What it has said may still come to the server, as long as that knows the session.
    fn hang_up(&self, entry: &Entry, row: &Row) -> Trouble {
        let name = {
            let mut line = self.line();
            line.lost = true;
            line.names.last().copied().unwrap_or_default()
        };
        if self.stage.per_mille(300) {
            let (shared, tally, stage) = (self.shared.clone(), self.tally.clone(), self.stage.clone());
            let (entry, row) = (entry.clone(), row.clone());
            self.stage.spawn(CALLERS, async move {
                stage.moment(20_000).await;
                let knows = shared.lock().alive.contains(name);
                if knows
                    && stage.now_ms() >= shared.lock().down_until_ms
                    && shared.commit(&entry, &row).is_ok()
                {
                    tally.written(&shared);
                    tally.note(Fault::LateWrite);
                }
            });
        }
        Trouble::Failed("the store does not answer in time".to_owned())
    }
}

impl Store for Memory {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        Box::pin(async move {
            self.stage.moment(5).await;
            if self.is_poisoned() {
                return Err(Trouble::Failed("the ledger is poisoned".to_owned()));
            }
            if !self.is_cut() && self.tally.strikes(Fault::Partition, 3) {
                self.tally.lock().hit.insert(row.id.clone());
                self.goes_away();
            }
            if self.reach().await.is_err() {
                return Err(self.hang_up(entry, row));
            }
            let name = self.session()?;
            if row.sending && row.owner != name && self.was(&row.owner) && !planted!(NameUsedAgain) {
                return Err(Trouble::Failed("the name that this was to be sent under is lost".to_owned()));
            }
            let new = !self.shared.lock().rows.contains_key(&row.id);
            // Room for outcomes is kept free.
            if new && self.tally.strikes(Fault::FullDisk, 15) {
                return Err(Trouble::Full("no space left".to_owned()));
            }
            let failed = || {
                self.poison();
                Trouble::Failed("the disk failed".to_owned())
            };
            if self.tally.strikes(Fault::DiskError, 5) {
                return Err(failed());
            }
            self.shared.commit(entry, row)?;
            self.tally.written(&self.shared);
            // It was written, and whoever wrote it does not hear of it.
            if self.tally.strikes(Fault::DiskError, 5) {
                return Err(failed());
            }
            self.stage.moment(3).await;
            if self.is_away() {
                self.line().lost = true;
                return Err(Trouble::Failed("the connection is lost".to_owned()));
            }
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
        let fits = move |kept: &Kept| {
            let row = &kept.row;
            filter.caller.as_ref().is_none_or(|caller| *caller == row.caller)
                && filter.key.as_ref().is_none_or(|key| row.key.as_ref() == Some(key))
                && filter.open.is_none_or(|open| open == row.open)
                && filter.changed_from_ms.is_none_or(|from| row.changed_ms >= from)
                && filter.behind.is_none_or(|place| kept.seq > place)
                && filter.after.as_ref().is_none_or(|(ms, id)| (row.created_ms, &row.id) < (*ms, id))
        };
        Box::pin(self.read(move |disk| {
            let mut found: Vec<Kept> = disk.rows.values().filter(|kept| fits(kept)).cloned().collect();
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
        self.writer_name()
    }

    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool> {
        Box::pin(self.read(move |disk| disk.alive.contains(writer)))
    }

    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async move {
            let mut wait = 50;
            loop {
                if self.is_poisoned() {
                    return Err(Trouble::Failed("the session is lost".to_owned()));
                }
                if self.is_away() {
                    // It may be given to whoever has asked for it and does not hear of it.
                    if self.is_cut() && self.stage.per_mille(300) {
                        let _unheard = self.shared.give_turn(self.group, true);
                    }
                    self.reach().await?;
                } else if let Some(number) = self.shared.give_turn(self.group, false) {
                    if self.tally.strikes(Fault::LostTurn, 30) {
                        let (shared, stage) = (self.shared.clone(), self.stage.clone());
                        self.stage.spawn(CALLERS, async move {
                            stage.moment(200).await;
                            shared.take_turn(number);
                        });
                    }
                    let (shared, line) = (self.shared.clone(), self.line.clone());
                    return Ok(Box::new(Turn { shared, line, number }) as Box<dyn Send>);
                }
                self.stage.moment(wait).await;
                wait = (wait * 2).min(400);
            }
        })
    }

    fn mends(&self) -> bool {
        !self.is_poisoned()
    }
}

struct Turn {
    shared: Shared,
    line: Arc<Mutex<Line>>,
    number: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let cut = self.line.lock().unwrap_or_else(PoisonError::into_inner).cut;
        if !cut {
            return self.shared.take_turn(self.number);
        }
        // That it is let go of, the server does not hear either.
        let mut disk = self.shared.lock();
        if let Some(turn) = disk.turn.as_mut().filter(|turn| turn.number == self.number) {
            turn.orphaned = true;
        }
    }
}
