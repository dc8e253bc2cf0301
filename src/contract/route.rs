//! Where an operation is found over REST: a verb and a path with flat variables.

use std::fmt;

/// The verbs of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Reads only.
    Get,
    /// Everything else that is not a change of a few fields.
    Post,
    /// Changes the fields that are given.
    Patch,
}

impl Verb {
    /// The method as HTTP spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A path such as `/vps/{vps_id}/start`. A variable is one whole segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    template: String,
    variables: Vec<String>,
}

impl Path {
    /// Reads a template of `google.api.http`, of which flat variables are the only ones allowed: a dotted
    /// or multi-segment one could not be said in OpenAPI.
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let Some(rest) = template.strip_prefix('/') else {
            return Err(format!("the path {template:?} does not start with /"));
        };
        let mut variables = Vec::new();
        for segment in rest.split('/') {
            let name = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
            let word = name.unwrap_or(segment);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
            if word.is_empty() || !word.chars().all(plain) {
                return Err(format!("the path {template:?} has an unusable segment {segment:?}"));
            }
            variables.extend(name.map(str::to_owned));
        }
        Ok(Self { template: template.to_owned(), variables })
    }

    /// The template as it was declared.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The request fields the path carries.
    #[must_use]
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The template with every variable alike: two operations of one shape would be the same place.
    pub(super) fn shape(&self) -> String {
        self.template
            .split('/')
            .map(|s| if s.starts_with('{') { "{}" } else { s })
            .collect::<Vec<_>>()
            .join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_variables_are_read_and_others_refused() {
        let path = Path::parse("/vps/{vps_id}/start").expect("a plain template");
        assert_eq!(path.variables(), ["vps_id"]);
        assert_eq!(path.shape(), "/vps/{}/start");
        for wrong in ["vps", "/vps/{a.b}", "/vps/{name=**}", "/vps//x", "/vps/{id}:start", "/VPS"] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
    }
}
