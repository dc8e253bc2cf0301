//! Connections: accepted, limited, served, and let go of one by one when the daemon stops.

mod door;
mod stream;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use door::Arrived;
use stream::Begun;

pub use door::{Door, Guest};

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take to arrive, and a connection to begin before it.
    pub head_timeout: Duration,
}

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Streams at once in one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// How long to rest when the system has no descriptor left, before accepting again.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// Serves one listener.
pub struct Accept {
    /// Bound already.
    pub door: Door,
    /// What it allows.
    pub limits: Limits,
    /// How many connections are open.
    pub open: Arc<AtomicUsize>,
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
    pub async fn run<A, F>(self, answer: A, stop: impl Future<Output = ()>)
    where
        A: Fn(Request<Incoming>, Guest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let builder = builder(&self.limits);
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.next(&places) => accepted,
                () = &mut stop => break,
            };
            let (arrived, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(EXHAUSTED_REST).await;
                    continue;
                }
            };
            let (answer, builder, watcher) = (answer.clone(), builder.clone(), graceful.watcher());
            let (patience, open) = (self.limits.head_timeout, Open::new(&self.open));
            #[expect(clippy::disallowed_methods, reason = "a connection's task, which `graceful` waits for")]
            tokio::spawn(async move {
                match timeout(patience, begin(arrived)).await {
                    Ok(Ok(Some((stream, guest)))) => {
                        let service = hyper::service::service_fn(move |request| {
                            answer(request, guest.clone()).map(Ok::<_, std::convert::Infallible>)
                        });
                        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                        if let Err(error) = watcher.watch(connection).await {
                            tracing::debug!(%error, "a connection ended early");
                        }
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a connection did not come about"),
                    // It said nothing.
                    Ok(Ok(None)) | Err(_) => {}
                }
                drop((place, open));
            });
        }
        drop(self.door);
        graceful.shutdown().await;
    }

    /// The next connection, once there is a place for it.
    async fn next(&self, places: &Arc<Semaphore>) -> io::Result<(Arrived, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        Ok((self.door.next().await?, place))
    }
}

/// Waits until a connection has said who it is, and something besides.
async fn begin(arrived: Arrived) -> io::Result<Option<(Begun, Guest)>> {
    let (stream, guest) = arrived.greet().await?;
    Ok(Begun::new(stream).await?.map(|stream| (stream, guest)))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
