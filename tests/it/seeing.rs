//! Several gizad on one PostgreSQL and one account: they look at what is watched and ask for the catalog as one would, and none of
//! them shows as fresh what another has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::ledger::server;
use super::market::{Provider, Told, buy};
use super::rig::{Answer, Gateway};
use super::waiting::Events;

const PLANS: &str = "/catalog/vps-plans";
const WATCHED: &str = "/vps/1/events";
/// How long anything here may take: a replica that is gone is taken for that after seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Looks that follow each other at once.
const QUICK: [(&str, &str); 2] = [("GIZAD_WATCH_QUICK", "100ms"), ("GIZAD_WATCH_SLOW", "100ms")];
/// A catalog that is kept as it is by default.
const KEPT: [(&str, &str); 1] = [("GIZAD_CACHE_TTL", "5m")];

/// Replicas on one account, which is that of a provider of its own.
struct Street {
    provider: Provider,
    replicas: Vec<Gateway>,
}

impl Street {
    fn open(count: usize, further: &[(&str, &str)]) -> Self {
        let provider = Provider::open();
        let replicas = (0..count).map(|_| Self::replica(&provider, further)).collect();
        Self { provider, replicas }
    }

    fn replica(provider: &Provider, further: &[(&str, &str)]) -> Gateway {
        let (url, most) = (server(), ("GIZAD_SHARED_MAX_REPLICAS", "8"));
        let mut environment = vec![("GIZAD_SHARED_URL", url.as_str()), ("GIZAD_LEDGER_DIR", ""), most];
        environment.extend(further);
        Gateway::towards(&provider.url, &environment)
    }

    /// How often the provider was asked for this.
    async fn asked(&self, action: &str) -> usize {
        self.provider.asked().await.iter().filter(|(asked, _)| asked == action).count()
    }

    /// How often it was asked for the plans, which it is without a body.
    async fn asked_for_plans(&self) -> usize {
        let requests = self.provider.control("GET", "/requests", json!({})).await;
        let requests = requests.as_array().expect("a list").iter();
        let targets = requests.filter_map(|request| request["target"].as_str());
        targets.filter(|target| target.ends_with("action=list_plans")).count()
    }

    /// A stream of what is watched, from each.
    async fn watch(&self) -> Vec<Events> {
        let mut streams = Vec::new();
        for replica in &self.replicas {
            streams.push(Events::open(replica, WATCHED, &[]).await);
        }
        streams
    }
}

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    timeout(PATIENCE, async {
        while !is().await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("it never came to this: {what}"));
}

/// Waits until a stream shows this.
async fn shows(events: &mut Events, power: &str) {
    let shown = async { while events.expect().await.data["power"] != power {} };
    timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("{power} is never shown"));
}

