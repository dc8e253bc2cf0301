//! The provider: a call into its flat JSON, its answer into a reply or a fault.
//!
//! The only room with an HTTP client, the only holder of the credentials, and the only one that knows the
//! provider's way of speaking. Absent here: a caller's face, a policy.

mod credentials;
mod decode;
mod encode;
mod examine;
mod judge;
mod lanes;
mod mapping;
mod reading;
mod record;
mod retry_after;
mod sample;
mod shape;
mod target;
mod value;

use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::Value as Json;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tower::Service;

use crate::ambient;
use crate::call::{Call, Reply};
use crate::contract::{Effect, Field, Operation};
use crate::fault::{Fault, Judged, Reason, Sent};
use crate::traces::{Kind, Span};

pub use credentials::Credentials;
pub use examine::{Answered, Certificate, Reached, Seen, examine};
pub use judge::Words;
pub use mapping::{Mapping, Row};
pub use record::Recorder;
pub use sample::{Sample, Understood};
pub use shape::{Drift, Shape};
pub use target::Target;

use decode::Unfit;
use encode::Outgoing;
use judge::Judge;
use lanes::{Broken, Lanes, Phase, Received, Request, Waits};
use reading::Reading;
use record::Exchanged;

/// What stands for a text that is not shown.
const REDACTED: &str = "[redacted]";
/// The shortest secret of a caller that is taken out of what is shown, in characters.
const SHORTEST: usize = 6;

/// The provider's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its endpoint.
    pub target: Target,
    /// The name of this installation, sent with every request when it is not empty.
    pub frontend_source: String,
    /// How long a connection may take, from looking up the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take.
    pub timeout: Duration,
    /// Certificates that are trusted beside those of the browsers.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// Words that name reasons, beside those that are known.
    pub words: Words,
    /// What is known of its answers beside the contract.
    pub mapping: Mapping,
    /// Where exchanges are written down, if they are.
    pub recorder: Option<Recorder>,
}

/// The provider as a service: the last layer of every stack.
#[derive(Clone)]
pub struct Upstream {
    way: Arc<Way>,
    /// The pair that is used from the next call on.
    credentials: Arc<RwLock<Arc<Credentials>>>,
}

/// How the provider is reached.
struct Way {
    options: Options,
    lanes: Lanes,
    /// What is used from the next answer on.
    mapping: RwLock<Mapping>,
}

impl Way {
    fn mapping(&self) -> Mapping {
        self.mapping.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Upstream {
    /// Builds the provider's client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(options: Options, credentials: Credentials) -> Result<Self, String> {
        let waits = Waits { connect: options.connect_timeout, total: options.timeout };
        let lanes = Lanes::new(&options.target, waits, &options.extra_ca)?;
        let credentials = Arc::new(RwLock::new(Arc::new(credentials)));
        let mapping = RwLock::new(options.mapping.clone());
        Ok(Self { way: Arc::new(Way { options, lanes, mapping }), credentials })
    }

    /// The same provider, asked with another pair: to try that before it is used.
    #[must_use]
    pub fn with(&self, credentials: &Credentials) -> Self {
        let credentials = Arc::new(RwLock::new(Arc::new(credentials.clone())));
        Self { way: self.way.clone(), credentials }
    }

    /// Uses another pair from the next call on. What is under way ends with the one it began with.
    pub fn replace(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
    }

    /// Reads answers in this way from the next one on.
    pub fn map(&self, mapping: Mapping) {
        *self.way.mapping.write().unwrap_or_else(PoisonError::into_inner) = mapping;
    }

    fn exchange(&self) -> Exchange {
        let credentials = self.credentials.read().unwrap_or_else(PoisonError::into_inner).clone();
        Exchange { way: self.way.clone(), credentials }
    }
}

/// One exchange, which is sent and cleaned with the same pair.
struct Exchange {
    way: Arc<Way>,
    credentials: Arc<Credentials>,
}

impl Service<Call> for Upstream {
    type Response = Reply;
    type Error = Fault;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let exchange = self.exchange();
        Box::pin(async move {
            let mut part = exchange.part(&call);
            let answer = exchange.answer(&call, &mut part).await;
            told(part, &answer);
            answer
        })
    }
}

impl Exchange {
    /// This exchange, in the trace of its call. Nothing of that is sent: what the provider gets says nothing of a trace.
    fn part(&self, call: &Call) -> Span {
        if !call.trace.is_recorded() {
            return Span::default();
        }
        let (mut part, target) = (call.trace.child("", Kind::Client), &self.way.options.target);
        part.set("http.request.method", method(call.effect));
        part.set("server.address", target.host());
        part.set("server.port", i64::from(target.port()));
        part.set("gizad.attempt", call.trace.attempt());
        part
    }

    async fn answer(&self, call: &Call, part: &mut Span) -> Result<Reply, Fault> {
        let outgoing = encode::encode(call)?;
        part.names(method(call.effect), &outgoing.action);
        let source = &self.way.options.frontend_source;
        let recorded = self.way.options.recorder.as_ref().map(|recorder| (recorder, outgoing.clone()));
        let begun = ambient::instant();
        // Credentials are added last; the public catalog goes without, and what must not run twice goes alone.
        let sent = match call.effect {
            Effect::Public => self.way.lanes.send_shared(Request::Get(query(outgoing, source))).await,
            Effect::Read | Effect::Secret | Effect::Converge => {
                self.way.lanes.send_shared(Request::Post(self.credentials.seal(&outgoing, source))).await
            }
            Effect::Once | Effect::Spend => {
                self.way.lanes.send_alone(self.credentials.seal(&outgoing, source)).await
            }
        };
        let outcome = match &sent {
            Ok(received) => {
                part.set("http.response.status_code", i64::from(received.status));
                self.understand(call, received)
            }
            Err(broken) => Err(broken_off(call.effect, broken)),
        };
        if let Some((recorder, outgoing)) = recorded {
            recorder.note(&Exchanged {
                call,
                operation: self.way.mapping().of(call.operation),
                outgoing: &outgoing,
                begun,
                received: sent.as_ref(),
                outcome: outcome.as_ref(),
                credentials: &self.credentials,
                words: &self.way.options.words,
            });
        }
        outcome
    }

