//! The document where callers look for it: as it is committed, and the same in YAML. It is the same for everyone.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Request, Response};
use serde_json::Value;

use super::yaml::yaml;
use crate::edge::packed::{Packed, answer};
use crate::edge::rest::not_allowed;

/// As the test of the tables has written it.
const DOCUMENT: Packed =
    Packed { kind: "application/json", gzip: include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz")) };

pub(in crate::edge) fn router() -> Router {
    Router::new()
        .route("/openapi.json", get(async |asked: HeaderMap| DOCUMENT.answer(&asked)))
        .route("/openapi.yaml", get(async || translated()))
        .method_not_allowed_fallback(async |request: Request<Body>| not_allowed(&request, "GET, HEAD"))
}

/// In YAML. Made when it is asked for, which is seldom, and not kept.
fn translated() -> Response<Body> {
    let text = DOCUMENT.text();
    // It was compared with what made it, so it is JSON, which is YAML as it is.
    let text = serde_json::from_str::<Value>(&text).map_or(text, |document| yaml(&document));
    answer("application/yaml", Body::from(text))
}
