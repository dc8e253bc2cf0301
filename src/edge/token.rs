//! The token of a request: `Authorization: Bearer …` (RFC 6750), over REST and as metadata of gRPC.
//!
//! Absent here: whether it is one. What cannot be read is passed on as a token that fits nobody.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::call::Token;

const SCHEME: &str = "bearer";

/// What a request presents, if it presents anything.
pub(super) fn presented(headers: &HeaderMap) -> Option<Token> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let first = given.next()?;
    // Two of them, or another scheme: whoever sends such means to be somebody, and is not taken for nobody.
    let only = given.next().is_none().then_some(first);
    let bearer = only.and_then(|value| value.to_str().ok()?.trim().split_once(' '));
    let token =
        bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME)).map(|(_, token)| token.trim());
    Some(Token::presented(token.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_read_and_anything_else_fits_nobody() {
        let (_, text) = Token::new("ci").expect("randomness");
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().expect("a header"));
            }
            presented(&headers)
        };
        assert_eq!(read(&[]), None);
        for fine in [format!("Bearer {text}"), format!("bearer  {text} "), format!("BEARER {text}")] {
            assert_eq!(read(&[&fine]).expect("presented").caller(), Some("ci"), "{fine}");
        }
        let bearer = format!("Bearer {text}");
        for wrong in [&["Basic YTpi"][..], &[&text], &["Bearer"], &[""], &[&bearer, &bearer]] {
            assert_eq!(read(wrong).expect("presented").caller(), None, "{wrong:?}");
        }
    }
}
