//! What a reply says about memory, in headers of REST and, by the same names, in metadata of gRPC: `Cache-Control`,
//! `Age` (RFC 9111), `ETag` (RFC 9110) and `Cache-Status` (RFC 9211).

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, ETAG, HeaderName, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use ring::digest::{Context, SHA256};

use crate::call::{Lifetime, Made, Memory, Reply, Taken};
use crate::contract::canonical;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Bytes of the digest that a validator shows: enough that no two answers share one by accident.
const TAG: usize = 16;

/// Writes them.
pub(super) fn write(reply: &Reply, headers: &mut HeaderMap) {
    let Some(memory) = &reply.memory else {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return;
    };
    if !memory.kept {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else {
        headers.insert(CACHE_CONTROL, value(&control(memory)));
        headers.insert(AGE, HeaderValue::from(memory.age.as_secs()));
        if let Ok(tag) = HeaderValue::from_maybe_shared(tag(reply)) {
            headers.insert(ETAG, tag);
        }
    }
    headers.insert(CACHE_STATUS, value(&status(memory, remaining(memory), reply.collapsed)));
}

/// Made of our own words and of digits.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether the caller has this answer already (RFC 9110, section 13.1.2).
pub(super) fn is_known(reply: &Reply, headers: &HeaderMap) -> bool {
    let kept = reply.memory.is_some_and(|memory| memory.kept);
    if !kept || !headers.contains_key(IF_NONE_MATCH) {
        return false;
    }
    let own = tag(reply);
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|list| list.split(',')).map(str::trim).any(|tag| {
        // A weak comparison: it is the same answer either way.
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == own
    })
}

/// The validator: the digest of what is said, and of the version that says how it is written.
fn tag(reply: &Reply) -> Bytes {
    reply.content.made(Made::Tag, |message| {
        let mut digest = Context::new(&SHA256);
        digest.update(env!("CARGO_PKG_VERSION").as_bytes());
        digest.update(&canonical(message));
        let digest = digest.finish();
        let mut tag = String::with_capacity(2 * TAG + 2);
        tag.push('"');
        for byte in digest.as_ref().iter().take(TAG) {
            let _infallible = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        tag.into()
    })
}

fn control(memory: &Memory) -> String {
    let Lifetime { ttl, stale_while_revalidate, stale_if_error } = memory.lifetime;
    let scope = if memory.public { "public" } else { "private" };
    let mut control = format!("{scope}, max-age={}", ttl.as_secs());
    for (name, time) in
        [("stale-while-revalidate", stale_while_revalidate), ("stale-if-error", stale_if_error)]
    {
        if !time.is_zero() {
            let _infallible = write!(control, ", {name}={}", time.as_secs());
        }
    }
    control
}

/// What is left of the freshness, in seconds; below zero once it has passed.
fn remaining(memory: &Memory) -> i64 {
    memory.lifetime.ttl.as_secs() as i64 - memory.age.as_secs() as i64
}

fn status(memory: &Memory, ttl: i64, collapsed: bool) -> String {
    let (mut status, asked) = match memory.taken {
        Taken::Hit => (format!("gizad; hit; ttl={ttl}"), false),
        Taken::Revalidating => (format!("gizad; hit; ttl={ttl}; detail=revalidating"), false),
        Taken::InsteadOfError(reason, true) => {
            (format!("gizad; fwd=stale; ttl={ttl}; detail={reason}"), false)
        }
        Taken::InsteadOfError(reason, false) => (format!("gizad; hit; ttl={ttl}; detail={reason}"), false),
        Taken::Missing => ("gizad; fwd=uri-miss".to_owned(), true),
        Taken::Expired => ("gizad; fwd=stale".to_owned(), true),
        Taken::Requested => ("gizad; fwd=request".to_owned(), true),
        Taken::Bypassed => ("gizad; fwd=bypass".to_owned(), true),
    };
    if asked && memory.kept {
        status.push_str("; stored");
    }
    if collapsed {
        status.push_str("; collapsed");
    }
    status
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_said_of_memory() {
        let lifetime = Lifetime {
            ttl: Duration::from_secs(300),
            stale_while_revalidate: Duration::from_secs(60),
            stale_if_error: Duration::ZERO,
        };
        let memory =
            |taken, age| Memory { taken, age: Duration::from_secs(age), lifetime, public: true, kept: true };
        assert_eq!(control(&memory(Taken::Hit, 7)), "public, max-age=300, stale-while-revalidate=60");
        let status = |memory: Memory, collapsed| status(&memory, remaining(&memory), collapsed);
        assert_eq!(status(memory(Taken::Hit, 7), false), "gizad; hit; ttl=293");
        assert_eq!(
            status(memory(Taken::Revalidating, 310), false),
            "gizad; hit; ttl=-10; detail=revalidating"
        );
        assert_eq!(status(memory(Taken::Missing, 0), true), "gizad; fwd=uri-miss; stored; collapsed");
        let lost = Memory { kept: false, ..memory(Taken::Missing, 0) };
        assert_eq!(status(lost, false), "gizad; fwd=uri-miss");
        let unasked = memory(Taken::InsteadOfError("CIRCUIT_OPEN", false), 400);
        assert_eq!(status(unasked, false), "gizad; hit; ttl=-100; detail=CIRCUIT_OPEN");
        let instead = memory(Taken::InsteadOfError("UPSTREAM_TIMEOUT", true), 400);
        assert_eq!(status(instead, false), "gizad; fwd=stale; ttl=-100; detail=UPSTREAM_TIMEOUT");
    }
}
