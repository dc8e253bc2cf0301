//! How gizad itself is doing: the reasons for which less is done than could be, and all figures at the moment of a scrape.
//!
//! Absent here: a question to the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::admin::State;
use super::books::{Books, Seen};
use crate::ambient;
use crate::audit::Log;
use crate::call::{Caller, Face};
use crate::fault::Reason;
use crate::metrics::{Figures, Format, NOBODY, NONE, Outcome, Word, process};
use crate::policy::pace::Replicas;
use crate::policy::purchase::Desk;
use crate::policy::survey::{self, Survey};
use crate::policy::{Shown, Traffic, breaker};
use crate::purchase;
use crate::shared::lease::Standing;
use crate::traces::Tracer;

/// What probes call purchases of which nobody knows what became. It is said, and is no reason to do less.
const IN_DOUBT: &str = "PURCHASES_IN_DOUBT";
/// The reasons for doing less.
const DEGRADED: [Reason; 7] = [
    Reason::CircuitOpen,
    Reason::UpstreamAuthFailed,
    Reason::UpstreamIpNotAllowed,
    Reason::UpstreamRateLimited,
    Reason::PaceExceeded,
    Reason::LedgerUnavailable,
    Reason::AuditUnavailable,
];
/// The states of purchases that are not over.
const OPEN: [purchase::State; 4] = [
    purchase::State::AwaitingApproval,
    purchase::State::Sending,
    purchase::State::InDoubt,
    purchase::State::NeedsOperator,
];
/// How long the budgets may take to be read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that is looked at.
pub(super) struct Vitals {
    pub(super) traffic: Traffic,
    pub(super) desk: Arc<Desk>,
    pub(super) books: Books,
    pub(super) audit: Option<Log>,
    pub(super) tracer: Tracer,
    /// The account, if it is looked at.
    pub(super) survey: Arc<Survey>,
    /// Connections that are open, by the listener.
    pub(super) connections: Vec<(&'static str, Arc<AtomicUsize>)>,
    /// One scrape at a time, because what is absent is forgotten before it is set anew.
    pub(super) scraping: Mutex<()>,
}

/// What keeps gizad from doing all it could.
pub(super) struct Reasons {
    pub(super) degraded: Vec<Reason>,
    /// Purchases of which nobody knows what became.
    in_doubt: usize,
}

impl Reasons {
    /// As probes name them.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let doubt = (self.in_doubt > 0).then_some(IN_DOUBT);
        self.degraded.iter().map(|reason| reason.as_str()).chain(doubt).collect()
    }
}

impl Vitals {
    /// Those of a gateway without a ledger and without an audit log.
    #[cfg(test)]
    pub(super) fn of_nothing(
        traffic: Traffic,
        contract: &'static crate::contract::Contract,
        options: &crate::policy::Options,
    ) -> Self {
        let desk = Desk::of_nothing(contract, &options.purchase);
        let books = Books::new(None, Arc::default());
        let (connections, survey, scraping) = (Vec::new(), Arc::default(), Mutex::default());
        let tracer = Tracer::off();
        Self { traffic, desk, books, audit: None, tracer, survey, connections, scraping }
    }

    /// Why less is done than could be.
    pub(super) async fn reasons(&self) -> Reasons {
        self.weighed(&self.traffic.shown(), self.books.look().await.as_deref())
    }

    fn weighed(&self, shown: &Shown, seen: Option<&Seen>) -> Reasons {
        let open = (shown.breaker != breaker::Shown::Closed).then_some(Reason::CircuitOpen);
        let paused = shown.pace.paused_for.map(|_| Reason::UpstreamRateLimited);
        let ledger = seen.filter(|seen| !seen.up).map(|_| Reason::LedgerUnavailable);
        let audit =
            self.audit.as_ref().filter(|audit| audit.tally().fails()).map(|_| Reason::AuditUnavailable);
        // It has seen the others, and there is no place for it among them.
        let placeless = shown
            .pace
            .replicas
            .as_ref()
            .filter(|replicas| replicas.standing == Standing::Outside && replicas.seen_ago.is_some());
        let placeless = placeless.map(|_| Reason::PaceExceeded);
        let all = [shown.refused, open, paused, placeless, ledger, audit];
        Reasons { degraded: all.into_iter().flatten().collect(), in_doubt: seen.map_or(0, Seen::in_doubt) }
    }

    /// All figures as they are now.
    pub(super) async fn scrape(&self, state: State, format: Format) -> String {
        let _turn = self.scraping.lock().await;
        let figures = self.traffic.figures();
        let (shown, seen) = (self.traffic.shown(), self.books.look().await);
        self.show_daemon(figures, state, &self.weighed(&shown, seen.as_deref()));
        show_traffic(figures, &shown);
        if let Some(seen) = &seen {
            show_books(figures, seen);
        }
        let budgets = timeout(PATIENCE, self.budgets()).await;
        figures.budget_remaining.forget();
        for (caller, period, left) in budgets.unwrap_or_default() {
            figures.budget_remaining.at([(&caller).into(), period.into()]).set(left as f64);
        }
        show_account(figures, &self.survey.seen());
        process(figures);
        format.write(figures)
    }

