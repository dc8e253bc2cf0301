//! gRPC: one method a row, with health, reflection and gRPC-Web beside them.

mod frame;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::any;
use axum::{BoxError, Router};
use fnv::FnvHashMap;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost_reflect::DynamicMessage;
use tonic_health::server::HealthReporter;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, ServiceExt as _};

use super::head::head;
use super::terms::Terms;
use super::{Arrival, Arriving, Gate, Options, body, key, status, trace};
use crate::call::{Call, Caller, Face, Made, Reply, RequestId, Scopes};
use crate::contract::{Contract, Message, Operation, nearest};
use crate::fault::{Fault, Reason};

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The face.
pub(super) struct Grpc {
    methods: FnvHashMap<&'static str, &'static Operation>,
    /// Health, reflection, and whatever is not there.
    others: Router,
    /// The methods once more, for those who speak gRPC-Web.
    web: GrpcWebService<Router>,
    gate: Gate,
    options: Arc<Options>,
}

impl Grpc {
    /// The face, and the hand that sets its health.
    pub(super) fn new(
        contract: &'static Contract,
        gate: &Gate,
        options: &Arc<Options>,
    ) -> Result<(Self, HealthReporter), String> {
        let (reporter, others) = others(contract)?;
        let mut router = others.clone();
        for operation in contract.all() {
            let (gate, options) = (gate.clone(), options.clone());
            let handler = move |request: Request<Body>| {
                let (parts, body) = request.into_parts();
                let arrival = Arrival::of(&parts.extensions);
                answer(operation, gate.clone(), options.clone(), parts.headers, body, arrival)
            };
            router = router.route(&operation.grpc_path, any(handler));
        }
        let operations = contract.all();
        let face = Self {
            methods: operations.map(|operation| (operation.grpc_path.as_str(), operation)).collect(),
            others,
            web: GrpcWebLayer::new().layer(router),
            gate: gate.clone(),
            options: options.clone(),
        };
        Ok((face, reporter))
    }

    pub(super) fn answer(
        &self,
        mut request: Request<Arriving>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let web = super::has_type(request.headers(), super::GRPC_WEB);
        if !web && let Some(operation) = self.methods.get(request.uri().path()).copied() {
            let (parts, body) = request.into_parts();
            let (gate, options) = (self.gate.clone(), self.options.clone());
            return Either::Left(Box::pin(answer(operation, gate, options, parts.headers, body, arrival)));
        }
        request.extensions_mut().insert(arrival);
        let others = if web {
            let answered = self.web.clone().oneshot(request);
            Either::Left(Box::pin(answered).map(|answered| super::infallible(answered).map(Body::new)))
        } else {
            Either::Right(Box::pin(self.others.clone().oneshot(request)).map(super::infallible))
        };
        Either::Right(others)
    }
}

/// What is no operation.
fn others(contract: &'static Contract) -> Result<(HealthReporter, Router), String> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(Contract::encoded())
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().map_err(|error| error.to_string())?;
    let v1alpha = reflection().build_v1alpha().map_err(|error| error.to_string())?;
    let paths: Vec<&'static str> = contract.all().map(|operation| operation.grpc_path.as_str()).collect();
    let router = Router::new()
        .route_service("/grpc.health.v1.Health/{method}", health)
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", v1)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", v1alpha)
        .fallback(move |request| unknown(paths.clone(), request));
    Ok((reporter, router))
}

async fn answer<B>(
    operation: &'static Operation,
    gate: Gate,
    options: Arc<Options>,
    headers: HeaderMap,
    body: B,
    arrival: Arrival,
) -> Response<Body>
where
    B: hyper::body::Body<Error: Into<BoxError>>,
{
    trace::asks(&arrival.trace, operation, Face::Grpc);
    match read_call(operation, &options, &headers, body, &arrival).await {
        Ok(call) => match (gate.call)(call).await {
            Ok(reply) => match &reply.news {
                Some(news) => stream::answer(&reply, news, &arrival.id),
                None => success(&reply),
            },
            Err(fault) => failure(&fault, &arrival.id),
        },
        Err(fault) => refuse(&fault, &arrival.id),
    }
}

async fn read_call<B>(
    operation: &'static Operation,
    options: &Options,
    headers: &HeaderMap,
    body: B,
    arrival: &Arrival,
) -> Result<Call, Fault>
where
    B: hyper::body::Body<Error: Into<BoxError>>,
{
    let terms = Terms::grpc(headers, arrival.begun)?;
    let request = read(&operation.input, options, body, terms.deadline.left()).await?;
    let taken = operation.taken(&request);
    if !taken.is_empty() {
        return Err(Fault::violated(Reason::InvalidArgument, taken));
    }
    let key = key::read(headers, operation, &request)?;
    Ok(Call { key, ..call(operation, request, headers, terms, arrival) })
}

/// The one message of a request.
async fn read<B>(input: &Message, options: &Options, body: B, left: Duration) -> Result<DynamicMessage, Fault>
where
    B: hyper::body::Body<Error: Into<BoxError>>,
{
    let body = body::whole(body, options, frame::PREFIX, left).await?;
    let message = frame::only(&body, options)?;
    let request = DynamicMessage::decode(input.descriptor.clone(), message).map_err(|error| {
        Fault::new(Reason::MalformedBody, format!("the message is no protobuf of its kind: {error}"))
    })?;
    let violations = input.violations(&request);
    if violations.is_empty() {
        Ok(request)
    } else {
        Err(Fault::violated(Reason::ValidationFailed, violations))
    }
}

fn call(
    operation: &'static Operation,
    request: DynamicMessage,
    headers: &HeaderMap,
    terms: Terms,
    arrival: &Arrival,
) -> Call {
    Call {
        operation,
        effect: operation.effect,
        request,
        id: arrival.id.clone(),
        trace: arrival.trace.clone(),
        face: Face::Grpc,
        presented: arrival.presented(headers),
        caller: Caller::Anonymous,
        scopes: Scopes::NONE,
        barred: None,
        key: None,
        urgent: false,
        deadline: terms.deadline,
        wishes: terms.wishes,
    }
}

fn success(reply: &Reply) -> Response<Body> {
    let framed = reply.content.made(Made::Grpc, frame::framed);
    let ok = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    // No length is announced: gRPC-Web puts the trailers behind the message.
    let frames = [Frame::data(framed), Frame::trailers(ok)].map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
    *response.headers_mut() = head(reply, "application/grpc");
    response
}

async fn unknown(paths: Vec<&'static str>, request: Request<Body>) -> Response<Body> {
    let detail = match nearest(request.uri().path(), paths) {
        Some(near) => format!("there is no such method; did you mean {near}?"),
        None => "there is no such method; reflection lists all".to_owned(),
    };
    refuse(&Fault::new(Reason::RouteNotFound, detail), &Arrival::of(request.extensions()).id)
}

/// Answers with a fault, which is logged.
pub(super) fn refuse(fault: &Fault, id: &RequestId) -> Response<Body> {
    super::refused(fault, failure(fault, id))
}

fn failure(fault: &Fault, id: &RequestId) -> Response<Body> {
    let mut response = status::status(fault, id).into_http::<tonic::body::Body>().map(Body::new);
    response.extensions_mut().insert(trace::Failed(fault.reason));
    response
}
