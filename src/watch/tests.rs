//! Plays of the hub: how often it looks, and for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use prost_reflect::{DynamicMessage, Value};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::{Hub, Key, Options, Watching};
use crate::ambient;
use crate::call::{Caller, Deadline, Reply};
use crate::contract::{Contract, Operation};
use crate::fault::Reason;

const OPTIONS: Options =
    Options { quick: Duration::from_secs(1), slow: Duration::from_secs(30), streams: 2, look_first: true };

fn status() -> &'static Operation {
    Contract::embedded().expect("sound").operation("VpsService.GetVpsStatus").expect("there")
}

fn request() -> DynamicMessage {
    DynamicMessage::new(status().input.descriptor.clone())
}

/// A provider that counts how often it is asked, and shows this state.
struct Provider {
    hub: Hub,
    asked: Arc<AtomicUsize>,
    power: Arc<AtomicI32>,
}

impl Provider {
    fn new() -> Self {
        let (asked, power) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicI32::new(1)));
        let hub = Hub::new(OPTIONS, TaskTracker::new());
        let (count, shown) = (asked.clone(), power.clone());
        hub.asks_by(Arc::new(move |call| {
            assert_eq!(call.caller, Caller::Watch);
            count.fetch_add(1, Relaxed);
            let mut message = DynamicMessage::new(call.operation.output.descriptor.clone());
            message.set_field_by_name("power", Value::EnumNumber(shown.load(Relaxed)));
            Box::pin(async move { Ok(Reply::new(message, "play", false)) })
        }));
        Self { hub, asked, power }
    }

    fn watch(&self) -> Watching {
        self.hub.watch(status(), request())
    }

    /// How often it was asked in this time.
    async fn within(&self, seconds: u64) -> usize {
        let before = self.asked.load(Relaxed);
        sleep(Duration::from_secs(seconds)).await;
        self.asked.load(Relaxed) - before
    }
}

#[tokio::test(start_paused = true)]
async fn it_looks_often_at_first_rarely_later_and_never_for_nobody() {
    let provider = Provider::new();
    let watchers: Vec<Watching> = (0..1000).map(|_| provider.watch()).collect();
    let first = provider.within(10).await;
    assert!((9..=12).contains(&first), "about one a second: {first}");
    let then = provider.within(290).await;
    assert!((30..=42).contains(&then), "ever more rarely: {then}");
    let late = provider.within(300).await;
    assert!((9..=12).contains(&late), "every half minute: {late}");
    let _begun = provider.hub.begins(&Key::new(status(), &request()), 2, false);
    let soon = provider.within(10).await;
    assert!((9..=12).contains(&soon), "often again, because something was done: {soon}");
    provider.power.store(2, Relaxed);
    sleep(Duration::from_secs(300)).await;
    provider.power.store(1, Relaxed);
    let soon = provider.within(60).await;
    assert!(soon >= 12, "often again, because it has changed: {soon}");
    drop(watchers);
    // The rest of a pause, in which whoever comes back goes on from what was seen.
    sleep(Duration::from_secs(40)).await;
    assert_eq!((provider.within(600).await, provider.hub.size()), (0, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_and_comes_back_has_nothing_looked_at_more_often() {
    let provider = Provider::new();
    for _again in 0..1000 {
        drop(provider.watch());
        sleep(Duration::from_millis(10)).await;
    }
    let asked = provider.asked.load(Relaxed);
    assert!((9..=13).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_before_it_began_does_not_count() {
    let provider = Provider::new();
    let goal = Contract::embedded().expect("sound").operation("VpsService.StartVps").expect("there").goals[0]
        .clone();
    let mut watching = provider.watch();
    sleep(Duration::from_secs(5)).await;
    let asked = provider.asked.load(Relaxed);
    let since = ambient::instant();
    let until = since + Duration::from_secs(60);
    let deadline = Deadline::new(since, None);
    let (quick, closing) = (OPTIONS.quick, provider.hub.closing());
    let outcome = super::wait(&goal, &mut watching, (since, until), quick, closing, &deadline).await;
    assert!(outcome.expect("reached").reached);
    assert_eq!(provider.asked.load(Relaxed) - asked, 2, "two looks, both from after it began");
}

#[tokio::test(start_paused = true)]
async fn what_leads_elsewhere_makes_what_is_seen_doubtful_for_a_while() {
    let provider = Provider::new();
    let key = Key::new(status(), &request());
    let hub = &provider.hub;
    assert!(!hub.is_doubtful(&key, 1));
    let stop = hub.begins(&key, 2, false);
    hub.ends(&stop, false);
    assert!(hub.is_doubtful(&key, 1) && !hub.is_doubtful(&key, 2));
    // What is refused, or never sent, leads nowhere, and takes nothing back of what was done before it.
    let start = hub.begins(&key, 1, false);
    assert!(hub.is_doubtful(&key, 1) && hub.is_doubtful(&key, 2), "it may be sent any moment");
    hub.ends(&start, true);
    assert!(hub.is_doubtful(&key, 1) && !hub.is_doubtful(&key, 2));
    let reboot = hub.begins(&key, 1, true);
    hub.ends(&reboot, false);
    assert!(hub.is_doubtful(&key, 2), "a reboot says nothing of before");
    // What was seen settles what was done until then and led there, and nothing else.
    sleep(Duration::from_secs(1)).await;
    let seen = ambient::instant();
    sleep(Duration::from_secs(1)).await;
    let later = hub.begins(&key, 2, false);
    hub.ends(&later, false);
    hub.settles(&key, 1, seen);
    assert!(!hub.is_doubtful(&key, 2), "the reboot was seen to have come about");
    hub.settles(&key, 2, seen);
    assert!(hub.is_doubtful(&key, 1), "the later stop was not");
    // Its time begins with its answer, and ends.
    sleep(Duration::from_mins(14)).await;
    assert!(hub.is_doubtful(&key, 1));
    hub.ends(&later, false);
    sleep(Duration::from_mins(14)).await;
    assert!(hub.is_doubtful(&key, 1));
    sleep(Duration::from_mins(2)).await;
    assert!(!hub.is_doubtful(&key, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_done_before_it_began_nobody_knows() {
    let provider = Provider::new();
    let key = Key::new(status(), &request());
    provider.hub.has_a_past();
    assert!(provider.hub.is_doubtful(&key, 1));
    sleep(Duration::from_mins(15)).await;
    assert!(!provider.hub.is_doubtful(&key, 1));
}

#[tokio::test]
async fn a_place_is_free_again_when_its_stream_has_gone() {
    let provider = Provider::new();
    let slots = [provider.hub.slot(&Caller::Anonymous), provider.hub.slot(&Caller::Anonymous)];
    assert!(slots.iter().all(Result::is_ok) && provider.hub.slot(&Caller::Owner).is_ok());
    let refused = provider.hub.slot(&Caller::Anonymous).expect_err("one too many");
    assert_eq!(
        (refused.reason, refused.limit.map(|limit| limit.name)),
        (Reason::QuotaExceeded, Some("streams"))
    );
    drop(slots);
    assert!(provider.hub.slot(&Caller::Anonymous).is_ok());
    assert_eq!(provider.hub.size(), (0, 0));
}
