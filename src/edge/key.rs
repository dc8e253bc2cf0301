//! The idempotency key of a call: over REST the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header, bare or
//! quoted), over gRPC the same as metadata; over both the request's own field.

use http::HeaderMap;
use http::header::HeaderName;
use prost_reflect::DynamicMessage;

use crate::call::Key;
use crate::contract::{Operation, Term, Violation};
use crate::fault::{Fault, Reason};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const EXPECTED: &str = "must be 1 to 128 visible ASCII characters";

/// Reads it. What may run twice needs none, so one that is given for it means nothing.
pub(super) fn read(
    headers: &HeaderMap,
    operation: &Operation,
    request: &DynamicMessage,
) -> Result<Option<Key>, Fault> {
    let Some(field) = operation.term(Term::Key) else { return Ok(None) };
    let wrong = |name: &str, what: &str| {
        Err(Fault::violated(Reason::InvalidArgument, vec![Violation::new(name, what)]))
    };
    let mut given = headers.get_all(HEADER).iter();
    let header = given.next();
    if given.next().is_some() {
        return wrong(HEADER.as_str(), "is given twice");
    }
    let header = match header.map(|value| value.to_str().ok().map(unquoted).and_then(Key::new)) {
        Some(None) => return wrong(HEADER.as_str(), EXPECTED),
        Some(Some(key)) => Some(key),
        None => None,
    };
    let value = request.get_field(&field.descriptor);
    let own = match value.as_str().unwrap_or_default() {
        "" => None,
        text => match Key::new(text) {
            Some(key) => Some(key),
            None => return wrong(&field.name, EXPECTED),
        },
    };
    if let (Some(header), Some(own)) = (&header, &own)
        && header != own
    {
        return wrong(&field.name, "differs from the header Idempotency-Key; give one of them");
    }
    Ok(header.or(own))
}

/// The inside of a quoted string (RFC 9651, section 3.3.3); anything else as it is.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    fn key(header: &'static str, field: &str) -> Result<Option<String>, Vec<String>> {
        let operation =
            Contract::embedded().expect("sound").operation("VpsService.CreateVps").expect("there");
        let mut request = DynamicMessage::new(operation.input.descriptor.clone());
        request.set_field_by_name("request_id", prost_reflect::Value::String(field.to_owned()));
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(HEADER, header.parse().expect("a header"));
        }
        let read = read(&headers, operation, &request);
        let read = read.map(|key| key.map(|key| key.as_str().to_owned()));
        read.map_err(|fault| fault.violations.into_iter().map(|v| v.field).collect())
    }

    #[test]
    fn a_key_is_taken_from_either_place_and_must_not_differ() {
        assert_eq!(key("", ""), Ok(None));
        assert_eq!(key("a-1", ""), Ok(Some("a-1".into())));
        assert_eq!(key("\"a-1\"", "a-1"), Ok(Some("a-1".into())));
        assert_eq!(key("", "b"), Ok(Some("b".into())));
        assert_eq!(key("a", "b"), Err(vec!["request_id".into()]));
        assert_eq!(key("\"\"", ""), Err(vec!["idempotency-key".into()]));
        assert_eq!(key("a b", ""), Err(vec!["idempotency-key".into()]));
        assert_eq!(key("", "ä"), Err(vec!["request_id".into()]));
    }
}
