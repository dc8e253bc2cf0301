//! PostgreSQL: a server and the bounds of what is asked of it, its sessions, and the locks that a session holds. Absent here: a
//! retry; after a connection is lost nobody knows what was written, and whoever asked has to look.

pub(crate) mod link;
pub(crate) mod lock;
mod session;
pub(crate) mod tables;

pub use link::{Bounds, Server};
pub(crate) use session::said;
pub use session::{Notice, Session};
