//! Writes down what the policies have learned, and reads it when the daemon starts.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message as _;
use tokio::time::sleep;

use super::Failure;
use crate::policy::{Kept, Mark, Traffic};
use crate::settings;
use crate::state::Folder;

/// The file's name.
const NAME: &str = "traffic";
/// How soon after a change it is written.
const SOON: Duration = Duration::from_secs(1);
/// How soon it is tried again when that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// What is remembered of one account.
pub(super) struct Keeper {
    folder: Option<Folder>,
    traffic: Traffic,
    writing: Arc<Mutex<()>>,
    /// Before the first call: what that one leads to is written down, too, however soon it comes.
    recalled: Mark,
}

impl Keeper {
    /// Opens the folder and recalls what is in it. A folder that was asked for by name must be there; the usual one
    /// may fail.
    pub(super) fn new(state: &settings::State, account: &[&str], traffic: Traffic) -> Result<Self, Failure> {
        let open = |below: &Path| Folder::of_account(below, account);
        let folder = match state {
            settings::State::Nowhere => None,
            settings::State::In(below) => Some(open(below).map_err(|error| {
                Failure::Build(format!("state.dir: cannot use {}: {error}", below.display()))
            })?),
            settings::State::Usual(below) => open(below)
                .inspect_err(|error| {
                    tracing::warn!(%error, folder = %below.display(), "nothing will be remembered over a restart");
                })
                .ok(),
        };
        if let Some(folder) = &folder {
            recall(folder, &traffic);
        }
        let recalled = traffic.mark();
        Ok(Self { folder, traffic, writing: Arc::default(), recalled })
    }

    /// Writes it down now, as it is when its turn comes: two who write at once both write the latest.
    pub(super) async fn save(&self) -> bool {
        let Some(folder) = self.folder.clone() else { return true };
        let (traffic, writing) = (self.traffic.clone(), self.writing.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let _turn = writing.lock();
            folder.save(NAME, &traffic.kept().encode_to_vec())
        });
        match saved.await {
            Ok(Ok(())) => {
                tracing::debug!("what was learned is remembered");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "what was learned cannot be written down");
                false
            }
            Err(_panicked) => false,
        }
    }

    /// Writes it down soon after every change, for ever.
    pub(super) async fn run(&self) {
        let mut written = self.recalled;
        let mut wait = SOON;
        loop {
            sleep(wait).await;
            let now = self.traffic.mark();
            if now == written {
                continue;
            }
            let saved = self.save().await;
            written = if saved { now } else { written };
            wait = if saved { SOON } else { AFTER_FAILURE };
        }
    }
}

fn recall(folder: &Folder, traffic: &Traffic) {
    let read = folder.load(NAME).map(|held| held.map(|held| Kept::decode(&*held)));
    match read {
        Ok(Some(Ok(kept))) => {
            tracing::info!(answers = kept.replies.len(), pace_part = kept.pace_part, "recalled");
            traffic.restore(&kept);
        }
        Ok(Some(Err(error))) => tracing::warn!(%error, "what was remembered cannot be read"),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "what was remembered cannot be read"),
    }
}
