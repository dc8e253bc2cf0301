//! The ledger of one account: records in a store, chained, and changed only by who knows what stood there before.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;

use super::keys::{KEY, Keys};
use super::statement;
use super::{Entry, Filter, Kept, Period, Row, Store, Trouble, Wrap};
use crate::purchase::{Record, Spent, State, calendar};

/// How often a write is begun anew because others were faster.
const TRIES: usize = 1000;
/// How many entries are read at once.
const PAGE: u32 = 1000;

/// The place of the latest entry, and its MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    seq: i64,
    mac: [u8; 32],
}

impl Head {
    /// The place of the latest entry; 0 if there is none.
    #[must_use]
    pub fn place(self) -> i64 {
        self.seq
    }
}

/// The ledger of one account.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
}

impl Ledger {
    /// Opens it, or begins it if there is nothing yet.
    ///
    /// # Errors
    /// When it was sealed with another secret, or the store has trouble.
    pub async fn open(store: Arc<dyn Store>, wrap: &Wrap, former: Option<&Wrap>) -> Result<Self, Trouble> {
        let keys = match store.note(KEY).await? {
            Some(kept) => {
                let (keys, anew) = Keys::open(&kept, wrap, former)?;
                if let Some(anew) = anew {
                    store.set_note(KEY, &anew, Some(&kept)).await?;
                }
                keys
            }
            None => {
                let (keys, kept) = Keys::new(wrap)?;
                match store.set_note(KEY, &kept, None).await {
                    Ok(()) => keys,
                    // Another one has begun it meanwhile.
                    Err(Trouble::Taken) => {
                        let kept = store.note(KEY).await?.unwrap_or_default();
                        Keys::open(&kept, wrap, former)?.0
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
        };
        Ok(Self { store, keys: Arc::new(keys) })
    }

    /// Opens it for reading alone: nothing is written, also where it is to be sealed anew.
    ///
    /// # Errors
    /// When nothing was ever written, when it was sealed with another secret, or when the store has trouble.
    pub async fn read(store: Arc<dyn Store>, wrap: &Wrap, former: Option<&Wrap>) -> Result<Self, Trouble> {
        let nothing = || Trouble::Unfit("nothing was ever written to this ledger".to_owned());
        let kept = store.note(KEY).await?.ok_or_else(nothing)?;
        let (keys, _anew) = Keys::open(&kept, wrap, former)?;
        Ok(Self { store, keys: Arc::new(keys) })
    }

    /// The store below it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Where it stands. What is read after this and written with [`Self::append_at`] is read and written as one.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn head(&self) -> Result<Head, Trouble> {
        let (seq, mac) = self.store.head().await?.unwrap_or((0, [0; 32]));
        Ok(Head { seq, mac })
    }

    /// Writes a record down as the next entry, if nothing was written since.
    ///
    /// # Errors
    /// [`Trouble::Taken`] if something was; otherwise the store's trouble.
    pub async fn append_at(&self, head: Head, record: &Record) -> Result<(), Trouble> {
        let (seq, at_ms) = (head.seq + 1, record.changed_ms);
        let begun = if record.state() == State::Sending { seq } else { record.begun };
        let record = &Record { place: seq, begun, ..record.clone() };
        let body = record.encode_to_vec();
        let mac = self.keys.mac(&head.mac, seq, at_ms, &record.id, &body);
        let entry = Entry { seq, at_ms, id: record.id.clone(), body, mac };
        self.store.append(&entry, &row(record)).await
    }

    /// Writes down what a record has become.
    ///
    /// # Errors
    /// [`Trouble::Taken`] if it has become something else meanwhile; otherwise the store's trouble.
    pub async fn update(&self, before: &Record, record: &Record) -> Result<(), Trouble> {
        for _ in 0..TRIES {
            let head = self.head().await?;
            let stands = self.by_id(&record.id).await?;
            if stands.is_none_or(|stands| !same_place(&stands, before)) {
                return Err(Trouble::Taken);
            }
            match self.append_at(head, record).await {
                Err(Trouble::Taken) => {}
                done => return done,
            }
        }
        Err(Trouble::Taken)
    }

    /// A record by its identifier.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn by_id(&self, id: &str) -> Result<Option<Record>, Trouble> {
        self.store.by_id(id).await?.map(|kept| record(&kept)).transpose()
    }

    /// A record by its caller's key.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn by_key(&self, caller: &str, key: &str) -> Result<Option<Record>, Trouble> {
        self.store.by_key(caller, key).await?.map(|kept| record(&kept)).transpose()
    }

