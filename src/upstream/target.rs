//! The provider's endpoint: a URL that is safe to send a key to.

use std::net::IpAddr;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

/// An endpoint: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// What was expected instead: `https` except on loopback, no user, query or fragment.
    pub fn parse(url: &str) -> Result<Self, String> {
        let expected = "a URL such as https://api-khachhang.gizadata.vn/api";
        if url.contains('#') {
            return Err(format!("{expected}, without a fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| expected.to_owned())?;
        let authority = uri.authority().ok_or(expected)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(expected.to_owned());
        }
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(format!("{expected}, without user or query"));
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(expected.to_owned()),
        };
        if !tls && !is_loopback(&host) {
            return Err(format!("https; http would send the key in the clear to {host}"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
            "" if tls => 443,
            "" => 80,
            written => {
                let port = written.trim_start_matches(':').parse();
                port.map_err(|_| format!("{expected}, with a port up to 65535"))?
            }
        };
        Ok(Self { host, port, tls, uri })
    }

    /// An endpoint on this machine, to stand where none could be read.
    #[must_use]
    pub fn loopback() -> Self {
        let uri = Uri::from_static("http://127.0.0.1/api");
        Self { uri, host: "127.0.0.1".to_owned(), port: 80, tls: false }
    }

    /// The whole URL.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn tls(&self) -> bool {
        self.tls
    }

    /// The path, as the request line has it.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The value of the `Host` header.
    pub(super) fn host_header(&self) -> HeaderValue {
        let authority = self.uri.authority().map_or("", Authority::as_str);
        HeaderValue::from_str(authority).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_loopback_only() {
        for good in [
            "https://api.example.vn/api",
            "http://127.0.0.1:8080/api",
            "http://[::1]:1/api",
            "http://localhost/api",
        ] {
            assert!(Target::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.example.vn/api",
            "http://127.0.0.1.example.vn/api",
            "http://10.0.0.1/api",
            "ftp://x/api",
            "api.example.vn",
            "https://user:pw@x/api",
            "https://x/api?action=balance",
            "https://x/api#a",
            "https://x:99999/api",
            "",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
