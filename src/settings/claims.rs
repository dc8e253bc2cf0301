//! The settings of callers that are known by their connection: each claims what no other does.

use std::collections::BTreeMap;

use toml::Value;

use super::check::Check;
use super::layers::Entry;
use crate::edge::tls::{SPIFFE, subject};
use crate::policy::access::{Claims, Grant};

impl Check<'_> {
    /// Reads what a caller is known by; false if it is nothing of the kind.
    pub(super) fn claim(&mut self, what: &str, entry: &Entry, claims: &mut Claims) -> bool {
        let number = |value: &Value| value.as_integer().and_then(|id| u32::try_from(id).ok());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let path = &entry.path;
        match what {
            "uid" => {
                claims.uids =
                    self.all(entry, number, "the number of a user (`id -u NAME`), or a list of such")
            }
            "gid" => {
                claims.gids =
                    self.all(entry, number, "the number of a primary group (`id -g NAME`), or a list of such")
            }
            "spiffe" => {
                let id = |value: &Value| {
                    text(value).filter(|id| id.len() > SPIFFE.len() && id.starts_with(SPIFFE))
                };
                claims.spiffe =
                    self.all(entry, id, "a SPIFFE ID, such as spiffe://example.org/ci, or a list of such");
            }
            "subject" => {
                let expected = "a subject as `openssl x509 -noout -subject -nameopt RFC2253` prints it, such as \
                                CN=ci,O=Example, or a list of such";
                claims.subjects = self.all(entry, |value| subject(value.as_str()?), expected);
            }
            _ => return false,
        }
        if matches!(what, "uid" | "gid")
            || self.given.entry("listen.tls.client_ca_file").is_some_and(|ca| ca.value.as_str() != Some(""))
        {
            return true;
        }
        self.wrong(path, "a file with the CAs of callers in listen.tls.client_ca_file, too");
        true
    }

    /// One of them, or a list.
    fn all<T>(&mut self, entry: &Entry, read: impl Fn(&Value) -> Option<T>, expected: &str) -> Vec<T> {
        let all: Option<Vec<T>> = match &entry.value {
            Value::Array(items) => items.iter().map(read).collect(),
            one => read(one).map(|one| vec![one]),
        };
        all.filter(|all| !all.is_empty()).unwrap_or_else(|| {
            self.wrong(&entry.path, expected);
            Vec::new()
        })
    }

    /// Says what more than one caller claims.
    pub(super) fn claimed_twice(&mut self, callers: &BTreeMap<String, Grant>) {
        let mut claimed: BTreeMap<(&str, String), &str> = BTreeMap::new();
        for (name, Grant { claims, .. }) in callers {
            let ids = |what, ids: &[u32]| ids.iter().map(|id| (what, id.to_string())).collect::<Vec<_>>();
            let names = |what, names: &[String]| names.iter().map(|name| (what, name.clone())).collect();
            let all = [
                ids("uid", &claims.uids),
                ids("gid", &claims.gids),
                names("spiffe", &claims.spiffe),
                names("subject", &claims.subjects),
            ];
            for claim in all.into_iter().flatten() {
                let path = format!("callers.{name}.{}", claim.0);
                match claimed.insert(claim, name) {
                    Some(other) if other != name => {
                        self.wrong(&path, &format!("what no other caller claims, and {other} does"));
                    }
                    _ => {}
                }
            }
        }
    }
}
