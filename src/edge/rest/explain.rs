//! What an error's `type` leads to: what its reason means and what to do, and the runbook. As pages for a browser, and as the
//! Markdown that they are made of for everybody else.
//!
//! `build.rs` makes them of `docs/errors.md` and `docs/runbook.md`. Absent here: a word of what they say.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY};
use http::{HeaderMap, HeaderValue, Request, Response};

use super::super::Arrival;
use super::super::docs::guarded;
use super::super::packed::answer;
use super::{not_allowed, refuse};
use crate::contract::nearest;
use crate::fault::{Fault, Reason};

/// Path, title, Markdown and HTML of each page in turn, with a NUL behind each.
static PAGES: &str = include_str!(concat!(env!("OUT_DIR"), "/pages.txt"));
const FRAME: &str = include_str!("explain/page.html");
const STYLE: &str = include_str!("explain/page.css");

/// What a browser may do with a page.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    let shown = || get(async |request: Request<Body>| show(&request));
    Router::new()
        .route("/errors", shown())
        .route("/errors/{reason}", shown())
        .route("/runbook", shown())
        .route(
            "/errors/page.css",
            get(async || guarded(answer("text/css; charset=utf-8", Body::from(STYLE)))),
        )
        .method_not_allowed_fallback(async |request: Request<Body>| not_allowed(&request, "GET, HEAD"))
}

/// A page as it was made.
struct Page {
    title: &'static str,
    text: &'static str,
    html: &'static str,
}

impl Page {
    fn at(path: &str) -> Option<Self> {
        let mut parts = PAGES.split('\0');
        loop {
            let (at, title, text, html) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            if at == path {
                return Some(Self { title, text, html });
            }
        }
    }
}

fn show(request: &Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let Some(page) = Page::at(path) else {
        let near =
            nearest(path.trim_start_matches("/errors/"), Reason::ALL.iter().map(|reason| reason.as_str()));
        let detail = match near {
            Some(near) => format!("there is no such reason; did you mean /errors/{near}?"),
            None => "there is no such reason; /errors lists all".to_owned(),
        };
        return refuse(&Fault::new(Reason::RouteNotFound, detail), &Arrival::of(request.extensions()).id);
    };
    let mut response = if is_browser(request.headers()) {
        let html = FRAME.replace("{title}", page.title).replace("{body}", page.html);
        answer("text/html; charset=utf-8", Body::from(html))
    } else {
        answer("text/markdown; charset=utf-8", Body::from(page.text))
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    guarded(response)
}

/// Whether HTML is asked for by name, as browsers do and programs do not.
fn is_browser(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|kind| kind.trim().starts_with("text/html"))
}
