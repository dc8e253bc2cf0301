//! REST: one route a row, under `/` and under `/v1`.

mod events;
mod explain;
mod picture;
mod read;
mod write;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams};
use axum::routing::{MethodFilter, MethodRouter};
use bytes::Bytes;
use fnv::FnvHashMap;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::head::head;
use super::terms::Terms;
use super::{Answering, Arrival, Arriving, Gate, Options, body, docs, key, memory, openapi, problem, trace};
use crate::call::{Call, Caller, Face, Made, Reply, RequestId, Scopes};
use crate::contract::{Contract, Operation, Verb, nearest};
use crate::fault::{Fault, Reason};
use crate::vietqr::Picture;

pub(super) use picture::pictures;

/// The prefix under which every path exists a second time.
const VERSION: &str = "/v1";

/// The face.
pub(super) struct Rest {
    /// What has nothing but its path to read, which needs no router to be found.
    plain: FnvHashMap<String, &'static Operation>,
    router: Router,
    gate: Gate,
}

impl Rest {
    pub(super) fn new(contract: &'static Contract, gate: &Gate, options: &Arc<Options>) -> Self {
        let all = contract.operations().iter();
        let is_plain =
            |operation: &&Operation| operation.verb == Verb::Get && operation.path.variables().is_empty();
        let plain = all.filter(is_plain).flat_map(|operation| {
            let path = operation.path.template();
            [(path.to_owned(), operation), (format!("{VERSION}{path}"), operation)]
        });
        Self { plain: plain.collect(), router: router(contract, gate, options), gate: gate.clone() }
    }

    pub(super) fn answer(
        &self,
        mut request: Request<Arriving>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let Some(operation) = self.plain(&request) else {
            request.extensions_mut().insert(arrival);
            let routed = Box::pin(self.router.clone().oneshot(request));
            return Either::Right(routed.map(super::infallible));
        };
        let (parts, _nothing) = request.into_parts();
        trace::asks(&arrival.trace, operation, Face::Rest);
        Either::Left(match plain_call(operation, &parts, &arrival) {
            Ok(call) => {
                Either::Left(ended(operation, None, (self.gate.call)(call), parts.headers, arrival.id))
            }
            Err(fault) => Either::Right(ready(refuse(&fault, &arrival.id))),
        })
    }

    /// What a request asks for, if it has nothing but its path to read, and perhaps a query.
    fn plain<B: hyper::body::Body>(&self, request: &Request<B>) -> Option<&'static Operation> {
        let is_plain = *request.method() == Method::GET && request.body().is_end_stream();
        self.plain.get(request.uri().path()).filter(|_| is_plain).copied()
    }

    /// The answer that memory has at once, to a request that says nothing besides its path.
    pub(super) fn recall<B: hyper::body::Body>(
        &self,
        request: &Request<B>,
        now: Instant,
    ) -> Option<Response<Body>> {
        let operation = self.plain(request).filter(|_| request.uri().query().is_none())?;
        (self.gate.recall)(operation, now).map(|reply| success(operation, &reply))
    }
}

fn router(contract: &'static Contract, gate: &Gate, options: &Arc<Options>) -> Router {
    let mut rows: BTreeMap<&'static str, Vec<&'static Operation>> = BTreeMap::new();
    for operation in contract.all() {
        rows.entry(operation.path.template()).or_default().push(operation);
    }
    let mut router = Router::new();
    for (path, operations) in rows {
        let methods = methods(&operations, None, gate, options);
        router = router.route(&format!("{VERSION}{path}"), methods.clone()).route(path, methods);
        for operation in operations {
            for (picture, path) in pictures(operation) {
                let methods = self::methods(&[operation], Some(picture), gate, options);
                router = router.route(&format!("{VERSION}{path}"), methods.clone()).route(&path, methods);
            }
        }
    }
    let paths: Vec<&'static str> = contract.all().map(|o| o.path.template()).collect();
    let told = explain::router().merge(openapi::router()).merge(docs::router());
    router.merge(told).fallback(move |request| nothing_here(paths.clone(), request))
}

