//! Plays of several replicas that watch the same thing: who looks, and what the others see.

#![expect(clippy::disallowed_methods, reason = "a test starts tasks that it ends")]

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::Relaxed};

use prost_reflect::{DynamicMessage, Value};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::*;
use crate::call::{Caller, Content, Deadline, Reply};
use crate::contract::{Contract, Operation};
use crate::fault::{Fault, Reason};
use crate::shared::play::{ACCOUNT, Replica, Server};
use crate::shared::{Hearing, Notice, Told};
use crate::watch::look::{Sight, What, name};
use crate::watch::{Hub, Watching, wait};

const OPTIONS: Options =
    Options { quick: Duration::from_secs(1), slow: Duration::from_secs(30), streams: 2, look_first: true };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn status() -> &'static Operation {
    Contract::embedded().expect("sound").operation("VpsService.GetVpsStatus").expect("there")
}

fn request() -> DynamicMessage {
    DynamicMessage::new(status().input.descriptor.clone())
}

fn showing(power: i32) -> DynamicMessage {
    let mut message = DynamicMessage::new(status().output.descriptor.clone());
    message.set_field_by_name("power", Value::EnumNumber(power));
    message
}

fn power(watching: &Watching) -> Option<i32> {
    let seen = watching.seen.borrow();
    let content = seen.last.as_ref()?.what.content()?;
    content.message().get_field_by_name("power")?.as_enum_number()
}

/// A replica: how it looks, and what it shares.
struct House {
    hub: Hub,
    replica: Replica,
    asked: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

/// Several of them on one account.
struct Street {
    server: Server,
    houses: Vec<House>,
    shown: Arc<AtomicI32>,
}

impl Street {
    fn new(count: usize) -> Self {
        let (server, shown) = (Server::new(), Arc::new(AtomicI32::new(1)));
        let houses = (0..count).map(|number| House::new(&server, number, &shown)).collect();
        Self { server, houses, shown }
    }

    fn watch(&self) -> Vec<Watching> {
        self.houses.iter().map(|house| house.hub.watch(status(), request())).collect()
    }

    fn asked(&self) -> usize {
        self.houses.iter().map(|house| house.asked.load(Relaxed)).sum()
    }

    /// How often the provider was asked in this time.
    async fn within(&self, time: u64) -> usize {
        let before = self.asked();
        sleep(seconds(time)).await;
        self.asked() - before
    }

