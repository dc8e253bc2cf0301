//! Opens the audit log where the settings want it, and has it checked.

use std::path::PathBuf;

use super::Failure;
use crate::audit::{self, Key, Log, Place, Verdict};
use crate::settings::{self, Settings};
use crate::state::Folder;

/// The file's name in the account's folder.
const NAME: &str = "audit.log";

/// Opens it. A file that was asked for by name must be usable; as long as the usual one is not, what needs a trace is refused.
pub(super) fn open(settings: &Settings, account: &[&str]) -> Result<Option<Log>, Failure> {
    let (place, now) = match &settings.audit {
        settings::Audit::Nowhere => return Ok(None),
        settings::Audit::Stderr => (Place::Stderr, true),
        settings::Audit::Usual(below) => {
            (Place::File(below.join(Folder::name_of(account)).join(NAME)), false)
        }
        settings::Audit::In(file) => (Place::File(file.clone()), true),
    };
    let key = settings.credentials.derive(Key::from_secret);
    let key = key.ok_or_else(|| Failure::Build("audit: no key can be made of the secret".to_owned()))?;
    let named = match &place {
        Place::Stderr => "standard error".to_owned(),
        Place::File(file) => file.display().to_string(),
    };
    let log = Log::open(place, key, now)
        .map_err(|error| Failure::Build(format!("audit.file: cannot use {named}: {error}")))?;
    tracing::info!(file = named, "the audit log is open");
    Ok(Some(log))
}

/// Checks files of the log, the oldest first, with the secret of these settings and the one before it.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn verify(settings: &Settings, files: &[PathBuf]) -> Result<Verdict, Failure> {
    let former = settings.former_secret.as_ref().and_then(|secret| Key::from_secret(secret.as_bytes()));
    let keys: Vec<Key> = settings.credentials.derive(Key::from_secret).into_iter().chain(former).collect();
    audit::verify(files, &keys).map_err(Failure::Build)
}
