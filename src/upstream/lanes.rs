//! Two ways to send. What may be repeated shares a pool of connections; what must not run twice gets a fresh
//! connection of its own, whose bytes are counted, so that "nothing was sent" is known and not guessed.

mod fresh;
mod pooled;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{DATE, LOCATION, RETRY_AFTER, SERVER};
use tokio_rustls::rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

pub(super) use fresh::while_driving;

use super::retry_after;
use super::target::Target;
use crate::ambient;
use crate::fault::Sent;
use crate::outward;

/// The longest answer that is read, in bytes.
pub(super) const MAX_ANSWER: usize = 1024 * 1024;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// For a connection, from looking up the name to the end of the TLS handshake.
    pub(super) connect: Duration,
    /// For everything, from looking up the name to the last byte of the answer.
    pub(super) total: Duration,
}

/// A request with nothing left to decide.
pub(super) enum Request {
    /// Without credentials: `GET ?action=…`.
    Get(Vec<(String, String)>),
    /// With credentials in its body.
    Post(Zeroizing<Vec<u8>>),
}

/// What came back, not yet understood.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    pub(super) server: Option<String>,
    pub(super) body: Bytes,
}

impl Received {
    fn new(status: u16, headers: &HeaderMap, body: Bytes) -> Self {
        let header =
            |name| headers.get(name).and_then(|v: &http::HeaderValue| v.to_str().ok()).map(str::to_owned);
        Self {
            status,
            retry_after: header(RETRY_AFTER)
                .and_then(|wait| retry_after::read(&wait, header(DATE).as_deref(), ambient::wall_clock())),
            location: header(LOCATION),
            server: header(SERVER),
            body,
        }
    }
}

/// An exchange that did not come to its end.
#[derive(Debug)]
pub(super) struct Broken {
    /// Where it broke.
    pub(super) at: Phase,
    /// Whether the provider may have the request.
    pub(super) sent: Sent,
    /// What the library said, for the log.
    pub(super) cause: String,
}

/// The steps of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Name, connection and TLS.
    Connect,
    /// The request.
    Send,
    /// The answer.
    Receive,
    /// The answer is longer than is read.
    TooLong,
    /// The time for the whole ran out.
    Time,
}

impl Phase {
    /// The rule named in an error.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::Connect => "transport_connect",
            Self::Send => "transport_send",
            Self::Receive => "transport_receive",
            Self::TooLong => "answer_too_long",
            Self::Time => "transport_time",
        }
    }
}

/// Both lanes to one provider.
pub(super) struct Lanes {
    pooled: pooled::Lane,
    fresh: fresh::Lane,
}

impl Lanes {
    /// Builds both.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(
        target: &Target,
        waits: Waits,
        extra_ca: &[CertificateDer<'static>],
    ) -> Result<Self, String> {
        let tls = outward::tls(extra_ca)?;
        Ok(Self {
            pooled: pooled::Lane::new(target.clone(), waits, tls.clone())?,
            fresh: fresh::Lane::new(target.clone(), waits, Arc::new(tls)),
        })
    }

    /// Sends what may be repeated.
    pub(super) async fn send_shared(&self, request: Request) -> Result<Received, Broken> {
        self.pooled.send(request).await
    }

    /// Sends what must not run twice, which always carries credentials.
    pub(super) async fn send_alone(&self, body: Zeroizing<Vec<u8>>) -> Result<Received, Broken> {
        self.fresh.send(body).await
    }
}
