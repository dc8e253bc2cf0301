//! A method that streams: each answer is one message, and a fault stands in the trailers.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::super::accept::Streaming;
use super::{GRPC_STATUS, frame, head, status};
use crate::call::{Coming, Made, News, Reply, RequestId};
use crate::fault::Fault;

/// Answers with a stream. It ends when its caller goes away, its time is up, there is nothing more to tell, or gizad stops.
pub(super) fn answer(reply: &Reply, news: &News, id: &RequestId) -> Response<Body> {
    let coming = news.take().unwrap_or_else(|| Box::pin(stream::empty()));
    let mut response = Response::new(Body::new(StreamBody::new(frames(coming, id.clone()))));
    *response.headers_mut() = head(reply, "application/grpc");
    response.extensions_mut().insert(Streaming);
    response
}

fn frames(
    coming: Coming,
    id: RequestId,
) -> impl futures_util::Stream<Item = Result<Frame<bytes::Bytes>, Infallible>> + Send {
    stream::unfold(Some((coming, id)), |held| async move {
        let (mut coming, id) = held?;
        Some(match coming.next().await {
            Some(Ok(item)) => {
                let framed = item.content.made(Made::Grpc, frame::framed);
                (Ok(Frame::data(framed)), Some((coming, id)))
            }
            Some(Err(fault)) => (Ok(Frame::trailers(failed(&fault, &id))), None),
            None => {
                let ok = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
                (Ok(Frame::trailers(ok)), None)
            }
        })
    })
}

fn failed(fault: &Fault, id: &RequestId) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status::status(fault, id).add_header(&mut trailers).is_err() {
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("13"));
    }
    trailers
}
