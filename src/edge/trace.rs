//! The trace that a request belongs to (W3C Trace Context): read from its headers, on both faces, and said to whoever asks; and the
//! span of its answer.
//!
//! Absent here, on purpose: the path and the query of a request, which name servers and deposits.

use axum::body::Body;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};

use super::columns::columns;
use super::grpc::GRPC_STATUS;
use crate::call::Face;
use crate::contract::Operation;
use crate::fault::Reason;
use crate::traces::{Context, Span, Trace};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// What becomes of a request that nobody waits for any more, by the word that the log has for it.
const CANCELLED: &str = "CANCELLED";

/// The context that a request brings. One that is malformed, or given twice, is none.
pub(super) fn read(headers: &HeaderMap) -> Option<Context> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let context = Context::parse(parents.next()?.as_bytes()).filter(|_| parents.next().is_none())?;
    Some(context.with_state(headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes)))
}

/// Says to whoever asks which trace its request belongs to, if it does not know that by the request's name.
pub(super) fn write(trace: &Trace, headers: &mut HeaderMap) {
    if let Some(value) = trace.response().and_then(|response| HeaderValue::try_from(response).ok()) {
        headers.insert(TRACERESPONSE, value);
    }
}

/// Says what a request asks for.
pub(super) fn asks(trace: &Trace, operation: &Operation, face: Face) {
    if trace.is_recorded() {
        trace.note("gizad.operation", operation.name.as_str());
        match face {
            Face::Rest => {
                trace.names(operation.grpc_path.trim_start_matches('/'));
                trace.note("http.route", operation.path.template());
            }
            Face::Grpc => method(trace, &operation.grpc_path),
        }
    }
}

/// Says which method a request asks for.
pub(super) fn method(trace: &Trace, path: &str) {
    let path = path.trim_start_matches('/');
    trace.names(path);
    if let Some((service, method)) = path.rsplit_once('/').filter(|_| trace.is_recorded()) {
        trace.note("rpc.service", service);
        trace.note("rpc.method", method);
    }
}

/// A fault stands beside the answer that is made of it.
#[derive(Clone, Copy)]
pub(super) struct Failed(pub(super) Reason);

/// The span of an answer.
pub(super) struct Answering {
    span: Span,
    face: Face,
    answered: bool,
}

impl Answering {
    pub(super) fn new<B>(mut span: Span, trace: &Trace, face: Face, request: &Request<B>) -> Self {
        if span.is_recorded() {
            match face {
                Face::Rest => {
                    let method = known(request.method());
                    trace.names(if method == "_OTHER" { "HTTP" } else { method });
                    span.set("http.request.method", method);
                }
                Face::Grpc => {
                    trace.names("grpc");
                    span.set("rpc.system", "grpc");
                }
            }
            if let Some(version) = version(request.version()) {
                span.set("network.protocol.version", version);
            }
        }
        Self { span, face, answered: false }
    }

    /// Says what is answered, and ends.
    pub(super) fn end(mut self, response: &Response<Body>) {
        self.answered = true;
        if !self.span.is_recorded() {
            return;
        }
        let failed: Option<&Failed> = response.extensions().get();
        if let Some(Failed(reason)) = failed {
            self.span.set("error.type", reason.as_str());
        }
        match self.face {
            Face::Rest => {
                let status = response.status();
                self.span.set("http.response.status_code", i64::from(status.as_u16()));
                if status.is_server_error() {
                    self.span.fail();
                }
            }
            Face::Grpc => {
                let written =
                    response.headers().get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse().ok());
                let code = failed.map(|Failed(reason)| i64::from(columns(*reason).grpc as i32)).or(written);
                let code = code.unwrap_or(0);
                self.span.set("rpc.grpc.status_code", code);
                if is_servers(code) {
                    self.span.fail();
                }
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.answered {
            self.span.set("error.type", CANCELLED);
        }
    }
}

/// The codes of gRPC that are no mistake of whoever asks: UNKNOWN, `DEADLINE_EXCEEDED`, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and
/// `DATA_LOSS` (OpenTelemetry, semantic conventions of gRPC).
fn is_servers(code: i64) -> bool {
    matches!(code, 2 | 4 | 12 | 13 | 14 | 15)
}

/// A method by its name, if it is none that somebody has made up.
fn known(method: &Method) -> &'static str {
    let all = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    let names = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    all.iter().zip(names).find(|(one, _)| *one == method).map_or("_OTHER", |(_, name)| name)
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_from_its_headers_and_two_are_none() {
        let with = |headers: &[(HeaderName, &'static str)]| {
            let pairs = headers.iter().cloned();
            let mut all = HeaderMap::new();
            pairs.for_each(|(name, value)| drop(all.append(name, HeaderValue::from_static(value))));
            read(&all)
        };
        let context =
            with(&[(TRACESTATE, "a=1"), (TRACEPARENT, PARENT), (TRACESTATE, "b=2")]).expect("valid");
        assert_eq!(context.state.as_deref(), Some("a=1,b=2"));
        assert_eq!(with(&[(TRACESTATE, "a=1")]), None);
        assert_eq!(with(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]), None);
    }
}
