//! Who knows of a purchase: its buyer is not told of its end before every other replica has heard that it was being sent, or has
//! been unable to hear for so long that it takes nothing in memory for fresh any more.
//!
//! Whoever is fresh without knowing of it has asked the server before it was written down, and no longer ago than
//! [`GOOD_FOR`]; and it is among those that the server takes to be there, because that is what it was told then. So it is waited
//! for here, until it says that it knows, or that time has passed. Absent here: a purchase's outcome, which is written down by then.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep_until, timeout_at};

use super::desk::Desk;
use super::run::Told;
use crate::ambient;
use crate::policy::elsewhere::GOOD_FOR;
use crate::purchase::State;
use crate::shared::Hearing;

/// So many words of others are remembered. There is one purchase at a time, and of each replica one word.
const REMEMBERED: usize = 4096;
/// How long the server is asked who is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// What others have said.
#[derive(Default)]
pub(super) struct Heard {
    hearing: OnceLock<Arc<dyn Hearing>>,
    words: watch::Sender<VecDeque<(Arc<str>, Arc<str>)>>,
}

impl Desk {
    /// There are other replicas.
    pub fn is_shared_by(&self, hearing: Arc<dyn Hearing>) {
        let _first = self.heard.hearing.set(hearing);
    }

    /// A replica knows that an operation is being sent.
    pub(in crate::policy) fn is_known_by(&self, operation: Arc<str>, replica: Arc<str>) {
        self.heard.note(operation, replica);
    }
}

impl Heard {
    fn note(&self, operation: Arc<str>, replica: Arc<str>) {
        self.words.send_modify(|words| {
            if words.len() >= REMEMBERED {
                words.pop_front();
            }
            words.push_back((operation, replica));
        });
    }

    /// Waits, before anybody is told what became of a job, until all know that it was being sent, if it was.
    pub(super) async fn before(&self, told: &Told) {
        match told {
            Told::Operation { record, replayed: false }
                if record.spends && record.state() != State::AwaitingApproval =>
            {
                self.everywhere(&record.id).await;
            }
            Told::Operation { .. } | Told::Preview(_) | Told::Refused(_) => {}
        }
    }

    /// Waits until all know that an operation was being sent.
    async fn everywhere(&self, operation: &str) {
        let Some(hearing) = self.hearing.get() else { return };
        let now = ambient::instant();
        let until = now + GOOD_FOR;
        let Ok(Ok(others)) = timeout_at(now + PATIENCE, hearing.others()).await else {
            return sleep_until(until).await;
        };
        let mut words = self.words.subscribe();
        let all_know = words.wait_for(|words| {
            let knows = |other: &Arc<str>| words.iter().any(|(of, by)| &**of == operation && by == other);
            others.iter().all(knows)
        });
        let _known_or_deaf = timeout_at(until, all_know).await.map(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::play::Server;

    #[tokio::test(start_paused = true)]
    async fn a_buyer_waits_until_all_know_or_can_know_nothing() {
        let server = Server::new();
        let (own, other, gone) = (server.replica("own"), server.replica("other"), server.replica("gone"));
        let heard = Heard::default();
        let took = async |heard: &Heard, operation: &str| {
            let begun = ambient::instant();
            heard.everywhere(operation).await;
            begun.elapsed()
        };
        assert_eq!(took(&heard, "op").await, Duration::ZERO, "there is nobody else");
        heard.hearing.set(Arc::new(own.clone())).unwrap_or_else(|_| panic!("the first"));
        gone.die();
        heard.note("op".into(), "other".into());
        assert_eq!(took(&heard, "op").await, Duration::ZERO, "who is there knows");
        assert_eq!(took(&heard, "next").await, GOOD_FOR, "of another it does not");
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            heard.note("last".into(), "other".into());
        };
        let (waited, ()) = tokio::join!(took(&heard, "last"), later);
        assert_eq!(waited, Duration::from_secs(1));
        own.away(true);
        assert_eq!(took(&heard, "last").await, GOOD_FOR, "nobody says who is there");
        own.away(false);
        other.die();
        assert_eq!(took(&heard, "next").await, Duration::ZERO);
    }
}
