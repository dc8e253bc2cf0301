//! The life of a process: how it starts, what it tells its service manager, what it reads again, how it ends, and what its
//! callers notice of that.

mod callers;
mod files;
mod handed;
mod manager;
mod process;
mod restarts;
mod soak;
mod stop;
