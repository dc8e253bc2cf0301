//! The settings of access: who has a token, and what may be done with one and without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::check::Check;
use crate::call::{Scope, Scopes, Token};
use crate::contract::{Contract, nearest};
use crate::policy::Rate;
use crate::policy::access::{Anonymous, Grant, Options};

/// The section of callers.
const CALLERS: &str = "callers";
/// What may be set for one.
const KEYS: &str =
    "token_sha256, uid, gid, spiffe, subject, scopes, operations, expires, quota.rate or quota.burst";
/// What of it a caller is known by; one of them is enough.
const KNOWN_BY: [&str; 5] = ["token_sha256", "uid", "gid", "spiffe", "subject"];
/// How many tokens a caller may have at once.
const TOKENS: usize = 2;

/// The lines that let a caller in with a token.
#[must_use]
pub fn caller(name: &str, token: &Token, scopes: &[Scope]) -> String {
    let scopes: Vec<String> = scopes.iter().map(|scope| format!("\"{}\"", scope.as_str())).collect();
    let sum = token.sha256().iter().fold(String::new(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    });
    format!("[{CALLERS}.{name}]\ntoken_sha256 = \"{sum}\"\nscopes = [{}]\n", scopes.join(", "))
}

impl Check<'_> {
    pub(super) fn access(&mut self, in_sandbox: bool) -> Options {
        Options { callers: self.callers(), anonymous: self.anonymous(in_sandbox) }
    }

    fn anonymous(&mut self, in_sandbox: bool) -> Anonymous {
        let path = "access.anonymous";
        if self.written(path) == Some("auto") {
            return if in_sandbox { Anonymous::Everything } else { Anonymous::Only(Scopes::NONE) };
        }
        let scopes = self.scopes(path);
        if scopes.has(Scope::Spend) || scopes.has(Scope::Admin) {
            self.wrong(path, "none of spend and admin, which need a token");
        }
        let api = self.written("listen.api").and_then(|api| api.parse().ok());
        let is_afar = api.is_some_and(|api: SocketAddr| !api.ip().is_loopback());
        if is_afar && !in_sandbox && scopes != Scopes::NONE {
            self.wrong(path, "[] or \"auto\", because listen.api is reached from other machines");
        }
        Anonymous::Only(scopes)
    }

    fn callers(&mut self) -> BTreeMap<String, Grant> {
        let mut callers: BTreeMap<String, Grant> = BTreeMap::new();
        let given = self.given;
        for (key, entry) in given.under(CALLERS) {
            let (name, what) = key.split_once('.').unwrap_or(("", key));
            if !Token::is_name(name) {
                let expected = "a caller's name of up to 32 letters, digits, - and _, and none of anonymous, gizad and owner";
                self.wrong(&entry.path, expected);
                continue;
            }
            let caller = callers.entry(name.to_owned()).or_default();
            match what {
                "token_sha256" => caller.tokens = self.sums(&entry.path),
                "scopes" => caller.scopes = self.scopes(&entry.path),
                "operations" => caller.operations = Some(self.listed(&entry.path)),
                "expires" => caller.expires_ms = self.moment(&entry.path),
                // Read with the other rates.
                "quota.rate" | "quota.burst" => {}
                _ if self.claim(what, entry, &mut caller.claims) => {}
                _ => self.wrong(&entry.path, KEYS),
            }
        }
        for name in callers.keys() {
            let path = format!("{CALLERS}.{name}.token_sha256");
            // One that is there and wrong was said already.
            let has = |what: &&str| given.entry(&format!("{CALLERS}.{name}.{what}")).is_some();
            if !KNOWN_BY.iter().any(has) {
                self.wrong(
                    &path,
                    "the SHA-256 of its token, as `gizad token new` prints it; or uid, gid, spiffe or subject",
                );
            }
        }
        self.claimed_twice(&callers);
        callers
    }

    /// The callers that have a quota of their own. What one of them leaves unsaid is as for everyone.
    pub(super) fn quotas(&mut self) -> BTreeMap<String, Rate> {
        let given = self.given;
        let names: BTreeSet<&str> = given
            .under(CALLERS)
            .filter_map(|(key, _)| key.split_once('.'))
            .filter(|(_, what)| matches!(*what, "quota.rate" | "quota.burst"))
            .map(|(name, _)| name)
            .collect();
        let mut quotas = BTreeMap::new();
        for name in names {
            let [rate, burst] = ["rate", "burst"].map(|part| {
                let own = format!("{CALLERS}.{name}.quota.{part}");
                if given.entry(&own).is_some() { own } else { format!("quota.{part}") }
            });
            quotas.insert(name.to_owned(), self.rate_at(&rate, &burst));
        }
        quotas
    }

    /// Operations by their names, and all of a service by `Service.*`.
    fn listed(&mut self, path: &str) -> BTreeSet<String> {
        let before = self.mistakes.len();
        let written = self.names(path);
        if self.mistakes.len() > before {
            self.mistakes.truncate(before);
            self.wrong(path, "a list of operations, such as [\"VpsService.StartVps\", \"WalletService.*\"]");
        }
        let Ok(contract) = Contract::embedded() else { return BTreeSet::new() };
        let known = || contract.all().map(|operation| operation.name.as_str());
        let mut listed = BTreeSet::new();
        for pattern in &written {
            let service = pattern.strip_suffix('*').filter(|service| service.ends_with('.'));
            let fits = |name: &&str| service.map_or(*name == pattern, |service| name.starts_with(service));
            let found: Vec<String> = known().filter(fits).map(str::to_owned).collect();
            if found.is_empty() {
                let services = known().filter_map(|name| Some(format!("{}.*", name.split_once('.')?.0)));
                let all: Vec<String> = known().map(str::to_owned).chain(services).collect();
                let near = nearest(pattern, all.iter().map(String::as_str));
                let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                let expected =
                    format!("operations as `gizad routes` lists them, and {pattern:?} is none{near}");
                self.wrong(path, &expected);
            }
            listed.extend(found);
        }
        listed
    }

    /// A moment, in milliseconds since 1970. It must have a zone: which one is meant is not guessed.
    fn moment(&mut self, path: &str) -> Option<i64> {
        let written = self.given.entry(path).map(|entry| match entry.value.as_str() {
            Some(text) => text.to_owned(),
            // TOML has times of its own.
            None => entry.value.to_string(),
        });
        let moment = written.and_then(|text| text.parse::<Timestamp>().ok());
        if moment.is_none() {
            self.wrong(path, "a time with its zone, such as \"2027-01-31T00:00:00Z\" (RFC 3339)");
        }
        moment.map(Timestamp::as_millisecond)
    }

    fn sums(&mut self, path: &str) -> Vec<[u8; 32]> {
        let before = self.mistakes.len();
        let written = self.names(path);
        let sums: Option<Vec<[u8; 32]>> = written.iter().map(|text| sum(text)).collect();
        match sums {
            Some(sums) if (1..=TOKENS).contains(&sums.len()) => sums,
            _ => {
                self.mistakes.truncate(before);
                self.wrong(
                    path,
                    "64 hexadecimal digits, or a list of two such while one token replaces another",
                );
                Vec::new()
            }
        }
    }

    fn scopes(&mut self, path: &str) -> Scopes {
        self.some_of(path, &Scope::ALL, Scope::as_str).into_iter().collect()
    }
}

/// A digest in hexadecimal digits.
pub(super) fn sum(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let bytes: Vec<u8> =
        digits?.chunks(2).filter_map(|pair| Some(pair.first()? << 4 | pair.get(1)?)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let (token, _) = Token::new("ci").expect("randomness");
        let lines = caller("ci", &token, &[Scope::Read, Scope::Spend]);
        let hex = lines.split('"').nth(1).expect("a digest");
        assert_eq!(sum(hex), Some(token.sha256()));
        assert_eq!(sum(&hex.to_uppercase()), Some(token.sha256()));
        assert!(lines.ends_with("scopes = [\"read\", \"spend\"]\n"), "{lines}");
        for wrong in ["", "0", &hex[1..], &format!("{hex}0"), &format!("g{}", &hex[1..]), &"é".repeat(32)] {
            assert_eq!(sum(wrong), None, "{wrong}");
        }
    }
}