    fn understand(&self, call: &Call, received: &Received) -> Result<Reply, Fault> {
        let (mapping, effect) = (self.way.mapping(), call.effect);
        // Whether it worked is judged by the contract alone: what an operator has added says where things are, and turns no refusal
        // into a success.
        let judge = Judge { operation: call.operation, effect, words: &self.way.options.words };
        let own = secrets(call);
        let scrub = |text: &str| {
            own.iter().fold(self.credentials.scrub(text), |text, secret| text.replace(secret, REDACTED))
        };
        let scrub_tree = |tree: &mut Json| self.credentials.scrub_tree(tree);
        let success = judge
            .judge(received, scrub, scrub_tree)
            .map_err(|fault| weighed(call.operation, effect, received, fault))?;
        let operation = mapping.of(call.operation);
        match decode::decode(operation, &call.request, &success, effect.is_repeatable()) {
            Ok(message) => Ok(Reply::new(message, success.rule, success.noisy)),
            Err(Unfit::Minimum(rule)) => {
                let what = format!("the answer has nothing of what {} must answer", operation.name);
                Err(judge.unrecognised(rule, received, what, success.message))
            }
            Err(Unfit::NotInList) => {
                let answer = Judged { rule: "not_in_list", status: Some(received.status), message: None };
                let fault = Fault::new(Reason::NotFound, "the account has no service with this identifier");
                Err(Fault { answer: Some(answer), ..fault }.sent(Sent::Answered))
            }
        }
    }
}

/// Ends an exchange's part of a trace with what became of it.
fn told(mut part: Span, answer: &Result<Reply, Fault>) {
    let (sent, rule) = match answer {
        Ok(reply) => (Sent::Answered, Some(reply.rule)),
        Err(fault) => {
            part.set("error.type", fault.happened().as_str());
            part.fail();
            (fault.sent, fault.rule())
        }
    };
    part.set("gizad.sent", sent.as_str());
    if let Some(rule) = rule {
        part.set("gizad.rule", rule);
    }
}

/// What the caller has asked for and nobody else is to read, such as a server's password: the provider's words may
/// repeat it. What is too short could not be told from any other text.
fn secrets(call: &Call) -> Vec<String> {
    if call.effect.is_read() {
        return Vec::new();
    }
    let marked = |field: &&Field| {
        let options = field.descriptor.options();
        options.get_field_by_name("debug_redact").and_then(|flag| flag.as_bool()).unwrap_or_default()
    };
    let marked = call.operation.input.fields.iter().filter(marked);
    let texts =
        marked.filter_map(|field| call.request.get_field(&field.descriptor).as_str().map(str::to_owned));
    texts.filter(|text| text.chars().count() >= SHORTEST).collect()
}

/// A refusal of what must not run twice, weighed against its own answer: what came of a purchase beside a refusal is
/// a reason to look, and no refusal.
fn weighed(operation: &Operation, effect: Effect, received: &Received, fault: Fault) -> Fault {
    if effect.is_repeatable() || fault.sent != Sent::Answered {
        return fault;
    }
    match reading::read(&received.body) {
        Reading::Tree { json, .. } if decode::is_evident(operation, &json) => {
            judge::doubted(effect, fault.sent(Sent::Maybe))
        }
        _ => fault,
    }
}

/// An exchange that broke off, as a fault.
fn broken_off(effect: Effect, broken: &Broken) -> Fault {
    let (reason, detail) = match (broken.sent, broken.at) {
        (Sent::Never, _) => (Reason::UpstreamUnreachable, "no connection to the provider could be made"),
        (_, Phase::Time) => (Reason::UpstreamTimeout, "the provider did not answer in time"),
        (_, Phase::TooLong) => (Reason::UpstreamFailed, "the provider's answer is too long"),
        (_, Phase::Connect | Phase::Send | Phase::Receive) => {
            (Reason::UpstreamFailed, "the connection broke off before the whole answer came")
        }
    };
    let answer = Judged { rule: broken.at.rule(), status: None, message: None };
    let fault = Fault { answer: Some(answer), ..Fault::new(reason, detail) };
    judge::doubted(effect, fault.sent(broken.sent).with_private(broken.cause.clone()))
}

/// How a call of this effect is sent.
fn method(effect: Effect) -> &'static str {
    if effect == Effect::Public { "GET" } else { "POST" }
}

/// A request without credentials.
fn query(outgoing: Outgoing, source: &str) -> Vec<(String, String)> {
    let mut pairs = vec![("action".to_owned(), outgoing.action)];
    pairs.extend((!source.is_empty()).then(|| ("frontend_source".to_owned(), source.to_owned())));
    pairs.extend(outgoing.parameters.into_iter().map(|(name, json)| (name, as_text(json))));
    pairs
}

/// A parameter as a query has it.
fn as_text(json: Json) -> String {
    match json {
        Json::String(text) => text,
        other => other.to_string(),
    }
}
