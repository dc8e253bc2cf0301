//! Connections: accepted, limited, served, and let go of one by one when the daemon stops.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take to arrive.
    pub head_timeout: Duration,
}

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Streams at once in one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// What every HTTP/2 connection begins with (RFC 9113).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long to rest before looking at the beginning of a connection again.
const PEEK_AGAIN: Duration = Duration::from_millis(10);
/// How long to rest when the system has no descriptor left, before accepting again.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// Serves one listener.
pub struct Accept {
    /// Bound already.
    pub listener: TcpListener,
    /// What it allows.
    pub limits: Limits,
}

impl Accept {
    /// Serves until `stop` is done, each request with the address it comes from, then lets every connection finish what it has begun, however long that takes: the
    /// bound is its caller's.
    ///
    /// An error of `accept` never ends it.
    pub async fn run<A, F>(self, answer: A, stop: impl Future<Output = ()>)
    where
        A: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let places = std::sync::Arc::new(Semaphore::new(self.limits.connections));
        let builder = builder(&self.limits);
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.next(&places) => accepted,
                () = &mut stop => break,
            };
            let (stream, peer, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(EXHAUSTED_REST).await;
                    continue;
                }
            };
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request| {
                answer(request, peer).map(Ok::<_, std::convert::Infallible>)
            });
            let (builder, watcher, head_timeout) =
                (builder.clone(), graceful.watcher(), self.limits.head_timeout);
            #[expect(clippy::disallowed_methods, reason = "a connection's task, which `graceful` waits for")]
            tokio::spawn(async move {
                let speaking = timeout(head_timeout, speaks(&stream)).await;
                if matches!(speaking, Ok(Ok(true))) {
                    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    if let Err(error) = watcher.watch(connection).await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                drop(place);
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    /// The next connection, once there is a place for it.
    async fn next(
        &self,
        places: &std::sync::Arc<Semaphore>,
    ) -> io::Result<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        // Answers are small and written at once; waiting to fill a segment only delays them.
        stream.set_nodelay(true)?;
        Ok((stream, peer.ip().to_canonical(), place))
    }
}

/// Waits until a connection has said enough to tell HTTP/1 from HTTP/2, for which the library would wait for ever.
/// False if it ends before.
async fn speaks(stream: &TcpStream) -> io::Result<bool> {
    let mut begun = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut begun).await?;
        let said = begun.get(..length).unwrap_or_default();
        if length == 0 || length == PREFACE.len() || !PREFACE.starts_with(said) {
            return Ok(length > 0);
        }
        // What is there already would be seen again at once.
        sleep(PEEK_AGAIN).await;
    }
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