    fn show_daemon(&self, figures: &Figures, state: State, reasons: &Reasons) {
        for (listener, open) in &self.connections {
            figures.connections.at([(*listener).into()]).set(open.load(Ordering::Relaxed) as f64);
        }
        if let Some(audit) = &self.audit {
            let tally = audit.tally();
            figures.audit_lines.show(tally.written());
            figures.audit_unwritten.show(tally.unwritten());
            figures.audit_up.at([]).set(flag(!tally.fails()));
        }
        if let Some(tally) = self.tracer.tally() {
            figures.spans_sent.show(tally.sent());
            figures.spans_dropped.show(tally.dropped());
        }
        figures.ready.at([]).set(flag(state == State::Ready));
        for reason in DEGRADED {
            figures.degraded.at([reason.into()]).set(flag(reasons.degraded.contains(&reason)));
        }
        figures.build.at([env!("CARGO_PKG_VERSION").into()]).set(1.0);
    }

    /// What is left to each caller that has a budget, by its period.
    async fn budgets(&self) -> Vec<(Caller, &'static str, i64)> {
        let mut left = Vec::new();
        let Some(ledger) = self.books.ledger() else { return left };
        for caller in self.traffic.names() {
            let limits = self.desk.limits(caller.as_str());
            if limits.day_vnd.is_none() && limits.month_vnd.is_none() {
                continue;
            }
            let Ok(spent) = ledger.spent(caller.as_str(), ambient::unix_millis()).await else { continue };
            let periods =
                [("day", limits.day_vnd, spent.day_vnd), ("month", limits.month_vnd, spent.month_vnd)];
            for (period, most, spent) in periods {
                left.extend(most.map(|most| (caller.clone(), period, most.saturating_sub(spent).max(0))));
            }
        }
        left
    }
}

/// Counts requests that did not become calls.
pub(super) fn refused(figures: Arc<Figures>) -> impl Fn(Face, Reason) + Send + Sync {
    move |face, reason| {
        let words = [NONE, face.into(), NOBODY, Outcome::Failed(reason).into()];
        figures.requests.at(words).inc();
    }
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn show_traffic(figures: &Figures, shown: &Shown) {
    figures.cache_entries.at([]).set(shown.answers as f64);
    figures.cache_size.at([]).set(shown.bytes as f64);
    figures.pace_rate.at([]).set(shown.pace.per_second);
    figures.pace_ratio.at([]).set(shown.pace.part);
    figures.pace_pause.at([]).set(shown.pace.paused_for.unwrap_or_default().as_secs_f64());
    for (lane, waiting) in ["write", "read", "poll"].into_iter().zip(shown.pace.waiting) {
        figures.pace_waiting.at([lane.into()]).set(waiting as f64);
    }
    show_replicas(figures, shown.pace.replicas.as_ref());
    figures.retry_budget.at([]).set(shown.repeats);
    figures.watch_streams.at([]).set(shown.streams as f64);
    figures.watch_subjects.at([]).set(shown.subjects as f64);
    for state in breaker::Shown::ALL {
        figures.breaker_state.at([state.as_str().into()]).set(flag(state == shown.breaker));
    }
    figures.credentials_accepted.at([]).set(flag(shown.refused.is_none()));
}

fn show_replicas(figures: &Figures, replicas: Option<&Replicas>) {
    let Some(replicas) = replicas else { return };
    figures.pace_share.at([]).set(replicas.share);
    figures.shared_up.at([]).set(flag(replicas.standing == Standing::Held));
    figures.shared_replicas.at([]).set(replicas.all.len() as f64);
    figures.shared_max_replicas.at([]).set(f64::from(replicas.most));
    figures.shared_lag.forget();
    if let Some(ago) = replicas.seen_ago {
        figures.shared_lag.at([]).set(ago.as_secs_f64());
    }
}

fn show_books(figures: &Figures, seen: &Seen) {
    figures.ledger_up.at([]).set(flag(seen.up));
    // What cannot be read is not known, and so is not there.
    figures.purchases_open.forget();
    figures.in_doubt_age.forget();
    let Some(open) = &seen.open else { return };
    for state in OPEN {
        let count = open.get(&state).copied().unwrap_or_default();
        figures.purchases_open.at([state.as_str().into()]).set(count as f64);
    }
    if let Some(since) = seen.doubted_ms {
        let age = ambient::unix_millis().saturating_sub(since).max(0);
        figures.in_doubt_age.at([]).set(age as f64 / 1000.0);
    }
}

fn show_account(figures: &Figures, seen: &survey::Seen) {
    figures.account_balance.forget();
    figures.account_services.forget();
    figures.account_next_expiry.forget();
    if let Some(balance_vnd) = seen.balance_vnd {
        figures.account_balance.at([]).set(balance_vnd as f64);
    }
    for (kind, services) in &seen.services {
        for (state, count) in &services.states {
            figures.account_services.at([Word::written(kind), Word::written(state)]).set(*count as f64);
        }
        if let Some(end) = services.next_end_ms {
            let left = end.saturating_sub(ambient::unix_millis());
            figures.account_next_expiry.at([Word::written(kind)]).set(left as f64 / 1000.0);
        }
    }
    if let Some(at) = seen.whole_at_ms {
        figures.account_seen.at([]).set(at as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbook_has_each_reason() {
        let runbook = include_str!("../../docs/runbook.md");
        for reason in DEGRADED.iter().map(|reason| reason.as_str()).chain([IN_DOUBT]) {
            assert!(runbook.contains(&format!("\n| `{reason}` | ")), "{reason}");
        }
    }
}
