//! Why the daemon did not run.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the daemon did not run.
#[derive(Debug)]
pub enum Failure {
    /// An address cannot be listened on.
    Bind(SocketAddr, io::Error),
    /// A Unix socket cannot be listened on.
    Socket(PathBuf, io::Error),
    /// A part cannot be built.
    Build(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Socket(path, error) => {
                write!(f, "listen.socket: cannot listen on {}: {error}", path.display())
            }
            Self::Build(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Build(error.to_string())
    }
}
