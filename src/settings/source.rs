//! Where the settings come from, so that they can be read again; and the files that they stand in and name, by which is seen
//! that they have changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Flags, Mistake, Settings, layers};

/// The command line and the environment, which stay as they were; and so where the files are.
#[derive(Clone)]
pub struct Source {
    /// The command line.
    pub flags: Flags,
    /// The environment.
    pub environment: Vec<(String, String)>,
}

/// A file that settings stand in, or that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The setting that names it; nothing if it holds settings itself.
    pub setting: Option<String>,
    /// Where it is.
    pub path: PathBuf,
    /// Which file that was when it was looked at.
    pub stamp: Option<Stamp>,
}

/// By what a file is told from the one that was there before: whatever is written into it, put in its place, or put in the place
/// of a folder or a link above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([i64; 3], [u64; 3]);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let made = |about: Metadata| {
            Self(
                [about.mtime(), about.mtime_nsec(), about.ctime_nsec()],
                [about.dev(), about.ino(), about.size()],
            )
        };
        path.metadata().ok().map(made)
    }
}

impl Watched {
    fn new(setting: Option<&str>, path: PathBuf) -> Self {
        let stamp = Stamp::of(&path);
        Self { setting: setting.map(str::to_owned), path, stamp }
    }

    /// The same file, looked at again.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { stamp: Stamp::of(&self.path), ..self.clone() }
    }
}

impl Source {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All mistakes at once, in the order of the settings.
    pub fn load(&self) -> Result<Settings, Vec<Mistake>> {
        Settings::load(&self.flags, &self.environment)
    }

    /// The files, those of settings that are wrong included. Not those of the key, which are tried before they are used.
    #[must_use]
    pub fn files(&self) -> Vec<Watched> {
        // Looked at before it is read, so that what is written into it meanwhile is seen.
        let own = self.flags.config.clone().map(|path| Watched::new(None, path));
        let (given, _mistakes) = layers::read(&self.flags, &self.environment);
        let named = given.entries.iter().filter_map(|entry| {
            let is_file = entry.path.ends_with("_file") && !entry.path.starts_with("credentials.");
            let path = entry.value.as_str().filter(|path| is_file && !path.is_empty())?;
            Some(Watched::new(Some(&entry.path), path.into()))
        });
        own.into_iter().chain(named).collect()
    }
}
