//! The document where callers look for it: as it is committed, and the same in YAML. It is the same for everyone.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::Value;

use super::yaml::yaml;
use crate::edge::packed::{Packed, answer};
use crate::edge::rest::not_allowed;

/// As the test of the tables has written it.
static DOCUMENT: Packed =
    Packed::new("application/json", include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz")));
/// In YAML, once somebody has asked for it.
static TRANSLATED: OnceLock<Bytes> = OnceLock::new();

pub(in crate::edge) fn router() -> Router {
    Router::new()
        .route("/openapi.json", get(async |asked: HeaderMap| DOCUMENT.answer(&asked)))
        .route("/openapi.yaml", get(async || translated()))
        .method_not_allowed_fallback(async |request: Request<Body>| not_allowed(&request, "GET, HEAD"))
}

fn translated() -> Response<Body> {
    let made = || {
        let text = DOCUMENT.text();
        // It was compared with what made it, so it is JSON, which is YAML as it is.
        serde_json::from_slice::<Value>(&text).map_or(text, |document| yaml(&document).into())
    };
    answer("application/yaml", Body::from(TRANSLATED.get_or_init(made).clone()))
}
