//! Room that is set aside while there is some, so that a disk that fills up strikes before a purchase is sent and never
//! between sending it and writing down what came of it. Absent here: what the room is given up for.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::database;
use crate::database::Trouble;

const FILE: &str = "ledger.reserve";
/// In bytes. An outcome touches a dozen pages, each of which is written whole: enough for twenty of them, where one
/// purchase is sent at a time.
const SIZE: usize = 1024 * 1024;

/// A file that is only there to be removed.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join(FILE), held: false }
    }

    /// Makes it if it is not there.
    ///
    /// # Errors
    /// [`Trouble::Full`] when it cannot be made, for whatever reason.
    pub(super) fn secure(&mut self) -> Result<(), Trouble> {
        if !self.held {
            self.make().map_err(|error| {
                let _not_half = fs::remove_file(&self.path);
                Trouble::Full(format!("{} cannot be made: {error}", self.path.display()))
            })?;
            self.held = true;
        }
        Ok(())
    }

    fn make(&self) -> io::Result<()> {
        let mut file = database::private(&self.path)?;
        if file.metadata()?.len() != SIZE as u64 {
            file.set_len(0)?;
            // Written and not just made long: a hole takes no room.
            file.write_all(&vec![0; SIZE])?;
        }
        file.sync_all()
    }

    /// Removes it. Says whether it was there.
    pub(super) fn give_up(&mut self) -> bool {
        if !self.held {
            return false;
        }
        self.held = false;
        // The room is free when the removal is on the disk. If either fails there is no more of it than before, which
        // the next try will say.
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let _as_it_may = fs::remove_file(&self.path).and_then(|()| File::open(folder)?.sync_all());
        true
    }
}
