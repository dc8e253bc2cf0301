//! The lane of what may be repeated: pooled connections, and every convenience of the client switched off.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tokio_rustls::rustls::ClientConfig;

use super::{Broken, MAX_ANSWER, Phase, Received, Request, Target, Waits};
use crate::fault::Sent;
use crate::outward;

pub(super) struct Lane {
    client: reqwest::Client,
    target: Target,
}

impl Lane {
    pub(super) fn new(target: Target, waits: Waits, tls: ClientConfig) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(waits.connect)
            .timeout(waits.total)
            // A redirect would carry the key along; a repeat is the policy's decision; a proxy sees the key.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .http1_only()
            .pool_max_idle_per_host(256)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, target })
    }

    pub(super) async fn send(&self, request: Request) -> Result<Received, Broken> {
        let uri = self.target.uri();
        let builder = match request {
            Request::Get(pairs) => {
                let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                self.client.get(format!("{uri}?{query}"))
            }
            Request::Post(body) => self
                .client
                .post(uri.to_string())
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(Bytes::from_owner(body)),
        };
        let mut response = builder.send().await.map_err(broken)?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let cause = format!("more than {MAX_ANSWER} bytes");
                return Err(Broken { at: Phase::TooLong, sent: Sent::Maybe, cause });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Received::new(status, &headers, body.freeze()))
    }
}

/// Only a failed connection proves that nothing was sent; this lane does not count bytes.
fn broken(error: reqwest::Error) -> Broken {
    let (at, sent) = if error.is_connect() {
        (Phase::Connect, Sent::Never)
    } else if error.is_timeout() {
        (Phase::Time, Sent::Maybe)
    } else if error.is_body() || error.is_decode() {
        (Phase::Receive, Sent::Maybe)
    } else {
        (Phase::Send, Sent::Maybe)
    };
    Broken { at, sent, cause: outward::causes(&error.without_url()) }
}
