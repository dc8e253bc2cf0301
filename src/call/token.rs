//! A caller's token: `gzd_<caller>_<64 hexadecimal digits>_<8 of a checksum>`.
//!
//! The name says whose it is, so that a token that is found somewhere can be taken back; the checksum tells a mistyped
//! one from a revoked one, and a real one from what looks like it in a scan for secrets. Absent here: who has which.

use std::fmt;

use ring::digest::{SHA256, digest};

use crate::ambient;

const PREFIX: &str = "gzd_";
/// How many hexadecimal digits the secret part has: 256 bits.
const SECRET: usize = 64;
/// How many the checksum has.
const CHECKSUM: usize = 8;

/// A token as somebody presents it, which may be none at all. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// What every token begins with.
    pub const PREFIX: &str = PREFIX;
    /// The longest name of a caller.
    const LONGEST: usize = 32;

    /// A new one for a caller, and its text, which nothing else keeps; nothing if the system has no randomness.
    #[must_use]
    pub fn new(caller: &str) -> Option<(Self, String)> {
        let secret: String = ambient::secret()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = format!("{PREFIX}{caller}_{secret}");
        let text = format!("{body}_{}", checksum(&body));
        Some((Self::presented(&text), text))
    }

    /// What somebody presents, whatever it is.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(text.into())
    }

    /// The caller that it names, if it is a token at all.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        let (body, sum) = self.0.rsplit_once('_')?;
        let (named, secret) = body.rsplit_once('_')?;
        let caller = named.strip_prefix(PREFIX).filter(|caller| Self::is_name(caller))?;
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let whole = secret.len() == SECRET && hex(secret) && sum == checksum(body);
        whole.then_some(caller)
    }

    /// What is kept of it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        sum
    }

    /// Whether a caller can have this name: letters, digits, `-` and `_`, and none that means somebody else.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let known = matches!(super::Caller::named(name), super::Caller::Named(_));
        (1..=Self::LONGEST).contains(&name.len()) && name.bytes().all(fits) && known
    }
}

fn checksum(body: &str) -> String {
    let sum = digest(&SHA256, body.as_bytes());
    sum.as_ref().iter().take(CHECKSUM / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_caller_and_is_like_no_other() {
        for name in ["ci", "a_b-C9", &"x".repeat(32)] {
            let (token, text) = Token::new(name).expect("randomness");
            assert_eq!(token.caller(), Some(name));
            assert_eq!(Token::presented(&text), token);
            let (other, _) = Token::new(name).expect("randomness");
            assert_ne!(other.sha256(), token.sha256());
        }
    }

    #[test]
    fn what_was_mistyped_is_no_token() {
        let (_, text) = Token::new("ci").expect("randomness");
        for at in 0..text.len() {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'0' { b'1' } else { b'0' };
            let typed = String::from_utf8(typed).expect("text");
            assert_eq!(Token::presented(&typed).caller(), None, "{typed}");
        }
        for wrong in
            ["", "gzd_", "gzd_ci", "x", "_", "__", "gzd___", &text[..text.len() - 1], &format!("{text}0")]
        {
            assert_eq!(Token::presented(wrong).caller(), None, "{wrong}");
        }
    }

    #[test]
    fn nobody_is_called_like_somebody_else_and_no_token_is_shown() {
        for name in ["", "anonymous", "gizad", "owner", "a.b", "a b", "é", &"x".repeat(33)] {
            assert!(!Token::is_name(name), "{name}");
        }
        assert_eq!(format!("{:?}", Token::presented("canary")), "Token");
    }
}