    /// The records that fit, the newest first.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Record>, Trouble> {
        self.store.list(filter).await?.iter().map(record).collect()
    }

    /// The records that are under way, in doubt, or wait for consent.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn open_ones(&self) -> Result<Vec<Record>, Trouble> {
        self.list(&Filter { open: Some(true), ..Filter::default() }).await
    }

    /// The records that could explain the same evidence: all that are open, and those that changed since a moment.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn around(&self, since_ms: i64) -> Result<Vec<Record>, Trouble> {
        let mut around = self.open_ones().await?;
        let ended = Filter { open: Some(false), changed_from_ms: Some(since_ms), ..Filter::default() };
        around.extend(self.list(&ended).await?);
        Ok(around)
    }

    /// The records to which something has happened behind a place.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn behind(&self, place: i64) -> Result<Vec<Record>, Trouble> {
        self.list(&Filter { behind: Some(place), ..Filter::default() }).await
    }

    /// What a caller has spent or set aside in the day and the month of a moment.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn spent(&self, caller: &str, now_ms: i64) -> Result<Spent, Trouble> {
        let (day, month) = calendar(now_ms);
        Ok(Spent {
            day_vnd: self.store.spent(caller, Period::Day(day)).await?,
            month_vnd: self.store.spent(caller, Period::Month(month)).await?,
        })
    }

    /// What an operation has been, from its beginning on.
    ///
    /// # Errors
    /// When the store has trouble.
    pub async fn history(&self, id: &str) -> Result<Vec<Record>, Trouble> {
        self.store.history(id).await?.iter().map(|entry| decoded(&entry.id, &entry.body)).collect()
    }

    /// Seals something for an operation.
    #[must_use]
    pub fn seal(&self, id: &str, open: &[u8]) -> Vec<u8> {
        self.keys.seal(id, open)
    }

    /// Opens what was sealed for this operation.
    #[must_use]
    pub fn unseal(&self, id: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.keys.unseal(id, sealed)
    }

    /// A digest that only this ledger can make.
    #[must_use]
    pub fn print(&self, what: &[u8]) -> [u8; 32] {
        self.keys.print(what)
    }

    /// Reads everything and compares: the chain of the entries, and what operations can be found by. Says how many
    /// entries there are, and everything that is wrong. What is written meanwhile is left for the next time.
    ///
    /// # Errors
    /// When the store has trouble before there is anything to compare.
    pub async fn verify(&self) -> Result<(i64, Vec<String>), Trouble> {
        let (head, note) = self.at_rest().await?;
        let mut wrong = Vec::new();
        let mut latest = HashMap::new();
        let mut at = Head { seq: 0, mac: [0; 32] };
        while at.seq < head.seq {
            let entries = match self.store.entries(at.seq, PAGE).await {
                Ok(entries) => entries,
                Err(trouble) => {
                    wrong.push(format!("behind entry {}: {trouble}", at.seq));
                    break;
                }
            };
            if entries.is_empty() {
                break;
            }
            for entry in entries.into_iter().filter(|entry| entry.seq <= head.seq) {
                self.compare(at, &entry, &mut wrong);
                at = Head { seq: entry.seq, mac: entry.mac };
                match decoded(&entry.id, &entry.body) {
                    Ok(_) => drop(latest.insert(entry.id, entry.seq)),
                    Err(trouble) => wrong.push(format!("entry {}: {trouble}", entry.seq)),
                }
            }
        }
        let noted = (at.seq > 0).then(|| statement::head_note(at.seq, &at.mac));
        if note != noted || at.seq != head.seq {
            wrong.push(format!(
                "the end: the latest entry is {}, and not the one that was written last",
                at.seq
            ));
        }
        if let Err(trouble) = self.apart(head, latest, &mut wrong).await {
            wrong.push(format!("the rows: {trouble}"));
        }
        Ok((at.seq, wrong))
    }

    /// The end, and what is noted of it, of one moment.
    async fn at_rest(&self) -> Result<(Head, Option<Vec<u8>>), Trouble> {
        for _ in 0..TRIES {
            let head = self.head().await?;
            let note = self.store.note(statement::HEAD).await?;
            if self.head().await? == head {
                return Ok((head, note));
            }
        }
        Err(Trouble::Taken)
    }

    /// Where the rows are not what the latest entries say, up to a head. They are read by the page, and of the entries
    /// only their places are held: a ledger of years is larger than the memory.
    async fn apart(
        &self,
        head: Head,
        mut latest: HashMap<String, i64>,
        wrong: &mut Vec<String>,
    ) -> Result<(), Trouble> {
        let mut filter = Filter { most: PAGE, ..Filter::default() };
        loop {
            let rows = self.store.list(&filter).await?;
            let Some(last) = rows.last() else { break };
            filter.after = Some((last.row.created_ms, last.row.id.clone()));
            for kept in rows {
                let fits = record(&kept).is_ok_and(|record| row(&record) == kept.row);
                let since = kept.seq > head.seq;
                match latest.remove(&kept.row.id) {
                    Some(seq) if fits && (since || seq == kept.seq) => {}
                    None if fits && since => {}
                    Some(_) => {
                        wrong.push(format!("{}: its row is not what its latest entry says", kept.row.id))
                    }
                    None => wrong.push(format!("{}: there is a row and no entry", kept.row.id)),
                }
            }
        }
        let mut rest: Vec<String> = latest.into_keys().collect();
        rest.sort_unstable();
        wrong.extend(rest.into_iter().map(|id| format!("{id}: there are entries and no row")));
        Ok(())
    }

    /// What is wrong with an entry behind another.
    fn compare(&self, before: Head, entry: &Entry, wrong: &mut Vec<String>) {
        if entry.seq != before.seq + 1 {
            wrong.push(format!("entry {}: {} is missing before it", entry.seq, before.seq + 1));
        }
        if self.keys.mac(&before.mac, entry.seq, entry.at_ms, &entry.id, &entry.body) != entry.mac {
            wrong.push(format!("entry {}: it was changed, or what was before it", entry.seq));
        }
    }
}

