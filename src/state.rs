//! What gizad remembers over a restart and could do without: files in a folder of its own, one folder an account.
//!
//! A file is written whole or not at all, and one that is damaged counts as missing. Absent here: what is in it, and
//! anything that must not be lost.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// What every file begins with; the number is that of the format.
const MAGIC: &[u8; 8] = b"gizad 1\n";
/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The folder of one account.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder of an account below another one, readable by nobody else. An account is told from others by
    /// what is given here, of which only a digest is seen.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn of_account(below: &Path, account: &[&str]) -> io::Result<Self> {
        let path = below.join(Self::name_of(account));
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// The name of an account's folder.
    #[must_use]
    pub fn name_of(account: &[&str]) -> String {
        let named = digest(&SHA256, account.join("\n").as_bytes());
        named.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where it is, for what is kept in another way.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved under a name; nothing if nothing was, or if it is damaged.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn load(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        let whole = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(SHA256_OUTPUT_LEN));
        Ok(whole.filter(|(sum, held)| digest(&SHA256, held).as_ref() == *sum).map(|(_, held)| held.to_vec()))
    }

    /// Saves something under a name: beside the old file first, then in its place.
    ///
    /// # Errors
    /// When it cannot be written. The old file is then as it was.
    pub fn save(&self, name: &str, held: &[u8]) -> io::Result<()> {
        if held.len() as u64 > LONGEST - (MAGIC.len() + SHA256_OUTPUT_LEN) as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than is read again"));
        }
        let beside = self.path.join(format!("{name}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(digest(&SHA256, held).as_ref())?;
        file.write_all(held)?;
        file.sync_all()?;
        fs::rename(&beside, self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_there_and_what_is_damaged_is_not() {
        let below = std::env::temp_dir().join(format!("gizad-state-{}", std::process::id()));
        let folder = Folder::of_account(&below, &["url", "identifier"]).expect("a folder");
        assert_eq!(folder.load("kept").expect("readable"), None);
        folder.save("kept", b"one").expect("saved");
        folder.save("kept", b"two").expect("saved");
        assert_eq!(folder.load("kept").expect("readable").as_deref(), Some(&b"two"[..]));
        let other = Folder::of_account(&below, &["url", "another"]).expect("a folder");
        assert_eq!(other.load("kept").expect("readable"), None, "another account");

        let path = folder.path.join("kept");
        let mut bytes = fs::read(&path).expect("a file");
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            fs::write(&path, &bytes).expect("written");
            assert_eq!(folder.load("kept").expect("readable"), None, "byte {at}");
            bytes[at] ^= 1;
        }
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
        assert_eq!(folder.load("kept").expect("readable"), None, "cut off");
        fs::remove_dir_all(&below).expect("removed");
    }
}
