//! The documentation as a page that tries things out: Swagger UI over the OpenAPI document, all of it from here. It runs under the
//! same rules as any other request of a person's own browser: nobody without a name gets more than the settings grant.
//!
//! Absent here: anything from another place. The page may run, show and ask nothing but what this gizad serves.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use super::packed::{Packed, answer};
use super::rest::not_allowed;

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
const STYLE: &str = include_str!("docs/page.css");

/// The viewer, as `assets/swagger-ui` has it.
static VIEWER: Packed = Packed::new(
    "text/javascript; charset=utf-8",
    include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
);
static VIEWER_STYLE: Packed =
    Packed::new("text/css; charset=utf-8", include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")));

/// What a browser may do with the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new()
        .route("/docs", get(async || page()))
        .route("/docs/page.js", get(async || own("text/javascript; charset=utf-8", SCRIPT)))
        .route("/docs/page.css", get(async || own("text/css; charset=utf-8", STYLE)))
        .route("/docs/swagger-ui-bundle.js", get(async |asked: HeaderMap| guarded(VIEWER.answer(&asked))))
        .route("/docs/swagger-ui.css", get(async |asked: HeaderMap| guarded(VIEWER_STYLE.answer(&asked))))
        .method_not_allowed_fallback(async |request: Request<Body>| not_allowed(&request, "GET, HEAD"))
}

fn page() -> Response<Body> {
    let mut response = own("text/html; charset=utf-8", PAGE);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

fn own(kind: &'static str, text: &'static str) -> Response<Body> {
    guarded(answer(kind, Body::from(text)))
}

/// Nothing of it is for the pages of others.
pub(super) fn guarded(mut response: Response<Body>) -> Response<Body> {
    let name = HeaderName::from_static("cross-origin-resource-policy");
    response.headers_mut().insert(name, HeaderValue::from_static("same-origin"));
    response
}
