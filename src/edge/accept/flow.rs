//! One call as its connection sees it: whether its request is here whole, whether gizad works at it, whether its answer is
//! taken.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use super::pulse::{Pulse, Stage};

/// Stands beside an answer whose parts gizad has yet to find out, for a caller of whom it is known how many such it has.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Streaming;

/// From its head to the end of its answer, whether or not anybody waits for that.
pub(super) struct Turn {
    pulse: Arc<Pulse>,
    /// Until its request is here whole, or answered without being that.
    arriving: Option<Arc<Mark>>,
}

impl Turn {
    /// Begins with the head.
    pub(super) fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.begins();
        Self { pulse: pulse.clone(), arriving: None }
    }

    /// Its body, which may be on its way.
    pub(super) fn arriving(&mut self, body: Incoming) -> Arriving {
        self.arriving = (!body.is_end_stream()).then(|| Arc::new(Mark::new(&self.pulse, Stage::Arriving)));
        Arriving { body, mark: self.arriving.clone() }
    }

    /// Its answer. What is at hand whole and has the connection to itself is written at once and needs no more watching.
    pub(super) fn answered(mut self, response: Response<Body>, is_alone: bool) -> Response<Body> {
        // A call waits for the other side only once, though it may go on sending while it is answered.
        if let Some(arriving) = self.arriving.take() {
            arriving.end();
        }
        self.pulse.serves();
        if is_alone && response.body().size_hint().exact().is_some() {
            return response;
        }
        let leaving = Some(Mark::new(&self.pulse, Stage::Leaving));
        self.pulse.offers();
        let is_stream = response.extensions().get::<Streaming>().is_some();
        response.map(|body| Body::new(Leaving { body, is_offered: true, is_stream, turn: self, leaving }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(arriving) = &self.arriving {
            arriving.end();
        }
        self.pulse.ends();
    }
}

/// That a call is at a stage at which it waits for the other side.
struct Mark {
    pulse: Arc<Pulse>,
    stage: Stage,
    is_over: AtomicBool,
}

impl Mark {
    fn new(pulse: &Arc<Pulse>, stage: Stage) -> Self {
        pulse.enters(stage);
        Self { pulse: pulse.clone(), stage, is_over: AtomicBool::new(false) }
    }

    fn end(&self) {
        if !self.is_over.swap(true, Relaxed) {
            self.pulse.leaves(self.stage);
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.end();
    }
}

/// The body of a request.
pub struct Arriving {
    body: Incoming,
    mark: Option<Arc<Mark>>,
}

impl Arriving {
    fn whole(&mut self) {
        if let Some(mark) = self.mark.take() {
            mark.end();
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.whole();
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let read = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(Ok(frame)), Some(mark)) = (&read, &self.mark) {
            let length = frame.data_ref().map_or(0, Bytes::len);
            mark.pulse.excuse(i64::try_from(length).unwrap_or(i64::MAX));
        }
        if read.is_none() || self.body.is_end_stream() {
            self.whole();
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
    /// Whether gizad works at it while there is nothing to take.
    is_stream: bool,
    turn: Turn,
    leaving: Option<Mark>,
}

impl Leaving {
    fn offer(&mut self, is_offered: bool) {
        if self.is_offered != is_offered {
            self.is_offered = is_offered;
            if is_offered {
                self.turn.pulse.offers()
            } else {
                self.turn.pulse.taken()
            }
            if self.is_stream {
                self.leaving = is_offered.then(|| Mark::new(&self.turn.pulse, Stage::Leaving));
            }
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
