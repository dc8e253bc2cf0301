//! What an answer is drawn as, too: the VietQR code of a transfer, beside the path of whoever answers with one.

use axum::body::Body;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, Response};

use super::refuse;
use crate::call::{Reply, RequestId};
use crate::contract::{Field, Operation, Verb};
use crate::edge::head::head;
use crate::fault::{Fault, Reason, Sent};
use crate::vietqr::Picture;

/// A picture is looked at and asks for nothing, wherever it is opened.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The pictures that an operation is answered with besides, each with its path.
pub(in crate::edge) fn pictures(operation: &Operation) -> impl Iterator<Item = (Picture, String)> {
    let drawn = code(operation).filter(|_| operation.verb == Verb::Get && operation.watch.is_none());
    let path = |picture: Picture| format!("{}/qr.{}", operation.path.template(), picture.extension());
    Picture::ALL.into_iter().filter(move |_| drawn.is_some()).map(move |picture| (picture, path(picture)))
}

/// The field that is drawn.
fn code(operation: &Operation) -> Option<&Field> {
    operation.output.fields.iter().find(|field| field.vietqr.is_some())
}

/// The picture of an answer.
pub(super) fn answer(
    picture: Picture,
    operation: &Operation,
    reply: &Reply,
    id: &RequestId,
) -> Response<Body> {
    let text = code(operation).map(|field| reply.content.message().get_field(&field.descriptor));
    let text = text.as_ref().and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    let Some(drawn) = text.and_then(|text| picture.draw(text)) else {
        let detail = "there is no code to draw: there is one while something waits to be paid, if the provider names a bank \
                      that is known, an account, an amount, and a note that a code can carry";
        return refuse(&Fault::new(Reason::NotFound, detail).sent(Sent::Answered), id);
    };
    let mut response = Response::new(Body::from(drawn));
    *response.headers_mut() = head(reply, picture.media_type());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
