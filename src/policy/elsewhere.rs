//! What other replicas do, as far as it concerns what is kept, watched and waited for here.
//!
//! That nothing is heard does not mean that nothing was said. So the server is asked again and again over the connection that
//! listens, and only for a while after it was is it believed that everything is known. Whoever buys is not told of it before all
//! know that it was being sent, or cannot believe that any more. Absent here: a decision; and a
//! connection, which the board has.

use std::sync::Arc;
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
pub async fn hear(hearing: &Arc<dyn Hearing>, traffic: &Traffic, desk: &Desk) {
    let notices = hearing.notices();
    let mut ear = Ear { hearing, traffic, desk, notices, has_missed: false, place: None, written: 0 };
    ear.missed();
    let mut is_swept = false;
    loop {
        let (asked, before) = (ambient::instant(), ear.written);
        ear.has_missed = false;
        let pulse = ear.while_hearing(hearing.pulse()).await;
        ear.hear_all();
        match pulse {
            // Of what was said between two sessions nobody knows which of them the answer came over.
            Ok(_) if ear.has_missed => continue,
            // Whom others do not take to be there, they do not wait for.
            Ok(pulse) => {
                ear.counts(pulse.place, before);
                traffic.shelf.hears(&pulse, GOOD_FOR.min(pulse.lease));
            }
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
    hearing: &'a Arc<dyn Hearing>,
    traffic: &'a Traffic,
    desk: &'a Desk,
    notices: Receiver<Notice>,
    has_missed: bool,
    /// How long the ledger was.
    place: Option<i64>,
    /// How many entries were heard of since.
    written: i64,
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

    /// The ledger has grown to a place: by no more than was heard of, or by somebody who says nothing, such as an older gizad.
    /// `before` is how much was heard of when the question was asked.
    fn counts(&mut self, place: i64, before: i64) {
        let grown = self.place.map(|was| place.saturating_sub(was));
        let heard_since = self.written.saturating_sub(before);
        if grown.is_some_and(|grown| grown < 0 || grown > self.written) {
            self.missed();
            self.written = heard_since;
        } else {
            self.written = grown.map_or(heard_since, |grown| self.written.saturating_sub(grown));
        }
        self.place = Some(place);
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
                self.written = self.written.saturating_add(1);
                self.traffic.shelf.written(&operation, is_sent);
                self.desk.hears();
                if is_sent {
                    let hearing = self.hearing.clone();
                    self.traffic.shelf.spawn(async move {
                        let _waited_for_in_vain = hearing.knows(&operation).await;
                    });
                }
            }
            Some(Told::Known(operation, replica)) => self.desk.is_known_by(operation, replica),
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

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

    use tokio::time::sleep;
    use tower::ServiceExt as _;

    use super::*;
    use crate::call::Taken;
    use crate::contract::Contract;
    use crate::policy::cache::{Cache, Options, Shelf};
    use crate::policy::play::{Provider, call};
    use crate::settings::{Flags, Settings};
    use crate::shared::play::{Replica, Server};

    /// A replica that hears.
    struct House {
        cache: Cache<Provider>,
        shelf: Arc<Shelf>,
        options: Options,
        desk: Arc<Desk>,
        replica: Replica,
    }

    impl House {
        fn new(server: &Server) -> Self {
            let contract = Contract::embedded().expect("sound");
            let flags = Flags { sandbox: true, ..Flags::default() };
            let settings = Settings::load(&flags, &[]).expect("the defaults are sound");
            let traffic = Traffic::new(contract, &settings.policy);
            let desk = Desk::of_nothing(contract, &settings.policy.purchase);
            let replica = server.replica("here");
            traffic.is_shared_by(Arc::new(replica.clone()), Arc::new(replica.clone()));
            let shelf = traffic.shelf.clone();
            let cache = Cache::new(shelf.clone(), Provider::fine());
            let (ear, listening): (Arc<dyn Hearing>, _) = (Arc::new(replica.clone()), desk.clone());
            tokio::spawn(async move { hear(&ear, &traffic, &listening).await });
            Self { cache, shelf, options: settings.policy.cache, desk, replica }
        }

        /// Whether the catalog is fresh; if it is not, it is being asked for.
        async fn is_fresh(&self) -> bool {
            let reply =
                self.cache.clone().oneshot(call("CatalogService.ListVpsPlans")).await.expect("a reply");
            let taken = reply.memory.expect("of a read").taken;
            settle().await;
            taken == Taken::Hit
        }
    }

    /// Lets everything be heard that was said.
    async fn settle() {
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_fresh_as_long_as_it_is_heard_that_nobody_buys() {
        let server = Server::new();
        let house = House::new(&server);
        settle().await;
        assert!(!house.is_fresh().await && house.is_fresh().await, "asked for, and then kept");
        sleep(Duration::from_secs(60)).await;
        assert!(house.is_fresh().await, "it is heard all the time");
        let mut written = house.desk.hearings();
        written.mark_unchanged();
        server.writes("op", true);
        settle().await;
        assert!(written.has_changed().expect("a desk"), "whoever waits for an operation looks");
        assert!(!house.is_fresh().await && !house.is_fresh().await, "as long as it is being sent");
        server.writes("op", false);
        settle().await;
        assert!(!house.is_fresh().await && house.is_fresh().await, "until it was asked for again");
        // What is not said is found by asking.
        house.replica.deafen(true);
        server.writes("next", true);
        sleep(EVERY + Duration::from_millis(10)).await;
        assert!(!house.is_fresh().await && !house.is_fresh().await);
        server.writes("next", false);
        sleep(EVERY + Duration::from_millis(10)).await;
        assert!(!house.is_fresh().await && house.is_fresh().await);
        // So is what began and ended between two questions, of a gizad that says nothing.
        server.writes("last", true);
        server.writes("last", false);
        sleep(EVERY + Duration::from_millis(10)).await;
        assert!(!house.is_fresh().await && house.is_fresh().await, "the ledger has grown unheard");
        house.replica.deafen(false);
        sleep(EVERY * 2).await;
        assert!(house.is_fresh().await, "and it is not taken for changed again");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_of_the_account_is_kept_whatever_new_settings_say() {
        let server = Server::new();
        let house = House::new(&server);
        settle().await;
        let lifetime = crate::call::Lifetime { ttl: Duration::from_secs(60), ..Default::default() };
        let mut options = house.options.clone();
        options.operations.insert("WalletService.GetWallet".into(), lifetime);
        house.shelf.change(&options);
        let taken = async || {
            let reply = house.cache.clone().oneshot(call("WalletService.GetWallet")).await.expect("a reply");
            reply.memory.expect("of a read").taken
        };
        assert_eq!([taken().await, taken().await], [Taken::Bypassed; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_cut_off_takes_nothing_for_fresh_after_a_while_and_all_for_changed_when_it_is_back() {
        let server = Server::new();
        let house = House::new(&server);
        settle().await;
        assert!(!house.is_fresh().await && house.is_fresh().await);
        house.replica.away(true);
        sleep(Duration::from_secs(1)).await;
        assert!(house.is_fresh().await, "by what was known");
        sleep(GOOD_FOR).await;
        assert!(!house.is_fresh().await && !house.is_fresh().await, "nobody knows");
        sleep(Duration::from_secs(60)).await;
        assert!(!house.is_fresh().await);
        server.writes("op", true);
        house.replica.away(false);
        sleep(EVERY * 2).await;
        assert!(!house.is_fresh().await && !house.is_fresh().await, "what began meanwhile is known");
        server.writes("op", false);
        settle().await;
        assert!(!house.is_fresh().await && house.is_fresh().await);
        // So is what began and ended.
        house.replica.away(true);
        server.writes("next", true);
        server.writes("next", false);
        house.replica.away(false);
        sleep(EVERY * 2).await;
        assert!(!house.is_fresh().await && house.is_fresh().await);
    }
}
