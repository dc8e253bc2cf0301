//! This gizad among the replicas of its account, as JSON, and what a person says of the others.

use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::status::rounded;
use super::{answered, problem};
use crate::policy::Traffic;
use crate::policy::pace::{Alive, ReplicaShown, Shown};

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

/// Takes away what is kept for the replica `?name=NAME`, which is gone for good.
pub(super) fn forget(traffic: &Traffic, query: &str) -> Response<Body> {
    let given: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let [(parameter, name)] = &given[..] else { return unnamed() };
    if parameter != "name" {
        return unnamed();
    }
    match traffic.forget_replica(name) {
        Ok(()) => {
            tracing::warn!(replica = %name, "somebody says that it is gone for good: nothing is kept for it any more");
            answered(&json!({"forgotten": name}), StatusCode::OK)
        }
        Err(Alive::Heard(lag)) => {
            let detail = format!(
                "{name} was heard of {:.1} s ago: what is alive gives its share back by itself when it is stopped",
                lag.as_secs_f64()
            );
            problem(StatusCode::CONFLICT, "It is alive", &detail)
        }
        Err(Alive::Unknown) => {
            let detail = format!("no replica is called {name:?}: `/status` and `gizad doctor` list them");
            problem(StatusCode::NOT_FOUND, "There is no such replica", &detail)
        }
    }
}

fn unnamed() -> Response<Body> {
    let detail = "expected name=NAME and nothing else, with the name of a replica as `/status` lists it";
    problem(StatusCode::BAD_REQUEST, "A parameter is wrong", detail)
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
