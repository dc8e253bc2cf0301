//! The account's key: which half is missing is said, what the other holds is not.

use super::check::Check;
use super::layers::{Mistake, variable_of};
use crate::upstream::Credentials;

/// The longest secret file that is read, in bytes.
const MAX_SECRET: usize = 4096;
/// What either half of the key must be.
const CREDENTIAL: &str = "a text on one line, not blank and not too long";

fn is_credential(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_SECRET && !text.contains(char::is_control)
}

impl Check<'_> {
    pub(super) fn pair(&mut self) -> Credentials {
        let identifier = self.text("credentials.identifier");
        let (secret, file) = (self.text("credentials.secret"), self.text("credentials.secret_file"));
        if identifier.is_empty() {
            self.missing(
                "credentials.identifier",
                "the identifier of the account's API key; or use --sandbox",
            );
        }
        if !identifier.is_empty() && !is_credential(&identifier) {
            self.wrong("credentials.identifier", CREDENTIAL);
        }
        let secret = match (secret.is_empty(), file.is_empty()) {
            (false, true) if !is_credential(&secret) => {
                self.wrong("credentials.secret", CREDENTIAL);
                String::new()
            }
            (false, true) => secret,
            (true, false) => self.secret_in(&file),
            (true, true) => {
                self.missing(
                    "credentials.secret",
                    "the secret, here or as a file in credentials.secret_file; or use --sandbox",
                );
                String::new()
            }
            (false, false) => {
                self.wrong("credentials.secret_file", "one of secret and secret_file, not both");
                String::new()
            }
        };
        Credentials::new(identifier, secret)
    }

    pub(super) fn sandbox_pair(&mut self) -> Credentials {
        Credentials::new(self.text("sandbox.identifier"), self.text("sandbox.secret"))
    }

    fn missing(&mut self, path: &str, expected: &str) {
        let variable = variable_of(path);
        self.mistakes.push(Mistake {
            path: path.to_owned(),
            expected: format!("expected {expected} (or {variable})"),
        });
    }

    fn secret_in(&mut self, path: &str) -> String {
        self.read_line("credentials.secret_file", path)
    }

    /// The secret that was used before, for a ledger that was sealed with it.
    pub(super) fn former_secret(&mut self) -> Option<String> {
        let path = self.text("credentials.former_secret_file");
        (!path.is_empty()).then(|| self.read_line("credentials.former_secret_file", &path))
    }

    /// The one line of a file that holds a secret.
    pub(super) fn read_line(&mut self, setting: &str, path: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "settings are the only reader of files")]
        let read = std::fs::read_to_string(path);
        match read {
            Ok(text) if !is_credential(text.trim()) => {
                self.wrong(setting, "a file that holds the secret, on one line, and nothing else");
                String::new()
            }
            Ok(text) => text.trim().to_owned(),
            Err(error) => {
                self.wrong(setting, &format!("a file that can be read: {error}"));
                String::new()
            }
        }
    }
}
