//! How lines are chained: the MAC of each is over the MAC before it and over its own text.

use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac;

/// What stands between a line's text and its MAC, and behind it.
const BEFORE: &str = ",\"mac\":\"";
const BEHIND: &str = "\"}";
/// The length of a MAC in hexadecimal digits.
const DIGITS: usize = 64;

/// A MAC.
pub(super) type Mac = [u8; 32];

/// The end of the chain: how many lines there were, and the MAC of the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) mac: Mac,
}

/// The keys of one account's audit log, which come from its API secret.
pub struct Key {
    chain: hmac::Key,
    print: hmac::Key,
    name: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key {}", self.name)
    }
}

impl Key {
    /// Comes from a secret.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, b"gizad audit").extract(secret);
        let name = hmac::sign(&derived(&prk, b"name")?, b"");
        Some(Self {
            chain: derived(&prk, b"chain")?,
            print: derived(&prk, b"print")?,
            name: hex(name.as_ref().get(..8)?),
        })
    }

    /// What tells it from another, and nothing more.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A digest that only this account's gizad can make, of what could be guessed from a plain one.
    #[must_use]
    pub fn print(&self, what: &[u8]) -> String {
        hex(hmac::sign(&self.print, what).as_ref().get(..16).unwrap_or_default())
    }

    /// The MAC of a line's text behind another line.
    pub(super) fn mac(&self, before: &Mac, text: &str) -> Mac {
        let mut signed = hmac::Context::with_key(&self.chain);
        signed.update(before);
        signed.update(text.as_bytes());
        let mut mac = [0; 32];
        mac.copy_from_slice(signed.sign().as_ref());
        mac
    }
}

fn derived(prk: &Prk, what: &[u8]) -> Option<hmac::Key> {
    Some(hmac::Key::from(prk.expand(&[what], hmac::HMAC_SHA256).ok()?))
}

/// The line of a JSON object, with its MAC as the last member.
pub(super) fn line(object: &str, mac: &Mac) -> String {
    format!("{}{BEFORE}{}{BEHIND}\n", text(object), hex(mac))
}

/// What is signed of an object: all of it but the brace that closes it, where the MAC comes.
pub(super) fn text(object: &str) -> &str {
    object.strip_suffix('}').unwrap_or(object)
}

/// A line's text and its MAC, if it is one.
pub(super) fn parted(line: &str) -> Option<(&str, Mac)> {
    let rest = line.strip_suffix(BEHIND)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    Some((rest.strip_suffix(BEFORE)?, unhex(digits)?))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(digits: &str) -> Option<Mac> {
    if digits.len() != DIGITS || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_into_what_it_was_made_of() {
        let key = Key::from_secret(b"secret").expect("a key");
        let object = r#"{"seq":1,"note":"a \"mac\":\"b\"}"}"#;
        let mac = key.mac(&[0; 32], text(object));
        let line = line(object, &mac);
        assert_eq!(parted(line.trim_end()), Some((text(object), mac)));
        assert!(
            serde_json::from_str::<serde_json::Value>(&line).is_ok_and(|json| json["seq"] == 1),
            "{line}"
        );
        for wrong in ["", "}", "{}", &line.to_uppercase(), &line[1..20], &line.replace("mac", "nac")] {
            assert_eq!(parted(wrong.trim_end()), None, "{wrong}");
        }
        let other = Key::from_secret(b"other").expect("a key");
        assert_ne!(other.mac(&[0; 32], text(object)), mac);
        assert_ne!((other.name(), other.print(b"x")), (key.name(), key.print(b"x")));
    }
}
