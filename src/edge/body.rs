//! The body of a request: whole, short, and in time, whatever the face.

use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use super::Options;
use crate::fault::{Fault, Reason};

/// Waits for a whole body. `beyond` is what its face adds to the longest one, such as gRPC's prefix; `left` is the time that the
/// call has.
pub(super) async fn whole<B>(
    body: B,
    options: &Options,
    beyond: usize,
    left: Duration,
) -> Result<Bytes, Fault>
where
    B: Body<Error: Into<BoxError>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let limited = Limited::new(body, options.max_body.saturating_add(beyond));
    let limit = options.body_timeout.min(left);
    match timeout(limit, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(options)),
        Ok(Err(error)) => Err(Fault::new(Reason::MalformedBody, format!("the body broke off: {error}"))),
        Err(_elapsed) if left < options.body_timeout => {
            let detail = "the time for this call ran out before its request had arrived";
            Err(Fault::new(Reason::DeadlineExceeded, detail))
        }
        Err(_elapsed) => Err(Fault::new(Reason::BodyTooSlow, format!("the body took longer than {limit:?}"))),
    }
}

/// That a body is longer than gizad reads.
pub(super) fn too_large(options: &Options) -> Fault {
    Fault::new(Reason::BodyTooLarge, format!("a request's body has at most {} bytes", options.max_body))
}
