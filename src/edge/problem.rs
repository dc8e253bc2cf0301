//! A fault in REST: `application/problem+json` (RFC 9457).

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response};
use serde_json::{Map, Value, json};

use super::columns::{code_name, columns};
use super::{rate, standing, trace};
use crate::call::RequestId;
use crate::fault::{Fault, Lacking};

/// The body: the members of RFC 9457, then what a program and a person need beyond them.
pub(super) fn body(fault: &Fault, id: &RequestId) -> Value {
    let columns = columns(fault.reason);
    let reason = fault.reason.as_str();
    let mut members = Map::new();
    members.insert("type".into(), json!(super::pages::of(fault.reason)));
    members.insert("title".into(), json!(columns.title));
    members.insert("status".into(), json!(columns.http.as_u16()));
    members.insert("detail".into(), json!(fault.detail));
    members.insert("code".into(), json!(code_name(columns.grpc)));
    members.insert("reason".into(), json!(reason));
    members.insert("sent".into(), json!(fault.sent.as_str()));
    members.insert("request_id".into(), json!(id.as_str()));
    if let Some(operation) = &fault.operation {
        members.insert("operation".into(), json!(standing::path(operation)));
    }
    if !fault.violations.is_empty() {
        let violations = fault.violations.iter();
        let list = violations.map(|v| json!({"field": v.field, "description": v.description})).collect();
        members.insert("violations".into(), Value::Array(list));
    }
    if let Some(answer) = &fault.answer {
        members.insert("upstream_rule".into(), json!(answer.rule));
        if let Some(status) = answer.status {
            members.insert("upstream_status".into(), json!(status));
        }
        if let Some(message) = &answer.message {
            members.insert("upstream_message".into(), json!(message.as_str()));
        }
    }
    if let Some(limit) = &fault.limit {
        // The name that the draft on RateLimit headers gives this member.
        members.insert("violated-policies".into(), json!([limit.name]));
    }
    Value::Object(members)
}

/// What the caller would have to show, and what is wrong with what it showed (RFC 6750, section 3).
fn challenge(fault: &Fault) -> Option<HeaderValue> {
    let parameters = match fault.lacks? {
        Lacking::Name => String::new(),
        Lacking::Token => {
            // The characters that a description may have there.
            let plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            let description: String = fault.detail.chars().filter(plain).collect();
            format!(", error=\"invalid_token\", error_description=\"{description}\"")
        }
        Lacking::Scope(scope) => format!(", error=\"insufficient_scope\", scope=\"{}\"", scope.as_str()),
    };
    HeaderValue::from_str(&format!("Bearer realm=\"gizad\"{parameters}")).ok()
}

/// The whole answer.
pub(super) fn response(fault: &Fault, id: &RequestId) -> Response<Body> {
    let mut text = body(fault, id).to_string();
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = columns(fault.reason).http;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(fault) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(wait) = fault.try_again() {
        headers.insert(RETRY_AFTER, HeaderValue::from(rate::seconds(wait)));
    }
    if let Some(limit) = &fault.limit {
        rate::write(limit, headers);
    }
    if let Some(operation) = &fault.operation {
        standing::write(operation, fault.replayed, headers);
    }
    response.extensions_mut().insert(trace::Failed(fault.reason));
    response
}
