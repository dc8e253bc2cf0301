//! PHP's own notation, which some panels speak when they are not asked for JSON.

use serde_json::{Map, Value as Json};

/// How deep arrays may stand in one another.
const MAX_DEPTH: usize = 32;

pub(super) fn read(text: &str) -> Option<Json> {
    if !text.starts_with("a:") {
        return None;
    }
    let mut reader = Reader { rest: text, depth: 0 };
    let json = reader.value()?;
    reader.rest.trim().is_empty().then_some(json)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<Json> {
        let kind = self.rest.chars().next()?;
        match kind {
            'N' => {
                self.skip("N;")?;
                Some(Json::Null)
            }
            'b' => {
                self.skip("b:")?;
                Some(Json::Bool(self.until(';')? == "1"))
            }
            'i' => {
                self.skip("i:")?;
                self.until(';')?.parse::<i64>().ok().map(Json::from)
            }
            'd' => {
                self.skip("d:")?;
                let text = self.until(';')?;
                Some(serde_json::from_str(text).unwrap_or_else(|_| Json::from(text)))
            }
            's' => self.text().map(Json::from),
            'a' => self.array(),
            _ => None,
        }
    }

    /// `s:4:"done";`, whose length counts bytes.
    fn text(&mut self) -> Option<&'a str> {
        self.skip("s:")?;
        let length: usize = self.until(':')?.parse().ok()?;
        self.skip("\"")?;
        let text = self.rest.get(..length)?;
        self.rest = self.rest.get(length..)?;
        self.skip("\";")?;
        Some(text)
    }

    /// `a:2:{key value key value}`. Keys 0, 1, 2… make a list.
    fn array(&mut self) -> Option<Json> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.skip("a:")?;
        let count: usize = self.until(':')?.parse().ok()?;
        self.skip("{")?;
        let mut members = Map::new();
        let mut list = true;
        for index in 0..count {
            let key = match self.value()? {
                Json::String(text) => text,
                Json::Number(number) => number.to_string(),
                _ => return None,
            };
            list &= key == index.to_string();
            if members.insert(key, self.value()?).is_some() {
                return None;
            }
        }
        self.skip("}")?;
        self.depth -= 1;
        let list = list && count > 0;
        Some(if list { members.into_iter().map(|(_, json)| json).collect() } else { Json::Object(members) })
    }

    fn skip(&mut self, expected: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn until(&mut self, end: char) -> Option<&'a str> {
        let (text, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrays_become_trees() {
        let done = r#"a:2:{s:4:"done";i:1;s:8:"done_msg";s:10:"Đã xong.";}"#;
        assert_eq!(read(done), Some(json!({"done": 1, "done_msg": "Đã xong."})));
        assert_eq!(read(r#"a:1:{s:1:"l";a:2:{i:0;b:1;i:1;N;}}"#), Some(json!({"l": [true, null]})));
        for broken in ["a:1:{s:9:\"x\";i:1;}", "a:2:{i:0;i:1;}", "i:1;", "", "a:"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
