//! Health, state and memory, for programs and on a page for a person, on a listener of its own, so that probes can be exposed
//! without the API. It never asks the provider: a provider that is down is no reason to restart gizad.

mod level;
mod page;
mod replicas;
mod status;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::levels::Levels;
use super::vitals::Vitals;
use crate::contract::Contract;
use crate::edge::{self, Ways};
use crate::metrics::Format;
use crate::policy::Traffic;
use crate::policy::purchase::Desk;

pub(super) use level::with_body;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It takes calls.
    Ready,
    /// It says that it goes, and takes calls as before.
    Draining,
    /// It finishes calls and takes no new connections.
    Closing,
    /// It has finished.
    Gone,
}

impl State {
    /// The word for it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining | Self::Closing | Self::Gone => "draining",
        }
    }
}

/// What can be asked here.
pub(super) struct Admin {
    pub(super) contract: &'static Contract,
    pub(super) traffic: Traffic,
    pub(super) desk: Arc<Desk>,
    /// Where the provider is, and whether it is a stand-in.
    pub(super) provider: String,
    pub(super) sandbox: bool,
    /// Since when gizad runs.
    pub(super) begun: Instant,
    /// Its name among the replicas of its account, if there may be others.
    pub(super) replica: Option<String>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) levels: Arc<Levels>,
    /// Whether metrics are for everyone, and not for this machine alone.
    pub(super) everyone: bool,
    /// By what ways requests may come.
    pub(super) ways: Ways,
}

