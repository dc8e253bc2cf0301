//! Finds out what became of what is in doubt, by itself: at the start, after every unknown outcome, and again and again
//! until it is known or a person has to decide.
//!
//! It only looks. Even a proven absence sends nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::desk::Desk;
use super::refused::unwritten;
use crate::ambient;
use crate::fault::Fault;
use crate::ledger::{Ledger, Trouble};
use crate::purchase::{Event, Record, Rules, Sight, State, Step, planted, step, weigh};

/// How soon after a doubt it is looked for the first time.
const SOON: Duration = Duration::from_secs(1);
/// For how long before a purchase others could have left traces that only show after it.
const LONG_BEFORE: i64 = 2;

impl Desk {
    /// Looks after what is in doubt, for ever.
    pub async fn reconcile(self: Arc<Self>) {
        let Ok(ledger) = self.ledger().cloned() else { return std::future::pending().await };
        let mut seen: HashMap<String, Seen> = HashMap::new();
        let mut failing = false;
        loop {
            match round(&self, &ledger, &mut seen).await {
                Ok(()) => failing = false,
                Err(trouble) if !failing => {
                    failing = true;
                    tracing::error!(%trouble, "what is in doubt cannot be looked after");
                }
                Err(_) => {}
            }
            let longest = ambient::instant() + self.options().look_every;
            let next = seen.values().map(|seen| seen.next).min().unwrap_or(longest).min(longest);
            let _woken = timeout_at(next, self.doubt.notified()).await;
            // Whatever wakes it, it is not for ever awake.
            sleep_until(ambient::instant() + Duration::from_millis(50)).await;
        }
    }
}

/// What is remembered of one operation between two looks.
struct Seen {
    next: Instant,
    wait: Duration,
    clean: u32,
    looked: u32,
}

async fn round(desk: &Desk, ledger: &Ledger, seen: &mut HashMap<String, Seen>) -> Result<(), Trouble> {
    desk.recover().await?;
    let open = ledger.open_ones().await?;
    seen.retain(|id, _| open.iter().any(|record| record.id == *id));
    for record in open.into_iter().filter(|record| record.state() == State::InDoubt) {
        let now = ambient::instant();
        let so_far = seen.entry(record.id.clone()).or_insert_with(|| Seen {
            next: now + SOON.min(desk.options().look_every),
            wait: SOON,
            clean: 0,
            looked: 0,
        });
        if so_far.next > now {
            continue;
        }
        so_far.wait = (so_far.wait * 2).min(desk.options().look_every);
        so_far.next = now + so_far.wait;
        let record = Record { clean: so_far.clean, looked: so_far.looked, ..record };
        match look_once(desk, ledger, &record).await {
            Ok(record) => (so_far.clean, so_far.looked) = (record.clean, record.looked),
            Err(fault) => {
                tracing::info!(
                    operation = record.id,
                    outcome = fault.reason.as_str(),
                    "not seen what became of it"
                );
            }
        }
    }
    Ok(())
}

/// Looks now, because somebody asked.
pub(super) async fn look(desk: &Desk, ledger: &Ledger, record: &Record) -> Result<(), Fault> {
    if record.state() == State::InDoubt {
        look_once(desk, ledger, record).await?;
    }
    Ok(())
}

async fn look_once(desk: &Desk, ledger: &Ledger, record: &Record) -> Result<Record, Fault> {
    let place = ledger.head().await.map_err(|trouble| unwritten(&trouble))?.place();
    let sight = match desk.asked(ledger, record) {
        Some((operation, request)) if record.spends => desk.eyes(false).see(operation, &request).await?,
        // What moves no money leaves no trace that is known.
        _ => Sight { at_ms: ambient::unix_millis(), ..Sight::default() },
    };
    let sight = Sight { place: Some(place), ..sight };
    let record =
        judged(ledger, record, sight, desk.options().rules).await.map_err(|trouble| unwritten(&trouble))?;
    if record.state() != State::InDoubt {
        desk.announce_found();
        let (state, findings) = (record.state().as_str(), record.evidence.join("; "));
        tracing::warn!(operation = record.id, state, findings, "what was in doubt is decided");
    }
    Ok(record)
}

/// What a sight makes of a record in doubt.
pub(super) async fn judged(
    ledger: &Ledger,
    record: &Record,
    sight: Sight,
    rules: Rules,
) -> Result<Record, Trouble> {
    let began = record.before.as_ref().map_or(record.created_ms, |before| before.at_ms);
    let others = ledger.around(began.saturating_sub(rules.quiet_ms.saturating_mul(LONG_BEFORE))).await?;
    let verdict = weigh(record, &sight, &others, rules);
    let Ok(Step { record: next, effects }) = step(record, Event::Seen(sight.clone(), verdict), sight.at_ms)
    else {
        return Ok(record.clone());
    };
    if effects.is_empty() || planted!(NoReconciliation) {
        return Ok(next);
    }
    match ledger.update(record, &next).await {
        Ok(()) => Ok(next),
        // Somebody else was faster, and decided.
        Err(Trouble::Taken) => Ok(ledger.by_id(&record.id).await?.unwrap_or(next)),
        Err(trouble) => Err(trouble),
    }
}
