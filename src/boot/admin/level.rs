//! How much is logged, shown and changed.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use super::super::levels::Levels;
use super::{answered, problem};
use crate::edge::Arriving;
use crate::settings;
use crate::telemetry::Filter;

/// The longest body that is read, in bytes, and how long it may take to arrive.
const LONGEST: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    filter: String,
    /// After which time the settings count again.
    #[serde(rename = "for")]
    time: Option<String>,
}

/// The same request with its body, as far as one is read here: everything else that can be asked has none.
pub(in crate::boot) async fn with_body(request: Request<Arriving>) -> Request<Option<Bytes>> {
    let (parts, body) = request.into_parts();
    let read = parts.method == Method::PUT;
    let body = if read { timeout(PATIENCE, Limited::new(body, LONGEST).collect()).await.ok() } else { None };
    let body = body.and_then(Result::ok).map(http_body_util::Collected::to_bytes);
    Request::from_parts(parts, body)
}

pub(super) fn answer(
    levels: &Levels,
    method: &Method,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Response<Body> {
    if *method == Method::PUT {
        match read(headers, body) {
            Ok((filter, time)) => levels.set(&filter, time),
            Err(detail) => return problem(StatusCode::BAD_REQUEST, "That cannot be logged", &detail),
        }
    } else if *method == Method::DELETE {
        levels.reset();
    }
    answered(&levels.shown(), StatusCode::OK)
}

fn read(headers: &HeaderMap, body: Option<&Bytes>) -> Result<(Filter, Option<Duration>), String> {
    let labelled = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !labelled.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err("the body must be labelled as application/json".to_owned());
    }
    let body = body.ok_or("the body is too long, or did not arrive in time")?;
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        format!("expected {{\"filter\": \"info,gizad::policy=debug\", \"for\": \"10m\"}}, where \"for\" may be left out: {error}")
    })?;
    let filter = Filter::read(&wanted.filter).map_err(|why| format!("filter: {why}"))?;
    let time =
        wanted.time.as_deref().map(settings::duration).transpose().map_err(|why| format!("for: {why}"))?;
    Ok((filter, time))
}
