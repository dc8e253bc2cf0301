//! The control socket: what tests and people use alike to look at the stand-in and to make it misbehave.
//!
//! `GET /state`, `GET /ledger`, `GET /requests`, `GET /wire`, `GET /faults`, `POST /faults`, `DELETE /faults`,
//! `DELETE /requests`, `PUT /personality`, `PUT /credentials`, `POST /advance`, `POST /reset`.
//!
//! Absent here: an answer to a web page.

use std::net::IpAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post, put};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use super::World;
use super::account::Account;
use super::mischief::{Mischief, Order};
use super::personality::Personality;
use super::wire::Memory;

/// The longest order, in bytes: an answer of more than a megabyte can be ordered.
const LONGEST: usize = 8 * 1024 * 1024;

pub(super) async fn serve(listener: TcpListener, world: World) {
    let router = Router::new()
        .route("/state", get(async |State(world): State<World>| json(&json!(world.lock().account))))
        .route("/ledger", get(async |State(world): State<World>| json(&json!(world.lock().account.ledger))))
        .route("/requests", get(requests).delete(forget))
        .route("/wire", get(wire))
        .route("/faults", get(faults).post(order).delete(behave))
        .route("/personality", put(personality))
        .route("/credentials", put(credentials))
        .route("/advance", post(advance))
        .route("/reset", post(reset))
        .with_state(world)
        .layer(from_fn(programs));
    // Serving ends only with the process.
    let _never = axum::serve(listener, router).await;
}

/// Lets programs pass, and what a person typed into a browser.
async fn programs(request: Request<Body>, next: Next) -> Response<Body> {
    if is_page(request.headers()) {
        let mut refused = json(&json!({"error": "a web page may not do this"}));
        *refused.status_mut() = StatusCode::FORBIDDEN;
        return refused;
    }
    next.run(request).await
}

/// Whether a web page sends this, from another site or by a name that it has given this address. Such a name has a dot;
/// those of containers have none.
fn is_page(headers: &HeaderMap) -> bool {
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site != "none");
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let rebound = host.is_some_and(|host| {
        let bare = host.host().trim_start_matches('[').trim_end_matches(']');
        bare.contains('.') && bare.parse::<IpAddr>().is_err()
    });
    elsewhere || rebound || headers.contains_key(ORIGIN)
}

fn json(value: &Json) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn wrong(what: &str) -> Response<Body> {
    let mut response = json(&json!({"error": what}));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Response<Body>> {
    let bytes = to_bytes(request.into_body(), LONGEST).await.map_err(|error| wrong(&error.to_string()))?;
    let bytes = if bytes.is_empty() { "{}".into() } else { bytes };
    serde_json::from_slice(&bytes).map_err(|error| wrong(&error.to_string()))
}

async fn requests(State(world): State<World>) -> Response<Body> {
    json(&json!(world.lock().memory.requests))
}

/// Every byte that came in, by connection, as far as it is text.
async fn wire(State(world): State<World>) -> Response<Body> {
    let texts: Vec<String> = world
        .lock()
        .memory
        .connections
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    json(&json!(texts))
}

async fn forget(State(world): State<World>) -> Response<Body> {
    let memory = &mut world.lock().memory;
    let Memory { requests, connections, .. } = memory;
    requests.clear();
    connections.iter_mut().for_each(Vec::clear);
    json(&json!({}))
}

async fn faults(State(world): State<World>) -> Response<Body> {
    json(&json!(world.lock().mischief.orders()))
}

async fn order(State(world): State<World>, request: Request<Body>) -> Response<Body> {
    match body::<Order>(request).await {
        Ok(order) => {
            world.lock().mischief.add(order);
            json(&json!({}))
        }
        Err(wrong) => wrong,
    }
}

async fn behave(State(world): State<World>) -> Response<Body> {
    world.lock().mischief.clear();
    json(&json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    personality: String,
}

async fn personality(State(world): State<World>, request: Request<Body>) -> Response<Body> {
    match body::<Spoken>(request).await {
        Ok(spoken) => match Personality::named(&spoken.personality) {
            Some(personality) => {
                world.lock().personality = personality;
                json(&json!({}))
            }
            None => wrong(&format!("one of {}", Personality::ALL.map(Personality::as_str).join(", "))),
        },
        Err(wrong) => wrong,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    identifier: Option<String>,
    secret: String,
}

/// From now on another pair is accepted, and the one before is not.
async fn credentials(State(world): State<World>, request: Request<Body>) -> Response<Body> {
    match body::<Accepted>(request).await {
        Ok(Accepted { identifier, secret }) => {
            let pair = &mut world.lock().pair;
            *pair = (identifier.unwrap_or_else(|| pair.0.clone()), secret);
            json(&json!({}))
        }
        Err(wrong) => wrong,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ahead {
    seconds: i64,
}

async fn advance(State(world): State<World>, request: Request<Body>) -> Response<Body> {
    match body::<Ahead>(request).await {
        Ok(ahead) => {
            world.lock().account.advance(ahead.seconds.saturating_mul(1000));
            json(&json!({}))
        }
        Err(wrong) => wrong,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Anew {
    balance_vnd: Option<i64>,
}

/// A new account, without orders and memory.
async fn reset(State(world): State<World>, request: Request<Body>) -> Response<Body> {
    match body::<Anew>(request).await {
        Ok(anew) => {
            let mut options = (*world.options).clone();
            options.balance_vnd = anew.balance_vnd.unwrap_or(options.balance_vnd);
            let shared = &mut *world.lock();
            shared.account = Account::new(&options);
            shared.mischief = Mischief::default();
            shared.personality = options.personality;
            shared.memory.requests.clear();
            json(&json!({}))
        }
        Err(wrong) => wrong,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn pages_are_told_from_programs() {
        let sent = |headers: &[(&'static str, &'static str)]| {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            is_page(&headers)
        };
        for host in ["127.0.0.1:7072", "[::1]:7072", "10.1.2.3", "localhost:7072", "sandbox:7072"] {
            assert!(!sent(&[("host", host)]), "{host}");
            assert!(!sent(&[("host", host), ("sec-fetch-site", "none")]), "{host}");
            assert!(sent(&[("host", host), ("sec-fetch-site", "cross-site")]), "{host}");
            assert!(sent(&[("host", host), ("origin", "null")]), "{host}");
        }
        assert!(sent(&[("host", "rebound.evil.com:7072")]));
    }
}
