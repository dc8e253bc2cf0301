//! The ledger as it stands, for probes and figures: looked at no more than once a second, whoever asks how often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::ambient;
use crate::ledger::Ledger;
use crate::purchase::State;

/// How long a look is believed.
const FRESH: Duration = Duration::from_secs(1);
/// How long it may take: whoever probes has no more patience than that.
const PATIENCE: Duration = Duration::from_millis(500);
/// For how long a ledger that is busy counts as it was seen last.
const BUSY: Duration = Duration::from_secs(10);

/// The hand on it.
pub(super) struct Books {
    /// Nothing if none is wanted.
    ledger: Option<Result<Ledger, String>>,
    /// Whether the last entry could not be written.
    fails: Arc<AtomicBool>,
    last: Mutex<Option<Last>>,
}

/// What was seen last, when that was, and when it was looked for.
struct Last {
    seen: Arc<Seen>,
    at: Instant,
    looked: Instant,
}

/// What was seen of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Whether it can be used.
    pub(super) up: bool,
    /// How many operations are open, by their states; nothing if that could not be read.
    pub(super) open: Option<BTreeMap<State, usize>>,
    /// Since when the oldest is in doubt, in milliseconds since 1970.
    pub(super) doubted_ms: Option<i64>,
}

impl Seen {
    /// How many are in doubt, and nobody is sending them.
    pub(super) fn in_doubt(&self) -> usize {
        let open = self.open.iter().flatten();
        open.filter(|(state, _)| state.is_in_doubt()).map(|(_, count)| count).sum()
    }
}

impl Books {
    pub(super) fn new(ledger: Option<Result<Ledger, String>>, fails: Arc<AtomicBool>) -> Self {
        Self { ledger, fails, last: Mutex::default() }
    }

    /// The ledger, if it could be opened.
    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref().and_then(|ledger| ledger.as_ref().ok())
    }

    /// How it stands; nothing if none is wanted.
    pub(super) async fn look(&self) -> Option<Arc<Seen>> {
        let ledger = self.ledger.as_ref()?;
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.looked.elapsed() < FRESH) {
            return Some(last.seen.clone());
        }
        let found = match ledger {
            Ok(ledger) => timeout(PATIENCE, self.read(ledger)).await,
            Err(_never_opened) => Ok(Seen::default()),
        };
        let looked = ambient::instant();
        let (seen, at) = match (found, last.take()) {
            (Ok(seen), _) => (Arc::new(seen), looked),
            (Err(_busy), Some(before)) if before.at.elapsed() < BUSY => (before.seen, before.at),
            (Err(_busy), _) => (Arc::default(), looked),
        };
        *last = Some(Last { seen: seen.clone(), at, looked });
        Some(seen)
    }

    async fn read(&self, ledger: &Ledger) -> Seen {
        let Ok(records) = ledger.open_ones().await else { return Seen::default() };
        let mut open = BTreeMap::new();
        for record in &records {
            *open.entry(record.state()).or_default() += 1;
        }
        let in_doubt = records.iter().filter(|record| record.state().is_in_doubt());
        let since = in_doubt.map(|record| match record.doubted_ms {
            0 => record.changed_ms,
            since => since,
        });
        Seen { up: !self.fails.load(Ordering::Relaxed), open: Some(open), doubted_ms: since.min() }
    }
}