    /// The one that looks.
    async fn holder(&self) -> usize {
        let before: Vec<usize> = self.houses.iter().map(|house| house.asked.load(Relaxed)).collect();
        sleep(seconds(70)).await;
        let looking =
            self.houses.iter().zip(before).map(|(house, before)| house.asked.load(Relaxed) > before);
        let looking: Vec<usize> = looking.enumerate().filter(|(_, looks)| *looks).map(|(at, _)| at).collect();
        assert_eq!(looking.len(), 1, "one looks for all: {looking:?}");
        looking[0]
    }
}

impl House {
    fn new(server: &Server, number: usize, shown: &Arc<AtomicI32>) -> Self {
        let (asked, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let replica = server.replica(&format!("house{number}"));
        let hub = Hub::new(OPTIONS, TaskTracker::new());
        hub.is_shared_by(Arc::new(replica.clone()));
        let (count, shown, is_failing) = (asked.clone(), shown.clone(), fails.clone());
        hub.asks_by(Arc::new(move |call| {
            assert_eq!(call.caller, Caller::Watch);
            count.fetch_add(1, Relaxed);
            let answer = match is_failing.load(Relaxed) {
                false => Ok(Reply::new(showing(shown.load(Relaxed)), "play", false)),
                true => Err(Fault::new(Reason::UpstreamUnreachable, "")),
            };
            Box::pin(async move { answer })
        }));
        let (mut notices, hearing) = (replica.notices(), hub.clone());
        tokio::spawn(async move {
            while let Ok(notice) = notices.recv().await {
                let Notice::Said(said) = notice else {
                    hearing.has_missed();
                    continue;
                };
                match Told::read(ACCOUNT, &said) {
                    Some(Told::Seen(name)) => hearing.seen_elsewhere(&name),
                    Some(Told::Stirred(name)) => hearing.stirred_elsewhere(&name),
                    _ => {}
                }
            }
        });
        Self { hub, replica, asked, fails }
    }
}

#[tokio::test(start_paused = true)]
async fn four_replicas_look_as_often_as_one_and_all_see_it() {
    let street = Street::new(4);
    let watchers: Vec<Watching> = (0..13).flat_map(|_| street.watch()).collect();
    let first = street.within(10).await;
    assert!((9..=13).contains(&first), "about one a second: {first}");
    let then = street.within(290).await;
    assert!((30..=45).contains(&then), "ever more rarely: {then}");
    street.shown.store(2, Relaxed);
    let begun = street.asked();
    while watchers.iter().all(|watching| power(watching) == Some(1)) {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(watchers.iter().all(|watching| power(watching) == Some(2)), "all see it, as soon as one does");
    assert_eq!(street.asked() - begun, 1);
    let soon = street.within(60).await;
    assert!((12..=30).contains(&soon), "often again, because it has changed: {soon}");
    drop(watchers);
    sleep(seconds(70)).await;
    let statements = street.server.statements();
    assert_eq!(street.within(600).await, 0, "nobody wants to know");
    assert_eq!(street.server.statements(), statements, "and nobody reads");
}

#[tokio::test(start_paused = true)]
async fn another_goes_on_when_the_one_that_looks_dies_or_stops_or_leaves() {
    let street = Street::new(4);
    let mut watchers: Vec<Option<Watching>> = street.watch().into_iter().map(Some).collect();
    sleep(seconds(300)).await;
    for (round, state) in [(0, 2), (1, 1), (2, 2)] {
        let holder = street.holder().await;
        let house = &street.houses[holder];
        match round {
            0 => house.replica.die(),
            1 => house.hub.close(),
            _ => {}
        }
        house.hub.close();
        watchers[holder] = None;
        street.shown.store(state, Relaxed);
        sleep(seconds(150)).await;
        for watching in watchers.iter().flatten() {
            assert_eq!(power(watching), Some(state), "round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_through_one_replica_is_looked_at_soon_by_another() {
    let street = Street::new(2);
    let mut watchers = street.watch();
    sleep(seconds(400)).await;
    let holder = street.holder().await;
    let (other, mut watching) = (&street.houses[1 - holder], watchers.remove(1 - holder));
    let goal = Contract::embedded().expect("sound").operation("VpsService.StartVps").expect("there").goals[0]
        .clone();
    let since = ambient::instant();
    let asked = street.asked();
    watching.stir();
    let (until, deadline) = (since + seconds(60), Deadline::new(since, None));
    let closing = other.hub.closing();
    let outcome = wait(&goal, &mut watching, (since, until), OPTIONS.quick, closing, &deadline).await;
    assert!(outcome.expect("reached").reached);
    assert!(since.elapsed() < seconds(5), "{:?}", since.elapsed());
    // Both from after it began. What the other saw at that very moment is taken for a millisecond older.
    assert!((2..=3).contains(&(street.asked() - asked)), "two looks, by the other one");
    assert_eq!(other.asked.load(Relaxed), 0);
    // What others do is not known here, so what is seen may always be from before it.
    assert!(other.hub.is_doubtful(&Key::new(status(), &request()), goal.reached));
    // What nobody watches here somebody may watch there.
    drop(watching);
    sleep(seconds(400)).await;
    let begun = other.hub.begins(&Key::new(status(), &request()), 1, false);
    let soon = street.within(10).await;
    assert!((8..=13).contains(&soon), "{begun:?}: {soon}");
    drop(watchers);
    sleep(seconds(400)).await;
    let begun = other.hub.begins(&Key::new(status(), &request()), 1, false);
    let soon = street.within(10).await;
    assert_eq!(soon, 0, "nobody watches it at all: {begun:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_nothing_looks_now_and_then_what_another_has_seen() {
    let street = Street::new(2);
    let watchers = street.watch();
    sleep(seconds(400)).await;
    let holder = street.holder().await;
    street.houses[1 - holder].replica.deafen(true);
    street.shown.store(2, Relaxed);
    sleep(seconds(120)).await;
    assert_eq!(power(&watchers[1 - holder]), Some(2));
    assert_eq!(street.houses[1 - holder].asked.load(Relaxed), 0, "without looking itself");
}

#[tokio::test(start_paused = true)]
async fn each_looks_for_itself_while_nobody_can_be_reached() {
    let street = Street::new(3);
    let watchers = street.watch();
    sleep(seconds(400)).await;
    street.houses.iter().for_each(|house| house.replica.away(true));
    street.shown.store(2, Relaxed);
    sleep(seconds(150)).await;
    assert!(watchers.iter().all(|watching| power(watching) == Some(2)));
    assert!(street.houses.iter().all(|house| house.asked.load(Relaxed) > 0), "each by itself");
    street.houses.iter().for_each(|house| house.replica.away(false));
    sleep(seconds(150)).await;
    let _one = street.holder().await;
    street.shown.store(1, Relaxed);
    sleep(seconds(70)).await;
    assert!(watchers.iter().all(|watching| power(watching) == Some(1)));
}

#[tokio::test(start_paused = true)]
async fn one_that_looks_in_vain_lets_another_try() {
    let street = Street::new(2);
    let watchers = street.watch();
    sleep(seconds(100)).await;
    let holder = street.holder().await;
    street.houses[holder].fails.store(true, Relaxed);
    street.shown.store(2, Relaxed);
    sleep(seconds(300)).await;
    assert!(watchers.iter().all(|watching| power(watching) == Some(2)));
    assert_eq!(street.holder().await, 1 - holder);
}

/// A sight of a moment.
fn sight(power: i32, asked: Instant) -> Result<Sight, Fault> {
    let message = showing(power);
    let name = name(&message);
    Ok(Sight { asked, at_ms: 0, what: What::There(Arc::new(Content::new(message)), name) })
}

#[tokio::test(start_paused = true)]
async fn two_sights_are_in_a_row_only_if_nothing_can_have_been_between_them() {
    sleep(seconds(100)).await;
    let server = Server::new();
    let subject = Subject::new(Key::new(status(), &request()), status(), request());
    let mut together = Together::new(Arc::new(server.replica("here")), &subject.key);
    let mut posted = Posted::default();
    let begun = ambient::instant();
    let at = |together: &mut Together, posted: &Posted, ms: i64| {
        let reading = Reading::new(begun, ms);
        let sighted = Sighted { reading, is_held: true, body: Some(posted.encode_to_vec()) };
        together.theirs(&subject, &OPTIONS, &sighted);
        let seen = subject.seen.borrow();
        let shows = |sight: &Option<Sight>| sight.as_ref().map(|sight| begun - sight.asked);
        (shows(&seen.before), shows(&seen.last))
    };
    let ms = |ms| Some(Duration::from_millis(ms));
    // Each is one millisecond older than it need be, because the rest was cut off.
    posted.add(&sight(1, begun), 1000);
    assert_eq!(at(&mut together, &posted, 9000), (None, ms(8001)));
    assert_eq!(at(&mut together, &posted, 9000), (None, ms(8001)), "one sight is not two");
    posted.add(&sight(1, begun), 2000);
    assert_eq!(at(&mut together, &posted, 9000), (ms(8001), ms(7001)), "the next in a row");
    posted.add(&sight(1, begun), 3000);
    posted.add(&sight(1, begun), 4000);
    assert_eq!(at(&mut together, &posted, 9000), (ms(6001), ms(5001)), "two that were missed, in a row");
    posted.add(&sight(1, begun), 5000);
    posted.add(&sight(1, begun), 6000);
    posted.add(&sight(1, begun), 7000);
    assert_eq!(at(&mut together, &posted, 9000), (ms(3001), ms(2001)), "and of three the last two");
    // Another one looks, and has not seen what was between.
    let mut other = Posted::default();
    other.add(&sight(1, begun), 8000);
    assert_eq!(at(&mut together, &other, 9000), (None, ms(1001)));
    // What is older than what is known is not taken over, and what would come from the future is not known.
    let mut older = Posted::default();
    older.add(&sight(1, begun), 7500);
    older.add(&sight(1, begun), 9500);
    assert_eq!(at(&mut together, &older, 9000), (None, ms(1001)));
    // Nor what nobody has seen for long.
    let mut fresh = Together::new(Arc::new(server.replica("there")), &subject.key);
    let old = Subject::new(Key::new(status(), &request()), status(), request());
    let reading = Reading::new(begun, 1_000_000);
    fresh.theirs(&old, &OPTIONS, &Sighted { reading, is_held: true, body: Some(posted.encode_to_vec()) });
    assert!(old.seen.borrow().last.is_none());
}

#[test]
fn what_is_not_there_is_told_in_the_same_words() {
    let words = crate::fault::ProviderMessage::clean("no such thing");
    let answer = crate::fault::Judged { rule: "said_so", status: Some(200), message: words };
    let fault = Fault { answer: Some(answer), ..Fault::new(Reason::NotFound, "there is none") };
    let gone = Sight {
        asked: ambient::instant(),
        at_ms: 0,
        what: What::Gone(fault.sent(crate::fault::Sent::Answered)),
    };
    let mut posted = Posted::default();
    posted.add(&Ok(gone), 1000);
    let look = Posted::decode(&*posted.encode_to_vec()).expect("sound").sights.remove(0);
    let seen = look.sight(status(), &Reading::new(ambient::instant(), 1000), seconds(60)).expect("a sight");
    let What::Gone(fault) = seen.what else { panic!("gone") };
    let answer = fault.answer.expect("the provider's");
    let words = answer.message.expect("words");
    assert_eq!((fault.reason, fault.detail.as_str()), (Reason::NotFound, "there is none"));
    assert_eq!((answer.rule, answer.status, words.as_str()), ("said_so", Some(200), "no such thing"));
}
