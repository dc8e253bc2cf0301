//! One call as its connection sees it: whether its request is here whole, whether gizad works at it, whether its answer is
//! taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use super::pulse::{Pulse, Stage};

/// From its head to the end of its answer, whether or not anybody waits for that.
pub(super) struct Turn(Arc<Pulse>);

impl Turn {
    /// Begins with the head.
    pub(super) fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.begins();
        Self(pulse.clone())
    }

    /// Its body, which may be on its way.
    pub(super) fn arriving(&self, body: Incoming) -> Arriving {
        let until_whole = (!body.is_end_stream()).then(|| Held::new(&self.0, Stage::Arriving));
        Arriving { body, until_whole }
    }

    /// Its answer. What is at hand whole and has the connection to itself is written at once and needs no more watching.
    pub(super) fn answered(self, response: Response<Body>, is_alone: bool) -> Response<Body> {
        if is_alone && response.body().size_hint().exact().is_some() {
            return response;
        }
        let leaving = Held::new(&self.0, Stage::Leaving);
        self.0.offers();
        response.map(|body| Body::new(Leaving { body, is_offered: true, turn: self, _leaving: leaving }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// That a call is at a stage at which it waits for the other side.
struct Held(Arc<Pulse>, Stage);

impl Held {
    fn new(pulse: &Arc<Pulse>, stage: Stage) -> Self {
        pulse.enters(stage);
        Self(pulse.clone(), stage)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.leaves(self.1);
    }
}

/// The body of a request.
pub struct Arriving {
    body: Incoming,
    until_whole: Option<Held>,
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let read = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(Ok(frame)), Some(Held(pulse, _))) = (&read, &self.until_whole) {
            let length = frame.data_ref().map_or(0, Bytes::len);
            pulse.excuse(i64::try_from(length).unwrap_or(i64::MAX));
        }
        if read.is_none() || self.body.is_end_stream() {
            self.until_whole = None;
        }
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, whose other side says when it has room.
struct Leaving {
    body: Body,
    /// Whether it was given something that it has not yet come back from.
    is_offered: bool,
    turn: Turn,
    _leaving: Held,
}

impl Leaving {
    fn offer(&mut self, is_offered: bool) {
        if self.is_offered != is_offered {
            self.is_offered = is_offered;
            if is_offered { self.turn.0.offers() } else { self.turn.0.taken() }
        }
    }
}

impl hyper::body::Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // It comes back only when there is room for more.
        self.offer(false);
        let made = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.offer(made.is_some());
        Poll::Ready(made)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.offer(false);
    }
}
