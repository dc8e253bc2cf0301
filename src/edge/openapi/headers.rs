//! The headers of requests and of answers.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::contract::{Effect, Operation, Term};

/// Those that a caller may send.
pub(super) fn parameters() -> Value {
    let header = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "header", "required": false, "description": description, "schema": schema});
    json!({
        "RequestId": header(
            "X-Request-Id",
            "A name for this call, in the answer and in the log. Without it, or if it cannot be repeated safely, gizad makes one.",
            json!({"type": "string", "examples": ["a967a6d936c8b4efffc32758ff910308"]}),
        ),
        "RequestTimeout": header(
            "Request-Timeout",
            "How long the call may take: `5`, `2.5s`, `500ms`, `1m`. The settings say what it has otherwise, and at most.",
            json!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]*)?(ms|s|m)?$", "examples": ["2.5s"]}),
        ),
        "IdempotencyKey": header(
            "Idempotency-Key",
            "A name of your own choosing for what you want: what is asked again under it is carried out once. The same as `request_id` \
             in the body.",
            json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$", "examples": ["3f1c9e7a-5a3e-4b0e-9b52-0d6d2a1c7f10"]}),
        ),
        "CacheControl": header(
            "Cache-Control",
            "How fresh the answer is to be (RFC 9111): `no-cache`, `max-age=SECONDS`, `only-if-cached`, `no-store`.",
            json!({"type": "string", "examples": ["max-age=60"]}),
        ),
        "LastEventId": header(
            "Last-Event-ID",
            "The `id` of the event that you had last, so that it is not told again. `EventSource` sends it by itself.",
            json!({"type": "string", "maxLength": 64, "examples": ["3608e2246c93a653"]}),
        ),
        "IfNoneMatch": header(
            "If-None-Match",
            "The `ETag` of an answer that you have: if it is still the answer, you get 304 without a body.",
            json!({"type": "string", "examples": ["\"85095f57ea2a41f84237468d96729608\""]}),
        ),
    })
}

/// Those of answers.
pub(super) fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({"description": description, "schema": schema});
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 0});
    json!({
        "X-Request-Id": {"description": "The name of the call: yours, if you sent one.", "required": true, "schema": text()},
        "Cache-Control": header("Whether and how long the answer may be kept (RFC 9111).", text()),
        "Cache-Status": header("Where the answer is from (RFC 9211).", text()),
        "Age": header("How many seconds ago the provider was asked.", number()),
        "ETag": header("A validator, for `If-None-Match`.", text()),
        "RateLimit": header("What is left of a limit, and when more of it is there (IETF draft).", text()),
        "RateLimit-Policy": header("The limit itself: its name, how much in which window (IETF draft).", text()),
        "Retry-After": header("How many seconds to wait.", number()),
        "Location": header("The recorded operation.", json!({"type": "string", "format": "uri-reference"})),
        "Idempotent-Replayed": header("`true`: the answer was known before this call.", json!({"type": "string", "enum": ["true"]})),
        "WWW-Authenticate": header("What to show (RFC 6750).", text()),
    })
}

/// Those of a success.
pub(super) fn of_success(operation: &Operation) -> Value {
    let mut names = vec!["X-Request-Id", "Cache-Control"];
    let is_kept = operation.effect.is_read() && operation.effect != Effect::Secret;
    if is_kept && !operation.is_gizads() && operation.watch.is_none() {
        names.extend(["Cache-Status", "Age", "ETag"]);
    }
    if !operation.is_gizads() {
        names.extend(["RateLimit", "RateLimit-Policy"]);
    }
    if operation.term(Term::Key).is_some() {
        names.extend(["Location", "Idempotent-Replayed"]);
    }
    references(&names)
}

/// Those of a failure.
pub(super) fn of_failure(status: StatusCode) -> Value {
    let mut names = vec!["X-Request-Id"];
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => names.push("WWW-Authenticate"),
        StatusCode::TOO_MANY_REQUESTS => names.extend(["Retry-After", "RateLimit", "RateLimit-Policy"]),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            names.extend(["Retry-After", "Location"]);
        }
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            names.extend(["Location", "Idempotent-Replayed"])
        }
        _ => {}
    }
    references(&names)
}

fn references(names: &[&str]) -> Value {
    let refer = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Value::Object(names.iter().map(refer).collect::<Map<String, Value>>())
}
