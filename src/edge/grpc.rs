//! gRPC: one method a row, with health, reflection and gRPC-Web beside them.

mod codec;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use prost_reflect::DynamicMessage;
use tonic::{Code, Status};
use tonic_health::server::HealthReporter;
use tower::ServiceExt as _;

pub use codec::Dynamic;

use super::{Gate, Options, body, status};
use crate::call::{Call, Face, RequestId};
use crate::contract::{Contract, Operation, nearest};
use crate::fault::{Fault, Reason};

/// The flag and the length before a message.
const PREFIX: usize = 5;
/// The metadata that carries a status's details.
const DETAILS: &str = "grpc-status-details-bin";

/// The methods, and the hand that sets their health.
pub(super) fn router(
    contract: &'static Contract,
    gate: &Gate,
    options: &Arc<Options>,
) -> Result<(Router, HealthReporter), String> {
    let mut router = Router::new();
    for operation in contract.operations() {
        let (gate, options) = (gate.clone(), options.clone());
        let handler = move |request| answer(operation, gate.clone(), options.clone(), request);
        router = router.route(&operation.grpc_path, any(handler));
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(Contract::encoded())
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().map_err(|error| error.to_string())?;
    let v1alpha = reflection().build_v1alpha().map_err(|error| error.to_string())?;
    let paths: Vec<&'static str> = contract.operations().iter().map(|o| o.grpc_path.as_str()).collect();
    let router = router
        .route_service("/grpc.health.v1.Health/{method}", health)
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", v1)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", v1alpha)
        .fallback(move |request| unknown(paths.clone(), request));
    Ok((router, reporter))
}

async fn answer(
    operation: &'static Operation,
    gate: Gate,
    options: Arc<Options>,
    request: Request<Body>,
) -> Response<Body> {
    let id = super::id(request.extensions());
    let request = match arrived(operation, request, &options).await {
        Ok(request) => request,
        Err(fault) => return refuse(&fault, &id),
    };
    let named = id.clone();
    let unary = tower::service_fn(move |request: tonic::Request<DynamicMessage>| {
        let (gate, id) = (gate.clone(), named.clone());
        async move {
            let answered = match read_call(operation, request, id.clone()) {
                Ok(call) => gate.oneshot(call).await,
                Err(fault) => {
                    super::log_refused(Face::Grpc, &id, &fault);
                    Err(fault)
                }
            };
            answered
                .map(|reply| tonic::Response::new(reply.message))
                .map_err(|fault| status::status(&fault, &id))
        }
    });
    let codec = Dynamic::new(operation.input.descriptor.clone());
    let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(options.max_body);
    let response = grpc.unary(unary, request).await.map(Body::new);
    match undetailed(response.headers()) {
        Some(status) => refuse(&explained(&status, &options), &id),
        None => response,
    }
}

/// The request with its whole body.
async fn arrived(
    operation: &Operation,
    request: Request<Body>,
    options: &Options,
) -> Result<Request<Full<Bytes>>, Fault> {
    let (parts, body) = request.into_parts();
    super::refuse_key(&parts.headers, operation)?;
    let body = body::whole(body, options, PREFIX).await?;
    Ok(Request::from_parts(parts, Full::from(body)))
}

fn read_call(
    operation: &'static Operation,
    request: tonic::Request<DynamicMessage>,
    id: RequestId,
) -> Result<Call, Fault> {
    let request = request.into_inner();
    let violations = operation.input.violations(&request);
    if !violations.is_empty() {
        return Err(Fault::violated(Reason::ValidationFailed, violations));
    }
    Ok(Call { operation, effect: operation.effect, request, id, face: Face::Grpc })
}

async fn unknown(paths: Vec<&'static str>, request: Request<Body>) -> Response<Body> {
    let detail = match nearest(request.uri().path(), paths) {
        Some(near) => format!("there is no such method; did you mean {near}?"),
        None => "there is no such method; reflection lists all".to_owned(),
    };
    refuse(&Fault::new(Reason::RouteNotFound, detail), &super::id(request.extensions()))
}

/// Answers with a fault and logs it.
pub(super) fn refuse(fault: &Fault, id: &RequestId) -> Response<Body> {
    super::log_refused(Face::Grpc, id, fault);
    status::status(fault, id).into_http::<tonic::body::Body>().map(Body::new)
}

/// A status that tonic made by itself, which has no details yet.
fn undetailed(headers: &HeaderMap) -> Option<Status> {
    if headers.contains_key(DETAILS) {
        return None;
    }
    Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
}

/// What such a status is about: the message was too long, compressed, or no protobuf.
fn explained(status: &Status, options: &Options) -> Fault {
    match status.code() {
        Code::OutOfRange => body::too_large(options),
        Code::Unimplemented => Fault::new(Reason::CompressionUnsupported, status.message().to_owned()),
        _ => Fault::new(Reason::MalformedBody, status.message().to_owned()),
    }
}
