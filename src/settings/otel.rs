//! What OpenTelemetry's own variables say, so that gizad is told where traces go like every other program. They come before the
//! file of `--config` and behind gizad's own variables.
//!
//! A variable that is empty says nothing (OpenTelemetry, "Environment Variable Specification").

/// Those that are read. Of two that say the same, the later one here goes before the earlier one.
const KNOWN: [&str; 16] = [
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_TRACES_EXPORTER",
    "OTEL_SDK_DISABLED",
];
/// Those of them that are taken out of the environment.
pub(super) const SECRET: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

/// Whether a variable is one of those.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// The settings that variables say, each with its variable and its text, in the order in which they are laid over each other.
pub(super) fn settings(environment: &[(String, String)]) -> Vec<(&'static str, &'static str, String)> {
    let given = |name: &str| {
        let found = environment.iter().find(|(known, text)| known == name && !text.trim().is_empty());
        found.map(|(_, text)| text.trim())
    };
    let mut settings = Vec::new();
    for name in KNOWN {
        let Some(text) = given(name) else { continue };
        match name {
            "OTEL_SERVICE_NAME" => settings.push(("traces.service_name", name, text.to_owned())),
            "OTEL_RESOURCE_ATTRIBUTES" => {
                settings.push(("traces.resource_attributes", name, text.to_owned()))
            }
            "OTEL_TRACES_SAMPLER" => settings.push(("traces.sampler", name, text.to_owned())),
            "OTEL_TRACES_SAMPLER_ARG" => settings.push(("traces.sample_ratio", name, text.to_owned())),
            // Of all signals: each has a path of its own below it, whatever path it has itself.
            "OTEL_EXPORTER_OTLP_ENDPOINT" => {
                let url = format!("{}/v1/traces", text.trim_end_matches('/'));
                settings.push(("traces.endpoint", name, url));
            }
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => settings.push(("traces.endpoint", name, text.to_owned())),
            "OTEL_EXPORTER_OTLP_HEADERS" | "OTEL_EXPORTER_OTLP_TRACES_HEADERS" => {
                settings.push(("traces.headers", name, text.to_owned()));
            }
            "OTEL_EXPORTER_OTLP_PROTOCOL" | "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" => {
                settings.push(("traces.protocol", name, text.to_owned()));
            }
            "OTEL_EXPORTER_OTLP_CERTIFICATE" | "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" => {
                settings.push(("traces.ca_file", name, text.to_owned()));
            }
            "OTEL_EXPORTER_OTLP_TIMEOUT" | "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" => {
                settings.push(("traces.timeout", name, format!("{text}ms")));
            }
            "OTEL_TRACES_EXPORTER" if text == "none" => {
                settings.push(("traces.endpoint", name, String::new()))
            }
            "OTEL_SDK_DISABLED" if text.eq_ignore_ascii_case("true") => {
                settings.push(("traces.endpoint", name, String::new()));
            }
            _ => {}
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(environment: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let all: Vec<(String, String)> =
            environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        settings(&all).into_iter().map(|(path, _, text)| (path, text)).collect()
    }

    #[test]
    fn the_address_of_all_signals_gets_a_path_and_that_of_traces_goes_before_it() {
        let (all, own) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let endpoint = |url: &str| ("traces.endpoint", url.to_owned());
        assert_eq!(said(&[(all, "http://c:4318/")]), [endpoint("http://c:4318/v1/traces")]);
        assert_eq!(said(&[(all, "http://c/otlp")]), [endpoint("http://c/otlp/v1/traces")]);
        let both = said(&[(own, "http://d/x"), (all, "http://c")]);
        assert_eq!(both.last(), Some(&endpoint("http://d/x")));
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(said(&[(all, "http://c"), off]).last(), Some(&endpoint("")), "{off:?}");
        }
        assert!(
            said(&[(all, ""), ("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "otlp")]).is_empty()
        );
    }
}
