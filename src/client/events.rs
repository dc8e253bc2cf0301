//! A stream of server-sent events as it is read (HTML standard, section 9.2.6), as far as gizad writes them.

use serde_json::Value as Json;

use super::{Answer, Broken, broken};

/// The longest event that is read, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// A stream that is open.
pub struct Events {
    response: reqwest::Response,
    unread: Vec<u8>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its kind; empty for an ordinary one.
    pub name: String,
    /// What it says.
    pub data: Json,
}

impl Event {
    /// The answer that an event about a fault stands for.
    #[must_use]
    pub fn problem(self) -> Answer {
        let status =
            self.data.get("status").and_then(Json::as_u64).and_then(|status| u16::try_from(status).ok());
        Answer { status: status.unwrap_or(500), body: self.data }
    }
}

impl Events {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self { response, unread: Vec::new() }
    }

    /// The next event; nothing when the stream has ended.
    ///
    /// # Errors
    /// When it has broken off.
    pub async fn next(&mut self) -> Result<Option<Event>, Broken> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|window| window == b"\n\n") {
                let rest = self.unread.split_off(end + 2);
                let block = std::mem::replace(&mut self.unread, rest);
                if let Some(event) = event(&String::from_utf8_lossy(&block)) {
                    return Ok(Some(event));
                }
            }
            if self.unread.len() > LONGEST {
                return Err(Broken::Off("an event has no end".to_owned()));
            }
            match self.response.chunk().await.map_err(broken)? {
                Some(bytes) => self.unread.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// The event of a block of lines; nothing for comments and for what is said to browsers.
fn event(block: &str) -> Option<Event> {
    let (mut name, mut data) = (String::new(), None);
    for line in block.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(": ")?;
        match field {
            "event" => value.clone_into(&mut name),
            "data" => {
                data = Some(serde_json::from_str(value).unwrap_or_else(|_| Json::String(value.to_owned())))
            }
            _ => {}
        }
    }
    Some(Event { name, data: data? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_read_and_what_is_none_is_not() {
        let of = |name: &str, data: Json| Some(Event { name: name.to_owned(), data });
        for (block, expected) in [
            ("data: {\"a\":1}\n\n", of("", json!({"a": 1}))),
            ("id: 7\ndata: {}\n\n", of("", json!({}))),
            ("event: problem\ndata: {\"status\":404}\n\n", of("problem", json!({"status": 404}))),
            ("retry: 2000\n\n", None),
            (": nothing new\n\n", None),
        ] {
            assert_eq!(event(block), expected, "{block:?}");
        }
        let problem = Event { name: "problem".to_owned(), data: json!({"status": 404}) }.problem();
        assert_eq!(problem.status, 404);
    }
}
