//! The two text formats that Prometheus reads, and which of them somebody wants.

use prometheus_client::encoding::{prometheus_text, text};

use super::Figures;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    Open,
    /// The older format of Prometheus (0.0.4), which everything else reads, too.
    Plain,
}

impl Format {
    /// What somebody wants who says so (`Accept`, RFC 9110): the one that is wanted most among those that are there, and the
    /// older one if that is none, as Prometheus's own library decides it.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        let mut best: (f64, Self) = (0.0, Self::Plain);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut weight, mut version) = (1.0, "");
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim() {
                    "q" => weight = value.parse().unwrap_or(0.0),
                    "version" => version = value,
                    _ => {}
                }
            }
            let format = match (kind, version) {
                ("application/openmetrics-text", "" | "1.0.0" | "0.0.1") => Self::Open,
                ("text/plain", "" | "0.0.4") | ("text/*" | "*/*", _) => Self::Plain,
                _ => continue,
            };
            // The first of those that are wanted alike.
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// The type of its content.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => prometheus_text::CONTENT_TYPE,
        }
    }

    /// All figures in it.
    #[must_use]
    pub fn write(self, figures: &Figures) -> String {
        let mut written = String::new();
        let done = match self {
            Self::Open => text::encode(&mut written, figures.registry()),
            Self::Plain => prometheus_text::encode(&mut written, figures.registry()),
        };
        // A text takes whatever is written to it.
        debug_assert!(done.is_ok(), "every figure can be written");
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_and_others_ask_for() {
        for (accept, wanted) in [
            ("", Format::Plain),
            ("*/*", Format::Plain),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Plain),
            ("application/openmetrics-text", Format::Open),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
                Format::Open,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::Open,
            ),
            (
                "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;version=1.0.0;q=0.5",
                Format::Plain,
            ),
            ("application/openmetrics-text;version=2.0.0", Format::Plain),
            ("application/openmetrics-text;q=0", Format::Plain),
            ("application/openmetrics-text;q=soon", Format::Plain),
        ] {
            assert_eq!(Format::wanted(accept), wanted, "{accept}");
        }
    }
}
