//! The lane of what must not run twice: one connection a call, HTTP/1.1, no pool, no redirect, no repeat by any
//! library, and a count of the bytes handed over.
//!
//! As long as the count is zero, nothing can have reached the provider. From the first byte on, it may have.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::{Broken, MAX_ANSWER, Phase, Received, Target, Waits};
use crate::fault::Sent;

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

pub(super) struct Lane {
    target: Target,
    waits: Waits,
    tls: TlsConnector,
}

impl Lane {
    pub(super) fn new(target: Target, waits: Waits, tls: Arc<ClientConfig>) -> Self {
        Self { target, waits, tls: TlsConnector::from(tls) }
    }

    pub(super) async fn send(&self, body: Zeroizing<Vec<u8>>) -> Result<Received, Broken> {
        let written = Written::default();
        let exchange = self.exchange(body, &written);
        timeout(self.waits.total, exchange).await.unwrap_or_else(|_: Elapsed| {
            Err(Broken { at: Phase::Time, sent: written.verdict(), cause: "the time ran out".to_owned() })
        })
    }

    async fn exchange(&self, body: Zeroizing<Vec<u8>>, written: &Written) -> Result<Received, Broken> {
        let connect = |cause: String| Broken { at: Phase::Connect, sent: Sent::Never, cause };
        let stream = timeout(self.waits.connect, self.connect())
            .await
            .map_err(|_: Elapsed| connect("the time to connect ran out".to_owned()))?
            .map_err(|error| connect(error.to_string()))?;
        let stream = TokioIo::new(Counted { stream, written: written.clone() });
        let broken = |at: Phase, cause: String| Broken { at, sent: written.verdict(), cause };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(stream)
            .await
            .map_err(|error| broken(Phase::Connect, error.to_string()))?;
        let request = self.request(body).map_err(|error| broken(Phase::Send, error.to_string()))?;
        let answered = async {
            let response = sender.try_send_request(request).await.map_err(|mut error| {
                // A message that is handed back was never begun, whatever else happened.
                let sent = if error.take_message().is_some() { Sent::Never } else { written.verdict() };
                Broken { at: Phase::Send, sent, cause: error.into_error().to_string() }
            })?;
            let (head, mut body) = response.into_parts();
            let mut whole = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(Phase::Receive, error.to_string()))?;
                let Ok(data) = frame.into_data() else { continue };
                if whole.len() + data.len() > MAX_ANSWER {
                    return Err(broken(Phase::TooLong, format!("more than {MAX_ANSWER} bytes")));
                }
                whole.extend_from_slice(&data);
            }
            Ok(Received::new(head.status.as_u16(), &head.headers, whole.freeze()))
        };
        while_driving(answered, connection).await
    }

    /// Looks the name up, connects to the first address that answers, and shakes hands. Each address has its share
    /// of the time, so that one that swallows packets does not take all of it.
    async fn connect(&self) -> io::Result<Stream> {
        let found = tokio::net::lookup_host((self.target.host(), self.target.port())).await?;
        let addresses: Vec<SocketAddr> = found.collect();
        let share = self.waits.connect / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return self.shake(stream).await;
                }
                Ok(Err(error)) => last = error,
                Err(_elapsed) => {
                    last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer"))
                }
            }
        }
        Err(last)
    }

    async fn shake(&self, stream: TcpStream) -> io::Result<Stream> {
        if !self.target.tls() {
            return Ok(Stream::Plain(stream));
        }
        let name = ServerName::try_from(self.target.host().to_owned()).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(self.tls.connect(name, stream).await?)))
    }

    fn request(&self, body: Zeroizing<Vec<u8>>) -> http::Result<http::Request<Full<Bytes>>> {
        http::Request::builder()
            .method(Method::POST)
            .uri(self.target.path())
            .header(HOST, self.target.host_header())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static("*/*"))
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(Full::new(Bytes::from_owner(body)))
    }
}

/// Runs an exchange on a connection that needs to be driven meanwhile. It ends with the exchange.
pub(in super::super) async fn while_driving<T>(
    exchange: impl Future<Output = T>,
    connection: impl Future,
) -> T {
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            _ended = &mut connection, if open => open = false,
        }
    }
}

/// How many bytes of the request were handed to the stream, at most.
#[derive(Clone, Debug, Default)]
struct Written(Arc<AtomicU64>);

impl Written {
    fn verdict(&self) -> Sent {
        if self.0.load(Ordering::Acquire) == 0 { Sent::Never } else { Sent::Maybe }
    }
}

/// A connection with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Counts what is handed over, above TLS.
///
/// Bytes count before they are offered: a write that fails may still have sent some of them.
struct Counted {
    stream: Stream,
    written: Written,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.0.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
