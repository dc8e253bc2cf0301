//! What comes back from a call: the message, how it was judged, and what memory and limits had to do with it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use prost_reflect::DynamicMessage;
use tokio::time::Instant;

use super::News;
use crate::ambient;

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What it says.
    pub content: Arc<Content>,
    /// The rule by which the provider's answer was judged a success.
    pub rule: &'static str,
    /// Whether something stood around that answer that does not belong there, such as a warning of PHP.
    pub noisy: bool,
    /// When the provider was asked.
    pub asked: Instant,
    /// Whether it answered another call first, which was under way already.
    pub collapsed: bool,
    /// What memory had to do with it; nothing for what is never kept.
    pub memory: Option<Memory>,
    /// The limit that the call was counted against.
    pub limit: Option<Limit>,
    /// The operation that it belongs to, if it is recorded.
    pub standing: Option<Box<Standing>>,
    /// What comes instead of it, one after the other, if it is the answer of a stream.
    pub news: Option<News>,
}

/// How a recorded operation stands whose answer this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The operation's identifier.
    pub operation: Arc<str>,
    /// Whether it has come to its end.
    pub done: bool,
    /// Whether the answer was known before this call.
    pub replayed: bool,
}

impl Reply {
    /// The answer as the provider gave it.
    #[must_use]
    pub fn new(message: DynamicMessage, rule: &'static str, noisy: bool) -> Self {
        Self {
            content: Arc::new(Content::new(message)),
            rule,
            noisy,
            asked: ambient::instant(),
            collapsed: false,
            memory: None,
            limit: None,
            standing: None,
            news: None,
        }
    }

    /// The same with another message.
    #[must_use]
    pub fn saying(self, message: DynamicMessage) -> Self {
        Self { content: Arc::new(Content::new(message)), ..self }
    }
}

/// The response, of the operation's output message. What a face makes of it is kept beside it and made once.
#[derive(Debug)]
pub struct Content {
    message: DynamicMessage,
    made: [OnceLock<Bytes>; 3],
}

/// What a face makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The body of REST.
    Rest,
    /// The validator.
    Tag,
    /// The framed message of gRPC.
    Grpc,
}

impl Content {
    /// A message of which nothing was made yet.
    #[must_use]
    pub fn new(message: DynamicMessage) -> Self {
        Self { message, made: Default::default() }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &DynamicMessage {
        &self.message
    }

    /// What a face makes of it: made the first time, shared from then on.
    pub fn made(&self, what: Made, make: impl FnOnce(&DynamicMessage) -> Bytes) -> Bytes {
        let [rest, tag, grpc] = &self.made;
        let place = match what {
            Made::Rest => rest,
            Made::Tag => tag,
            Made::Grpc => grpc,
        };
        place.get_or_init(|| make(&self.message)).clone()
    }
}

/// What memory had to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Whether it came from there, or why not.
    pub taken: Taken,
    /// How long ago the provider was asked for it.
    pub age: Duration,
    /// How long it counts as fresh, and beyond.
    pub lifetime: Lifetime,
    /// Whether it is the same for everyone.
    pub public: bool,
    /// Whether it is in memory now, and so may be in the caller's too.
    pub kept: bool,
}

/// Whether an answer came from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// From memory, still fresh.
    Hit,
    /// From memory, no longer fresh; the provider is being asked meanwhile.
    Revalidating,
    /// From memory, no longer fresh, because the provider could not be asked: for what reason, and whether it was tried.
    InsteadOfError(&'static str, bool),
    /// Asked for: there was nothing in memory.
    Missing,
    /// Asked for: what was in memory is too old.
    Expired,
    /// Asked for, because the caller wanted it.
    Requested,
    /// Asked for: this is not kept.
    Bypassed,
}

/// How long an answer may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// As fresh. Zero: it is not kept.
    pub ttl: Duration,
    /// And for how long after that while it is being asked for anew (RFC 5861, `stale-while-revalidate`).
    pub stale_while_revalidate: Duration,
    /// And for how long after its freshness when the provider cannot be asked (RFC 5861, `stale-if-error`).
    pub stale_if_error: Duration,
}

/// The state of a limit (IETF draft "RateLimit header fields for HTTP").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub name: &'static str,
    /// How much there is of it in a window; 0 if nobody knows.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// How much is left of it.
    pub remaining: u32,
    /// When all of it is there again; or, with nothing left, when there is more.
    pub reset: Duration,
}
