//! The table of all figures: described here and nowhere else.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::figure::{Figure, Row};

/// The bounds of times that calls take, in seconds.
const TIMES: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// The same of what happens on this machine or near it.
const BRIEFS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What tells values of one figure apart, and what it can be.
pub(super) const LABELS: &[(&str, &str)] = &[
    (
        "operation",
        "an operation as `gizad routes` lists it; `(none)` for a request that never became a call of one",
    ),
    ("face", "`rest` or `grpc`"),
    (
        "caller",
        "a name of `[callers]`, `owner`, `anonymous`, `gizad.metrics` for gizad's own looks at the account, or `(unknown)` for whoever has shown something that is of no caller",
    ),
    (
        "outcome",
        "`OK`, the reason of an error as `GET /errors` lists it, or `CANCELLED` if nobody waited any longer",
    ),
    ("reason", "the reason of an error"),
    (
        "taken",
        "`hit` fresh from memory, `revalidating` old while a new one is fetched, `stale` old because the provider could not be \
         asked; asked of the provider: `miss`, `expired`, `requested` by its caller, or `bypass` for what is not kept",
    ),
    ("lane", "`write`, `read` or `poll`, the most urgent first"),
    (
        "state",
        "a state of the breaker, of a purchase, or of a service (`UNKNOWN` if the provider does not tell it)",
    ),
    ("kind", "`vps`, `hosting` or `email`"),
    ("period", "`day` or `month`, of Asia/Ho_Chi_Minh"),
    ("access", "`append` or `read`"),
    ("listener", "`api`, `socket` or `admin`"),
    ("result", "`success` or `failure`"),
    ("version", "that of gizad"),
];

macro_rules! kind {
    (counter) => { Counter };
    (seconds) => { Counter<f64, AtomicU64> };
    (gauge) => { Gauge<f64, AtomicU64> };
    (times) => { Histogram };
    (briefs) => { Histogram };
}
macro_rules! make {
    (counter) => {
        Counter::default
    };
    (seconds) => {
        Counter::default
    };
    (gauge) => {
        Gauge::default
    };
    (times) => {
        || Histogram::new(TIMES)
    };
    (briefs) => {
        || Histogram::new(BRIEFS)
    };
}
macro_rules! named {
    (counter) => {
        "counter"
    };
    (seconds) => {
        "counter"
    };
    (gauge) => {
        "gauge"
    };
    (times) => {
        "histogram"
    };
    (briefs) => {
        "histogram"
    };
}

