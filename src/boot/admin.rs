//! Health, on a listener of its own, so that probes can be exposed without the API. It never asks the provider:
//! a provider that is down is no reason to restart gizad.

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It takes calls.
    Ready,
    /// It finishes calls and takes no new connections.
    Draining,
    /// It has finished.
    Gone,
}

/// `/livez`, `/readyz` and `/startupz`; anything else is not here.
pub(super) fn answer(state: State, request: &Request<Incoming>) -> std::future::Ready<Response<Body>> {
    let known = matches!(request.uri().path(), "/livez" | "/readyz" | "/startupz");
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match (request.uri().path(), state) {
        _ if !known => (StatusCode::NOT_FOUND, r#"{"error":"there is /livez, /readyz and /startupz"}"#),
        _ if !asks => (StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"this path takes GET"}"#),
        ("/readyz", State::Draining | State::Gone) => {
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#)
        }
        ("/readyz", State::Ready) => (StatusCode::OK, r#"{"status":"ready"}"#),
        _ => (StatusCode::OK, r#"{"status":"alive"}"#),
    };
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    std::future::ready(response)
}
