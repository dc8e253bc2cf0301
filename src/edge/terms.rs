//! The terms on which a call is made, from its headers or metadata: how long it may take, and how fresh its answer is
//! to be.

use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::call::{Deadline, Wishes};
use crate::contract::Violation;
use crate::fault::{Fault, Reason};

/// How long a call may take, over REST: `5`, `2.5s`, `500ms`, `1m`.
const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");
/// The same over gRPC, in its own way.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The terms.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) deadline: Deadline,
    pub(super) wishes: Wishes,
}

impl Terms {
    /// Those of a request over REST that came in at this moment.
    pub(super) fn rest(headers: &HeaderMap, begun: Instant) -> Result<Self, Fault> {
        let expected = "a time above zero, such as 5, 2.5s, 500ms or 1m";
        Self::read(headers, begun, &REQUEST_TIMEOUT, duration, expected)
    }

    /// Those of a call over gRPC.
    pub(super) fn grpc(headers: &HeaderMap, begun: Instant) -> Result<Self, Fault> {
        let expected = "one to eight digits and one of H, M, S, m, u, n";
        Self::read(headers, begun, &GRPC_TIMEOUT, grpc_duration, expected)
    }

    fn read(
        headers: &HeaderMap,
        begun: Instant,
        name: &HeaderName,
        duration: fn(&str) -> Option<Duration>,
        expected: &str,
    ) -> Result<Self, Fault> {
        let mut wrong = Vec::new();
        let asked = headers.get(name).and_then(|value| {
            let read = text(value).and_then(duration);
            if read.is_none() {
                wrong.push(Violation::new(name.as_str(), format!("must be {expected}")));
            }
            read
        });
        let wishes = wishes(headers).unwrap_or_else(|expected| {
            wrong.push(Violation::new(CACHE_CONTROL.as_str(), expected));
            Wishes::default()
        });
        if wrong.is_empty() {
            Ok(Self { deadline: Deadline::new(begun, asked), wishes })
        } else {
            Err(Fault::violated(Reason::InvalidArgument, wrong))
        }
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

/// `5`, `2.5s`, `500ms`, `1m`: without a unit, seconds.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "m" => number * 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
}

/// gRPC over HTTP/2: `TimeoutValue TimeoutUnit`.
fn grpc_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The directives of a request that gizad honours (RFC 9111, section 5.2.1). Others are for other caches.
fn wishes(headers: &HeaderMap) -> Result<Wishes, String> {
    let mut wishes = Wishes::default();
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in text(value).unwrap_or_default().split(',').map(str::trim) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            if name.eq_ignore_ascii_case("no-cache") {
                wishes.no_cache = true;
            } else if name.eq_ignore_ascii_case("only-if-cached") {
                wishes.only_if_cached = true;
            } else if name.eq_ignore_ascii_case("no-store") {
                wishes.no_store = true;
            } else if name.eq_ignore_ascii_case("max-age") {
                let digits = argument.trim_matches('"');
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err("max-age must be whole seconds".to_owned());
                }
                // More than a number holds is as good as for ever (RFC 9111, section 1.2.2).
                wishes.max_age = Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)));
            }
        }
    }
    if wishes.no_cache && wishes.only_if_cached {
        return Err("no-cache and only-if-cached exclude each other".to_owned());
    }
    Ok(wishes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rest_and_of_grpc() {
        for (text, millis) in [("5", 5000), ("2.5", 2500), ("2.5s", 2500), ("500ms", 500), ("1m", 60_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "0",
            "0s",
            "-1",
            "5 s",
            "1h2",
            "s",
            ".",
            ".5",
            "1.2.3",
            "1e3",
            "inf",
            "∞",
            "99999999999999999999999m",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        for (text, millis) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3000), ("4m", 4), ("5000u", 5), ("99999999n", 99)]
        {
            assert_eq!(grpc_duration(text).map(|time| time.as_millis()), Some(millis), "{text}");
        }
        for text in ["", "S", "5", "123456789S", "-1S", "5s", "5 S", "5é"] {
            assert_eq!(grpc_duration(text), None, "{text}");
        }
    }

    #[test]
    fn wishes_are_read_whatever_else_stands_beside_them() {
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(text))]);
            wishes(&headers)
        };
        assert_eq!(read("no-transform, No-Cache"), Ok(Wishes { no_cache: true, ..Wishes::default() }));
        let max_age = Some(Duration::from_secs(7));
        assert_eq!(
            read("max-age=7,only-if-cached"),
            Ok(Wishes { max_age, only_if_cached: true, ..Wishes::default() })
        );
        assert_eq!(read("no-store"), Ok(Wishes { no_store: true, ..Wishes::default() }));
        let for_ever = read("max-age=99999999999999999999999").expect("valid").max_age;
        assert_eq!(for_ever, Some(Duration::from_secs(u64::MAX)));
        assert!(read("max-age=-1").is_err() && read("max-age=soon").is_err() && read("max-age").is_err());
        assert!(read("no-cache, only-if-cached").is_err());
    }
}
