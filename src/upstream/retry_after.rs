//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long the provider asks to wait, at most an hour. What is neither form is as good as absent.
///
/// A date is counted from `date`, the answer's own `Date`: a clock that runs ahead of the provider's must not
/// shorten a pause. Without it, from `now`.
pub(super) fn read(text: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // So many seconds that no number holds them are more than an hour.
        return Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let from = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    Some(until.duration_since(from).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn at(seconds_before: u64) -> SystemTime {
        httpdate::parse_http_date(DATE).expect("a date") - Duration::from_secs(seconds_before)
    }

    #[test]
    fn seconds_and_the_three_forms_of_a_date_are_read() {
        let seconds = |text| read(text, None, at(90)).map(|wait| wait.as_secs());
        for (text, expected) in [
            ("0", Some(0)),
            (" 30 ", Some(30)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            (DATE, Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("", None),
            ("-1", None),
            ("+5", None),
            ("1.5", None),
            ("5s", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 +0700", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_date_is_counted_from_the_providers_own_clock() {
        let ahead = at(0) + Duration::from_secs(86_400);
        let wait = |date| read(DATE, date, ahead).map(|wait| wait.as_secs());
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:47:37 GMT")), Some(120));
        assert_eq!(wait(Some("yesterday")), Some(0), "without a Date that can be read, our own clock");
        assert_eq!(wait(None), Some(0));
    }

    proptest! {
        #[test]
        fn whatever_it_says_the_wait_is_at_most_an_hour(text in ".{0,40}", date in ".{0,40}") {
            prop_assert!(read(&text, Some(&date), at(0)).is_none_or(|wait| wait <= LONGEST));
        }

        #[test]
        fn any_number_and_any_date_is_read(seconds in 0u64..u64::MAX, moment in 0u64..253_402_300_799) {
            let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(moment));
            prop_assert_eq!(read(&seconds.to_string(), None, at(0)), Some(Duration::from_secs(seconds).min(LONGEST)));
            prop_assert!(read(&date, None, at(0)).is_some());
        }
    }
}
