//! A new key while the daemon runs: read again when its files change, tried with a harmless question, and used only once the
//! provider has accepted it. Until then the old one goes on.
//!
//! Files are read and compared, not watched: Kubernetes swaps a link above them, editors put another file in their place, and
//! neither has to be known.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::ambient;
use crate::ledger::{Ledger, Wrap};
use crate::policy::{Traffic, credentials};
use crate::settings::{Mistake, Pair};
use crate::upstream::{Credentials, Upstream};

/// How often the files are read.
const LOOK: Duration = Duration::from_secs(3);
/// How long a pair that was not accepted is left alone; twice as long after each further time.
const REST: Duration = Duration::from_secs(60);
/// The longest rest: a wrong key that is tried over and over may have the account locked.
const LONGEST: Duration = Duration::from_secs(3600);

/// The key that is used, and what it takes to use another.
pub(super) struct Rotation {
    pub(super) current: Credentials,
    pub(super) upstream: Upstream,
    pub(super) traffic: Traffic,
    pub(super) ledger: Option<Ledger>,
}

/// A pair that was not taken.
struct Left {
    pair: Credentials,
    again: Option<Instant>,
    rest: Duration,
}

impl Rotation {
    /// Looks for a new pair, for ever: every few seconds, and at once when the settings were read again.
    pub(super) async fn run(mut self, mut pairs: watch::Receiver<Pair>) {
        let (mut left, mut unread) = (None, None);
        loop {
            let watched = pairs.borrow_and_update().clone();
            let files = watched.files().next().is_some();
            let asked = tokio::select! {
                changed = pairs.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    true
                }
                () = sleep(LOOK), if files => false,
            };
            let pair = pairs.borrow_and_update().clone();
            match tokio::task::spawn_blocking(move || pair.read()).await {
                Ok(Ok(found)) => {
                    unread = None;
                    self.look(found, asked, &mut left).await;
                }
                Ok(Err(mistake)) => complain(mistake, &mut unread),
                Err(_panicked) => {}
            }
        }
    }

    async fn look(&mut self, found: Credentials, asked: bool, left: &mut Option<Left>) {
        if found.is(&self.current) {
            *left = None;
            return;
        }
        let known = left.take().filter(|left| left.pair.is(&found));
        let again = known.as_ref().is_none_or(|left| left.again.is_some_and(|at| at <= ambient::instant()));
        if !again && !asked {
            *left = known;
            return;
        }
        if found.fingerprint() != self.current.fingerprint() {
            tracing::error!(
                "the identifier has changed, and that is another account: what was bought and remembered belongs to the \
                 present one, which is used on; restart gizad to change over"
            );
            *left = Some(Left { pair: found, again: None, rest: REST });
            return;
        }
        let rest = known.map_or(REST, |left| (left.rest * 2).min(LONGEST));
        match self.take(&found).await {
            Ok(()) => tracing::info!("the provider has accepted the new secret: it is used from now on"),
            Err(why) => {
                let again = Some(ambient::instant() + rest);
                let again_in_s = rest.as_secs();
                tracing::error!(why, again_in_s, "the new secret is not taken; the old one is used on");
                *left = Some(Left { pair: found, again, rest });
            }
        }
    }

    /// Tries a pair, seals the ledger with it, and uses it: in this order, so that after a crash at any point the secret that
    /// stands in the file opens the ledger, or the one before is still in use.
    async fn take(&mut self, found: &Credentials) -> Result<(), String> {
        let trial = credentials::trial(&self.traffic, self.upstream.with(found)).await;
        trial.map_err(|fault| {
            let message = fault.answer.as_ref().and_then(|answer| answer.message.as_ref());
            match message {
                Some(message) => format!("{fault} ({})", message.as_str()),
                None => fault.to_string(),
            }
        })?;
        if let Some(ledger) = &self.ledger {
            let wrap =
                |pair: &Credentials| pair.derive(Wrap::from_secret).ok_or("no key can be made of the secret");
            let sealed = ledger.seal_anew(&wrap(found)?, &wrap(&self.current)?).await;
            sealed.map_err(|trouble| format!("the ledger cannot be sealed with it: {trouble}"))?;
        }
        self.upstream.replace(found.clone());
        self.current = found.clone();
        self.traffic.renew();
        Ok(())
    }
}

/// Says once what is wrong with the files.
fn complain(mistake: Mistake, before: &mut Option<Mistake>) {
    if before.as_ref() != Some(&mistake) {
        let (setting, expected) = (&mistake.path, &mistake.expected);
        tracing::error!(setting, expected, "the key cannot be read again; the present one is used on");
        *before = Some(mistake);
    }
}
