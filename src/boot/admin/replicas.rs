//! This gizad among the replicas of its account, as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::status::rounded;
use crate::policy::pace::{ReplicaShown, Shown};

/// Nothing if it has the account for itself.
pub(super) fn shown(own: Option<&str>, pace: &Shown) -> Value {
    let Some(replicas) = &pace.replicas else { return Value::Null };
    json!({
        "own": own,
        "max_replicas": replicas.most,
        "lease": replicas.standing.as_str(),
        "share": rounded(replicas.share),
        "alone_for_s": replicas.alone_for.map(|alone| alone.as_secs()),
        "seen_s_ago": replicas.seen_ago.map(seconds),
        "account_per_second": rounded(pace.account_per_second),
        "list": replicas.all.iter().map(replica).collect::<Vec<_>>(),
    })
}

fn replica(shown: &ReplicaShown) -> Value {
    json!({
        "name": shown.name,
        "version": shown.version,
        "api": shown.address,
        "up_s": shown.up.as_secs(),
        "share": rounded(shown.share),
        "wants": rounded(shown.wants),
        "lag_s": seconds(shown.lag),
        "silent": shown.is_silent,
    })
}

fn seconds(span: Duration) -> f64 {
    rounded(span.as_secs_f64())
}
