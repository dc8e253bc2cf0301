//! A ledger's store whose time is taken, and whose failures are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::{Figures, Word};
use crate::ambient;
use crate::ledger::{Entry, Filter, Kept, Pending, Period, Row, Store, Trouble};
use crate::traces::{self, Kind};

/// The store.
#[derive(Debug)]
pub struct Timed {
    store: Arc<dyn Store>,
    figures: Arc<Figures>,
    /// Whether the last entry could not be written.
    fails: Arc<AtomicBool>,
    /// Whether that may be over as soon as the store answers again.
    passes: AtomicBool,
}

impl Timed {
    /// A store around another one.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, figures: Arc<Figures>, fails: Arc<AtomicBool>) -> Self {
        for access in ["append", "read"] {
            let _at_zero = figures.ledger_failures.at([access.into()]);
        }
        Self { store, figures, fails, passes: AtomicBool::new(false) }
    }

    fn took<T>(&self, access: &'static str, since: Instant, done: &Result<T, Trouble>) {
        self.figures.ledger_duration.at([access.into()]).observe(since.elapsed().as_secs_f64());
        if matches!(done, Err(trouble) if *trouble != Trouble::Taken) {
            self.figures.ledger_failures.at([access.into()]).inc();
        }
    }

    fn read<'a, T: Send + 'a>(&'a self, asked: Pending<'a, T>) -> Pending<'a, T> {
        Box::pin(async move {
            let since = ambient::instant();
            let done = asked.await;
            self.took("read", since, &done);
            if done.is_ok() && self.passes.swap(false, Ordering::Relaxed) {
                self.fails.store(false, Ordering::Relaxed);
            }
            done
        })
    }
}

impl Store for Timed {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        Box::pin(async move {
            let since = ambient::instant();
            let mut part = traces::current().map(|trace| trace.child("write to the ledger", Kind::Internal));
            if let Some(part) = &mut part {
                part.set("gizad.operation_id", row.id.as_str());
                part.set("gizad.state", row.state.as_str());
            }
            let done = self.store.append(entry, row).await;
            if let (Some(part), Err(_)) = (&mut part, &done) {
                part.fail();
            }
            drop(part);
            self.took("append", since, &done);
            match &done {
                Ok(()) => {
                    self.fails.store(false, Ordering::Relaxed);
                    let words = [&row.operation, &row.state, &row.caller].map(|text| Word::written(text));
                    self.figures.purchases.at(words).inc();
                }
                // The place was taken, so it can be written to.
                Err(Trouble::Taken) => {}
                Err(Trouble::Full(_) | Trouble::Unfit(_) | Trouble::Failed(_)) => {
                    self.fails.store(true, Ordering::Relaxed);
                    // A connection that was lost is made anew; a disk that has failed is not believed again.
                    let passes = matches!(&done, Err(Trouble::Failed(_))) && self.store.mends();
                    self.passes.store(passes, Ordering::Relaxed);
                }
            }
            done
        })
    }

    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>> {
        self.read(self.store.head())
    }

    fn by_id<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Kept>> {
        self.read(self.store.by_id(id))
    }

    fn by_key<'a>(&'a self, caller: &'a str, key: &'a str) -> Pending<'a, Option<Kept>> {
        self.read(self.store.by_key(caller, key))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Vec<Kept>> {
        self.read(self.store.list(filter))
    }

    fn spent<'a>(&'a self, caller: &'a str, period: Period) -> Pending<'a, i64> {
        self.read(self.store.spent(caller, period))
    }

    fn entries(&self, behind: i64, most: u32) -> Pending<'_, Vec<Entry>> {
        self.read(self.store.entries(behind, most))
    }

    fn history<'a>(&'a self, id: &'a str) -> Pending<'a, Vec<Entry>> {
        self.read(self.store.history(id))
    }

    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        self.store.note(name)
    }

    fn set_note<'a>(&'a self, name: &'a str, value: &'a [u8], before: Option<&'a [u8]>) -> Pending<'a, ()> {
        self.store.set_note(name, value, before)
    }

    fn writer(&self) -> &str {
        self.store.writer()
    }

    fn wake(&self) -> Pending<'_, ()> {
        self.store.wake()
    }

    fn mends(&self) -> bool {
        self.store.mends()
    }

    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool> {
        self.store.is_alive(writer)
    }

    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        // It waits for others, which says nothing of the store.
        self.store.turn()
    }
}
