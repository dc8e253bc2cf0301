//! What lies in this process's memory stays there: no core is written of it, and nobody with the same rights reads it.
//!
//! Only root still can, and nothing helps against root.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Before anything secret is read. What a process is told here does not outlive `exec`.
///
/// # Errors
/// When the system does not let it.
pub fn conceal() -> Result<(), String> {
    let refused = |error| format!("the system does not let this process hide its memory: {error}");
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(refused)?;
    // Also against a core that is piped to a program, which no limit holds back, and against ptrace (prctl(2)).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)
}
