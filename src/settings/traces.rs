//! The settings of traces: where they go, what is sent along, and which are recorded.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::check::Check;
use crate::traces::{Options, Sampler};

/// Where a collector takes traces, if its address has no path (OTLP over HTTP).
const PATH: &str = "/v1/traces";
/// The samplers that OpenTelemetry has a word for: whether the context decides, and the ratio, if that is fixed.
const SAMPLERS: [(&str, bool, Option<f64>); 6] = [
    ("parentbased_traceidratio", true, None),
    ("parentbased_always_on", true, Some(1.0)),
    ("parentbased_always_off", true, Some(0.0)),
    ("traceidratio", false, None),
    ("always_on", false, Some(1.0)),
    ("always_off", false, Some(0.0)),
];

impl Check<'_> {
    /// Nothing if no traces are sent.
    pub(super) fn traces(&mut self) -> Option<Options> {
        let url = self.collector();
        let options = Options {
            url: url.clone().unwrap_or_default(),
            headers: self.sent_along(),
            service: self.text("traces.service_name"),
            resource: self.pairs("traces.resource_attributes"),
            sampler: self.sampler(),
            timeout: self.duration("traces.timeout"),
            extra_ca: match self.text("traces.ca_file").as_str() {
                "" => Vec::new(),
                path => self.chain("traces.ca_file", path),
            },
        };
        if options.service.is_empty() {
            self.wrong("traces.service_name", "a name");
        }
        if self.written("traces.protocol") != Some("http/protobuf") {
            self.wrong("traces.protocol", "http/protobuf, the one that gizad speaks (often on port 4318)");
        }
        url.map(|_| options)
    }

    fn collector(&mut self) -> Option<String> {
        let written = self.text("traces.endpoint");
        if written.is_empty() {
            return None;
        }
        let expected = "the URL of a collector without a user, such as http://localhost:4318";
        let read = written.parse::<Uri>().ok().filter(|uri| {
            let has_host =
                uri.authority().is_some_and(|at| !at.as_str().contains('@') && !at.host().is_empty());
            has_host && matches!(uri.scheme_str(), Some("http" | "https"))
        });
        let Some(uri) = read else {
            self.wrong("traces.endpoint", expected);
            return None;
        };
        let bare = uri.path() == "/" && uri.query().is_none();
        Some(if bare { format!("{}{PATH}", written.trim_end_matches('/')) } else { written })
    }

    /// The headers that are written here, and those of a file.
    fn sent_along(&mut self) -> HeaderMap {
        let (path, inline) = ("traces.headers_file", self.pairs("traces.headers"));
        let file = self.text(path);
        let mut pairs = inline;
        if !file.is_empty() {
            pairs.extend(self.header_lines(path, &file));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let (name, value) = (HeaderName::try_from(&name), HeaderValue::try_from(&value));
            match (name, value) {
                (Ok(name), Ok(mut value)) => {
                    // Whatever prints it does not show it.
                    value.set_sensitive(true);
                    headers.append(name, value);
                }
                _ => self.wrong("traces.headers", "names and values that can be sent as headers"),
            }
        }
        headers
    }

    /// A file with a header a line.
    fn header_lines(&mut self, setting: &str, path: &str) -> Vec<(String, String)> {
        #[expect(clippy::disallowed_methods, reason = "settings are the only reader of files")]
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.wrong(setting, &format!("a file that can be read: {error}"));
                return Vec::new();
            }
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let pairs: Option<Vec<(String, String)>> = lines
            .map(|line| line.split_once(':').map(|(name, value)| (name.trim().into(), value.trim().into())))
            .collect();
        pairs.unwrap_or_else(|| {
            self.wrong(setting, "a file with a header a line, such as authorization: Bearer …");
            Vec::new()
        })
    }

    fn sampler(&mut self) -> Sampler {
        let (path, words) = ("traces.sample_ratio", SAMPLERS.map(|(word, ..)| word));
        let written = self.text("traces.sampler");
        let ratio = self.fraction(path);
        match SAMPLERS.into_iter().find(|(word, ..)| *word == written) {
            Some((_, by_parent, fixed)) => Sampler { by_parent, ratio: fixed.unwrap_or(ratio) },
            None => {
                self.wrong("traces.sampler", &format!("one of {}", words.join(", ")));
                Sampler { by_parent: true, ratio }
            }
        }
    }

    fn fraction(&mut self, path: &str) -> f64 {
        let read = match self.given.entry(path).map(|entry| &entry.value) {
            Some(toml::Value::Float(number)) => Some(*number),
            Some(toml::Value::Integer(number)) => Some(*number as f64),
            Some(toml::Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        read.filter(|number| (0.0..=1.0).contains(number)).unwrap_or_else(|| {
            self.wrong(path, "a number from 0 to 1");
            0.0
        })
    }

    /// `name=value,name=value`, with what is special in a value written as in a URL, as OpenTelemetry's variables have it.
    fn pairs(&mut self, path: &str) -> Vec<(String, String)> {
        let text = self.text(path);
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let pairs: Option<Vec<(String, String)>> = parts
            .map(|part| {
                let (name, value) = part.split_once('=')?;
                let name = name.trim();
                (!name.is_empty()).then_some(())?;
                Some((name.to_owned(), unescaped(value.trim())?))
            })
            .collect();
        pairs.unwrap_or_else(|| {
            self.wrong(path, "name=value, and more of them after commas");
            Vec::new()
        })
    }
}

/// A text in which `%` begins a byte in two digits.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let (digits, behind) = behind.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = behind;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_is_written_as_in_a_url() {
        assert_eq!(unescaped("Bearer%20a%3D%C3%A9+b"), Some("Bearer a=é+b".into()));
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
    }
}
