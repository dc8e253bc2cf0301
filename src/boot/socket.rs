//! The Unix socket: reachable from the first moment only by those it is meant for, and gone when gizad is.
//!
//! It is made in a folder that nobody else may enter, gets its mode there, and is then moved to where it is looked for.
//! Whoever looks finds none, an old one, or this one as it is to be.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::ambient;
use crate::settings;

/// The place of a socket, as long as it is this process's.
pub(super) struct Place {
    path: PathBuf,
    /// Device and number of the socket's own file.
    id: (u64, u64),
    /// Held by whoever listens, so that two that start at once do not both find nobody there.
    _lock: File,
}

/// Listens on a socket; also says as which user, as the system will say of others.
///
/// # Errors
/// If somebody else listens there, or something there is no socket, or it cannot be made.
pub(super) async fn bind(settings: &settings::Socket) -> io::Result<(UnixListener, u32, Place)> {
    let path = &settings.path;
    let lock = lock(path)?;
    vacant(path).await?;
    let folder = Folder::beside(path)?;
    let made = folder.0.join("s");
    #[expect(clippy::disallowed_methods, reason = "boot is the only place that binds")]
    let listener = UnixListener::bind(&made)?;
    fs::set_permissions(&made, Permissions::from_mode(settings.mode))?;
    let file = fs::symlink_metadata(&made)?;
    fs::rename(&made, path)?;
    let place = Place { path: path.clone(), id: (file.dev(), file.ino()), _lock: lock };
    Ok((listener, own_user()?, place))
}

/// The user that gizad runs as, as the system says of others.
pub(super) fn own_user() -> io::Result<u32> {
    let (own, _other) = UnixStream::pair()?;
    Ok(own.peer_cred()?.uid())
}

/// The one who may listen at a path. The lock's file stays: to remove it would let two have one each.
fn lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    // Whoever may open it may hold it.
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(taken("another gizad listens there")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether there is nothing at a path, or a socket that nobody listens on any more.
async fn vacant(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Err(taken("what is there is no socket")),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(taken("another process listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(taken(&format!("a socket is there, and perhaps somebody listens: {error}"))),
    }
}

fn taken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, why)
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.id;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

/// A folder that only this user may enter, gone when it has served.
struct Folder(PathBuf);

impl Folder {
    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = String::from(".");
        for byte in ambient::unique().iter().take(6) {
            name.push_str(&format!("{byte:02x}"));
        }
        let folder = path.with_file_name(name);
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}