/// Whether two are the same point of an operation's life.
fn same_place(a: &Record, b: &Record) -> bool {
    (a.state, a.attempt, a.changed_ms) == (b.state, b.attempt, b.changed_ms) && a.decided_by == b.decided_by
}

fn record(kept: &Kept) -> Result<Record, Trouble> {
    // Also where an earlier version wrote, which kept no places.
    Ok(Record { place: kept.seq, ..decoded(&kept.row.id, &kept.body)? })
}

fn decoded(id: &str, body: &[u8]) -> Result<Record, Trouble> {
    Record::decode(body)
        .map_err(|error| Trouble::Failed(format!("the record of {id} cannot be read: {error}")))
}

/// What a record can be found by.
fn row(record: &Record) -> Row {
    let state = record.state();
    Row {
        id: record.id.clone(),
        caller: record.caller.clone(),
        key: record.key.clone(),
        operation: record.operation.clone(),
        state: state.as_str().to_owned(),
        open: state.is_doubtful() || state == State::AwaitingApproval,
        sending: state == State::Sending && record.spends,
        owner: record.owner.clone(),
        held_vnd: record.held_vnd,
        posted_vnd: record.posted_vnd,
        day: record.day,
        month: record.month,
        created_ms: record.created_ms,
        changed_ms: record.changed_ms,
    }
}
