//! Who may be speaking: loopback is not a boundary. A web page in the operator's browser can send simple requests to
//! it, and with a name that it rebinds it can even read the answers.
//!
//! So a request must name a host that is known, and whatever a browser sends on behalf of another site is refused.
//! Programs send none of these headers.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN, REFERER};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::fault::{Fault, Reason};

/// Where a browser says a request comes from, as seen from where it goes.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what a caller of this host would not send.
///
/// # Errors
/// `HOST_NOT_ALLOWED` and `CROSS_SITE`.
pub fn check(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Result<(), Fault> {
    host(uri, headers, hosts)?;
    site(uri, headers)
}

/// Refuses what only a web page would send to a probe. Probes come by whatever address the pod has, and some name no host
/// at all; a page that rebinds comes by a name.
///
/// # Errors
/// `HOST_NOT_ALLOWED` and `CROSS_SITE`.
pub fn probe(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Result<(), Fault> {
    if authority(uri, headers).is_some_and(|authority| bare(authority.host()).parse::<IpAddr>().is_err()) {
        host(uri, headers, hosts)?;
    }
    site(uri, headers)
}

/// Refuses a host that is not known.
pub(super) fn host(uri: &Uri, headers: &HeaderMap, hosts: &[String]) -> Result<(), Fault> {
    if authority(uri, headers).is_some_and(|authority| is_known(authority.host(), hosts)) {
        return Ok(());
    }
    let detail = "the Host is neither this machine nor one of listen.hosts in the settings";
    Err(Fault::new(Reason::HostNotAllowed, detail))
}

/// Refuses what a browser sends on behalf of another site.
pub(super) fn site(uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    let elsewhere = headers.get(SITE).is_some_and(|site| site != "same-origin" && site != "none");
    let foreign = [ORIGIN, REFERER].iter().filter_map(|name| headers.get(name)).any(|value| {
        let page: Option<Uri> = value.to_str().ok().and_then(|value| value.parse().ok());
        let own = authority(uri, headers);
        page.as_ref().and_then(Uri::authority).map(Authority::as_str) != own.as_ref().map(Authority::as_str)
    });
    if elsewhere || foreign {
        return Err(Fault::new(Reason::CrossSite, "a web page of another site may not call this API"));
    }
    Ok(())
}

/// Who is spoken to. HTTP/2 has it in the target.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let named = || headers.get(HOST).map(HeaderValue::as_bytes);
    uri.authority().cloned().or_else(|| Authority::try_from(named()?).ok())
}

/// This machine by address or by its one certain name, and what the operator has added.
fn is_known(host: &str, hosts: &[String]) -> bool {
    let bare = bare(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(bare))
}

/// An address of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&Uri, &HeaderMap, &[String]) -> Result<(), Fault>;

    fn refused(check: Check, headers: &[(&str, &str)]) -> Option<Reason> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        check(&Uri::from_static("/wallet"), &map, &["gizad.svc".to_owned()]).err().map(|fault| fault.reason)
    }

    fn checked(headers: &[(&str, &str)]) -> Option<Reason> {
        refused(check, headers)
    }

    #[test]
    fn probes_come_by_any_address_and_pages_by_none() {
        assert_eq!(refused(probe, &[]), None, "HTTP/1.0 names no host");
        for host in ["10.1.2.3:7071", "[2001:db8::1]:7071", "127.0.0.1", "localhost:7071", "gizad.svc"] {
            assert_eq!(refused(probe, &[("host", host)]), None, "{host}");
            let page = [("host", host), ("origin", "http://evil.com")];
            assert_eq!(refused(probe, &page), Some(Reason::CrossSite), "{host}");
        }
        for host in ["evil.com:7071", "10.1.2.3.evil.com"] {
            assert_eq!(refused(probe, &[("host", host)]), Some(Reason::HostNotAllowed), "{host}");
        }
    }

    #[test]
    fn programs_of_this_machine_pass_and_pages_do_not() {
        for host in
            ["localhost", "localhost:7070", "127.0.0.1:7070", "[::1]:7070", "127.9.9.9", "gizad.svc:80"]
        {
            assert_eq!(checked(&[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.com", "localhost.evil.com", "10.0.0.1", "0.0.0.0:7070", "169.254.169.254", "", "a b"]
        {
            assert_eq!(checked(&[("host", host)]), Some(Reason::HostNotAllowed), "{host}");
        }
        assert_eq!(checked(&[]), Some(Reason::HostNotAllowed));
        let host = ("host", "localhost:7070");
        for page in [
            ("origin", "http://evil.com"),
            ("origin", "null"),
            ("origin", "http://localhost:3000"),
            ("referer", "http://evil.com/x"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(checked(&[host, page]), Some(Reason::CrossSite), "{page:?}");
        }
        for own in [
            ("origin", "http://localhost:7070"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(checked(&[host, own]), None, "{own:?}");
        }
    }
}
