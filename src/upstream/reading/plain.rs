//! `result=error;message=…`: the oldest notation of this family of APIs.

use serde_json::{Map, Value as Json};

pub(super) fn read(text: &str) -> Option<Json> {
    let mut members = Map::new();
    for pair in text.trim_end_matches(';').split(';') {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !plain || value.contains(['<', '{']) {
            return None;
        }
        if members.insert(name.to_owned(), Json::from(value.trim())).is_some() {
            return None;
        }
    }
    Some(Json::Object(members))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_become_a_tree() {
        let read_pairs = read("result=error;message=Invalid IP 203.0.113.9");
        assert_eq!(read_pairs, Some(json!({"result": "error", "message": "Invalid IP 203.0.113.9"})));
        for other in ["error code: 1015", "OK", "<a href=\"x\">;", "a b=1", "a=1;a=2"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
