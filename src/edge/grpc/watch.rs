//! A method that streams: the list it watches is asked for again and again, each time for what has changed since, and every
//! item is one message. The stream is made of ordinary calls, so it passes everything that they pass.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost_reflect::{DynamicMessage, Value};

use super::{Arrival, GRPC_STATUS, Gate, frame, status};
use crate::ambient;
use crate::call::{Call, Deadline};
use crate::contract::{Effect, Operation, Watch};
use crate::fault::Fault;

/// How long one call waits for a change.
const WAIT: &str = "30s";
/// How long that call may take.
const TIME: Duration = Duration::from_secs(40);

/// A stream under way.
struct Watching {
    gate: Gate,
    operation: &'static Operation,
    /// The call that is made again and again.
    call: Call,
    /// Where the next one goes on; nothing before the first.
    after: Option<i64>,
    ready: VecDeque<Bytes>,
    ended: bool,
}

/// Answers with a stream, which ends when its caller goes away, its time is up, or gizad stops.
pub(super) fn answer(
    watch: &Watch,
    operation: &'static Operation,
    gate: &Gate,
    call: Call,
    request: &DynamicMessage,
    arrival: &Arrival,
) -> Response<Body> {
    let mut list = DynamicMessage::new(operation.input.descriptor.clone());
    for field in &watch.input.fields {
        let value = request.get_field(&field.descriptor).into_owned();
        let _set = list.try_set_field_by_name(&field.name, value);
    }
    let watching = Watching {
        gate: gate.clone(),
        operation,
        call: Call { operation, effect: Effect::Read, request: list, ..call },
        after: None,
        ready: VecDeque::new(),
        ended: false,
    };
    let id = Arc::new(arrival.id.clone());
    let frames = stream::unfold(watching, move |mut watching| {
        let id = id.clone();
        async move {
            if watching.ended {
                return None;
            }
            let frame = match watching.next().await {
                Ok(message) => Frame::data(message),
                Err(fault) => {
                    watching.ended = true;
                    Frame::trailers(trailers(&fault, &id))
                }
            };
            Some((Ok::<_, Infallible>(frame), watching))
        }
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

impl Watching {
    /// The next message, whenever there is one.
    async fn next(&mut self) -> Result<Bytes, Fault> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if self.call.deadline.left().is_zero() {
                return Err(Fault::late(Effect::Read, false));
            }
            let mut request = self.call.request.clone();
            match self.after {
                None => drop(request.try_set_field_by_name(Watch::OPEN, Value::Bool(true))),
                Some(after) => {
                    let _set = request.try_set_field_by_name(Watch::AFTER, Value::I64(after));
                    let _set = request.try_set_field_by_name(Watch::WAIT, Value::String(WAIT.to_owned()));
                }
            }
            let deadline = Deadline::new(ambient::instant(), Some(TIME.min(self.call.deadline.left())));
            let reply = (self.gate.call)(Call { request, deadline, ..self.call.clone() }).await?;
            let told = reply.content.message();
            if let Some(field) = Watch::items(self.operation) {
                let items = told.get_field(&field.descriptor);
                let items = items.as_list().unwrap_or_default().iter().filter_map(Value::as_message);
                // The list has the newest first; a stream tells the oldest first.
                self.ready = items.rev().map(frame::framed).collect();
            }
            self.after = told.get_field_by_name(Watch::LATEST).and_then(|place| place.as_i64());
        }
    }
}

fn trailers(fault: &Fault, id: &crate::call::RequestId) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status::status(fault, id).add_header(&mut trailers).is_err() {
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
    }
    trailers
}
