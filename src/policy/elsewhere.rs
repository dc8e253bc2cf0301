//! What other replicas do, as far as it concerns what is kept, watched and waited for here.
//!
//! That nothing is heard does not mean that nothing was said. So the server is asked again and again over the connection that
//! listens, and only for a while after it was is it believed that everything is known. Absent here: a decision; and a
//! connection, which the board has.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::sleep_until;

use super::Traffic;
use super::purchase::Desk;
use crate::ambient;
use crate::shared::{Hearing, Notice, Told};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// For how long after that nothing can have been said that was not heard, as it is taken: what is in memory is fresh no longer.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(3);

/// Hears, for ever.
pub async fn hear(hearing: &dyn Hearing, traffic: &Traffic, desk: &Desk) {
    let mut ear = Ear { hearing, traffic, desk, notices: hearing.notices(), has_missed: false };
    ear.missed();
    let mut is_swept = false;
    loop {
        let asked = ambient::instant();
        ear.has_missed = false;
        let pulse = ear.while_hearing(hearing.pulse()).await;
        ear.hear_all();
        match pulse {
            // Of what was said between two sessions nobody knows which of them the answer came over.
            Ok(_) if ear.has_missed => continue,
            Ok(pulse) => traffic.shelf.hears(&pulse, GOOD_FOR),
            Err(trouble) => tracing::debug!(%trouble, "other replicas are not heard"),
        }
        if !is_swept {
            // What is left lying does no harm.
            is_swept = ear.while_hearing(hearing.sweep()).await.is_ok();
        }
        ear.while_hearing(sleep_until(asked + EVERY)).await;
    }
}

struct Ear<'a> {
    hearing: &'a dyn Hearing,
    traffic: &'a Traffic,
    desk: &'a Desk,
    notices: Receiver<Notice>,
    has_missed: bool,
}

impl Ear<'_> {
    /// Hears until something else is done.
    async fn while_hearing<T>(&mut self, what: impl Future<Output = T>) -> T {
        tokio::pin!(what);
        loop {
            tokio::select! {
                biased;
                heard = self.notices.recv() => match heard {
                    Ok(notice) => self.heard(&notice),
                    Err(RecvError::Lagged(_)) => self.missed(),
                    Err(RecvError::Closed) => return what.await,
                },
                done = &mut what => return done,
            }
        }
    }

    /// What was said before an answer came is here before it.
    fn hear_all(&mut self) {
        loop {
            match self.notices.try_recv() {
                Ok(notice) => self.heard(&notice),
                Err(TryRecvError::Lagged(_)) => self.missed(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn heard(&mut self, notice: &Notice) {
        let said = match notice {
            Notice::Said(said) => said,
            // Fresh for a while still, by what was known before.
            Notice::Lost => {
                self.has_missed = true;
                return;
            }
            Notice::Again => return self.missed(),
        };
        match Told::read(self.hearing.account(), said) {
            Some(Told::Seen(name)) => self.traffic.hub.seen_elsewhere(&name),
            Some(Told::Stirred(name)) => self.traffic.hub.stirred_elsewhere(&name),
            Some(Told::Answered(name)) => self.traffic.shelf.answered(&name),
            Some(Told::Written(operation, is_sent)) => {
                self.traffic.shelf.written(&operation, is_sent);
                self.desk.hears();
            }
            None => {}
        }
    }

    fn missed(&mut self) {
        self.has_missed = true;
        self.traffic.shelf.has_missed();
        self.traffic.hub.has_missed();
        self.desk.hears();
    }
}
