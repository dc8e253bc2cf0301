//! Health, on a listener of its own, so that probes can be exposed without the API. It never asks the provider:
//! a provider that is down is no reason to restart gizad.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE};
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
    let path = request.uri().path();
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, text) = match path {
        "/livez" | "/readyz" | "/startupz" if !asks => (
            StatusCode::METHOD_NOT_ALLOWED,
            "application/problem+json",
            r#"{"title":"The path takes other methods","status":405,"detail":"this path takes GET, HEAD"}"#,
        ),
        "/readyz" if state != State::Ready => {
            (StatusCode::SERVICE_UNAVAILABLE, "application/json", r#"{"status":"draining"}"#)
        }
        "/readyz" => (StatusCode::OK, "application/json", r#"{"status":"ready"}"#),
        "/livez" | "/startupz" => (StatusCode::OK, "application/json", r#"{"status":"alive"}"#),
        _ => (
            StatusCode::NOT_FOUND,
            "application/problem+json",
            r#"{"title":"There is nothing here","status":404,"detail":"there is /livez, /readyz and /startupz"}"#,
        ),
    };
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    std::future::ready(response)
}
