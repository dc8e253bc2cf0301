//! The edge: bytes of a caller into calls, replies and faults into bytes. REST and gRPC share one listener
//! and are both read from the rows of the contract.
//!
//! Absent here: any decision about a call, any policy, any provider.

mod accept;
mod body;
mod columns;
mod docs;
mod grpc;
mod head;
mod key;
mod memory;
pub mod openapi;
mod origin;
mod packed;
mod pages;
mod problem;
mod rate;
mod rest;
mod standing;
mod status;
mod terms;
pub mod tls;
mod token;
mod trace;

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HOST, HeaderName, USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use tokio::time::Instant;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::ambient;
use crate::call::{Call, Face, Peer, Presented, Reply, RequestId};
use crate::contract::{Contract, Operation};
use crate::fault::{Fault, Reason, Sent};
use crate::traces::{Trace, Tracer};

pub use accept::{Accept, Arriving, Door, Guest, Limits, Places, SPARE, STREAMS};
pub use columns::{Again, Columns, code_name, columns};
pub use origin::{Ways, check as from_here, probe as from_a_probe};

/// Everything behind the edge, as the edge sees it.
#[derive(Clone)]
pub struct Gate {
    /// What becomes of a call.
    pub call: Arc<dyn Fn(Call) -> Answering + Send + Sync>,
    /// An answer that is there at once, of an operation without parameters, for somebody who presents nothing and has no
    /// wishes.
    pub recall: Arc<dyn Fn(&'static Operation, Instant) -> Option<Arc<Reply>> + Send + Sync>,
    /// Is told of every request that did not become a call.
    pub refused: Refused,
    /// Begins their traces.
    pub tracer: Tracer,
}
/// Who is told of a request that did not become a call.
type Refused = Arc<dyn Fn(Face, Reason) + Send + Sync>;
/// A call on its way through it.
pub type Answering = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// How the content types of gRPC begin, and those of gRPC-Web.
const GRPC: &[u8] = b"application/grpc";
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// The header that names a call, in both directions and on both faces.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What stands in nearly every request, and of which nothing but the host is read here.
const USUAL: [HeaderName; 5] = [HOST, USER_AGENT, ACCEPT, ACCEPT_ENCODING, CONNECTION];

/// The edge's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest body of a request, in bytes.
    pub max_body: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// By what ways requests may come.
    pub ways: Ways,
    /// What the `type` of an error begins with.
    pub pages: String,
}

/// The two faces on one port.
#[derive(Clone)]
pub struct Edge(Arc<Faces>);

struct Faces {
    rest: rest::Rest,
    grpc: grpc::Grpc,
    health: HealthReporter,
    services: Vec<&'static str>,
    options: Arc<Options>,
    refused: Refused,
    tracer: Tracer,
    /// The first host that was found to be known, which nearly everybody names.
    known: OnceLock<HeaderValue>,
}

impl Edge {
    /// Builds both faces from the rows of a contract.
    ///
    /// # Errors
    /// If the descriptors cannot be served by reflection.
    pub fn new(contract: &'static Contract, gate: &Gate, options: &Options) -> Result<Self, String> {
        pages::begin(&options.pages);
        // Shared by every route; a request copies none of it.
        let options = Arc::new(options.clone());
        let (grpc, health) = grpc::Grpc::new(contract, gate, &options)?;
        let services = contract.services().chain([""]).collect();
        let rest = rest::Rest::new(contract, gate, &options);
        let (refused, tracer, known) = (gate.refused.clone(), gate.tracer.clone(), OnceLock::new());
        Ok(Self(Arc::new(Faces { rest, grpc, health, services, options, refused, tracer, known })))
    }

    /// Says over `grpc.health.v1` whether the services take calls.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in &self.0.services {
            self.0.health.set_service_status(service, status).await;
        }
    }

    /// Ends the streams of those who watch that, which would otherwise keep a stopping daemon alive.
    pub async fn end_watches(&self) {
        let mut health = self.0.health.clone();
        for service in &self.0.services {
            health.clear_service_status(service).await;
        }
    }

    /// Answers one request of whoever is at the other end.
    ///
    /// The content type is looked at before the path, so that an unknown gRPC method is answered in gRPC.
    pub fn answer(
        &self,
        request: Request<Arriving>,
        Guest { address, peer }: Guest,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let begun = ambient::instant();
        if let Some(recalled) = self.0.recall(&request, &peer, begun) {
            let id = RequestId::unique();
            return Either::Left(ready(with_id(recalled, &id)));
        }
        let (context, own) = (trace::read(request.headers()), ambient::unique());
        // A request that begins its trace, and has no name of its caller's, is called like it.
        let id = named(request.headers(), if context.is_some() { ambient::unique() } else { own });
        let (trace, span) = self.0.tracer.begin(context, own);
        let arrival = Arrival { id: id.clone(), begun, peer, trace: trace.clone() };
        let kind = request.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        let (face, is_grpc) = face(kind, request.version());
        let answering = trace::Answering::new(span, &trace, face, &request);
        let answered = match (self.0.admit(&request, face, is_grpc, address, &arrival.peer), face) {
            (Ok(()), Face::Rest) => Either::Left(Either::Left(self.0.rest.answer(request, arrival))),
            (Ok(()), Face::Grpc) => Either::Left(Either::Right(self.0.grpc.answer(request, arrival))),
            (Err(fault), Face::Rest) => Either::Right(ready(rest::refuse(&fault, &id))),
            (Err(fault), Face::Grpc) => Either::Right(ready(grpc::refuse(&fault, &id))),
        };
        let faces = self.0.clone();
        Either::Right(answered.map(move |response| {
            if let Some(refused) = response.extensions().get::<NoCall>() {
                refused.log(face, &id, &trace);
                (faces.refused)(face, refused.reason);
            }
            answering.end(&response);
            let mut response = with_id(response, &id);
            trace::write(&trace, response.headers_mut());
            response
        }))
    }
}

