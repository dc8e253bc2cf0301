//! What travels through the gateway: a call going in, a reply coming out. (The third, a fault, has a room of
//! its own.)
//!
//! Absent here: a status code, and any knowledge of a wire. (A face may leave its encoding beside a reply, unread by
//! anybody else.)

mod barred;
mod deadline;
mod news;
mod presented;
mod reply;
mod scope;
mod token;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost_reflect::DynamicMessage;

use crate::ambient;
use crate::contract::{Effect, Operation, canonical};
use crate::traces::{self, Trace};

pub use barred::Barred;
pub use deadline::{Deadline, Departure};
pub use news::{Coming, Item, News, With};
pub use presented::{Certificate, Peer, Presented, Process};
pub use reply::{Content, Lifetime, Limit, Made, Memory, Reply, Standing, Taken};
pub use scope::{Scope, Scopes};
pub use token::Token;

/// One call of an operation, read and found valid.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub operation: &'static Operation,
    /// What it does to the world. The operation's own effect, except for an action that only the settings
    /// know.
    pub effect: Effect,
    /// The request, of the operation's input message.
    pub request: DynamicMessage,
    /// The name of this call in every log and answer.
    pub id: RequestId,
    /// Where it stands in its trace.
    pub trace: Trace,
    /// The front end it came through.
    pub face: Face,
    /// Who its caller means to be, until somebody has looked at it.
    pub presented: Presented,
    /// Who calls.
    pub caller: Caller,
    /// What the caller may do.
    pub scopes: Scopes,
    /// Why it goes nowhere all the same.
    pub barred: Option<Barred>,
    /// The caller's idempotency key: what is asked again under it is carried out once.
    pub key: Option<Key>,
    /// Whether a purchase waits for it.
    pub urgent: bool,
    /// The time it has.
    pub deadline: Deadline,
    /// How fresh its answer is to be.
    pub wishes: Wishes,
}

impl Call {
    /// A call of gizad's own that asks for what the provider says now, and has this much time. It belongs to the trace of what it is
    /// made for.
    #[must_use]
    pub fn own(operation: &'static Operation, request: DynamicMessage, time: Duration) -> Self {
        Self {
            operation,
            effect: operation.effect,
            request,
            id: RequestId::unique(),
            trace: traces::current().unwrap_or_else(Trace::nobodys),
            face: Face::Rest,
            presented: Presented::default(),
            caller: Caller::Gizad,
            scopes: Scopes::NONE,
            barred: None,
            key: None,
            urgent: false,
            deadline: Deadline::new(ambient::instant(), Some(time)),
            wishes: Wishes { no_cache: true, ..Wishes::default() },
        }
    }

    /// The name of who calls, if that is known.
    #[must_use]
    pub fn known(&self) -> Option<&Caller> {
        match &self.barred {
            Some(Barred::NoToken | Barred::Unknown(_) | Barred::Expired(..) | Barred::Stranger(_)) => None,
            Some(Barred::NotListed) | None => Some(&self.caller),
        }
    }

    /// Everything that makes it what it is: the operation and its parameters, without the terms it is made on.
    #[must_use]
    pub fn asked(&self) -> Vec<u8> {
        let mut request = self.request.clone();
        for field in self.operation.input.fields.iter().filter(|field| field.term.is_some()) {
            request.clear_field(&field.descriptor);
        }
        [self.operation.name.as_bytes(), b"\n", &canonical(&request)].concat()
    }
}

/// An idempotency key: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in characters.
    pub const LONGEST: usize = 128;

    /// Takes a caller's text, if it can be a key.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// Somebody without a name. All of these are one caller.
    Anonymous,
    /// gizad itself, which refreshes what it keeps.
    Gizad,
    /// gizad itself, which looks at the account for its metrics. No caller of the settings can have this name.
    Metrics,
    /// gizad itself, which looks again and again at what others wait for or watch. Nor this one.
    Watch,
    /// Whoever runs gizad: a process of the same user, over the Unix socket.
    Owner,
    /// Somebody with a name.
    Named(Arc<str>),
}

/// How fresh a caller wants its answer (RFC 9111, section 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Asked for anew, whatever is kept.
    pub no_cache: bool,
    /// No older than this.
    pub max_age: Option<Duration>,
    /// From memory or not at all.
    pub only_if_cached: bool,
    /// Not kept.
    pub no_store: bool,
}

/// The front end a call came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// JSON over HTTP.
    Rest,
    /// gRPC, and gRPC-Web.
    Grpc,
}

impl Caller {
    /// The caller whose records are kept under a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        [Self::Anonymous, Self::Gizad, Self::Metrics, Self::Watch, Self::Owner]
            .into_iter()
            .find(|c| c.as_str() == name)
            .unwrap_or(Self::Named(name.into()))
    }

    /// Whether it is gizad itself, at work for its callers, which have been counted for it.
    #[must_use]
    pub fn is_gizad(&self) -> bool {
        matches!(self, Self::Gizad | Self::Watch)
    }

    /// The name by which a caller's records are kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Gizad => "gizad",
            Self::Metrics => "gizad.metrics",
            Self::Watch => "gizad.watch",
            Self::Owner => "owner",
            Self::Named(name) => name,
        }
    }
}

impl Face {
    /// The word used in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        }
    }
}

/// The name of a call: the caller's `X-Request-Id` when it is usable, otherwise one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Name);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Ours([u8; 32]),
    Callers(Arc<str>),
}

impl RequestId {
    /// The longest name taken from a caller.
    const LONGEST: usize = 128;

    /// Takes a caller's name if it is safe to repeat in logs and headers: 1 to 128 visible ASCII
    /// characters, without quotes.
    #[must_use]
    pub fn from_caller(name: &str) -> Option<Self> {
        let safe = |b: u8| b.is_ascii_graphic() && b != b'"';
        let usable = (1..=Self::LONGEST).contains(&name.len()) && name.bytes().all(safe);
        usable.then(|| Self(Name::Callers(name.into())))
    }

    /// A name that nothing else has.
    #[must_use]
    pub fn unique() -> Self {
        Self::from_bytes(ambient::unique())
    }

    /// A name made of 16 bytes that nothing else is made of.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut name = [0; 32];
        for (pair, byte) in name.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self(Name::Ours(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Ours(name) => std::str::from_utf8(name).unwrap_or_default(),
            Name::Callers(name) => name,
        }
    }

    /// The name as bytes, all of them visible ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Name::Ours(name) => name,
            Name::Callers(name) => name.as_bytes(),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_name_is_taken_only_when_it_is_safe_to_repeat() {
        assert_eq!(RequestId::from_caller("abc-1").expect("plain").as_str(), "abc-1");
        for unsafe_name in ["", "a b", "a\nb", "a\"b", "é", &"x".repeat(129)] {
            assert_eq!(RequestId::from_caller(unsafe_name), None, "{unsafe_name:?}");
        }
    }
}
