//! The context of a trace as it travels (W3C Trace Context, level 2): `traceparent`, which names the trace and the span that asks,
//! and `tracestate`, which others leave for each other.
//!
//! Read strictly. What is malformed is no context, and never an error: a trace then begins here.

use std::fmt;

/// The longest `tracestate` that is kept, in bytes: what everybody has to pass on at least.
const LONGEST_STATE: usize = 512;
/// The most members it may have, and the longest name and value of one.
const MEMBERS: usize = 32;
const LONGEST_PART: usize = 256;

/// The name of a trace: 16 bytes, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// The name of a span within its trace: 8 bytes, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The name that these bytes are; zero alone is none.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(if bytes == [0; 16] { 1_u128.to_be_bytes() } else { bytes })
    }

    pub(super) fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Its last 8 bytes as a number, by which it is decided whether the trace is recorded.
    pub(super) fn low(self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}

impl SpanId {
    /// The name that these bytes are; zero alone is none.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(if bytes == [0; 8] { 1_u64.to_be_bytes() } else { bytes })
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What came in with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span of whoever asks.
    pub span: SpanId,
    /// Whether whoever asks has recorded it.
    pub sampled: bool,
    /// What others have left in the trace; nothing if that is malformed or too long.
    pub state: Option<Box<str>>,
}

impl Context {
    /// That of a span which is recorded.
    #[must_use]
    pub fn of(trace: [u8; 16], span: [u8; 8]) -> Self {
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        Self { trace, span, sampled: true, state: None }
    }

    /// Reads a `traceparent` (section 3.2).
    #[must_use]
    pub fn parse(parent: &[u8]) -> Option<Self> {
        let ([v1, v2, b'-'], rest) = parent.split_first_chunk()? else { return None };
        let version = byte(*v1, *v2)?;
        let (trace, rest) = rest.split_first_chunk::<32>()?;
        let ([b'-'], rest) = rest.split_first_chunk()? else { return None };
        let (span, rest) = rest.split_first_chunk::<16>()?;
        let ([b'-', f1, f2], rest) = rest.split_first_chunk()? else { return None };
        // A later version may have more behind that; this one has not, and one is forbidden.
        let ends = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.first().is_none_or(|next| *next == b'-'),
        };
        let (trace, span) = (bytes::<32, 16>(trace)?, bytes::<16, 8>(span)?);
        let valid = ends && trace != [0; 16] && span != [0; 8];
        let sampled = byte(*f1, *f2)? & 1 == 1;
        valid.then_some(Self { trace: TraceId(trace), span: SpanId(span), sampled, state: None })
    }

    /// The same with a `tracestate`, the parts of which may have come in several headers (section 3.3). One that is malformed is
    /// left out as a whole.
    #[must_use]
    pub fn with_state<'a>(self, parts: impl Iterator<Item = &'a [u8]>) -> Self {
        Self { state: state(parts), ..self }
    }
}

fn state<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<Box<str>> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for part in parts {
        for member in std::str::from_utf8(part).ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (name, value) = member.split_once('=')?;
            if !is_name(name) || !is_value(value) || members.iter().any(|(known, _)| *known == name) {
                return None;
            }
            members.push((name, value));
        }
    }
    if members.is_empty() || members.len() > MEMBERS {
        return None;
    }
    let written: Vec<String> = members.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let written = written.join(",");
    (written.len() <= LONGEST_STATE).then(|| written.into())
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fits =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@');
    begins && name.len() <= LONGEST_PART && name.bytes().all(fits)
}

fn is_value(value: &str) -> bool {
    let fits = |b: u8| matches!(b, b' '..=b'~') && b != b'=';
    (1..=LONGEST_PART).contains(&value.len()) && value.bytes().all(fits)
}

/// Two digits, which have to be small.
fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

fn bytes<const DIGITS: usize, const BYTES: usize>(digits: &[u8; DIGITS]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let (pairs, _none) = digits.as_chunks::<2>();
    for (place, [high, low]) in bytes.iter_mut().zip(pairs) {
        *place = byte(*high, *low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_context_is_read_as_it_was_written() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true)] {
            let context = Context::parse(format!("00-{TRACE}-{SPAN}-{flags}").as_bytes()).expect("valid");
            assert_eq!((context.trace.to_string(), context.span.to_string()), (TRACE.into(), SPAN.into()));
            assert_eq!(context.sampled, sampled, "{flags}");
        }
        for later in
            [format!("01-{TRACE}-{SPAN}-01"), format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be")]
        {
            assert!(Context::parse(later.as_bytes()).is_some_and(|context| context.sampled), "{later}");
        }
    }

    #[test]
    fn what_is_malformed_is_no_context() {
        let zeros = ("0".repeat(32), "0".repeat(16));
        for wrong in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("01-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", zeros.0),
            format!("00-{TRACE}-{}-01", zeros.1),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-é"),
        ] {
            assert_eq!(Context::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn what_others_have_left_is_kept_only_if_it_is_whole() {
        let read = |parts: &[&str]| state(parts.iter().map(|part| part.as_bytes())).map(String::from);
        assert_eq!(
            read(&["rojo=00f067aa0ba902b7 , ,congo=t61rcWkgMzE"]),
            Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".into())
        );
        assert_eq!(read(&["a=1", "fw529a3039@dt=b c"]), Some("a=1,fw529a3039@dt=b c".into()));
        let (many, long) = (vec!["a=1"; 1], "x".repeat(257));
        assert!(read(&many).is_some());
        let too_many: Vec<String> = (0..33).map(|number| format!("k{number}=1")).collect();
        for wrong in [
            "",
            " , ",
            "a",
            "a=",
            "=1",
            "A=1",
            "a=1,a=2",
            "a=é",
            "a=1=2",
            "-a=1",
            &format!("a={long}"),
            &too_many.join(","),
        ] {
            assert_eq!(read(&[wrong]), None, "{wrong}");
        }
    }
}
