//! Texts that are compressed into the program: sent as they are to whoever takes that, and unpacked for others.

use std::io::Read as _;
use std::sync::OnceLock;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response};

/// A text that `build.rs` has compressed.
pub(super) struct Packed {
    kind: &'static str,
    gzip: &'static [u8],
    /// As it is, once somebody has asked for it: one text for all, however many take their time over it.
    text: OnceLock<Bytes>,
}

impl Packed {
    pub(super) const fn new(kind: &'static str, gzip: &'static [u8]) -> Self {
        Self { kind, gzip, text: OnceLock::new() }
    }

    /// The text.
    pub(super) fn text(&self) -> Bytes {
        let unpacked = || {
            let mut text = Vec::new();
            // What was packed when the program was built can be unpacked.
            let _whole = GzDecoder::new(self.gzip).read_to_end(&mut text);
            text.into()
        };
        self.text.get_or_init(unpacked).clone()
    }

    /// An answer to somebody who has sent these headers.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let packed = takes_gzip(asked);
        let body = if packed { Body::from(self.gzip) } else { Body::from(self.text()) };
        let mut response = answer(self.kind, body);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if packed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// An answer that is the same for everyone, until another gizad gives it.
pub(super) fn answer(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether gzip is named, and not to be avoided (RFC 9110, section 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused =
            weight.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_name_it() {
        let takes = |text: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate,gzip"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("identity, gzip; q=0.0") && !takes(""));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
