//! Whether the files of the settings have changed. They are looked at and not watched: Kubernetes swaps a link above them, editors
//! put another file in their place, and neither has to be known.

use std::time::Duration;

use tokio::time::sleep;

use crate::settings::Watched;

/// The files, as they were when they were looked at last, and when they were read last.
pub(super) struct Files {
    every: Option<Duration>,
    read: Vec<Watched>,
    seen: Vec<Watched>,
}

impl Files {
    /// Files that were just read.
    pub(super) fn new(every: Option<Duration>, read: Vec<Watched>) -> Self {
        Self { every, seen: read.clone(), read }
    }

    /// Waits until some are not as they were when they were read, and have stayed so for a second look: whoever writes several,
    /// or one in steps, has finished.
    pub(super) async fn changed(&mut self) {
        let Some(every) = self.every else { return std::future::pending().await };
        loop {
            sleep(every).await;
            let before = self.seen.clone();
            let looking = tokio::task::spawn_blocking(move || before.iter().map(Watched::again).collect());
            let Ok(now) = looking.await else { continue };
            let rests = self.seen == now;
            self.seen = now;
            if rests && self.seen != self.read {
                return;
            }
        }
    }

    /// They were read again, and may be others.
    pub(super) fn were_read(&mut self, every: Option<Option<Duration>>, read: Vec<Watched>) {
        self.every = every.unwrap_or(self.every);
        self.seen.clone_from(&read);
        self.read = read;
    }
}
