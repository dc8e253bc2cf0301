//! Texts that are compressed into the program: sent as they are to whoever takes that, and unpacked for others.

use std::io::Read as _;

use axum::body::Body;
use flate2::read::GzDecoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response};

/// A text that `build.rs` has compressed.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    pub(super) kind: &'static str,
    pub(super) gzip: &'static [u8],
}

impl Packed {
    /// The text.
    pub(super) fn text(self) -> String {
        let mut text = String::new();
        // What was packed when the program was built can be unpacked.
        let _whole = GzDecoder::new(self.gzip).read_to_string(&mut text);
        text
    }

    /// An answer to somebody who has sent these headers.
    pub(super) fn answer(self, asked: &HeaderMap) -> Response<Body> {
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
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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
