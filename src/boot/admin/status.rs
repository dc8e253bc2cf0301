//! How it stands, in JSON: what the status page shows, and what a script may read.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Admin, State, replicas};
use crate::ambient;
use crate::call::{Caller, Limit, Scope, Scopes};
use crate::contract::Contract;
use crate::ledger::Trouble;
use crate::policy::purchase::overview::{Overview, Shown, ToDo};
use crate::policy::recent::{self, Past, Span};
use crate::policy::{Answers, CallerShown};

/// How long the ledger is waited for. Whoever looks how it goes wants to know that it does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

impl Admin {
    /// All that is known, the ledger's part included.
    pub(super) async fn whole(&self, state: State) -> Value {
        let traffic = &self.traffic;
        let (shown, callers, recent) = (traffic.shown(), traffic.callers(), traffic.recent());
        let spenders: Vec<&str> =
            callers.iter().filter(|caller| caller.may_spend()).map(|caller| caller.caller.as_str()).collect();
        let reasons = self.vitals.reasons().await;
        let overview = match timeout(PATIENCE, self.desk.overview(&spenders)).await {
            Ok(overview) => overview,
            Err(_) => Err(Trouble::Failed("it does not answer".to_owned())),
        };
        let [writes, reads, polls] = shown.pace.waiting;
        json!({
            "state": state.as_str(),
            "degraded": reasons.degraded.first().map(|reason| reason.as_str()),
            "settings_taken_over": traffic.figures().reload_successful.at([]).get() > 0.0,
            "version": env!("CARGO_PKG_VERSION"),
            "up_s": self.begun.elapsed().as_secs(),
            "provider": self.provider,
            "sandbox": self.sandbox,
            "pace": {
                "per_second": rounded(shown.pace.per_second),
                "part_of_the_configured_rate": rounded(shown.pace.part),
                "paused_for_s": shown.pace.paused_for.map(|pause| pause.as_secs()),
                "waiting": {"writes": writes, "reads": reads, "polls": polls},
            },
            "replicas": replicas::shown(self.replica.as_deref(), &shown.pace),
            "breaker": shown.breaker.as_str(),
            "credentials": shown.refused.map_or("accepted", |reason| reason.as_str()),
            "cache": {"answers": shown.answers, "bytes": shown.bytes},
            "kept": traffic.memory().iter().map(|(name, answers)| kept(name, answers)).collect::<Vec<_>>(),
            "purchases": purchases(self.contract, &overview),
            "callers": callers.iter().map(|caller| shown_caller(caller, &overview)).collect::<Vec<_>>(),
            "latency": latency(&recent),
            "calls": recent.calls.iter().map(call).collect::<Vec<_>>(),
        })
    }
}

fn kept(name: &str, answers: &Answers) -> Value {
    json!({
        "operation": name,
        "answers": answers.answers,
        "fresh": answers.fresh,
        "bytes": answers.bytes,
        "youngest_s": answers.youngest.as_secs(),
        "oldest_s": answers.oldest.as_secs(),
    })
}

fn purchases(contract: &Contract, overview: &Result<Overview, Trouble>) -> Value {
    match overview {
        Ok(overview) => json!({
            "trouble": null,
            "in_doubt": overview.doubtful,
            "list": overview.purchases.iter().map(|shown| purchase(contract, shown)).collect::<Vec<_>>(),
        }),
        Err(trouble) => json!({"trouble": trouble.to_string(), "in_doubt": null, "list": []}),
    }
}

fn purchase(contract: &Contract, shown: &Shown) -> Value {
    json!({
        "id": shown.id,
        "operation": shown.operation,
        "caller": shown.caller,
        "state": shown.state,
        "in_doubt": shown.is_doubtful,
        "created": time(shown.created_ms),
        "age_s": since(shown.created_ms),
        "changed_s": since(shown.changed_ms),
        "price_vnd": shown.price_vnd,
        "held_vnd": shown.held_vnd,
        "posted_vnd": shown.posted_vnd,
        "reason": shown.reason,
        "findings": shown.findings,
        "to_do": shown.to_do.words,
        "by": by(contract, shown.to_do, &shown.id),
    })
}

/// The request that does what is to be done.
fn by(contract: &Contract, to_do: ToDo, id: &str) -> Option<String> {
    let operation = contract.operation(to_do.by?)?;
    let mut path = operation.path.template().to_owned();
    for variable in operation.path.variables() {
        path = path.replace(&format!("{{{variable}}}"), id);
    }
    Some(format!("{} {path}", operation.verb.as_str()))
}

fn shown_caller(shown: &CallerShown, overview: &Result<Overview, Trouble>) -> Value {
    let name = shown.caller.as_str();
    let budgets = overview.as_ref().ok().map(|overview| overview.budgets.iter());
    let budget = budgets.and_then(|mut budgets| budgets.find(|(caller, ..)| caller == name));
    json!({
        "name": name,
        "scopes": scopes(shown.scopes),
        "operations": shown.operations,
        "expires": shown.expires_ms.map(time),
        "expired": shown.expires_ms.is_some_and(|end| ambient::unix_millis() >= end),
        "quota": quota(shown.quota),
        "budget": budget.map(|(_, limits, spent)| json!({
            "purchase_vnd": limits.purchase_vnd,
            "day_vnd": limits.day_vnd,
            "month_vnd": limits.month_vnd,
            "spent_today_vnd": spent.day_vnd,
            "spent_this_month_vnd": spent.month_vnd,
        })),
    })
}

fn scopes(scopes: Scopes) -> Vec<&'static str> {
    Scope::ALL.into_iter().filter(|scope| scopes.has(*scope)).map(Scope::as_str).collect()
}

fn quota(limit: Limit) -> Value {
    json!({
        "left": limit.remaining,
        "of": limit.quota,
        "window_s": rounded(limit.window.as_secs_f64()),
        "whole_again_in_s": rounded(limit.reset.as_secs_f64()),
    })
}

fn latency(recent: &recent::Shown) -> Value {
    json!({
        "span_s": recent.span.as_secs(),
        "spans": recent.spans.iter().map(span).collect::<Vec<_>>(),
    })
}

fn span(span: &Span) -> Value {
    json!({
        "calls": span.calls,
        "failed": span.failed,
        "p50_ms": span.median.map(millis),
        "p99_ms": span.slow.map(millis),
    })
}

fn call(past: &Past) -> Value {
    json!({
        "at": time(past.at_ms),
        "operation": past.operation,
        "effect": past.effect.as_str(),
        "face": past.face.as_str(),
        "caller": past.caller.as_ref().map(Caller::as_str),
        "outcome": past.outcome,
        "from": past.source.as_str(),
        "ms": millis(past.took),
    })
}

/// To the thousandth.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn millis(took: Duration) -> f64 {
    rounded(took.as_secs_f64() * 1000.0)
}

fn since(unix_ms: i64) -> i64 {
    ambient::unix_millis().saturating_sub(unix_ms).max(0) / 1000
}

/// As RFC 3339 writes it.
fn time(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).unwrap_or_default().to_string()
}
