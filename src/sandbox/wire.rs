//! The provider's socket: HTTP as the guide describes it, and a memory of every byte that came in.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::World;
use super::actions::{PUBLIC, perform};
use super::mischief::{Canned, Fault, wait};
use super::params::Params;
use super::payload::{Kind, Payload, Refusal};
use super::replay::Played;
use crate::ambient;

/// How many requests and connections are remembered.
const REMEMBERED: usize = 4096;
/// The longest request that is remembered whole, in bytes.
const LONGEST: usize = 256 * 1024;

/// What was received.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The requests, oldest first.
    pub(super) requests: VecDeque<Seen>,
    /// When the first of all came.
    first: Option<Instant>,
    /// The bytes of each connection.
    pub(super) connections: VecDeque<Vec<u8>>,
    /// How many connections were ever accepted.
    accepted: usize,
}

/// A request.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    connection: usize,
    /// When it was whole, in microseconds since the first.
    at_us: u64,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// The body, byte for byte as far as it is text.
    body: String,
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on order")
    }
}

impl std::error::Error for Closed {}

type Answer = Response<BoxBody<Bytes, Closed>>;

pub(super) async fn serve(listener: TcpListener, world: World) {
    loop {
        let Ok((stream, _peer)) = listener.accept().await else {
            sleep(wait(10)).await;
            continue;
        };
        let _best_effort = stream.set_nodelay(true);
        let connection = {
            let memory = &mut world.lock().memory;
            memory.accepted += 1;
            memory.connections.push_back(Vec::new());
            if memory.connections.len() > REMEMBERED {
                memory.connections.pop_front();
            }
            memory.accepted
        };
        let stream = Remembered { stream, connection, world: world.clone() };
        let world = world.clone();
        let service = hyper::service::service_fn(move |request| answer(world.clone(), connection, request));
        #[expect(clippy::disallowed_methods, reason = "a connection's task, which ends with its client")]
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(world: World, connection: usize, request: Request<Incoming>) -> Result<Answer, Closed> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_broken| Closed)?.to_bytes();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let seen = Seen {
        connection,
        at_us: 0,
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let asked = read(&world, &parts.method, parts.uri.query().unwrap_or_default(), &body);
    let action = asked.as_ref().map_or("", |(action, _)| action).to_owned();
    let (fault, played) = {
        let shared = &mut *world.lock();
        // Within the lock, so that the order of the times is that of the requests.
        let now = ambient::instant();
        let first = *shared.memory.first.get_or_insert(now);
        let at_us = u64::try_from((now - first).as_micros()).unwrap_or(u64::MAX);
        shared.memory.requests.push_back(Seen { at_us, ..seen });
        if shared.memory.requests.len() > REMEMBERED {
            shared.memory.requests.pop_front();
        }
        let played = match (&mut shared.replay, &asked) {
            (Some(replay), Ok((action, members))) => Some(replay.next(action, members)),
            // A wrong key is none of the recording's.
            (Some(_), Err(_)) | (None, _) => None,
        };
        (shared.mischief.next(&action), played)
    };
    match played {
        Some(Played::Answer(canned)) => return Ok(whole(&canned)),
        Some(Played::Broken) => return Err(Closed),
        None => {}
    }
    let carry_out = || execute(&world, asked.clone());
    match fault {
        None => Ok(whole(&carry_out())),
        Some(Fault::Delay { ms }) => {
            sleep(wait(ms)).await;
            Ok(whole(&carry_out()))
        }
        Some(Fault::Answer(canned)) => Ok(whole(&canned)),
        Some(Fault::AnswerAfter(canned)) => {
            carry_out();
            Ok(whole(&canned))
        }
        Some(Fault::RateLimited { retry_after }) => {
            let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
            Ok(whole(&Canned::new(429, headers.into_iter().collect(), r#"{"message":"Too many requests"}"#)))
        }
        Some(Fault::Error500) => Ok(whole(&Canned::new(500, Vec::new(), ""))),
        Some(Fault::Html) => Ok(whole(&Canned::new(200, vec![html()], MAINTENANCE))),
        Some(Fault::Truncate) => Ok(half(&carry_out())),
        Some(Fault::CloseBefore) => Err(Closed),
        Some(Fault::CloseAfter) => {
            carry_out();
            Err(Closed)
        }
        Some(Fault::ExecuteLate { ms }) => {
            let late = world.clone();
            #[expect(clippy::disallowed_methods, reason = "it outlives the connection on purpose")]
            tokio::spawn(async move {
                sleep(wait(ms)).await;
                execute(&late, asked);
            });
            Err(Closed)
        }
        Some(Fault::Stall) => {
            carry_out();
            std::future::pending::<Infallible>().await;
            Err(Closed)
        }
        Some(Fault::WrongShape) => {
            carry_out();
            Ok(whole(&Canned::new(200, Vec::new(), r#"{"foo":{"bar":[1,2,3]},"time":"now"}"#)))
        }
    }
}

/// The action and its parameters, or why there are none.
fn read(
    world: &World,
    method: &Method,
    query: &str,
    body: &[u8],
) -> Result<(String, Map<String, Json>), Refusal> {
    let mut members: Map<String, Json> = if *method == Method::GET {
        form_urlencoded::parse(query.as_bytes())
            .map(|(n, v)| (n.into_owned(), Json::String(v.into_owned())))
            .collect()
    } else {
        serde_json::from_slice(body).map_err(|_| Refusal::new(Kind::Invalid, "JSON không hợp lệ"))?
    };
    let mut take = |name: &str| members.shift_remove(name).and_then(|json| json.as_str().map(str::to_owned));
    let (action, identifier, secret) = (take("action"), take("identifier"), take("secret"));
    members.shift_remove("frontend_source");
    let action = action.ok_or_else(|| Refusal::new(Kind::Invalid, "Thiếu tham số action"))?;
    let given = identifier.clone().zip(secret.clone());
    let known = given.is_some_and(|given| given == world.lock().pair);
    let open = PUBLIC.contains(&action.as_str()) && identifier.is_none() && secret.is_none();
    if known || open { Ok((action, members)) } else { Err(Refusal::new(Kind::Auth, "Authentication Failed")) }
}

/// Carries a request out and spells the answer.
fn execute(world: &World, asked: Result<(String, Map<String, Json>), Refusal>) -> Canned {
    let shared = &mut *world.lock();
    let answer: Result<Payload, Refusal> =
        asked.and_then(|(action, members)| perform(&mut shared.account, &action, &Params(&members)));
    let (status, json) = shared.personality.speak(&answer);
    let kind = ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned());
    Canned::new(status, vec![kind], &json.to_string())
}

fn whole(canned: &Canned) -> Answer {
    let mut response = Response::new(Full::from(canned.bytes()).map_err(|never| match never {}).boxed());
    decorate(&mut response, canned);
    response
}

/// An answer that announces its length and breaks off in the middle.
fn half(canned: &Canned) -> Answer {
    let bytes = Bytes::from(canned.bytes());
    let length = bytes.len();
    let first = bytes.slice(..length / 2);
    let mut response = Response::new(Half { first: Some(first), waited: false }.boxed());
    decorate(&mut response, canned);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn decorate(response: &mut Answer, canned: &Canned) {
    if let Ok(status) = canned.status.try_into() {
        *response.status_mut() = status;
    }
    for (name, value) in &canned.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
}

fn html() -> (String, String) {
    (CONTENT_TYPE.to_string(), "text/html; charset=utf-8".to_owned())
}

const MAINTENANCE: &str = "<!DOCTYPE html><html><head><title>Website đang bảo trì</title></head><body><h1>Hệ thống đang bảo trì</h1></body></html>";

/// A body that breaks off: its first part, a poll for it to be sent, then an error.
struct Half {
    first: Option<Bytes>,
    waited: bool,
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if !self.waited {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Closed)))
    }
}

/// A connection whose incoming bytes are kept.
struct Remembered {
    stream: TcpStream,
    connection: usize,
    world: World,
}

impl AsyncRead for Remembered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            let memory = &mut self.world.lock().memory;
            // The newest connection is the last one kept.
            let back = memory.accepted - self.connection;
            let index = memory.connections.len().checked_sub(back + 1);
            if let Some(kept) = index.and_then(|index| memory.connections.get_mut(index))
                && kept.len() < LONGEST
            {
                kept.extend_from_slice(new);
            }
        }
        polled
    }
}

impl AsyncWrite for Remembered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
