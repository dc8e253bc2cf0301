//! The edge: bytes of a caller into calls, replies and faults into bytes. REST and gRPC share one listener
//! and are both read from the rows of the contract.
//!
//! Absent here: any decision about a call, any policy, any provider.

mod accept;
mod body;
mod columns;
mod grpc;
mod key;
mod memory;
mod origin;
mod problem;
mod rate;
mod rest;
mod standing;
mod status;
mod terms;
mod token;

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, Version};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::ambient;
use crate::call::{Call, Face, Reply, RequestId};
use crate::contract::Contract;
use crate::fault::{Fault, Reason};

pub use accept::{Accept, Limits};
pub use columns::{Columns, columns};
pub use origin::{check as from_here, probe as from_a_probe};

/// Everything behind the edge, as the edge sees it.
pub type Gate = Arc<dyn Fn(Call) -> Answering + Send + Sync>;
/// A call on its way through it.
pub type Answering = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// How the content types of gRPC-Web begin.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// The header that names a call, in both directions and on both faces.
pub const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// The edge's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The longest body of a request, in bytes.
    pub max_body: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// Names by which callers may reach gizad, beside this machine's own.
    pub hosts: Vec<String>,
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
}

impl Edge {
    /// Builds both faces from the rows of a contract.
    ///
    /// # Errors
    /// If the descriptors cannot be served by reflection.
    pub fn new(contract: &'static Contract, gate: &Gate, options: &Options) -> Result<Self, String> {
        // Shared by every route; a request copies none of it.
        let options = Arc::new(options.clone());
        let (grpc, health) = grpc::Grpc::new(contract, gate, &options)?;
        let services = contract.services().chain([""]).collect();
        let rest = rest::Rest::new(contract, gate, &options);
        Ok(Self(Arc::new(Faces { rest, grpc, health, services, options })))
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

    /// Answers one request.
    ///
    /// The content type is looked at before the path, so that an unknown gRPC method is answered in gRPC.
    pub fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send + use<> {
        let id = named(request.headers());
        let arrival = Arrival { id: id.clone(), begun: ambient::instant() };
        let face = face(&request);
        let answered = match (self.0.admit(&request, face), face) {
            (Ok(()), Face::Rest) => Either::Left(Either::Left(self.0.rest.answer(request, arrival))),
            (Ok(()), Face::Grpc) => Either::Left(Either::Right(self.0.grpc.answer(request, arrival))),
            (Err(fault), Face::Rest) => Either::Right(ready(rest::refuse(&fault, &id))),
            (Err(fault), Face::Grpc) => Either::Right(ready(grpc::refuse(&fault, &id))),
        };
        answered.map(move |mut response| {
            if let Ok(value) = id.as_str().parse() {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            response
        })
    }
}

impl Faces {
    /// Whether a request may come in at all, whatever it asks for.
    fn admit(&self, request: &Request<Incoming>, face: Face) -> Result<(), Fault> {
        origin::check(request.uri(), request.headers(), &self.options.hosts)?;
        if face == Face::Rest && has_type(request.headers(), b"application/grpc") {
            let detail = "gRPC needs HTTP/2; over HTTP/1.1 there are REST and gRPC-Web";
            return Err(Fault::new(Reason::UnsupportedMediaType, detail));
        }
        Ok(())
    }
}

/// The face a request is for. gRPC over HTTP/1.1 has nowhere to put its trailers, so it gets the answer of REST.
fn face(request: &Request<Incoming>) -> Face {
    let grpc = has_type(request.headers(), b"application/grpc");
    let carried = request.version() >= Version::HTTP_2 || has_type(request.headers(), GRPC_WEB);
    if grpc && carried { Face::Grpc } else { Face::Rest }
}

fn infallible<T>(answered: Result<T, Infallible>) -> T {
    match answered {
        Ok(answer) => answer,
        Err(impossible) => match impossible {},
    }
}

/// When a request came in, and the name it was given then.
#[derive(Clone)]
struct Arrival {
    id: RequestId,
    begun: Instant,
}

impl Arrival {
    fn of(extensions: &http::Extensions) -> Self {
        let new = || Self { id: RequestId::from_bytes(ambient::unique()), begun: ambient::instant() };
        extensions.get::<Self>().cloned().unwrap_or_else(new)
    }
}

/// The name of a request: the caller's, if it can be repeated safely.
fn named(headers: &HeaderMap) -> RequestId {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::from_caller)
        .unwrap_or_else(|| RequestId::from_bytes(ambient::unique()))
}

fn has_type(headers: &HeaderMap, beginning: &[u8]) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(beginning))
}

/// Logs a request that never became a call, with the fields a call is logged with.
fn log_refused(face: Face, id: &RequestId, fault: &Fault) {
    tracing::info!(
        request_id = id.as_str(),
        face = face.as_str(),
        outcome = fault.reason.as_str(),
        sent = fault.sent.as_str(),
        detail = fault.detail,
        "request refused"
    );
}
