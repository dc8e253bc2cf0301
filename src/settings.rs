//! Settings in two steps: what was written, then what is used. Nothing is bound or started before the second
//! exists, and every mistake is reported at once.
//!
//! The only reader of files and of the environment. Absent here: anything that runs.

mod access;
mod audit;
mod check;
mod claims;
mod errors;
mod handed;
mod key;
mod lasting;
mod layers;
mod life;
mod listen;
mod manager;
mod mapping;
mod metrics;
mod otel;
mod purchase;
mod reach;
mod shared;
mod show;
mod source;
mod traces;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::upstream::Credentials;
use crate::{edge, policy, sandbox, telemetry, upstream};

pub use access::caller;
pub use handed::{environment, take_secrets_out, variables};
pub use key::Pair;
pub use layers::{Given, Mistake};
pub use listen::{Listen, Socket};
pub use manager::{Manager, manager};
pub use metrics::Metrics;
pub use reach::Reach;
pub use shared::Shared;
pub use source::{Source, Stamp, Watched};

/// The annotated file that is compiled in: the defaults, and the list of all that can be set.
pub static DEFAULTS: &str = include_str!("../deploy/gizad.toml");

/// Settings that were checked.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// The provider.
    pub upstream: upstream::Options,
    /// Where the account's key comes from.
    pub pair: Pair,
    /// The account's key, as it was read.
    pub credentials: Credentials,
    /// What happens to calls.
    pub policy: policy::Options,
    /// How requests are read.
    pub edge: edge::Options,
    /// What a listener allows.
    pub limits: edge::Limits,
    /// Where is kept what may be lost.
    pub state: State,
    /// Where is kept what must not be lost.
    pub ledger: Ledger,
    /// What is shared with other replicas, if anything is.
    pub shared: Option<Shared>,
    /// Where it is written who did what.
    pub audit: Audit,
    /// Who may read metrics, and what is asked for them.
    pub metrics: Metrics,
    /// The secret that the ledger was sealed with before, if it is to be sealed anew.
    pub former_secret: Option<Zeroizing<String>>,
    /// How it ends.
    pub shutdown: Shutdown,
    /// How often it is looked whether the files of the settings have changed; nothing if they are not looked at.
    pub reload_every: Option<Duration>,
    /// The log.
    pub log: telemetry::Options,
    /// Where traces are sent, if they are.
    pub traces: Option<crate::traces::Options>,
    /// A folder for recordings of what is said to the provider and by it, if there are to be any.
    pub record: Option<PathBuf>,
    /// The stand-in for the provider, if it is to be run.
    pub sandbox: Option<sandbox::Options>,
    /// All of them as they were written, by path, with secrets masked.
    pub written: Vec<(String, String)>,
}

/// How it ends once it is asked to.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// How long calls are still taken, while readiness says that it goes.
    pub delay: Duration,
    /// How long all of it may take.
    pub grace: Duration,
}

/// A duration as it is written in settings.
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    check::duration(text).ok_or_else(|| "expected a duration from 1ms to 24h, such as 500ms or 5s".to_owned())
}

/// Where to keep what may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nowhere.
    Nowhere,
    /// In the usual place, if that can be used.
    Usual(PathBuf),
    /// In this folder, and nowhere else.
    In(PathBuf),
}

/// Where to keep what must not be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// Nowhere: nothing is bought.
    Nowhere,
    /// In a folder that is gone when the process is.
    Fleeting,
    /// In the usual place, if that can be used; otherwise nothing is bought.
    Usual(PathBuf),
    /// In this folder, and nowhere else.
    In(PathBuf),
    /// With all that is shared with other replicas.
    Shared,
    /// In a folder that is gone with the pod, for this reason: nothing is bought.
    Passing(String),
}

/// Where to write who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Nowhere.
    Nowhere,
    /// To standard error.
    Stderr,
    /// In the account's folder below this one; until that can be used, what needs a trace is refused.
    Usual(PathBuf),
    /// In this file, and nowhere else.
    In(PathBuf),
}

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// A file of settings.
    pub config: Option<PathBuf>,
    /// Settings by path, such as `listen.api`.
    pub set: Vec<(&'static str, String)>,
    /// Whether the provider is the stand-in.
    pub sandbox: bool,
}

impl Settings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All mistakes at once, in the order of the settings.
    pub fn load(flags: &Flags, environment: &[(String, String)]) -> Result<Self, Vec<Mistake>> {
        let (given, mistakes) = layers::read(flags, environment);
        check::settings(&given, flags.sandbox, mistakes)
    }

    /// Reads and checks what the stand-in alone needs.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load_sandbox(
        flags: &Flags,
        environment: &[(String, String)],
    ) -> Result<(sandbox::Options, telemetry::Options), Vec<Mistake>> {
        let (given, mistakes) = layers::read(flags, environment);
        check::sandbox(&given, mistakes)
    }

    /// Reads and checks where a running gizad is asked how it is, and nothing else: a probe has no key.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load_admin(flags: &Flags, environment: &[(String, String)]) -> Result<SocketAddr, Vec<Mistake>> {
        let (given, mistakes) = layers::read(flags, environment);
        check::admin(&given, mistakes)
    }

    /// The settings as they are used, as TOML, with secrets masked.
    #[must_use]
    pub fn shown(flags: &Flags, environment: &[(String, String)]) -> String {
        show::print(&layers::read(flags, environment).0)
    }
}
