//! Asks a running gizad how it is, as a probe that is a command does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it lives.
    Live,
    /// Whether it takes calls.
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }
}

/// Why it is not well.
#[derive(Debug)]
pub enum Unwell {
    /// Nobody answers there.
    Silent(SocketAddr, String),
    /// Nobody has answered in time.
    Late(SocketAddr, Duration),
    /// It says so itself.
    Told(StatusCode, String),
}

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(address, why) => write!(f, "no gizad answers at {address}: {why}"),
            Self::Late(address, time) => write!(f, "no answer from {address} within {time:?}"),
            Self::Told(status, what) => write!(f, "{what} ({status})"),
        }
    }
}

impl std::error::Error for Unwell {}

/// Asks whoever listens there, and says what it answers if that is well.
///
/// # Errors
/// Why it is not.
pub async fn health(listens: SocketAddr, probe: Probe, time: Duration) -> Result<String, Unwell> {
    let address = reached(listens);
    let answered = timeout(time, ask(address, Method::GET, probe.path(), None))
        .await
        .map_err(|_| Unwell::Late(address, time))?;
    let (status, body) = answered.map_err(|why| Unwell::Silent(address, why))?;
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(word) = told.get("status").and_then(Value::as_str) else {
        return Err(Unwell::Silent(address, "something else does".to_owned()));
    };
    let reasons = told.get("reasons").and_then(Value::as_array).into_iter().flatten();
    let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
    let what = if reasons.is_empty() { word.to_owned() } else { format!("{word}: {}", reasons.join(", ")) };
    if status.is_success() { Ok(what) } else { Err(Unwell::Told(status, what)) }
}

/// Whoever listens on all addresses is reached on this machine's own.
pub(super) fn reached(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// Asks the admin listener for something.
pub(super) async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Vec<u8>), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let asking = async {
        let request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let request = request.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes().to_vec()))
    };
    tokio::pin!(asking);
    tokio::select! {
        answered = &mut asking => answered,
        // What was answered may have come with the end.
        _ended = connection => asking.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_here() {
        for (listens, address) in [
            ("0.0.0.0:7071", "127.0.0.1:7071"),
            ("[::]:7071", "[::1]:7071"),
            ("10.1.2.3:7071", "10.1.2.3:7071"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(reached(listens.parse().expect("an address")).to_string(), address);
        }
    }
}
