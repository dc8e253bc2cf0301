//! What sends spans to their collector, in OTLP over HTTP (protobuf): in batches, behind everything else. A collector that is
//! down, slow or refuses costs spans, which are counted, and two lines of the log: when that begins, and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message as _;
use tokio::time::{sleep, timeout};

use super::Options;
use super::otlp::{self, Resource, Response};
use super::queue::Queue;
use crate::ambient;
use crate::outward;

/// How long spans are gathered before they are sent.
const GATHERED: Duration = Duration::from_secs(2);
/// How often the same are sent that the collector cannot take now, and the bound of the first wait; each further one is twice
/// as long.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait that the collector is granted.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The most of its answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// Sends spans.
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<Queue>,
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    resource: Resource,
    /// Whether the last attempt has failed.
    fails: AtomicBool,
}

/// Why spans were not taken.
struct Refusal {
    why: String,
    /// Whether it is worth to send them again.
    passes: bool,
    /// How long the collector asks to wait before that.
    wait: Option<Duration>,
    /// How many they are.
    spans: usize,
}

impl Exporter {
    /// One for this collector.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(options: Options, queue: Arc<Queue>) -> Result<Self, String> {
        let resource = Resource::of(&options);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(outward::tls(&options.extra_ca)?)
            .connect_timeout(options.timeout)
            .timeout(options.timeout)
            // What is sent along may be a token, which is for this collector and nobody else.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .http1_only()
            .build()
            .map_err(|error| error.to_string())?;
        let Options { url, headers, .. } = options;
        Ok(Self { queue, client, url, headers, resource, fails: AtomicBool::new(false) })
    }

    /// Sends what there is, for ever.
    pub async fn run(&self) {
        loop {
            self.queue.gathered(GATHERED).await;
            while self.deliver().await {}
        }
    }

    /// Sends what is left, as far as that is possible in this time.
    pub async fn flush(&self, time: Duration) {
        let all = async { while self.post().await.is_ok_and(|some| some) {} };
        let _or_over = timeout(time, all).await;
        let lost = self.queue.abandon();
        if lost > 0 {
            tracing::warn!(lost, "spans that the collector of traces has not taken are lost");
        }
    }

    /// Sends the oldest, again if that may help. Says whether more are waiting that are worth a request of their own.
    async fn deliver(&self) -> bool {
        let mut attempt = 1;
        loop {
            let refusal = match self.post().await {
                Ok(more) => return more,
                Err(refusal) => refusal,
            };
            if !refusal.passes || attempt >= ATTEMPTS {
                self.queue.done(refusal.spans, refusal.spans as u64);
                return false;
            }
            let bound = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempt - 1));
            let wait = refusal.wait.unwrap_or_default().saturating_add(bound.mul_f64(ambient::fraction()));
            sleep(wait.min(LONGEST_WAIT)).await;
            attempt += 1;
        }
    }

    /// Sends the oldest once. Says whether there may be more.
    async fn post(&self) -> Result<bool, Refusal> {
        let spans = self.queue.oldest();
        if spans.is_empty() {
            return Ok(false);
        }
        let taken = self.send(otlp::request(&self.resource, &spans).into(), spans.len()).await;
        let failed = self.fails.swap(taken.is_err(), Ordering::Relaxed);
        match taken {
            Ok(refused) => {
                self.queue.done(spans.len(), refused);
                if failed {
                    let dropped = self.queue.tally().dropped();
                    tracing::info!(dropped, "the collector takes traces again");
                }
                Ok(spans.len() == super::queue::BATCH)
            }
            Err(refusal) => {
                if !failed {
                    tracing::warn!(cause = refusal.why, "the collector does not take traces");
                }
                Err(refusal)
            }
        }
    }

    /// Sends a request, and says how many spans of it the collector did not take.
    async fn send(&self, body: Bytes, spans: usize) -> Result<u64, Refusal> {
        let passing = |why: String| Refusal { why, passes: true, wait: None, spans };
        let request = self
            .client
            .post(&self.url)
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"))
            .body(body);
        let mut response =
            request.send().await.map_err(|error| passing(outward::causes(&error.without_url())))?;
        let status = response.status();
        if !status.is_success() {
            let asked = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
            // Those, and no others, are said to pass (OTLP, "Retryable Response Codes").
            let passes = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            return Err(Refusal {
                why: format!("it answers {status}"),
                passes,
                wait: asked.map(Duration::from_secs),
                spans,
            });
        }
        let mut told = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| passing(outward::causes(&error.without_url())))?
        {
            if told.len() + chunk.len() > LONGEST {
                return Ok(0);
            }
            told.extend_from_slice(&chunk);
        }
        // It has taken them, whatever it says besides.
        let told = Response::decode(&*told).unwrap_or_default();
        let refused = told.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(refused).unwrap_or(0))
    }
}