/// The operations that share a path, each under its verb, and a clear answer to any other.
fn methods(
    operations: &[&'static Operation],
    picture: Option<Picture>,
    gate: &Gate,
    options: &Arc<Options>,
) -> MethodRouter {
    let mut methods = MethodRouter::new();
    let mut allow: Vec<&str> = Vec::new();
    for operation in operations.iter().copied() {
        let (gate, options) = (gate.clone(), options.clone());
        let handler =
            move |request: Request<Body>| answer(operation, picture, gate.clone(), options.clone(), request);
        methods = methods.on(filter(operation.verb), handler);
        allow.push(operation.verb.as_str());
        if operation.verb == Verb::Get {
            allow.push("HEAD");
        }
    }
    // Made once at start; the routes live as long as the process.
    let allow: &'static str = allow.join(", ").leak();
    methods.fallback(move |request: Request<Body>| async move { not_allowed(&request, allow) })
}

/// Answers with a fault, which is logged.
pub(super) fn refuse(fault: &Fault, id: &RequestId) -> Response<Body> {
    super::refused(fault, problem::response(fault, id))
}

/// Answers that a path takes other methods, and which.
pub(super) fn not_allowed(request: &Request<Body>, allow: &'static str) -> Response<Body> {
    let fault = Fault::new(Reason::MethodNotAllowed, format!("this path takes {allow}"));
    let mut response = refuse(&fault, &Arrival::of(request.extensions()).id);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn filter(verb: Verb) -> MethodFilter {
    match verb {
        // axum answers HEAD with the GET of the same path.
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Patch => MethodFilter::PATCH,
    }
}

async fn answer(
    operation: &'static Operation,
    picture: Option<Picture>,
    gate: Gate,
    options: Arc<Options>,
    request: Request<Body>,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let (arrival, version) = (Arrival::of(&parts.extensions), parts.version);
    trace::asks(&arrival.trace, operation, Face::Rest);
    match read_call(operation, &options, &mut parts, body, &arrival).await {
        Ok(call) => ended(operation, picture, (gate.call)(call), parts.headers, arrival.id).await,
        Err(fault) => {
            let mut response = refuse(&fault, &arrival.id);
            // The rest of the body is not read, so the connection cannot be used again.
            if matches!(fault.reason, Reason::BodyTooLarge | Reason::BodyTooSlow) && version < Version::HTTP_2
            {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

/// What becomes of a call, as it is or as a picture.
async fn ended(
    operation: &'static Operation,
    picture: Option<Picture>,
    answering: Answering,
    asked: HeaderMap,
    id: RequestId,
) -> Response<Body> {
    match (answering.await, picture) {
        (Ok(reply), Some(picture)) => picture::answer(picture, operation, &reply, &id),
        (Ok(reply), None) => match &reply.news {
            Some(news) => events::response(operation, &reply, news, &id),
            None => replied(operation, &reply, &asked),
        },
        (Err(fault), _) => problem::response(&fault, &id),
    }
}

fn replied(operation: &Operation, reply: &Reply, asked: &HeaderMap) -> Response<Body> {
    // The condition is one of GET and HEAD alone (RFC 9110, section 13.1.2).
    if operation.verb == Verb::Get && memory::is_known(reply, asked) {
        not_modified(reply)
    } else {
        success(operation, reply)
    }
}

async fn read_call(
    operation: &'static Operation,
    options: &Options,
    parts: &mut Parts,
    body: Body,
    arrival: &Arrival,
) -> Result<Call, Fault> {
    let terms = Terms::rest(&parts.headers, arrival.begun)?;
    let path = if operation.path.variables().is_empty() {
        None
    } else {
        let path = RawPathParams::from_request_parts(parts, &()).await.map_err(|rejected| {
            Fault::new(Reason::InvalidArgument, format!("the path cannot be read: {rejected}"))
        })?;
        Some(path)
    };
    let body = read_body(&parts.headers, body, options, terms.deadline.left(), arrival).await?;
    let mut request = read::request(operation, path.as_ref(), parts.uri.query().unwrap_or_default(), &body)?;
    events::resume(&parts.headers, operation, &mut request)?;
    let key = key::read(&parts.headers, operation, &request)?;
    Ok(Call { key, ..call(operation, request, terms, &parts.headers, arrival) })
}

/// A call of what has nothing but its path and its query to read.
fn plain_call(operation: &'static Operation, parts: &Parts, arrival: &Arrival) -> Result<Call, Fault> {
    let terms = Terms::rest(&parts.headers, arrival.begun)?;
    let request = read::request(operation, None, parts.uri.query().unwrap_or_default(), &[])?;
    Ok(call(operation, request, terms, &parts.headers, arrival))
}

fn call(
    operation: &'static Operation,
    request: DynamicMessage,
    terms: Terms,
    headers: &HeaderMap,
    arrival: &Arrival,
) -> Call {
    Call {
        operation,
        effect: operation.effect,
        request,
        id: arrival.id.clone(),
        trace: arrival.trace.clone(),
        face: Face::Rest,
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

/// The whole body, if it is short, quick and JSON. An empty one needs no label, nor does that of somebody who cannot be a page.
async fn read_body(
    headers: &HeaderMap,
    body: Body,
    options: &Options,
    left: Duration,
    arrival: &Arrival,
) -> Result<Bytes, Fault> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if announced.is_some_and(|length: u64| length > options.max_body as u64) {
        return Err(body::too_large(options));
    }
    let body = body::whole(body, options, 0, left).await?;
    let is_readable = is_json(headers) || is_unlabelled(headers) && arrival.is_program(headers);
    if !body.is_empty() && !is_readable {
        let given = headers.get(CONTENT_TYPE).map_or("none", |v| v.to_str().unwrap_or("not text"));
        let given = given.chars().take(100).collect::<String>();
        return Err(Fault::new(
            Reason::UnsupportedMediaType,
            format!("a body must have the content type application/json; this one has: {given}"),
        ));
    }
    Ok(body)
}

fn is_unlabelled(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_TYPE)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn success(operation: &Operation, reply: &Reply) -> Response<Body> {
    let body = reply.content.made(Made::Rest, |message| write::json(&operation.output, message).into());
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = head(reply, "application/json");
    *response.status_mut() = match &reply.standing {
        Some(standing) if !standing.done => StatusCode::ACCEPTED,
        // What was only checked has made nothing.
        None if operation.result.is_some() => StatusCode::OK,
        _ if operation.creates() => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    response
}

/// The caller has this answer already (RFC 9110, section 15.4.5).
fn not_modified(reply: &Reply) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = head(reply, "application/json");
    // There is nothing that would have a type.
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

async fn nothing_here(paths: Vec<&'static str>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let bare = path.strip_prefix(VERSION).unwrap_or(path);
    let detail = match nearest(bare, paths) {
        Some(near) => format!("there is no such path; did you mean {near}?"),
        None => "there is no such path; `gizad routes` lists all".to_owned(),
    };
    refuse(&Fault::new(Reason::RouteNotFound, detail), &Arrival::of(request.extensions()).id)
}
