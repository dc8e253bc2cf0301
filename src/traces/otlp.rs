//! Spans as OTLP has them: the few messages of `opentelemetry/proto` (trace v1, collector v1) that a sender needs, by their
//! numbers there. The official Python package reads what comes of them in `tests/python/test_traces.py`.

use std::sync::Arc;

use prost::{Message, Oneof};

use super::Options;
use super::span::{Ended, Kind, Value};
use crate::ambient;

/// The flags of a span (`SpanFlags`): that it is recorded, that it is known where its parent is, and that this is elsewhere.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

/// Who sends.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// What the collector answers.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// What it has not taken.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
}

impl Resource {
    /// gizad, as it runs here.
    pub(super) fn of(options: &Options) -> Self {
        let instance: String = ambient::random().iter().map(|byte| format!("{byte:02x}")).collect();
        let own = [
            ("service.name", options.service.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", instance),
        ];
        // What was said of it in so many words comes before what is known anyway.
        let said = options.resource.iter().filter(|(name, _)| name != "service.name");
        let said: Vec<(String, String)> = said.cloned().collect();
        let rest = own.into_iter().filter(|(name, _)| said.iter().all(|(known, _)| known != name));
        let mut attributes: Vec<KeyValue> =
            rest.map(|(name, value)| key_value(name, Any::Text(value))).collect();
        attributes.extend(said.iter().map(|(name, value)| key_value(name, Any::Text(value.clone()))));
        Self { attributes }
    }
}

/// The body of a request with these spans.
pub(super) fn request(resource: &Resource, spans: &[Arc<Ended>]) -> Vec<u8> {
    let scope = Scope { name: "gizad".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = spans.iter().map(|ended| span(ended)).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    Request { resource_spans: vec![ResourceSpans { resource: Some(resource.clone()), scope_spans }] }
        .encode_to_vec()
}

fn span(ended: &Ended) -> Span {
    let remote = if ended.is_remote { IS_REMOTE } else { 0 };
    let attributes = ended.attributes.iter().map(|(name, value)| key_value(name, any(value)));
    let links = ended
        .links
        .iter()
        .map(|(trace, span)| Link { trace_id: trace.bytes().to_vec(), span_id: span.bytes().to_vec() });
    Span {
        trace_id: ended.trace.bytes().to_vec(),
        span_id: ended.span.bytes().to_vec(),
        trace_state: ended.state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: ended.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: ended.name.clone(),
        kind: match ended.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
        },
        start_time_unix_nano: ended.begun_ns,
        end_time_unix_nano: ended.ended_ns,
        attributes: attributes.collect(),
        links: links.collect(),
        // What has not failed has no status: whether it was a success is for whoever looks at it to say.
        status: ended.failed.then_some(Status { code: ERROR }),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
    }
}

fn any(value: &Value) -> Any {
    match value {
        Value::Text(text) => Any::Text(text.clone()),
        Value::Number(number) => Any::Number(*number),
        Value::Flag(flag) => Any::Flag(*flag),
    }
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