impl Faces {
    /// What memory answers at once to whoever names a host that is known and says nothing else: most of those who ask often.
    fn recall(&self, request: &Request<Arriving>, peer: &Peer, now: Instant) -> Option<Response<Body>> {
        if self.tracer.records_own() {
            return None;
        }
        let headers = request.headers();
        let is_usual = headers.keys_len() == headers.len() && headers.keys().all(|name| USUAL.contains(name));
        let by_known = is_usual && *peer == Peer::Unproven && headers.get(HOST)? == self.known.get()?;
        (by_known && request.uri().authority().is_none()).then(|| self.rest.recall(request, now)).flatten()
    }

    /// Whether a request may come in at all, whatever it asks for.
    fn admit(
        &self,
        request: &Request<Arriving>,
        face: Face,
        is_grpc: bool,
        from: Option<IpAddr>,
        peer: &Peer,
    ) -> Result<(), Fault> {
        let (uri, headers) = (request.uri(), request.headers());
        let named = headers.get(HOST).filter(|_| uri.authority().is_none());
        // No page reaches a Unix socket by a name of its own, and programs put there whatever they like as the host.
        let by_name = !matches!(peer, Peer::Process(_));
        let is_once = headers.get_all(HOST).iter().nth(1).is_none();
        if by_name && (named.is_none() || named != self.known.get() || !is_once) {
            origin::host(uri, headers, &self.options.ways.hosts)?;
            // A copy, because the one at hand keeps all that was read with it.
            let copied = named.and_then(|named| HeaderValue::from_bytes(named.as_bytes()).ok());
            let _first = copied.map(|named| self.known.set(named));
        }
        origin::anyhow(uri, headers, from, &self.options.ways)?;
        if face == Face::Rest && is_grpc {
            let detail = "gRPC needs HTTP/2; over HTTP/1.1 there are REST and gRPC-Web";
            return Err(Fault::new(Reason::UnsupportedMediaType, detail));
        }
        Ok(())
    }
}

/// The face a request is for, and whether it is of gRPC's kind. Over HTTP/1.1 that has nowhere to put its trailers, so it
/// gets the answer of REST.
fn face(kind: &[u8], version: Version) -> (Face, bool) {
    let is_grpc = kind.starts_with(GRPC);
    let carried = version >= Version::HTTP_2 || kind.starts_with(GRPC_WEB);
    (if is_grpc && carried { Face::Grpc } else { Face::Rest }, is_grpc)
}

fn infallible<T>(answered: Result<T, Infallible>) -> T {
    match answered {
        Ok(answer) => answer,
        Err(impossible) => match impossible {},
    }
}

/// When a request came in, from whom, and the name it was given then.
#[derive(Clone)]
struct Arrival {
    id: RequestId,
    begun: Instant,
    peer: Peer,
    trace: Trace,
}

impl Arrival {
    fn of(extensions: &http::Extensions) -> Self {
        let new = || {
            let (id, begun, trace) = (RequestId::unique(), ambient::instant(), Trace::nobodys());
            Self { id, begun, peer: Peer::Unproven, trace }
        };
        extensions.get::<Self>().cloned().unwrap_or_else(new)
    }

    /// Whether it has what no page of another site can send: a token, or a process of this machine at its other end.
    fn is_program(&self, headers: &HeaderMap) -> bool {
        let has_token = || token::presented(headers).is_some_and(|token| token.caller().is_some());
        matches!(self.peer, Peer::Process(_)) || has_token()
    }

    /// Who the caller means to be.
    fn presented(&self, headers: &HeaderMap) -> Presented {
        Presented { token: token::presented(headers), peer: self.peer.clone() }
    }
}

/// Says by what name a request can be asked about, and that the answer is what it says it is.
fn with_id(mut response: Response<Body>, id: &RequestId) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_bytes(id.as_bytes()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The name of a request: the caller's, if it can be repeated safely, or else this one.
fn named(headers: &HeaderMap, own: [u8; 16]) -> RequestId {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::from_caller)
        .unwrap_or_else(|| RequestId::from_bytes(own))
}

fn has_type(headers: &HeaderMap, beginning: &[u8]) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(beginning))
}

/// Stands beside the answer to a request that never became a call.
#[derive(Clone)]
struct NoCall {
    reason: Reason,
    sent: Sent,
    detail: Arc<str>,
}

impl NoCall {
    /// Logs it, with the fields a call is logged with.
    fn log(&self, face: Face, id: &RequestId, trace: &Trace) {
        tracing::info!(
            request_id = id.as_str(),
            trace_id = %trace.id(),
            span_id = %trace.span(),
            face = face.as_str(),
            outcome = self.reason.as_str(),
            sent = self.sent.as_str(),
            detail = &*self.detail,
            "request refused"
        );
    }
}

/// Marks an answer as one to a request that never became a call.
fn refused(fault: &Fault, mut response: Response<Body>) -> Response<Body> {
    let (reason, sent, detail) = (fault.reason, fault.sent, fault.detail.as_str().into());
    response.extensions_mut().insert(NoCall { reason, sent, detail });
    response
}
