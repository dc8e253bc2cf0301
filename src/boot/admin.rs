//! Health, state and memory, for programs and on a page for a person, on a listener of its own, so that probes can be exposed without the API. It never asks the
//! provider: a provider that is down is no reason to restart gizad.

mod page;
mod status;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::contract::Contract;
use crate::edge;
use crate::policy::Traffic;
use crate::policy::purchase::Desk;

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

impl State {
    /// The word for it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining | Self::Gone => "draining",
        }
    }
}

/// What can be asked here.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) contract: &'static Contract,
    pub(super) traffic: Traffic,
    pub(super) desk: Arc<Desk>,
    /// Where the provider is, and whether it is a stand-in.
    pub(super) provider: String,
    pub(super) sandbox: bool,
    /// Since when gizad runs.
    pub(super) begun: Instant,
    /// Names by which it may be reached, beside this machine's own.
    pub(super) hosts: Vec<String>,
}

impl Admin {
    /// `/`, `/livez`, `/readyz`, `/startupz`, `/status` and `/cache/purge`; anything else is not here.
    pub(super) async fn answer(
        &self,
        state: State,
        request: &Request<()>,
        peer: Option<IpAddr>,
    ) -> Response<Body> {
        // Before anything is said, or a page that rebinds a name would read it.
        if let Err(fault) = edge::from_a_probe(request.uri(), request.headers(), &self.hosts) {
            return problem(StatusCode::FORBIDDEN, "Not from there", &fault.detail);
        }
        let path = request.uri().path();
        let takes = match path {
            "/" | "/livez" | "/readyz" | "/startupz" | "/status" => "GET, HEAD",
            "/cache/purge" => "POST",
            _ => {
                return problem(
                    StatusCode::NOT_FOUND,
                    "There is nothing here",
                    "there is /, /livez, /readyz, /startupz, /status and /cache/purge",
                );
            }
        };
        if !takes.split(", ").any(|method| *request.method() == method) {
            let mut response = problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "The path takes other methods",
                &format!("this path takes {takes}"),
            );
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(takes));
            return response;
        }
        match path {
            "/livez" | "/startupz" => answered(&json!({"status": "alive"}), StatusCode::OK),
            "/readyz" => self.ready(state),
            // No token is asked for here, so beyond the probes nobody is answered but this machine, whatever the listener is
            // bound to.
            _ if !peer.is_some_and(|peer| peer.is_loopback()) => {
                let detail =
                    "only this machine is answered here, and whoever is let in by `kubectl port-forward`";
                problem(StatusCode::FORBIDDEN, "Not from there", detail)
            }
            _ => match edge::from_here(request.uri(), request.headers(), &self.hosts) {
                Err(fault) => problem(StatusCode::FORBIDDEN, "Not from there", &fault.detail),
                Ok(()) if *request.method() == Method::POST => {
                    self.purge(request.uri().query().unwrap_or_default())
                }
                Ok(()) if path == "/" => page::page(),
                Ok(()) => answered(&self.whole(state).await, StatusCode::OK),
            },
        }
    }

    /// Degraded is ready: reads may still be answered from memory, and whoever asks for more is told why not. A restart would
    /// mend neither.
    fn ready(&self, state: State) -> Response<Body> {
        match (state, self.traffic.shown().degraded()) {
            (State::Ready, None) => answered(&json!({"status": "ready"}), StatusCode::OK),
            (State::Ready, Some(reason)) => {
                answered(&json!({"status": "degraded", "reason": reason}), StatusCode::OK)
            }
            (State::Draining | State::Gone, _) => {
                answered(&json!({"status": "draining"}), StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    /// Forgets all answers, or with `?operation=NAME` those of one operation.
    fn purge(&self, query: &str) -> Response<Body> {
        let mut operation = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known = self.contract.operation(&value).is_some();
            if name != "operation" || !known {
                let detail = format!(
                    "expected operation=NAME with a name that `gizad routes` lists, not {name}={value}"
                );
                return problem(StatusCode::BAD_REQUEST, "A parameter is wrong", &detail);
            }
            operation = Some(value.into_owned());
        }
        let forgotten = self.traffic.purge(operation.as_deref());
        tracing::info!(forgotten, operation, "memory purged");
        answered(&json!({"forgotten": forgotten}), StatusCode::OK)
    }
}

fn answered(body: &Value, status: StatusCode) -> Response<Body> {
    response(body, status, "application/json")
}

fn problem(status: StatusCode, title: &str, detail: &str) -> Response<Body> {
    let body = json!({"title": title, "status": status.as_u16(), "detail": detail});
    response(&body, status, "application/problem+json")
}

fn response(body: &Value, status: StatusCode, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::ambient;
    use crate::settings::{Flags, Settings};

    #[tokio::test]
    async fn probes_are_for_everyone_and_the_rest_is_for_this_machine() {
        let contract = Contract::embedded().expect("sound");
        let flags = Flags { sandbox: true, ..Flags::default() };
        let settings = Settings::load(&flags, &[]).expect("the defaults are sound");
        let traffic = Traffic::new(contract, &settings.policy);
        let none = Err("there is none".to_owned());
        let desk = Arc::new(Desk::new(contract, &settings.policy.purchase, none, TaskTracker::new()));
        let (provider, begun) = (String::new(), ambient::instant());
        let admin = Admin { contract, traffic, desk, provider, sandbox: true, begun, hosts: Vec::new() };
        let named = async |method: &str, path: &str, host: &str, peer: &str| {
            let request = Request::builder().method(method).uri(path).header("host", host).body(());
            let peer = Some(peer.parse().expect("an address"));
            admin.answer(State::Ready, &request.expect("a request"), peer).await.status().as_u16()
        };
        let asked = async |method: &str, path: &str, peer: &str| named(method, path, "localhost", peer).await;
        for (method, path, elsewhere) in [
            ("GET", "/livez", 200),
            ("GET", "/readyz", 200),
            ("GET", "/", 403),
            ("GET", "/status", 403),
            ("POST", "/cache/purge", 403),
        ] {
            assert_eq!(asked(method, path, "10.1.2.3").await, elsewhere, "{path}");
            for here in ["127.0.0.1", "::1"] {
                assert_eq!(asked(method, path, here).await, 200, "{path}");
            }
            assert_eq!(
                named(method, path, "10.1.2.4:7071", "10.1.2.3").await,
                elsewhere,
                "{path} by the address of a pod"
            );
        }
        for (method, path) in [
            ("GET", "/livez"),
            ("GET", "/"),
            ("GET", "/status"),
            ("POST", "/cache/purge"),
            ("GET", "/nothing"),
            ("PUT", "/livez"),
        ] {
            assert_eq!(named(method, path, "rebound.evil.com:7071", "127.0.0.1").await, 403, "{path}");
        }
    }
}
