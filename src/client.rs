//! Who calls gizad from outside, as its own command line does: one call over REST, to a URL or over a Unix socket.
//!
//! Nothing is sent a second time, no redirect is followed, and a token goes nowhere in the clear but to this machine. Absent
//! here: what a call means to anybody, and how its answer is shown.

mod events;
mod place;
mod request;

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use serde_json::Value as Json;
use tokio_rustls::rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::outward;

pub use events::{Event, Events};
pub use place::Place;
pub use request::{Request, Unfit};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The media type of streams.
const EVENTS: &[u8] = b"text/event-stream";

/// How gizad is reached.
#[derive(Clone)]
pub struct Options {
    /// Where it is.
    pub place: Place,
    /// Who calls; nothing for whom the connection names.
    pub token: Option<Zeroizing<String>>,
    /// Certificates that are trusted beside those of the browsers.
    pub extra_ca: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A way to gizad.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<HeaderValue>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body, if it is JSON; otherwise its text.
    pub body: Json,
}

impl Answer {
    /// Whether it is what was asked for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What came of opening a stream.
pub enum Opened {
    /// The stream.
    Stream(Events),
    /// Something else: a refusal, or, if it is a success, that there is nothing more to come.
    Answer(Answer),
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nobody is there, so nothing was sent.
    Unreachable(String),
    /// It broke off on the way: gizad may have it.
    Off(String),
}

impl Client {
    /// Makes a way.
    ///
    /// # Errors
    /// When the token is none, or TLS cannot be set up.
    pub fn new(options: &Options) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(outward::tls(&options.extra_ca)?)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .http1_only();
        if let Place::Socket(path) = &options.place {
            builder = builder.unix_socket(path.as_path());
        }
        let token = options.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.as_str()))
                .map_err(|_| "the token has characters that no token has".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self {
            http: builder.build().map_err(|error| error.to_string())?,
            base: options.place.base(),
            token: token.transpose()?,
        })
    }

    /// Makes one call, and waits for its answer as long as gizad takes: it always answers, after `Request-Timeout` at the latest.
    ///
    /// # Errors
    /// Why there is no answer, and whether gizad may have the call.
    pub async fn call(&self, request: &Request) -> Result<Answer, Broken> {
        whole(self.send(request).await?).await
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn open(&self, request: &Request) -> Result<Opened, Broken> {
        let response = self.send(request).await?;
        let kind = response.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        if kind.starts_with(EVENTS) {
            return Ok(Opened::Stream(Events::new(response)));
        }
        whole(response).await.map(Opened::Answer)
    }

    async fn send(&self, request: &Request) -> Result<reqwest::Response, Broken> {
        let method = match request.method.parse() {
            Ok(method) => method,
            Err(_never) => Method::GET,
        };
        let mut asking = self.http.request(method, format!("{}{}", self.base, request.path));
        if let Some(token) = &self.token {
            asking = asking.header(AUTHORIZATION, token.clone());
        }
        for (name, value) in &request.headers {
            asking = asking.header(*name, value);
        }
        if let Some(body) = &request.body {
            asking = asking
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.to_string());
        }
        asking.send().await.map_err(broken)
    }
}

async fn whole(response: reqwest::Response) -> Result<Answer, Broken> {
    let status = response.status().as_u16();
    let bytes = response.bytes().await.map_err(broken)?;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Json::String(String::from_utf8_lossy(&bytes).trim().to_owned()));
    Ok(Answer { status, body })
}

/// Only a connection that did not come about proves that nothing was sent.
fn broken(error: reqwest::Error) -> Broken {
    let (never, error) = (error.is_connect() || error.is_builder(), error.without_url());
    let text = outward::causes(&error);
    if never { Broken::Unreachable(text) } else { Broken::Off(text) }
}
