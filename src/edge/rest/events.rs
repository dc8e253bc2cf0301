//! A stream over REST: server-sent events, as the HTML standard has them, which every browser reads by itself.
//!
//! An event is one answer, as JSON. A fault is an event named `problem`, and a stream that has come to its end says so with
//! one named `end`; whoever comes back after that is told that there is nothing more (204), which ends its coming back.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use prost_reflect::{DynamicMessage, Value};
use tokio::time::timeout;

use super::super::accept::Streaming;
use super::super::{head, problem};
use super::write;
use crate::call::{Coming, Item, Made, News, Reply, RequestId};
use crate::contract::{Kind, Operation, Term, Violation};
use crate::fault::{Fault, Reason};

/// What a browser says it has had when it comes back.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx and its like to hand on each event at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// After how long a browser is to come back, in milliseconds.
const BEGINNING: &[u8] = b"retry: 2000\n\n";
/// How long nothing is said before something is that means nothing, so that nobody between takes the stream for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Puts what the caller says it has had where the request has it.
pub(super) fn resume(
    headers: &HeaderMap,
    operation: &Operation,
    request: &mut DynamicMessage,
) -> Result<(), Fault> {
    let (Some(field), Some(given)) = (operation.term(Term::After), headers.get(LAST_EVENT_ID)) else {
        return Ok(());
    };
    let text = given.to_str().unwrap_or_default();
    let value = match field.kind {
        Kind::Int64 => text.parse().ok().filter(|place| *place >= 0).map(Value::I64),
        _ => Some(Value::String(text.to_owned())).filter(|_| text.len() <= 64),
    };
    let wrong = || Violation::new(LAST_EVENT_ID.as_str(), "is none that an event has had");
    let value = value.ok_or_else(|| Fault::violated(Reason::InvalidArgument, vec![wrong()]))?;
    if !request.has_field(&field.descriptor) {
        request.set_field(&field.descriptor, value);
    }
    Ok(())
}

/// Answers with a stream.
pub(super) fn response(
    operation: &'static Operation,
    reply: &Reply,
    news: &News,
    id: &RequestId,
) -> Response<Body> {
    let Some(coming) = news.take() else {
        let mut nothing_more = Response::new(Body::empty());
        *nothing_more.status_mut() = StatusCode::NO_CONTENT;
        return nothing_more;
    };
    let mut response = Response::new(Body::from_stream(events(operation, coming, id.clone())));
    *response.headers_mut() = head::head(reply, "text/event-stream");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response.extensions_mut().insert(Streaming);
    response
}

fn events(
    operation: &'static Operation,
    coming: Coming,
    id: RequestId,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send {
    let events = stream::unfold(Some((coming, id)), move |held| async move {
        let (mut coming, id) = held?;
        Some(match timeout(HEARTBEAT, coming.next()).await {
            Err(_) => (Bytes::from_static(b": nothing new\n\n"), Some((coming, id))),
            Ok(Some(Ok(item))) => (event(operation, &item), Some((coming, id))),
            Ok(Some(Err(fault))) => {
                let told = problem::body(&fault, &id);
                (format!("event: problem\ndata: {told}\n\n").into(), None)
            }
            Ok(None) => (Bytes::from_static(b"event: end\ndata: {}\n\n"), None),
        })
    });
    stream::iter([Bytes::from_static(BEGINNING)]).chain(events).map(Ok)
}

fn event(operation: &Operation, item: &Item) -> Bytes {
    // JSON has no line end within it, and one at its end.
    let json = item.content.made(Made::Rest, |message| write::json(&operation.output, message).into());
    let mut event = Vec::with_capacity(json.len() + 40);
    if let Some(id) = &item.id {
        event.extend_from_slice(b"id: ");
        event.extend_from_slice(id.as_bytes());
        event.push(b'\n');
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(&json);
    event.push(b'\n');
    event.into()
}
