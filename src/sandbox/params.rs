//! The parameters of a request, taken as strictly as such an API takes them.

use serde_json::{Map, Value as Json};

use super::payload::{Kind, Refusal};

/// Parameters beside action and credentials.
pub(super) struct Params<'a>(pub(super) &'a Map<String, Json>);

impl Params<'_> {
    pub(super) fn integer(&self, name: &str) -> Result<i64, Refusal> {
        let json = self.0.get(name).ok_or_else(|| missing(name))?;
        let read = match json {
            Json::Number(number) => number.as_i64(),
            Json::String(text) => text.parse().ok(),
            _ => None,
        };
        read.ok_or_else(|| invalid(name))
    }

    pub(super) fn text(&self, name: &str) -> Result<String, Refusal> {
        match self.0.get(name) {
            Some(Json::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Json::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(invalid(name)),
            None => Err(missing(name)),
        }
    }

    pub(super) fn optional(&self, name: &str) -> Option<String> {
        self.text(name).ok()
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        match self.0.get(name) {
            Some(Json::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| invalid(name)))
                .collect(),
            Some(_) => Err(invalid(name)),
            None => Ok(Vec::new()),
        }
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(Kind::Invalid, format!("Thiếu tham số {name}"))
}

fn invalid(name: &str) -> Refusal {
    Refusal::new(Kind::Invalid, format!("Tham số {name} không hợp lệ"))
}
