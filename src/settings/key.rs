//! The account's key: where its halves come from, and how they are read again. Which half is missing is said, what the
//! other holds is not.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::check::Check;
use super::layers::{Mistake, handed_by_systemd, variable_of};
use crate::upstream::Credentials;

/// The longest secret file that is read, in bytes.
const MAX_SECRET: usize = 4096;
/// What either half of the key must be.
const CREDENTIAL: &str = "a text on one line, not blank and not too long";
/// What everybody on the machine may do.
const OTHERS_READ: u32 = 0o004;

fn is_credential(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_SECRET && !text.contains(char::is_control)
}

/// Where one half of the key comes from.
#[derive(Clone)]
enum Half {
    /// It was written into the settings or the environment.
    Written(Zeroizing<String>),
    /// It stands in a file, which this setting names.
    File(&'static str, PathBuf),
}

impl Half {
    fn read(&self) -> Result<Zeroizing<String>, Mistake> {
        match self {
            Self::Written(text) => Ok(text.clone()),
            Self::File(setting, path) => {
                line(path).map_err(|expected| Mistake { path: (*setting).to_owned(), expected })
            }
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Written(_) => None,
            Self::File(_, path) => Some(path),
        }
    }
}

/// Where the account's key comes from, so that it can be read again.
#[derive(Clone)]
pub struct Pair {
    identifier: Half,
    secret: Half,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

impl Pair {
    /// Reads it as it stands now.
    ///
    /// # Errors
    /// The half that cannot be used.
    pub fn read(&self) -> Result<Credentials, Mistake> {
        Ok(Credentials::new(&self.identifier.read()?, &self.secret.read()?))
    }

    /// The files it stands in.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.identifier, &self.secret].into_iter().filter_map(Half::file)
    }

    /// Those of them that every user of the machine may read.
    #[must_use]
    pub fn exposed(&self) -> Vec<&Path> {
        let open =
            |path: &&Path| path.metadata().is_ok_and(|about| about.permissions().mode() & OTHERS_READ != 0);
        self.files().filter(open).collect()
    }
}

impl Check<'_> {
    /// Where the key comes from, and what it is now.
    pub(super) fn pair(&mut self) -> (Pair, Credentials) {
        let identifier = self.half(
            ["credentials.identifier", "credentials.identifier_file"],
            "identifier",
            "the identifier of the account's API key, here or as a file in credentials.identifier_file; or use --sandbox",
        );
        let secret = self.half(
            ["credentials.secret", "credentials.secret_file"],
            "secret",
            "the secret, here or as a file in credentials.secret_file; or use --sandbox",
        );
        let (identifier_now, secret_now) = (self.now(&identifier), self.now(&secret));
        (Pair { identifier, secret }, Credentials::new(&identifier_now, &secret_now))
    }

    fn half(&mut self, [here, in_file]: [&'static str; 2], name: &str, what: &str) -> Half {
        let (text, file) = (Zeroizing::new(self.text(here)), self.text(in_file));
        match (text.is_empty(), file.is_empty()) {
            (true, false) => return Half::File(in_file, PathBuf::from(file)),
            (true, true) => match handed_by_systemd(name) {
                Some(path) => return Half::File(in_file, path),
                None => self.missing(here, what),
            },
            (false, true) if is_credential(&text) => {}
            (false, true) => self.wrong(here, CREDENTIAL),
            (false, false) => self.wrong(in_file, &format!("one of {here} and {in_file}, not both")),
        }
        Half::Written(text)
    }

    fn now(&mut self, half: &Half) -> Zeroizing<String> {
        half.read().unwrap_or_else(|mistake| {
            self.wrong(&mistake.path, &mistake.expected);
            Zeroizing::default()
        })
    }

    pub(super) fn sandbox_pair(&mut self) -> (Pair, Credentials) {
        let mut half = |path| Half::Written(Zeroizing::new(self.text(path)));
        let pair = Pair { identifier: half("sandbox.identifier"), secret: half("sandbox.secret") };
        let credentials = Credentials::new(&self.now(&pair.identifier), &self.now(&pair.secret));
        (pair, credentials)
    }

    fn missing(&mut self, path: &str, expected: &str) {
        let variable = variable_of(path);
        self.mistakes.push(Mistake {
            path: path.to_owned(),
            expected: format!("expected {expected} (or {variable})"),
        });
    }

    /// The secret that was used before, for a ledger that was sealed with it.
    pub(super) fn former_secret(&mut self) -> Option<Zeroizing<String>> {
        let path = self.text("credentials.former_secret_file");
        (!path.is_empty()).then(|| self.read_line("credentials.former_secret_file", &path))
    }

    /// The one line of a file that holds a secret.
    pub(super) fn read_line(&mut self, setting: &str, path: &str) -> Zeroizing<String> {
        line(Path::new(path)).unwrap_or_else(|expected| {
            self.wrong(setting, &expected);
            Zeroizing::default()
        })
    }
}

/// The one line of a file, or what was expected of it.
pub(super) fn line(path: &Path) -> Result<Zeroizing<String>, String> {
    #[expect(clippy::disallowed_methods, reason = "settings are the only reader of files")]
    let read = std::fs::read_to_string(path);
    let text = read.map(Zeroizing::new).map_err(|error| format!("a file that can be read: {error}"))?;
    let line = text.trim();
    if is_credential(line) {
        Ok(Zeroizing::new(line.to_owned()))
    } else {
        Err("a file that holds it, on one line, and nothing else".to_owned())
    }
}