impl Admin {
    /// `/`, `/livez`, `/readyz`, `/startupz`, `/metrics`, `/status`, `/log-level`, `/cache/purge` and
    /// `/replicas/forget`; anything else is not here.
    pub(super) async fn answer(
        &self,
        state: State,
        request: &Request<Option<Bytes>>,
        peer: Option<IpAddr>,
    ) -> Response<Body> {
        // Before anything is said, or a page that rebinds a name would read it.
        if let Err(fault) = edge::from_a_probe(request.uri(), request.headers(), peer, &self.ways) {
            return problem(StatusCode::FORBIDDEN, "Not from there", &fault.detail);
        }
        let path = request.uri().path();
        let takes = match path {
            "/" | "/livez" | "/readyz" | "/startupz" | "/metrics" | "/status" => "GET, HEAD",
            "/log-level" => "GET, HEAD, PUT, DELETE",
            "/cache/purge" | "/replicas/forget" => "POST",
            _ => {
                return problem(
                    StatusCode::NOT_FOUND,
                    "There is nothing here",
                    "there is /, /livez, /readyz, /startupz, /metrics, /status, /log-level, /cache/purge and /replicas/forget",
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
            "/livez" => answered(&json!({"status": "alive"}), StatusCode::OK),
            // Nobody is answered here before everything is there.
            "/startupz" => answered(&json!({"status": "started"}), StatusCode::OK),
            "/readyz" => self.ready(state).await,
            "/metrics" if self.everyone => self.metrics(state, request.headers()).await,
            // No token is asked for here, so beyond the probes nobody is answered but this machine, whatever the listener is
            // bound to.
            _ if !peer.is_some_and(|peer| peer.is_loopback()) => {
                let detail =
                    "only this machine is answered here, and whoever is let in by `kubectl port-forward`";
                problem(StatusCode::FORBIDDEN, "Not from there", detail)
            }
            // What a proxy hands on is not this machine's, wherever the proxy is.
            _ => match edge::from_here(request.uri(), request.headers(), None, &self.ways) {
                Err(fault) => problem(StatusCode::FORBIDDEN, "Not from there", &fault.detail),
                Ok(()) if path == "/log-level" => {
                    level::answer(&self.levels, request.method(), request.headers(), request.body().as_ref())
                }
                Ok(()) if path == "/replicas/forget" => {
                    replicas::forget(&self.traffic, request.uri().query().unwrap_or_default())
                }
                Ok(()) if *request.method() == Method::POST => {
                    self.purge(request.uri().query().unwrap_or_default())
                }
                Ok(()) if path == "/" => page::page(),
                Ok(()) if path == "/metrics" => self.metrics(state, request.headers()).await,
                Ok(()) => answered(&self.whole(state).await, StatusCode::OK),
            },
        }
    }

    /// Degraded is ready: reads may still be answered from memory, and whoever asks for more is told why not. A restart would
    /// mend neither.
    async fn ready(&self, state: State) -> Response<Body> {
        let reasons = self.vitals.reasons().await;
        let (status, code) = match state {
            State::Ready if reasons.degraded.is_empty() => ("ready", StatusCode::OK),
            State::Ready => ("degraded", StatusCode::OK),
            State::Draining | State::Closing | State::Gone => ("draining", StatusCode::SERVICE_UNAVAILABLE),
        };
        answered(&json!({"status": status, "reasons": reasons.words()}), code)
    }

    async fn metrics(&self, state: State, headers: &HeaderMap) -> Response<Body> {
        let accepted: Vec<&str> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let format = Format::wanted(&accepted.join(","));
        let mut response = Response::new(Body::from(self.vitals.scrape(state, format).await));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
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
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;
    use crate::settings::{Flags, Settings};

    #[tokio::test]
    async fn probes_are_for_everyone_and_the_rest_is_for_this_machine() {
        let contract = Contract::embedded().expect("sound");
        let flags = Flags { sandbox: true, ..Flags::default() };
        let settings = Settings::load(&flags, &[]).expect("the defaults are sound");
        let traffic = Traffic::new(contract, &settings.policy);
        let desk = Desk::of_nothing(contract, &settings.policy.purchase);
        let mut admin = Admin {
            contract,
            traffic: traffic.clone(),
            desk,
            provider: String::new(),
            sandbox: true,
            replica: None,
            begun: ambient::instant(),
            vitals: Arc::new(Vitals::of_nothing(traffic, contract, &settings.policy)),
            levels: Arc::new(Levels::new(settings.log.levels)),
            everyone: false,
            ways: Ways::default(),
        };
        let named = async |admin: &Admin, method: &str, path: &str, host: &str, peer: &str| {
            let request = Request::builder().method(method).uri(path).header("host", host).body(None);
            let peer = Some(peer.parse().expect("an address"));
            admin.answer(State::Ready, &request.expect("a request"), peer).await.status().as_u16()
        };
        for (method, path, elsewhere) in [
            ("GET", "/livez", 200),
            ("GET", "/readyz", 200),
            ("GET", "/metrics", 403),
            ("GET", "/", 403),
            ("GET", "/status", 403),
            ("GET", "/log-level", 403),
            ("DELETE", "/log-level", 403),
            ("POST", "/cache/purge", 403),
        ] {
            for host in ["localhost", "10.1.2.4:7071"] {
                assert_eq!(
                    named(&admin, method, path, host, "10.1.2.3").await,
                    elsewhere,
                    "{path} by {host}"
                );
            }
            for peer in ["127.0.0.1", "::1"] {
                assert_eq!(named(&admin, method, path, "localhost", peer).await, 200, "{path} from {peer}");
            }
        }
        for (method, path) in [
            ("GET", "/livez"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/status"),
            ("POST", "/cache/purge"),
            ("POST", "/replicas/forget"),
            ("PUT", "/log-level"),
            ("GET", "/nothing"),
            ("PUT", "/livez"),
        ] {
            for everyone in [false, true] {
                admin.everyone = everyone;
                let status = named(&admin, method, path, "rebound.evil.com:7071", "127.0.0.1").await;
                assert_eq!(status, 403, "{path}");
            }
        }
        for (peer, status) in [("10.1.2.3", 403), ("127.0.0.1", 400)] {
            assert_eq!(named(&admin, "POST", "/replicas/forget", "localhost", peer).await, status, "{peer}");
        }
        for (path, status) in [("/metrics", 200), ("/status", 403)] {
            assert_eq!(named(&admin, "GET", path, "10.1.2.4:7071", "10.1.2.3").await, status, "{path}");
        }
    }
}
