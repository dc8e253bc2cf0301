//! Who may be speaking: loopback is not a boundary. A web page in the operator's browser can send simple requests to
//! it, and with a name that it rebinds it can even read the answers.
//!
//! So a request must name a host that is known, and whatever a browser sends on behalf of another site is refused.
//! Programs send none of these headers. Nor do they come through a proxy, which would speak for others with an address of its
//! own, unless the operator trusts it.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST, ORIGIN, REFERER, VIA};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use ipnet::IpNet;

use crate::fault::{Fault, Reason};

/// Where a browser says a request comes from, as seen from where it goes.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How the headers begin by which proxies said it before RFC 7239.
const X_FORWARDED: &str = "x-forwarded-";
/// Others by which proxies say whom they speak for.
const OF_PROXIES: [&str; 5] =
    ["x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-forwarded-for"];

/// By what ways a request may come.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// Names by which gizad may be reached, beside this machine's own.
    pub hosts: Vec<String>,
    /// Where proxies may be that hand on what others sent.
    pub proxies: Vec<IpNet>,
}

/// Refuses what a caller at this address, who came by no name of a page, would not send.
///
/// # Errors
/// `HOST_NOT_ALLOWED`, `CROSS_SITE` and `PROXY_NOT_TRUSTED`.
pub fn check(uri: &Uri, headers: &HeaderMap, from: Option<IpAddr>, ways: &Ways) -> Result<(), Fault> {
    host(uri, headers, &ways.hosts)?;
    anyhow(uri, headers, from, ways)
}

/// Refuses what only a web page would send to a probe. Probes come by whatever address the pod has, and some name no host
/// at all; a page that rebinds comes by a name.
///
/// # Errors
/// `HOST_NOT_ALLOWED`, `CROSS_SITE` and `PROXY_NOT_TRUSTED`.
pub fn probe(uri: &Uri, headers: &HeaderMap, from: Option<IpAddr>, ways: &Ways) -> Result<(), Fault> {
    let is_named = uri.authority().is_some() || headers.contains_key(HOST);
    let at = authority(uri, headers);
    if is_named && at.is_none_or(|authority| bare(authority.host()).parse::<IpAddr>().is_err()) {
        host(uri, headers, &ways.hosts)?;
    }
    anyhow(uri, headers, from, ways)
}

/// Refuses what nobody may send, by whatever name and from wherever.
pub(super) fn anyhow(uri: &Uri, headers: &HeaderMap, from: Option<IpAddr>, ways: &Ways) -> Result<(), Fault> {
    site(uri, headers)?;
    let trusted = from.is_some_and(|from| ways.proxies.iter().any(|proxies| proxies.contains(&from)));
    let is_handed_on = |name: &HeaderName| {
        let other = || OF_PROXIES.contains(&name.as_str()) || name.as_str().starts_with(X_FORWARDED);
        name == FORWARDED || name == VIA || other()
    };
    match headers.keys().find(|name| is_handed_on(name)) {
        Some(name) if !trusted => {
            let detail =
                format!("the header {name} says that a proxy handed this on, and none is trusted there");
            Err(Fault::new(Reason::ProxyNotTrusted, detail))
        }
        _ => Ok(()),
    }
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
fn site(uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    let elsewhere = headers.get_all(SITE).iter().any(|site| site != "same-origin" && site != "none");
    let foreign = [ORIGIN, REFERER].iter().flat_map(|name| headers.get_all(name)).any(|value| {
        let page: Option<Uri> = value.to_str().ok().and_then(|value| value.parse().ok());
        let own = authority(uri, headers);
        page.as_ref().and_then(Uri::authority).map(Authority::as_str) != own.as_ref().map(Authority::as_str)
    });
    if elsewhere || foreign {
        return Err(Fault::new(Reason::CrossSite, "a web page of another site may not call this API"));
    }
    Ok(())
}

/// Who is spoken to, if that is said once: in the target, as HTTP/2 has it, or in the header, or in both alike. What is said
/// twice would be read one way by whoever stands before gizad, and the other way here (RFC 9112, section 3.2).
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut named = headers.get_all(HOST).iter();
    let first = named.next().map(HeaderValue::as_bytes);
    if named.next().is_some() {
        return None;
    }
    match (uri.authority(), first) {
        (None, first) => Authority::try_from(first?).ok(),
        (Some(target), None) => Some(target.clone()),
        (Some(target), Some(first)) => {
            target.as_str().as_bytes().eq_ignore_ascii_case(first).then(|| target.clone())
        }
    }
    // No user has a place there (RFC 9110, section 4.2.4).
    .filter(|authority| !authority.as_str().contains('@'))
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

    type Check = fn(&Uri, &HeaderMap, Option<IpAddr>, &Ways) -> Result<(), Fault>;

    fn refused(check: Check, headers: &[(&str, &str)]) -> Option<Reason> {
        from("127.0.0.1", check, "/wallet", headers)
    }

    fn from(address: &str, check: Check, target: &'static str, headers: &[(&str, &str)]) -> Option<Reason> {
        let ways = Ways {
            hosts: vec!["gizad.svc".to_owned()],
            proxies: vec!["10.1.0.0/16".parse().expect("a network")],
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        let from = address.parse().ok();
        check(&Uri::from_static(target), &map, from, &ways).err().map(|fault| fault.reason)
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
        for host in [
            "evil.com",
            "evil.com@localhost",
            "localhost.evil.com",
            "10.0.0.1",
            "0.0.0.0:7070",
            "169.254.169.254",
            "",
            "a b",
        ] {
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

    #[test]
    fn a_host_that_is_said_twice_is_none() {
        let localhost = ("host", "localhost");
        assert_eq!(checked(&[localhost, localhost]), Some(Reason::HostNotAllowed));
        let target = "http://localhost/wallet";
        for (host, refused) in [("LOCALHOST", None), ("127.0.0.1", Some(Reason::HostNotAllowed))] {
            assert_eq!(from("127.0.0.1", check, target, &[("host", host)]), refused, "{host}");
        }
        assert_eq!(from("127.0.0.1", check, target, &[]), None);
        let evil = ("host", "evil.com");
        assert_eq!(refused(probe, &[localhost, evil]), Some(Reason::HostNotAllowed));
        let origins = [localhost, ("origin", "http://localhost"), ("origin", "http://evil.com")];
        assert_eq!(checked(&origins), Some(Reason::CrossSite));
    }

    #[test]
    fn what_was_handed_on_comes_from_a_proxy_that_is_trusted() {
        let host = ("host", "localhost");
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "X-Forwarded-Host",
            "x-forwarded-anything",
            "X-Real-IP",
            "cf-connecting-ip",
        ] {
            for check in [check as Check, probe] {
                let headers = [host, (name, "x")];
                let untrusted = Some(Reason::ProxyNotTrusted);
                assert_eq!(from("127.0.0.1", check, "/wallet", &headers), untrusted, "{name}");
                assert_eq!(from("10.1.200.3", check, "/wallet", &headers), None, "{name}");
                assert_eq!(from("over a socket", check, "/wallet", &headers), untrusted, "{name}");
            }
        }
    }
}
