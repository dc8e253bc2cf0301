//! What comes one after the other: the answers of a stream, as they become known.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;

use super::Content;
use crate::fault::Fault;

/// One answer of a stream.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it says.
    pub content: Arc<Content>,
    /// By what its caller can say later that it had this one; nothing if that would leave out others.
    pub id: Option<Arc<str>>,
}

/// The answers of a stream. A fault is the last.
pub type Coming = Pin<Box<dyn Stream<Item = Result<Item, Fault>> + Send>>;

/// A stream that somebody is to take. It goes where its reply goes, and to one taker.
#[derive(Clone)]
pub struct News(Arc<Mutex<Option<Coming>>>);

impl News {
    /// A stream.
    #[must_use]
    pub fn new(coming: impl Stream<Item = Result<Item, Fault>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(coming)))))
    }

    /// One that has come to its end: its caller has had everything.
    #[must_use]
    pub fn over() -> Self {
        Self(Arc::default())
    }

    /// The stream, for whoever takes it; nothing if it has come to its end.
    #[must_use]
    pub fn take(&self) -> Option<Coming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it has come to its end, or somebody has taken it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The same with something around it.
    #[must_use]
    pub fn map<S>(&self, around: impl FnOnce(Coming) -> S) -> Self
    where
        S: Stream<Item = Result<Item, Fault>> + Send + 'static,
    {
        self.take().map_or_else(Self::over, |coming| Self::new(around(coming)))
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("News")
    }
}

/// A stream and something that lives as long as it does.
pub struct With<T>(pub Coming, pub T);

impl<T: Unpin> Stream for With<T> {
    type Item = Result<Item, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for With<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("With")
    }
}