macro_rules! figures {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ident $name:literal $(in $unit:literal)? [$($label:ident),*];)+) => {
        /// All figures, and the registry that writes them down.
        #[derive(Debug)]
        pub struct Figures {
            $($(#[doc = $help])+ pub $field: Figure<kind!($kind)>,)+
            registry: Registry,
        }

        #[expect(non_upper_case_globals, reason = "each row has the name of its figure")]
        mod rows {
            $(pub(super) static $field: super::Row = super::Row {
                name: $name,
                kind: named!($kind),
                unit: [$(Some($unit),)? None][0],
                labels: &[$(stringify!($label)),*],
                help: concat!($($help),+),
            };)+
        }

        /// What is true of each.
        pub(super) const ROWS: &[&Row] = &[$(&rows::$field,)+];

        impl Default for Figures {
            fn default() -> Self {
                let mut registry = Registry::default();
                $(let $field = Figure::register(&mut registry, &rows::$field, make!($kind));)+
                Self { $($field,)+ registry }
            }
        }
    };
}

impl Figures {
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}

figures! {
    /// Requests that were answered, by what became of them.
    requests: counter "gizad_requests" [operation, face, caller, outcome];
    /// How long calls took from when they were read to their answer. What memory answers at once, past all limits, is among the
    /// requests and is not measured.
    request_duration: times "gizad_request_duration" in "seconds" [operation];
    /// Connections that are open.
    connections: gauge "gizad_connections" [listener];

    /// Answers to reads, by whether they came from memory.
    cache_answers: counter "gizad_cache_answers" [operation, taken];
    /// Answers in memory.
    cache_entries: gauge "gizad_cache_entries" [];
    /// What the answers in memory take of `cache.bytes`.
    cache_size: gauge "gizad_cache" in "bytes" [];

    /// Calls that were refused because their caller had used its quota up.
    quota_refusals: counter "gizad_quota_refusals" [caller];

    /// Calls a second that the account is used for at most, as things are now.
    pace_rate: gauge "gizad_pace_calls_per_second" [];
    /// The part of `pace.rate` that the account is used at, from 0 to 1.
    pace_ratio: gauge "gizad_pace_ratio" [];
    /// The part of the account's rate that this gizad uses at most, of those that share it; absent if none do.
    pace_share: gauge "gizad_pace_share_ratio" [];
    /// What is left of the pause that the provider has asked for; 0 if there is none.
    pace_pause: gauge "gizad_pace_pause" in "seconds" [];
    /// Times that the provider has asked to slow down.
    pace_complaints: counter "gizad_pace_complaints" [];
    /// Calls that wait for their turn.
    pace_waiting: gauge "gizad_pace_waiting" [lane];
    /// How long calls waited that had their turn.
    pace_wait: times "gizad_pace_wait" in "seconds" [lane];
    /// Calls that were refused because no turn would have come in their time, or that waited for one in vain.
    pace_refusals: counter "gizad_pace_refusals" [lane];

    /// Streams that are open.
    watch_streams: gauge "gizad_watch_streams" [];
    /// Things that are looked at again and again, because somebody waits for them or watches them.
    watch_subjects: gauge "gizad_watch_subjects" [];

    /// Calls that were sent again, by why the attempt before had failed.
    retries: counter "gizad_retries" [operation, reason];
    /// Calls that were not sent again because the budget for that was used up.
    retries_unpaid: counter "gizad_retries_unpaid" [];
    /// How many more calls may be sent again now.
    retry_budget: gauge "gizad_retry_budget" [];

    /// 1 for the state that the breaker is in, 0 for the others.
    breaker_state: gauge "gizad_breaker_state" [state];
    /// Times that the breaker has opened.
    breaker_openings: counter "gizad_breaker_openings" [];

    /// Exchanges with the provider, every attempt and gizad's own questions included.
    upstream_requests: counter "gizad_upstream_requests" [operation, outcome];
    /// How long exchanges with the provider took.
    upstream_duration: times "gizad_upstream_request_duration" in "seconds" [operation];
    /// 0 while the provider refuses gizad's credentials, otherwise 1.
    credentials_accepted: gauge "gizad_credentials_accepted" [];

    /// Purchases, and other recorded calls that must not run twice, by the states that they have come to in this process.
    purchases: counter "gizad_purchases" [operation, state, caller];
    /// Purchases, and other recorded calls, that are under way, in doubt, or wait for consent.
    purchases_open: gauge "gizad_purchases_open" [state];
    /// For how long the purchase is in doubt that has been so for the longest time; absent while none is.
    in_doubt_age: gauge "gizad_purchases_in_doubt_age" in "seconds" [];
    /// What callers may still spend, of those that have a budget.
    budget_remaining: gauge "gizad_budget_remaining" in "vnd" [caller, period];

    /// What was in the account's wallet when it was looked at last. Of the account there is only what could be read, and nothing
    /// without `metrics.account.interval`.
    account_balance: gauge "gizad_account_balance" in "vnd" [];
    /// The account's services.
    account_services: gauge "gizad_account_services" [kind, state];
    /// How long it is until the next of the account's services expires that has not.
    account_next_expiry: gauge "gizad_account_next_expiry" in "seconds" [kind];
    /// How often the account was looked at, as a success only if everything could be read.
    account_looks: counter "gizad_account_looks" [result];
    /// When everything could be read of the account last, in seconds since 1970.
    account_seen: gauge "gizad_account_last_success_timestamp" in "seconds" [];

    /// Whether the ledger can be read, and the last entry could be written.
    ledger_up: gauge "gizad_ledger_up" [];
    /// How long the ledger took.
    ledger_duration: briefs "gizad_ledger_duration" in "seconds" [access];
    /// How often the ledger failed.
    ledger_failures: counter "gizad_ledger_failures" [access];

    /// Whether this gizad is in touch with the others that share its account, or 0 while it is on its static share of the rate; absent
    /// if nothing is shared.
    shared_up: gauge "gizad_shared_up" [];
    /// How long ago this gizad has seen the others that share its account.
    shared_lag: gauge "gizad_shared_lag" in "seconds" [];
    /// How many share the account, this one and those that are silent included.
    shared_replicas: gauge "gizad_shared_replicas" [];
    /// How many may (`shared.max_replicas`).
    shared_max_replicas: gauge "gizad_shared_max_replicas" [];

    /// Whether the last line of the audit log could be written; absent if there is no such log.
    audit_up: gauge "gizad_audit_up" [];
    /// Lines of the audit log that were written.
    audit_lines: counter "gizad_audit_lines" [];
    /// Lines of the audit log that could not be written.
    audit_unwritten: counter "gizad_audit_unwritten" [];

    /// Spans of traces that the collector has taken; absent if no traces are sent.
    spans_sent: counter "gizad_spans_sent" [];
    /// Spans of traces that are lost: the collector did not take them, and there was no place for more.
    spans_dropped: counter "gizad_spans_dropped" [];

    /// Whether new connections are taken: 0 once gizad has been asked to stop.
    ready: gauge "gizad_ready" [];
    /// 1 for each reason for which less is done than could be, as `/readyz` names them, otherwise 0.
    degraded: gauge "gizad_degraded" [reason];
    /// Times that the settings were read again.
    reloads: counter "gizad_reloads" [result];
    /// Whether the settings were taken over when they were read last.
    reload_successful: gauge "gizad_last_reload_successful" [];
    /// When settings were taken over last, those of the start included, in seconds since 1970.
    reload_success: gauge "gizad_last_reload_success_timestamp" in "seconds" [];
    /// Always 1, with the version of gizad.
    build: gauge "gizad_build_info" [version];

    /// Time that the process has spent on processors.
    process_cpu: seconds "process_cpu" in "seconds" [];
    /// Memory of the process that is in RAM.
    process_resident_memory: gauge "process_resident_memory" in "bytes" [];
    /// Address space of the process.
    process_virtual_memory: gauge "process_virtual_memory" in "bytes" [];
    /// File descriptors of the process that are open.
    process_open_fds: gauge "process_open_fds" [];
    /// How many file descriptors of the process could be open.
    process_max_fds: gauge "process_max_fds" [];
    /// When the process was started, in seconds since 1970.
    process_start_time: gauge "process_start_time" in "seconds" [];
}
