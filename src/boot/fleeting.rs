//! The folder that a sandbox keeps its ledger in, gone when the sandbox is: with it, or with the next one if it was killed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the name begins with, before the number of the process.
const NAME: &str = "gizad-sandbox-";
/// The file in it that whoever uses it holds locked: a number may be another process's by now, or one in another container.
const LOCK: &str = "lock";

/// The folder of this process, as long as it is wanted.
pub(super) struct Fleeting {
    path: PathBuf,
    _held: File,
}

impl Fleeting {
    /// An empty one; those that are left over go.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new() -> io::Result<Self> {
        sweep();
        let path = std::env::temp_dir().join(format!("{NAME}{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join(LOCK))?;
        file.try_lock()?;
        Ok(Self { path, _held: file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Fleeting {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders that nobody uses any more. What cannot be removed is somebody else's, and stays.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix(NAME)).and_then(|number| number.parse().ok());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let Some(process) = number.filter(|_| is_folder) else { continue };
        if is_left(process, &entry.path()) {
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether nobody has the number of its process any more, and nobody holds it either. This process has only just begun: what has
/// its number was another's, as in containers, where everybody has the same one.
fn is_left(process: u32, folder: &Path) -> bool {
    let is_free = || match File::open(folder.join(LOCK)) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let lives = process != std::process::id() && Path::new("/proc").join(process.to_string()).exists();
    !lives && is_free()
}
