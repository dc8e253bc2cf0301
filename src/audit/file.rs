//! The file of the log: opened for one process alone, continued where it ended, and changed for a new one when it was moved.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use serde::Deserialize;

use super::chain::{self, Head, Key};
use super::entry::{Opened, next};

/// The longest line there can be, and so how much is read of a file's end.
const LONGEST: u64 = 64 * 1024;

/// What is read of a line to go on behind it.
#[derive(Deserialize)]
struct Place {
    seq: u64,
}

/// An open file and the end of its chain.
pub(super) struct Open {
    file: File,
    pub(super) head: Head,
}

impl Open {
    /// Opens or makes the file, and writes the line that says so. The chain goes on behind its last line, or where it ended
    /// before, or behind the file that was moved away.
    pub(super) fn new(path: &Path, key: &Key, before: Option<Head>) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file; to write beside the log, say stderr"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another gizad writes it; each needs a file of its own"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_permissions(Permissions::from_mode(0o600))?;
        let end = End::of(&file)?;
        let head = match end.head {
            Some(head) => head,
            None => before.or_else(|| moved_away(path)).unwrap_or_default(),
        };
        let cut_off = (!end.torn.is_empty()).then(|| String::from_utf8_lossy(&end.torn).into_owned());
        let (line, after) = next(head, key, 0, &Opened::new(head, key, cut_off));
        let mut open = Self { file, head: after };
        if end.torn.is_empty() {
            open.append(line.as_bytes())?;
        } else {
            // In the place of the half line, which it contains: whenever this is cut off itself, it is a half line again.
            OpenOptions::new().write(true).open(path)?.write_all_at(line.as_bytes(), end.whole)?;
        }
        open.file.sync_all()?;
        Ok(open)
    }

    /// Writes lines, all or none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        self.file.write_all(lines).inspect_err(|_| {
            // If this fails, too, a half line is left, which is dealt with when the file is opened again.
            let _taken_back = self.file.set_len(before);
        })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether what is at the path now is another file, or none.
    pub(super) fn was_moved(&self, path: &Path) -> bool {
        let here = self.file.metadata().map(|file| (file.dev(), file.ino()));
        let there = fs::metadata(path).map(|file| (file.dev(), file.ino()));
        !matches!((here, there), (Ok(here), Ok(there)) if here == there)
    }
}

/// How a file ends.
struct End {
    /// The last whole line, if there is one.
    head: Option<Head>,
    /// How many bytes the whole lines have.
    whole: u64,
    /// What stands behind them.
    torn: Vec<u8>,
}

impl End {
    fn of(mut file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut read = Vec::new();
        file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST)))?;
        file.take(2 * LONGEST).read_to_end(&mut read)?;
        let whole = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = read.split_off(whole);
        let last = read.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
        let head = last.map(|line| head(line).ok_or_else(not_ours)).transpose()?;
        if head.is_none() && length > LONGEST {
            return Err(not_ours());
        }
        Ok(Self { head, whole: length - torn.len() as u64, torn })
    }
}

fn not_ours() -> io::Error {
    io::Error::other("it does not end with a line of an audit log; move it away, or give another file")
}

fn head(line: &[u8]) -> Option<Head> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, mac) = chain::parted(line)?;
    Some(Head { seq: serde_json::from_str::<Place>(line).ok()?.seq, mac })
}

/// The end of the file that was moved away last, which stands beside it under a name that begins with its own.
fn moved_away(path: &Path) -> Option<Head> {
    let named = |name: &OsStr| {
        name.as_encoded_bytes().starts_with(path.file_name().unwrap_or_default().as_encoded_bytes())
    };
    let beside = fs::read_dir(path.parent()?).ok()?.filter_map(Result::ok);
    let others = beside.filter(|entry| named(&entry.file_name()) && entry.path() != path);
    let times = others.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
    let (_, last) = times.max()?;
    End::of(&File::open(last).ok()?).ok()?.head
}
