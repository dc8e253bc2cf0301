//! `gizad doctor`: everything that has to be right for gizad to work, looked at in the order in which it matters, each with what
//! to do. It asks the provider harmless questions and changes nothing.
//!
//! Absent here: a secret in what is told; a call that changes or reveals anything.

mod calibrate;
mod files;
mod provider;
mod replicas;

use std::time::Duration;

use crate::boot::{self, Probe};
use crate::records::{self, Question};
use crate::settings::{Flags, Ledger, Settings};

pub use calibrate::{Calibration, calibrate};

/// How long a gizad that runs here has to say how it is.
const PROBE: Duration = Duration::from_secs(3);

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to do.
    Fine,
    /// It could not be looked at, or is not there on purpose.
    Skipped,
    /// It works, and should not stay so.
    Warning,
    /// It keeps gizad from working.
    Wrong,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub what: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    fn fine(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fine, what: what.into(), advice: None }
    }

    fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::fine(check, what) }
    }

    fn warning(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, advice: Some(advice.into()), ..Self::fine(check, what) }
    }

    fn wrong(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, ..Self::warning(check, what, advice) }
    }
}

/// Looks at everything, with the settings of `serve`; also returns those, if they are sound.
pub async fn examine(flags: &Flags, environment: &[(String, String)]) -> (Vec<Finding>, Option<Settings>) {
    let mut found = Vec::new();
    let settings = match Settings::load(flags, environment) {
        Ok(settings) => {
            found.push(Finding::fine("settings", format!("all {} can be used", settings.written.len())));
            Some(settings)
        }
        Err(mistakes) => {
            let advice =
                "correct it where it was written; `gizad check` shows all settings and where they come from";
            found.extend(
                mistakes.iter().map(|mistake| Finding::wrong("settings", mistake.to_string(), advice)),
            );
            None
        }
    };
    match &settings {
        Some(settings) => {
            found.extend(files::examine(flags, settings));
            found.extend(provider::examine(settings).await);
            // Asked once, for both.
            let shared = match &settings.shared {
                Some(shared) => Some((boot::replicas(settings).await, shared.max_replicas.get())),
                None => None,
            };
            let is_new = match &shared {
                Some((seen, _)) => matches!(seen, Ok(None)),
                None => boot::ledger_folder(settings).is_some_and(|folder| !folder.exists()),
            };
            found.push(ledger(settings, is_new).await);
            found.extend(shared.map(|(seen, most)| replicas::judged(seen, most)));
        }
        None => found.push(Finding::skipped("everything else", "it depends on the settings")),
    }
    found.push(daemon(flags, environment).await);
    (found, settings)
}

/// Whether the record of purchases can be opened with this key and is whole, also while a daemon writes it; if there is one yet.
async fn ledger(settings: &Settings, is_new: bool) -> Finding {
    const CHECK: &str = "ledger";
    match &settings.ledger {
        Ledger::Nowhere => {
            return Finding::warning(
                CHECK,
                "there is none, so nothing is bought",
                "set ledger.dir to a folder on a disk that stays, or shared.url, if something is to be bought",
            );
        }
        Ledger::Fleeting => return Finding::skipped(CHECK, "the sandbox's is gone when it ends"),
        Ledger::Passing(why) => {
            return Finding::warning(
                CHECK,
                format!("nothing is bought: {why}"),
                "ledger.persistent = \"yes\" if the folder outlives the pod all the same",
            );
        }
        Ledger::Usual(_) | Ledger::In(_) | Ledger::Shared => {}
    }
    if is_new {
        return Finding::skipped(CHECK, "there is none yet; the first start makes it");
    }
    let ledger = match boot::read_ledger(settings).await {
        Ok(ledger) => ledger,
        Err(failure) => {
            return Finding::wrong(
                CHECK,
                failure.to_string(),
                "run this as the user that gizad runs as; if the secret was replaced while gizad did not run, name the one before \
                 in credentials.former_secret_file",
            );
        }
    };
    match records::answer(&ledger, &Question::Verify).await {
        Ok(answer) if answer.sound => Finding::fine(CHECK, answer.text.trim()),
        Ok(answer) => Finding::wrong(
            CHECK,
            answer.text.trim(),
            "stop gizad, keep a copy of the ledger, and look at what `gizad ledger verify` names before anything is bought",
        ),
        Err(why) => Finding::wrong(CHECK, why, "look at the disk or the database that it is on"),
    }
}

/// Whether a gizad runs here and takes calls.
async fn daemon(flags: &Flags, environment: &[(String, String)]) -> Finding {
    const CHECK: &str = "daemon";
    let Ok(address) = Settings::load_admin(flags, environment) else {
        return Finding::skipped(CHECK, "listen.admin does not say where it would be");
    };
    match boot::health(address, Probe::Ready, PROBE).await {
        Ok(what) if what == "ready" => Finding::fine(CHECK, format!("runs at {address}: {what}")),
        Ok(what) => Finding::warning(
            CHECK,
            format!("runs at {address}: {what}"),
            format!("http://{address}/ shows why, and what is being done about it"),
        ),
        Err(boot::Unwell::Told(status, what)) => Finding::wrong(
            CHECK,
            format!("runs at {address}, and takes no calls: {what} ({status})"),
            format!("http://{address}/ shows why"),
        ),
        Err(unwell) => Finding::skipped(CHECK, format!("none runs here: {unwell}")),
    }
}
