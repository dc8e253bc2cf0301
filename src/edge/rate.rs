//! The state of a limit, as headers of REST and metadata of gRPC (IETF draft "RateLimit header fields for HTTP").

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::call::Limit;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Writes them.
pub(super) fn write(limit: &Limit, headers: &mut HeaderMap) {
    let Limit { name, quota, window, remaining, reset } = limit;
    let (window, reset) = (seconds(*window).max(1), seconds(*reset));
    // Of a limit that nobody knows there is no policy to tell.
    let policy = (*quota > 0).then(|| (RATE_LIMIT_POLICY, format!("\"{name}\";q={quota};w={window}")));
    let limit = (RATE_LIMIT, format!("\"{name}\";r={remaining};t={reset}"));
    for (header, text) in policy.into_iter().chain([limit]) {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header, value);
        }
    }
}

/// Whole seconds, rounded up: trying a moment too early would be refused again.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_in_the_drafts_syntax() {
        let limit = Limit {
            name: "account",
            quota: 60,
            window: Duration::from_millis(59_500),
            remaining: 12,
            reset: Duration::from_millis(6001),
        };
        let mut headers = HeaderMap::new();
        write(&limit, &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"account\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"account\";r=12;t=7");
    }
}
