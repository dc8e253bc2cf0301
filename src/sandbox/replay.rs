//! A recording played again: for each question the answer that was recorded for it, in the order of the recording. What is not
//! in it is refused, and never made up.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::mischief::Canned;

/// What a text begins with, or has in it, where the recording does not say what stood there.
const MARK: char = '~';
/// The format that is read.
const FORMAT: u64 = 1;
/// The status of what was not recorded. No provider has it.
const NOT_RECORDED: u16 = 501;

/// A recording.
#[derive(Debug)]
pub(super) struct Replay {
    exchanges: Vec<Exchange>,
}

#[derive(Debug)]
struct Exchange {
    action: String,
    parameters: Map<String, Json>,
    is_read: bool,
    played: Played,
    used: bool,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub(super) enum Played {
    /// An answer.
    Answer(Canned),
    /// The connection broke off.
    Broken,
}

impl Replay {
    /// Reads a recording whole.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let at = |what: &str| format!("{}: {what}", path.display());
        let file = File::open(path).map_err(|error| at(&error.to_string()))?;
        let mut lines = BufReader::new(file).lines().enumerate();
        let read = |(number, line): (usize, std::io::Result<String>)| {
            let line = line.map_err(|error| at(&error.to_string()))?;
            serde_json::from_str::<Map<String, Json>>(&line)
                .map_err(|error| at(&format!("line {} is no JSON: {error}", number + 1)))
        };
        let head = lines.next().ok_or_else(|| at("it is empty"))?;
        if read(head)?.get("format").and_then(Json::as_u64) != Some(FORMAT) {
            return Err(at("this is no recording of gizad, or one of another version"));
        }
        let mut exchanges = Vec::new();
        for line in lines {
            let number = line.0 + 1;
            let members = read(line)?;
            if members.contains_key("over") {
                break;
            }
            let exchange =
                Exchange::read(&members).ok_or_else(|| at(&format!("line {number} is no exchange")))?;
            exchanges.push(exchange);
        }
        Ok(Self { exchanges })
    }

    /// The next answer to a question. A read that is asked more often than it was is answered as it was last.
    pub(super) fn next(&mut self, action: &str, parameters: &Map<String, Json>) -> Played {
        let fits =
            |exchange: &&mut Exchange| exchange.action == action && is_same(&exchange.parameters, parameters);
        if let Some(exchange) = self.exchanges.iter_mut().filter(|exchange| !exchange.used).find(fits) {
            exchange.used = true;
            return exchange.played.clone();
        }
        let again = self.exchanges.iter_mut().rev().filter(|exchange| exchange.is_read).find(fits);
        again.map_or_else(
            || {
                let words = format!(
                    r#"{{"error":"the recording has no further answer to {action} with these parameters"}}"#
                );
                Played::Answer(Canned::new(NOT_RECORDED, Vec::new(), &words))
            },
            |exchange| exchange.played.clone(),
        )
    }
}

impl Exchange {
    fn read(members: &Map<String, Json>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Json::as_str);
        let played = if text("broken").is_some() {
            Played::Broken
        } else {
            let status = u16::try_from(members.get("status")?.as_u64()?).ok()?;
            let wait = members.get("retry_after_s").and_then(Json::as_u64);
            let mut headers: Vec<(String, String)> =
                wait.map(|wait| ("Retry-After".to_owned(), wait.to_string())).into_iter().collect();
            for (name, header) in [("server", "Server"), ("location", "Location")] {
                headers.extend(text(name).map(|value| (header.to_owned(), value.to_owned())));
            }
            let (kind, body) = match members.get("body") {
                Some(json) => ("application/json; charset=utf-8", json.to_string()),
                None => ("text/html; charset=utf-8", text("text").unwrap_or_default().to_owned()),
            };
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
            Played::Answer(Canned::new(status, headers, &body))
        };
        Some(Self {
            action: text("action")?.to_owned(),
            parameters: members.get("parameters")?.as_object()?.clone(),
            is_read: matches!(text("effect")?, "public" | "read" | "secret"),
            played,
            used: false,
        })
    }
}

/// Whether parameters are those that were recorded, as far as the recording says.
fn is_same(recorded: &Map<String, Json>, asked: &Map<String, Json>) -> bool {
    recorded.len() == asked.len()
        && recorded.iter().all(|(name, json)| asked.get(name).is_some_and(|other| is_like(json, other)))
}

fn is_like(recorded: &Json, asked: &Json) -> bool {
    match (recorded, asked) {
        (Json::String(text), _) if text.contains(MARK) => true,
        // A query has nothing but texts.
        (Json::Number(number), Json::String(text)) => number.to_string() == *text,
        (Json::Bool(flag), Json::String(text)) => flag.to_string() == *text,
        (Json::Array(items), Json::Array(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(item, other)| is_like(item, other))
        }
        (recorded, asked) => recorded == asked,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters(json: &Json) -> Map<String, Json> {
        json.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_was_masked_may_be_anything_and_the_rest_is_exact() {
        let recorded = parameters(&json!({"vpsid": 1, "hostname": "~1a2b3c4d", "os": "debian-12"}));
        let like = |json: Json| is_same(&recorded, &parameters(&json));
        assert!(like(json!({"vpsid": 1, "hostname": "web-01", "os": "debian-12"})));
        assert!(!like(json!({"vpsid": 2, "hostname": "web-01", "os": "debian-12"})));
        assert!(!like(json!({"vpsid": 1, "hostname": "web-01", "os": "debian-11"})));
        assert!(!like(json!({"vpsid": 1, "hostname": "web-01"})));
        assert!(!like(json!({"vpsid": 1, "hostname": "web-01", "os": "debian-12", "more": 1})));
    }
}
