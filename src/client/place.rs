//! Where gizad is: a URL, or a Unix socket.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use http::Uri;
use http::uri::Scheme;

/// Where gizad is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Unix socket of this machine.
    Socket(PathBuf),
    /// A URL without a path of its own.
    Url(String),
}

impl Place {
    /// Reads `unix:/run/gizad/gizad.sock`, `http://127.0.0.1:7070` or `https://gizad.example.org`.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "a URL such as http://127.0.0.1:7070, or unix:/run/gizad/gizad.sock";
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::Socket(path.into()))
            } else {
                Err(format!("{expected}, with the whole path"))
            };
        }
        let uri: Uri = text.parse().map_err(|_| expected.to_owned())?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if host.is_empty() || authority.contains('@') || uri.query().is_some() {
            return Err(expected.to_owned());
        }
        let here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {}
            Some(scheme) if *scheme == Scheme::HTTP && here => {}
            Some(scheme) if *scheme == Scheme::HTTP => {
                return Err(format!(
                    "https; http would send the token and the answers in the clear to {host}"
                ));
            }
            _ => return Err(expected.to_owned()),
        }
        Ok(Self::Url(text.trim_end_matches('/').to_owned()))
    }

    /// What a path is put behind.
    pub(super) fn base(&self) -> String {
        match self {
            Self::Socket(_) => "http://localhost".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_no_network_in_the_clear() {
        for (text, shown) in [
            ("unix:/run/gizad.sock", "unix:/run/gizad.sock"),
            ("unix:///run/gizad.sock", "unix:/run/gizad.sock"),
            ("http://127.0.0.1:7070/", "http://127.0.0.1:7070"),
            ("http://[::1]:7070", "http://[::1]:7070"),
            ("http://localhost", "http://localhost"),
            ("https://gizad.example.org", "https://gizad.example.org"),
        ] {
            assert_eq!(Place::parse(text).map(|place| place.to_string()).as_deref(), Ok(shown));
        }
        for wrong in
            ["", "gizad:7070", "unix:gizad.sock", "http://10.0.0.1:7070", "ftp://x", "http://a@localhost"]
        {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
