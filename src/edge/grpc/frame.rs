//! A message of gRPC in its frame: a flag, its length, and the bytes (gRPC over HTTP/2, "Length-Prefixed-Message").

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::DynamicMessage;

use super::super::{Options, body};
use crate::fault::{Fault, Reason};

/// The flag and the length before a message.
pub(super) const PREFIX: usize = 5;

/// The bytes of the only message of a request.
pub(super) fn only<'a>(body: &'a [u8], options: &Options) -> Result<&'a [u8], Fault> {
    let malformed = |what: &str| Err(Fault::new(Reason::MalformedBody, what.to_owned()));
    let Some(([flag, length @ ..], message)) = body.split_first_chunk::<PREFIX>() else {
        return malformed(if body.is_empty() {
            "the request has no message"
        } else {
            "the message broke off"
        });
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    match flag {
        0 => {}
        1 => return Err(Fault::new(Reason::CompressionUnsupported, "the message is compressed")),
        _ => return malformed("the flag before the message is neither 0 nor 1"),
    }
    if length > options.max_body {
        return Err(body::too_large(options));
    }
    match message.len().cmp(&length) {
        std::cmp::Ordering::Less => malformed("the message broke off"),
        std::cmp::Ordering::Equal => Ok(message),
        std::cmp::Ordering::Greater => malformed("the request has more than its one message"),
    }
}

/// A message in its frame.
pub(super) fn framed(message: &DynamicMessage) -> Bytes {
    let length = message.encoded_len();
    let mut out = Vec::with_capacity(PREFIX + length);
    out.push(0);
    // No answer of the provider that is read is a thousandth as long as that.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    // A vector grows as it must; writing to it does not fail.
    let _infallible = message.encode(&mut out);
    out.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::edge::Ways;

    #[test]
    fn one_whole_message_and_nothing_else() {
        let (ways, pages) = (Ways::default(), String::new());
        let options = Options { max_body: 10, body_timeout: Duration::from_secs(1), ways, pages };
        let read = |body: &[u8]| only(body, &options).map(<[u8]>::to_vec).map_err(|fault| fault.reason);
        assert_eq!(read(&[0, 0, 0, 0, 2, 7, 7]), Ok(vec![7, 7]));
        assert_eq!(read(&[0, 0, 0, 0, 0]), Ok(vec![]));
        for broken in [&[][..], &[0, 0], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 1, 7, 7], &[2, 0, 0, 0, 0]] {
            assert_eq!(read(broken), Err(Reason::MalformedBody), "{broken:?}");
        }
        assert_eq!(read(&[1, 0, 0, 0, 0]), Err(Reason::CompressionUnsupported));
        assert_eq!(read(&[0, 255, 255, 255, 255, 1]), Err(Reason::BodyTooLarge));
    }
}
