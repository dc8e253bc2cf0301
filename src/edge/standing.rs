//! What a reply or a fault says of the recorded operation it belongs to, in headers of REST and metadata of gRPC.

use http::header::{HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue};

/// Whether the answer was known before the call (as Stripe names it).
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Where the operation is read.
pub(super) fn path(operation: &str) -> String {
    format!("/operations/{operation}")
}

/// Writes both.
pub(super) fn write(operation: &str, replayed: bool, headers: &mut HeaderMap) {
    if let Ok(path) = HeaderValue::from_str(&path(operation)) {
        headers.insert(LOCATION, path);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
}
