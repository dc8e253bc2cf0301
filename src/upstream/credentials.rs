//! The provider's key: the only place that holds it, adds it to a request, and takes it out of an answer.

use std::fmt;
use std::io;

use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::REDACTED;
use super::encode::Outgoing;

/// The length from which an identifier cannot be an everyday word.
const DISTINCT: usize = 8;

/// An account's API key: a pair that the provider issues by hand.
#[derive(Clone)]
pub struct Credentials {
    identifier: SecretString,
    secret: SecretString,
    /// Every spelling in which either half could come back, the longest first.
    spellings: Vec<SecretString>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Takes a pair.
    #[must_use]
    pub fn new(identifier: &str, secret: &str) -> Self {
        let mut spellings = spellings(secret);
        // A short identifier stays, because it may be an everyday word.
        if identifier.len() >= DISTINCT {
            spellings.extend(self::spellings(identifier));
        }
        spellings.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        spellings.dedup();
        Self {
            spellings: spellings.iter().map(|spelling| SecretString::from(spelling.as_str())).collect(),
            identifier: identifier.into(),
            secret: secret.into(),
        }
    }

    /// What tells this account from another without saying which it is.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, self.identifier.expose_secret().as_bytes());
        digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether both are the same pair.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same = |a: &SecretString, b: &SecretString| a.expose_secret() == b.expose_secret();
        same(&self.identifier, &other.identifier) && same(&self.secret, &other.secret)
    }

    /// Lends the secret to what derives keys from it, and to nothing else.
    pub fn derive<T>(&self, make: impl FnOnce(&[u8]) -> T) -> T {
        make(self.secret.expose_secret().as_bytes())
    }

    /// The body of a request: the parameters beside the action and the pair, in the guide's order. It is wiped when the last
    /// who holds it lets it go.
    ///
    /// This is the last thing done before a request is sent.
    pub(super) fn seal(&self, outgoing: &Outgoing, frontend_source: &str) -> Zeroizing<Vec<u8>> {
        // Counted first: a buffer that grows leaves a copy behind wherever it was.
        let mut length = Length(0);
        // Texts and JSON written to memory: it cannot fail, and half a body would be refused as JSON.
        let _infallible = self.write(&mut length, outgoing, frontend_source);
        let mut body = Zeroizing::new(Vec::with_capacity(length.0));
        let _infallible = self.write(&mut *body, outgoing, frontend_source);
        body
    }

    fn write(&self, to: impl io::Write, outgoing: &Outgoing, source: &str) -> Result<(), serde_json::Error> {
        let mut out = serde_json::Serializer::new(to);
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("action", &outgoing.action)?;
        map.serialize_entry("identifier", self.identifier.expose_secret())?;
        map.serialize_entry("secret", self.secret.expose_secret())?;
        if !source.is_empty() {
            map.serialize_entry("frontend_source", source)?;
        }
        for (name, json) in &outgoing.parameters {
            map.serialize_entry(name, json)?;
        }
        map.end()
    }

    /// A text without the pair: a provider that echoes it must not make gizad show it.
    pub(super) fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for spelling in &self.spellings {
            if clean.contains(spelling.expose_secret()) {
                clean = clean.replace(spelling.expose_secret(), REDACTED);
            }
        }
        clean
    }

    /// Takes the pair out of every text of an answer.
    pub(super) fn scrub_tree(&self, tree: &mut Json) {
        let shown =
            |text: &str| self.spellings.iter().any(|spelling| text.contains(spelling.expose_secret()));
        match tree {
            Json::String(text) if shown(text) => *text = self.scrub(text),
            Json::Array(items) => items.iter_mut().for_each(|item| self.scrub_tree(item)),
            Json::Object(members) => {
                members.values_mut().for_each(|json| self.scrub_tree(json));
                if members.keys().any(|name| shown(name)) {
                    let renamed =
                        std::mem::take(members).into_iter().map(|(name, json)| (self.scrub(&name), json));
                    *members = renamed.collect();
                }
            }
            Json::Number(number) if shown(&number.to_string()) => *tree = Json::String(REDACTED.to_owned()),
            Json::String(_) | Json::Number(_) | Json::Null | Json::Bool(_) => {}
        }
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text as it is, and as JSON (also PHP's, which escapes slashes), a URL and HTML write it.
fn spellings(text: &str) -> Vec<Zeroizing<String>> {
    if text.is_empty() {
        return Vec::new();
    }
    let quoted = Zeroizing::new(serde_json::to_string(text).unwrap_or_default());
    let json = quoted.trim_matches('"');
    let url = Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let angles = Zeroizing::new(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
    let html = Zeroizing::new(angles.replace('"', "&quot;"));
    let all = [
        text.to_owned(),
        json.to_owned(),
        json.replace('/', "\\/"),
        url.replace('+', "%20"),
        url.to_lowercase(),
        url.to_string(),
        html.replace('\'', "&#039;"),
        html.replace('\'', "&#39;"),
        angles.to_string(),
    ];
    all.map(Zeroizing::new).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_has_the_guides_order() {
        let outgoing =
            Outgoing { action: "vps_action".into(), parameters: vec![("vpsid".into(), json!(12345))] };
        let pair = Credentials::new("ID", "SECRET");
        let body = String::from_utf8(pair.seal(&outgoing, "").to_vec()).expect("JSON is UTF-8");
        assert_eq!(body, r#"{"action":"vps_action","identifier":"ID","secret":"SECRET","vpsid":12345}"#);
        let body = String::from_utf8(pair.seal(&outgoing, "my.app").to_vec()).expect("JSON is UTF-8");
        assert!(body.contains(r#""secret":"SECRET","frontend_source":"my.app","vpsid""#));
    }

    #[test]
    fn an_echoed_secret_is_taken_out_wherever_it_stands() {
        let pair = Credentials::new("ID", "12345678");
        let mut tree = json!({"a": "x12345678y", "12345678": [{"b": "12345678"}], "n": 12_345_678, "c": 1});
        pair.scrub_tree(&mut tree);
        assert!(!tree.to_string().contains("12345678"), "{tree}");
        assert!(!format!("{pair:?}").contains("1234"));
        assert_eq!(pair.scrub("ID said 12345678"), "ID said [redacted]");
        let pair = Credentials::new("account-77", "ab/cd\"é<&");
        for echoed in
            ["ab/cd\"é<&", r#"ab\/cd\"é<&"#, "ab%2Fcd%22%C3%A9%3C%26", "ab/cd&quot;é&lt;&amp;", "account-77"]
        {
            assert_eq!(pair.scrub(&format!("x {echoed} y")), "x [redacted] y");
        }
    }
}