/// Whether an answer says of itself that it is fresh, from memory.
fn is_fresh(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let ttl = answer.header("cache-status").split("; ").find_map(|part| part.strip_prefix("ttl="));
    ttl.is_some_and(|ttl| ttl.parse::<i64>().expect("a number") > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_watchers_of_four_replicas_cost_what_one_costs_and_all_see_a_change() {
    let (four, one) = (Street::open(4, &QUICK), Street::open(1, &QUICK));
    let (mut streams, mut alone) = (Vec::new(), one.watch().await);
    for number in 0..48 {
        streams.push(Events::open(&four.replicas[number % 4], WATCHED, &[]).await);
    }
    streams.extend(four.watch().await.into_iter().take(2));
    for stream in streams.iter_mut().chain(&mut alone) {
        shows(stream, "ON").await;
    }
    // Beside each other, so that a machine that is slow is slow for both.
    let (before, beside) = (four.asked("vps_status").await, one.asked("vps_status").await);
    until("one has looked forty times", async || one.asked("vps_status").await >= beside + 40).await;
    let (looks, lone) = (four.asked("vps_status").await - before, one.asked("vps_status").await - beside);
    println!("while one looks {lone} times, four look {looks} times");
    assert!(looks < lone * 2, "four look {looks} times while one looks {lone} times");
    assert_eq!(four.replicas[3].rest("POST", "/vps/1/stop", None).await.status, 200);
    for stream in &mut streams {
        shows(stream, "OFF").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_go_on_when_replicas_are_killed_one_after_the_other() {
    let mut street = Street::open(3, &QUICK);
    let mut streams = street.watch().await;
    for stream in &mut streams {
        shows(stream, "ON").await;
    }
    for (action, power) in [("stop", "OFF"), ("start", "ON")] {
        // Whichever of them looks: of three, two are killed.
        let mut killed = street.replicas.remove(0);
        killed.signal("KILL");
        killed.ended().await;
        drop(streams.remove(0));
        let last = street.replicas.last().expect("one is left");
        assert_eq!(last.rest("POST", &format!("/vps/1/{action}"), None).await.status, 200);
        for stream in &mut streams {
            shows(stream, power).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_through_one_replica_is_waited_for_through_another() {
    // Ever more rarely, unless somebody says that something was done.
    let street = Street::open(2, &[("GIZAD_WATCH_QUICK", "200ms"), ("GIZAD_WATCH_SLOW", "1h")]);
    let mut streams = street.watch().await;
    for stream in &mut streams {
        shows(stream, "ON").await;
    }
    for (number, power) in [(0, "OFF"), (1, "ON"), (1, "OFF"), (0, "ON")] {
        let action = if power == "ON" { "start" } else { "stop" };
        let path = format!("/vps/1/{action}?wait=30s");
        let waited = street.replicas[number].rest("POST", &path, None).await.json();
        assert_eq!(
            (&waited["pending"], &waited["waited"]["reached"]),
            (&json!(false), &json!(true)),
            "{waited}"
        );
        for stream in &mut streams {
            shows(stream, power).await;
        }
        // It was seen twice after it was done, and what was seen before it does not count.
        let seen = street.replicas[1 - number].get("/vps/1/status?wait=30s").await;
        assert!(seen.status == 200 || seen.status == 400, "{}", seen.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_cold_replicas_ask_for_the_catalog_once() {
    let street = Street::open(4, &KEPT);
    // Slow enough for all to come while it is asked for.
    street.provider.order(json!({"kind": "delay", "ms": 1000, "action": "list_plans", "times": 10})).await;
    let asking = street.replicas.iter().map(|replica| replica.get(PLANS));
    let answers = futures_util::future::join_all(asking).await;
    let told: Vec<&str> = answers.iter().map(|answer| answer.header("cache-status")).collect();
    println!("four cold replicas: {told:?}");
    assert_eq!(street.asked_for_plans().await, 1, "{told:?}");
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.text == answers[0].text));
    // One that comes later has it, at its true age.
    sleep(Duration::from_millis(1100)).await;
    let late = Street::replica(&street.provider, &KEPT).get(PLANS).await;
    assert!(late.header("age").parse::<u64>().expect("seconds") >= 1, "{:?}", late.headers);
    assert_eq!(street.asked_for_plans().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replica_shows_the_catalog_from_before_a_purchase_as_fresh() {
    let street = Street::open(4, &KEPT);
    let mut told = BTreeMap::new();
    for number in 0..12 {
        for replica in &street.replicas {
            until("the catalog is fresh", async || is_fresh(&replica.get(PLANS).await)).await;
        }
        let bought =
            buy(&street.replicas[number % 4], &format!("key{number}"), &format!("host{number}")).await;
        assert_eq!(Told::of(&bought), Told::Succeeded, "{}", bought.text);
        let asked = street.asked_for_plans().await;
        let asking = street.replicas.iter().map(|replica| replica.get(PLANS));
        for answer in futures_util::future::join_all(asking).await {
            let status = answer.header("cache-status").to_owned();
            // Asked for after it, by itself or by another replica, or said to be stale.
            assert!(!is_fresh(&answer) || street.asked_for_plans().await > asked, "{number}: {status}");
            *told.entry(status).or_insert(0) += 1;
        }
    }
    println!("after purchases: {told:?}");
}

/// Whoever asks comes before anything can be heard again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stood_still_does_not_show_as_fresh_what_was_so_before() {
    let street = Street::open(2, &KEPT);
    let (here, there) = (&street.replicas[0], &street.replicas[1]);
    until("the catalog is fresh", async || is_fresh(&here.get(PLANS).await)).await;
    here.signal("STOP");
    // Its buyer is told when the other has stood still for so long that it takes nothing for fresh.
    assert_eq!(Told::of(&buy(there, "meanwhile", "meanwhile").await), Told::Succeeded);
    let request = here.http.get(format!("{}{PLANS}", here.api));
    let asking = tokio::spawn(async move { request.send().await.expect("an answer") });
    sleep(Duration::from_millis(100)).await;
    here.signal("CONT");
    let answer = asking.await.expect("no panic");
    let status = answer.headers()["cache-status"].to_str().expect("text").to_owned();
    let age = answer.headers()["age"].to_str().expect("text").parse::<u64>().expect("seconds");
    println!("after it stood still: {status}, age {age}");
    assert!(age == 0 || status.contains("ttl=-") || status.contains("ttl=0"), "{status}, age {age}");
    until("it goes on", async || is_fresh(&here.get(PLANS).await)).await;
}

/// A read that was begun before a write, and is not answered when that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_after_a_write_elsewhere_does_not_join_what_was_asked_before_it() {
    let street = Street::open(2, &QUICK);
    let (here, there) = (&street.replicas[0], &street.replicas[1]);
    street.provider.order(json!({"kind": "delay", "ms": 3000, "action": "vps_status", "times": 1})).await;
    let request = here.http.get(format!("{}/vps/1/status", here.api));
    let slow =
        tokio::spawn(async move { request.send().await.expect("an answer").text().await.expect("text") });
    until("it is under way", async || street.asked("vps_status").await == 1).await;
    assert_eq!(there.rest("POST", "/vps/1/stop", None).await.status, 200);
    let after = here.get("/vps/1/status").await;
    assert_eq!(after.json()["power"], "OFF", "{}", after.text);
    assert_eq!(after.header("cache-status"), "gizad; fwd=bypass");
    assert_eq!(street.asked("vps_status").await, 2, "it was asked anew");
    let _older: Value = serde_json::from_str(&slow.await.expect("no panic")).expect("JSON");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_an_operation_through_another_replica_is_told_of_its_end() {
    let street = Street::open(2, &[]);
    let mut events = Events::open(&street.replicas[1], "/operations/events", &[]).await;
    let bought = buy(&street.replicas[0], "told", "told").await;
    assert_eq!(Told::of(&bought), Told::Succeeded, "{}", bought.text);
    let told = async { while events.expect().await.data["state"] != "SUCCEEDED" {} };
    timeout(PATIENCE, told).await.expect("it is told");
}
