//! What is on this machine: who may read the key, change the settings, and reach the socket.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Finding;
use crate::boot;
use crate::settings::{Audit, Flags, Settings, State};

/// What others than the owner may do.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS: u32 = 0o007;

/// Looks at the files that the settings name.
pub(super) fn examine(flags: &Flags, settings: &Settings) -> Vec<Finding> {
    let mut found = vec![credentials(settings)];
    if let Some(config) = &flags.config
        && let Ok(about) = config.metadata()
        && about.permissions().mode() & OTHERS_WRITE != 0
    {
        found.push(Finding::wrong(
            "permissions",
            format!("others may change {}{}", config.display(), mode(&about)),
            "chmod go-w it: whoever writes it can have the account's key sent anywhere",
        ));
    }
    let state = match &settings.state {
        State::Usual(path) | State::In(path) => Some(path.clone()),
        State::Nowhere => None,
    };
    let audit = match &settings.audit {
        Audit::In(path) => path.parent().map(Path::to_path_buf),
        Audit::Usual(path) => Some(path.clone()),
        Audit::Nowhere | Audit::Stderr => None,
    };
    let ledger = boot::ledger_folder(settings);
    let mut folders: Vec<_> = [ledger, state, audit].into_iter().flatten().collect();
    folders.dedup();
    let before = found.len();
    for folder in folders {
        found.extend(writable(&folder));
    }
    if found.len() == before {
        found.push(Finding::fine("permissions", "what gizad keeps is its own"));
    }
    found.extend(settings.listen.socket.as_ref().map(|socket| self::socket(&socket.path)));
    found
}

fn mode(about: &Metadata) -> String {
    format!(" (mode {:04o})", about.permissions().mode() & 0o7777)
}

fn credentials(settings: &Settings) -> Finding {
    const CHECK: &str = "credentials";
    let files: Vec<String> = settings.pair.files().map(|path| path.display().to_string()).collect();
    if settings.sandbox.is_some() {
        return Finding::fine(CHECK, "the sandbox's own");
    }
    let exposed: Vec<String> =
        settings.pair.exposed().iter().map(|path| path.display().to_string()).collect();
    if !exposed.is_empty() {
        return Finding::wrong(
            CHECK,
            format!("every user of this machine may read {}", exposed.join(" and ")),
            "chmod 0400 it, owned by the user that gizad runs as; and consider the key known: have it replaced",
        );
    }
    if files.is_empty() {
        return Finding::warning(
            CHECK,
            "both halves of the key are in the settings or in the environment",
            "files that only gizad's user may read are safer (credentials.secret_file, or systemd's LoadCredential=), and can be \
             replaced while it runs",
        );
    }
    Finding::fine(CHECK, format!("read from {}", files.join(" and ")))
}

/// What is wrong with a folder, if anything is.
fn writable(folder: &Path) -> Option<Finding> {
    const CHECK: &str = "permissions";
    // The nearest that is there; what is below it is made at the first start.
    let there = folder.ancestors().find(|path| path.exists())?;
    let about = there.metadata().ok()?;
    if may_write(there).is_err() {
        return Some(Finding::wrong(
            CHECK,
            format!("{} cannot be written by this user{}", there.display(), mode(&about)),
            "run this as the user that gizad runs as, or give it the folder (with systemd: StateDirectory=)",
        ));
    }
    (there == folder && about.permissions().mode() & OTHERS != 0).then(|| {
        Finding::warning(
            CHECK,
            format!("others may enter {}{}", folder.display(), mode(&about)),
            "chmod 0700 it: what was bought and by whom is nobody else's business",
        )
    })
}

/// Whether this user may write in a folder.
fn may_write(folder: &Path) -> Result<(), rustix::io::Errno> {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
}

fn socket(path: &Path) -> Finding {
    const CHECK: &str = "socket";
    let shown = path.display();
    match path.symlink_metadata() {
        Err(_missing) => {
            Finding::skipped(CHECK, format!("{shown} is not there; gizad makes it when it starts"))
        }
        Ok(about) if !about.file_type().is_socket() => Finding::wrong(
            CHECK,
            format!("{shown} is no socket, so gizad does not start"),
            "take it away, or name another place in listen.socket",
        ),
        Ok(about) => match UnixStream::connect(path) {
            Ok(_connected) => Finding::fine(CHECK, format!("{shown} answers{}", mode(&about))),
            Err(error) => Finding::warning(
                CHECK,
                format!("{shown} does not answer{}: {error}", mode(&about)),
                "start gizad; or if it runs, add this user to its group and set listen.socket_mode to 0660",
            ),
        },
    }
}
