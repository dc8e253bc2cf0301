//! Connections: accepted, limited, served, and let go of one by one when the daemon stops.

mod door;
mod flow;
mod places;
mod pulse;
mod stream;
mod worth;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use door::Arrived;
use flow::Turn;
use places::Place;
use pulse::{Order, Pulse};
use stream::Begun;

pub(super) use flow::Streaming;

pub use door::{Door, Guest};
pub use flow::Arriving;
pub use places::{Places, SPARE};

/// What some listeners allow together.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once. When there are as many, a newcomer takes the place of one that waits.
    pub connections: usize,
    /// Those of one address, or one user of this machine.
    pub connections_per_peer: usize,
    /// How long the head of a request may take to arrive, and a connection to begin before it.
    pub head_timeout: Duration,
    /// How long a connection may be kept without a call.
    pub idle_timeout: Duration,
    /// How long the other side may not take what is there for it.
    pub write_timeout: Duration,
    /// Streams at once in one HTTP/2 connection.
    pub streams: u32,
}

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long to rest when the system has no descriptor left, before accepting again.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);
/// Streams at once in one HTTP/2 connection, where nobody says otherwise.
pub const STREAMS: u32 = 256;
/// Bytes of a request's body that may be on their way unread, in one stream of HTTP/2 and in one connection.
const WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);
/// What is said with the last answer of a connection.
const LAST_ONE: HeaderValue = HeaderValue::from_static("close");
/// What a newcomer is told for whom there is no place.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 68\r\n\
    retry-after: 1\r\nconnection: close\r\n\r\nall connections that limits.connections_per_peer allows are at work\n";

/// Serves one listener.
pub struct Accept {
    /// Bound already.
    pub door: Door,
    /// Where those find place who come in.
    pub places: Arc<Places>,
    /// How many connections are open.
    pub open: Arc<AtomicUsize>,
    /// Those who want to know whether it still takes its turns.
    pub knocks: mpsc::Receiver<oneshot::Sender<()>>,
}

/// A connection that is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Accept {
    /// Serves until `stop` is done, each request with who sent it, then lets every connection finish what it has begun,
    /// however long that takes: the bound is its caller's.
    ///
    /// An error of `accept` never ends it.
    pub async fn run<A, F>(mut self, answer: A, stop: impl Future<Output = ()>)
    where
        A: Fn(Request<Arriving>, Guest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.door.next() => accepted,
                Some(knock) = self.knocks.recv() => {
                    let _gone = knock.send(());
                    continue;
                }
                () = &mut stop => break,
            };
            let arrived = match accepted {
                Ok(arrived) => arrived,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(EXHAUSTED_REST).await;
                    continue;
                }
            };
            // Whoever is gone already has no name.
            let Ok(peer) = arrived.peer() else { continue };
            let entry = tokio::select! {
                // Whoever has come in already and finds a place is not sent away.
                biased;
                entry = self.places.receive(peer) => entry,
                () = &mut stop => break,
            };
            let Some(entry) = entry else {
                arrived.turn_away(FULL);
                continue;
            };
            let (open, answer) = (Open::new(&self.open), answer.clone());
            #[expect(
                clippy::disallowed_methods,
                reason = "a connection's task, which ends soon or has a place"
            )]
            tokio::spawn(async move {
                match entry.place().await {
                    Some(place) => serve(arrived, place, answer).await,
                    None => arrived.turn_away(FULL),
                }
                drop(open);
            });
        }
        drop(self.door);
        drop(self.knocks);
        self.places.close().await;
    }
}

/// Serves one connection, from its first byte to its last.
async fn serve<A, F>(arrived: Arrived, place: Place, answer: A)
where
    A: Fn(Request<Arriving>, Guest) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let pulse = place.pulse.clone();
    match unless_ended(&pulse, begin(arrived, &pulse)).await {
        Some(Ok(Some((stream, guest)))) => {
            let is_http2 = stream.is_http2();
            let calls = pulse.clone();
            let standing = place.standing();
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let mut turn = Turn::new(&calls);
                let answering = answer(request.map(|body| turn.arriving(body)), guest.clone());
                let standing = standing.clone();
                answering.map(move |mut response| {
                    if !is_http2 && standing.is_closing() {
                        response.headers_mut().insert(CONNECTION, LAST_ONE);
                    }
                    Ok::<_, Infallible>(turn.answered(response, !is_http2))
                })
            });
            let stream = TokioIo::new(stream);
            let ended = if is_http2 {
                pulse.speaks_http2();
                if place.standing().is_closing() {
                    pulse.tell(Order::Finish);
                }
                finish(http2(place.streams()).serve_connection(stream, service), &pulse).await
            } else {
                let connection =
                    http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(stream, service);
                finish(connection, &pulse).await
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        }
        Some(Err(error)) => tracing::debug!(%error, "a connection did not come about"),
        // It said nothing, or too slowly.
        Some(Ok(None)) | None => {}
    }
    drop(place);
}

/// Waits until a connection has said who it is, and something besides.
async fn begin(arrived: Arrived, pulse: &Arc<Pulse>) -> io::Result<Option<(Begun, Guest)>> {
    let (stream, guest) = arrived.greet().await?;
    Ok(Begun::new(stream, pulse.clone()).await?.map(|stream| (stream, guest)))
}

/// What comes of something, unless its connection is told to end before, or to finish when it has said nothing.
async fn unless_ended<T>(pulse: &Pulse, doing: impl Future<Output = T>) -> Option<T> {
    let mut doing = pin!(doing);
    poll_fn(|cx| match (doing.as_mut().poll(cx), pulse.told(cx.waker())) {
        (Poll::Ready(done), _) => Poll::Ready(Some(done)),
        (Poll::Pending, Order::Stay) => Poll::Pending,
        (Poll::Pending, Order::Finish | Order::Leave | Order::End) => Poll::Ready(None),
    })
    .await
}

/// Serves a connection as long as it may stay. What has arrived is looked at before it is told to finish, so that nothing is
/// lost that was said before.
async fn finish<C: GracefulConnection>(connection: C, pulse: &Pulse) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    let (mut is_finishing, mut is_spared) = (false, false);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            match pulse.told(cx.waker()) {
                Order::End => return Poll::Ready(Ok(())),
                Order::Leave if !is_spared && pulse.waits() => return Poll::Ready(Ok(())),
                // Gizad works for it by now, and then its answer needs the time to go: the watch ends it if it takes more.
                Order::Leave => is_spared = true,
                Order::Stay | Order::Finish => {}
            }
            if is_finishing || pulse.order() == Order::Stay {
                return Poll::Pending;
            }
            is_finishing = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await
}

/// Rapid resets, floods of CONTINUATION and of settings are bounded by the library itself, whose limits are these.
fn http2(streams: u32) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(MAX_HEAD as u32)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
