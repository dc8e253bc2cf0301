//! What travels through the gateway: a call going in, a reply coming out. (The third, a fault, has a room of
//! its own.)
//!
//! Absent here: bytes of any wire, a status code.

use std::fmt;

use prost_reflect::DynamicMessage;

use crate::contract::{Effect, Operation};

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
    /// The front end it came through.
    pub face: Face,
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The response, of the operation's output message.
    pub message: DynamicMessage,
    /// The rule by which the provider's answer was judged a success.
    pub rule: &'static str,
    /// Whether something stood around that answer that does not belong there, such as a warning of PHP.
    pub noisy: bool,
}

/// The front end a call came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// JSON over HTTP.
    Rest,
    /// gRPC, and gRPC-Web.
    Grpc,
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
pub struct RequestId(String);

impl RequestId {
    /// The longest name taken from a caller.
    const LONGEST: usize = 128;

    /// Takes a caller's name if it is safe to repeat in logs and headers: 1 to 128 visible ASCII
    /// characters, without quotes.
    #[must_use]
    pub fn from_caller(name: &str) -> Option<Self> {
        let safe = |b: u8| b.is_ascii_graphic() && b != b'"';
        let usable = (1..=Self::LONGEST).contains(&name.len()) && name.bytes().all(safe);
        usable.then(|| Self(name.to_owned()))
    }

    /// A name made of 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        use fmt::Write as _;
        let mut name = String::with_capacity(32);
        for byte in bytes {
            let _infallible = write!(name, "{byte:02x}");
        }
        Self(name)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
