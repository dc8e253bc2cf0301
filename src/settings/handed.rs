//! What is secret in the environment is taken out of it. Everybody who may look at the process reads its environment in
//! `/proc/<pid>/environ`, and every child inherits it; and what a process was started with stays there as long as it runs.
//! So the program begins anew, in the same process, without those variables, and is handed their values through its
//! standard input, which can be read once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::layers::{PREFIX, SECRET, variable_of};
use super::otel;

/// Says to the program that begins anew where the rest is.
const HANDED: &str = "GIZAD_HANDED_OVER";
/// The most that is handed over, in bytes.
const LONGEST: usize = 128 * 1024;

/// Begins anew without the secrets in the environment, if there are any. It then returns only if that failed.
///
/// # Errors
/// Why it failed, and what to do instead.
pub fn take_secrets_out() -> Result<(), String> {
    let all = variables();
    let secret =
        |name: &str| SECRET.iter().any(|path| variable_of(path) == name) || otel::SECRET.contains(&name);
    let taken: BTreeMap<&String, &String> =
        all.iter().filter(|(name, text)| secret(name) && !text.is_empty()).map(|(n, t)| (n, t)).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let failed = |error: io::Error| {
        let names: Vec<&str> = taken.keys().map(|name| name.as_str()).collect();
        format!(
            "{} cannot be taken out of the environment, where others could read it: {error}. Give it as a file instead \
             (the setting of the same name with _FILE)",
            names.join(", ")
        )
    };
    let text = Zeroizing::new(serde_json::to_vec(&taken).map_err(|error| failed(error.into()))?);
    let input = handed(&text).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut arguments = std::env::args_os();
    let mut anew = Command::new(program);
    if let Some(name) = arguments.next() {
        anew.arg0(name);
    }
    anew.args(arguments).env(HANDED, "stdin").stdin(Stdio::from(input));
    for name in taken.keys() {
        anew.env_remove(name);
    }
    Err(failed(anew.exec()))
}

/// An end to read from that holds this, and then nothing.
fn handed(text: &[u8]) -> io::Result<OwnedFd> {
    if text.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long"));
    }
    let (reads, mut writes) = UnixStream::pair()?;
    // Nobody reads before all is written, so what does not fit must fail and not wait.
    writes.set_nonblocking(true)?;
    writes.write_all(text)?;
    Ok(reads.into())
}

/// The same with those that were handed over. Read once: they are not there a second time.
///
/// # Errors
/// When what was handed over cannot be read.
pub fn environment() -> io::Result<Vec<(String, String)>> {
    let mut all = variables();
    let before = all.len();
    all.retain(|(name, _)| name != HANDED);
    if all.len() < before {
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST));
        // Not through the standard library's own buffer, which nobody wipes.
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        input.take(LONGEST as u64).read_to_end(&mut text)?;
        let taken: BTreeMap<String, String> = serde_json::from_slice(&text)?;
        all.extend(taken);
    }
    Ok(all)
}

/// The variables of this process that are settings.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX) || otel::is_known(name))
        .collect()
}
