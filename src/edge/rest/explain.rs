//! What an error's `type` leads to: a few lines on what the reason means and what to do.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;

use super::super::columns::{self, columns};
use crate::fault::Reason;

pub(super) fn router() -> Router {
    let all: String = Reason::ALL.iter().map(|reason| page(*reason) + "\n").collect();
    let mut router = Router::new().route("/errors", get(move || std::future::ready(all.clone())));
    for reason in Reason::ALL {
        let text = page(*reason);
        let path = format!("/errors/{}", reason.as_str());
        router = router.route(&path, get(move || std::future::ready(text.clone())));
    }
    router.method_not_allowed_fallback(|request: Request<Body>| async move {
        super::not_allowed(&request, "GET, HEAD")
    })
}

fn page(reason: Reason) -> String {
    let row = columns(reason);
    let mut text = String::new();
    let code = columns::code_name(row.grpc);
    let _infallible = write!(
        text,
        "{}\nHTTP {}, gRPC {code}\n{}.\n{}\n",
        reason.as_str(),
        row.http.as_u16(),
        row.title,
        row.advice
    );
    text
}
