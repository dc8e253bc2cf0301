//! Two gizads on one account share its pace, as the provider counts it: whatever happens to what they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ledger::server;
use super::money::cable::Cable;
use super::rig::{Gateway, Sandbox};

/// Of forty a second and eight at once, half is used at first.
const RATE: f64 = 20.0;
const BURST: f64 = 4.0;
/// What a call may take from its turn to the provider while the machine is busy: so much later it may come than it was let through.
const LATE: Duration = Duration::from_secs(2);
/// How many calls are asked for at once at each.
const CALLS: usize = 12;

fn replica(provider: &Sandbox, shared: &str) -> Arc<Gateway> {
    one_of("2", provider, shared)
}

fn one_of(most: &str, provider: &Sandbox, shared: &str) -> Arc<Gateway> {
    let settings = [
        ("GIZAD_SHARED_URL", shared),
        ("GIZAD_SHARED_MAX_REPLICAS", most),
        ("GIZAD_PACE_LONGEST_PAUSE", "1h"),
        ("GIZAD_PACE_RATE", "40/s"),
        ("GIZAD_PACE_BURST", "8"),
    ];
    Arc::new(Gateway::beside(provider, &settings))
}

/// Two that have their shares.
async fn two_of(provider: &Sandbox) -> (Arc<Gateway>, Arc<Gateway>) {
    let (one, two) = (replica(provider, &server()), replica(provider, &server()));
    is_held(&one).await;
    is_held(&two).await;
    (one, two)
}

async fn standing(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/status").await.json()
}

async fn is_held(gateway: &Gateway) {
    gateway.shows("held", |shown| shown["replicas"]["lease"] == "held").await;
}

/// Calls that do not end until they are told to.
struct Flood {
    ends: Arc<AtomicBool>,
    calls: JoinSet<usize>,
}

impl Flood {
    fn at(gateways: &[&Arc<Gateway>]) -> Self {
        let (ends, mut calls) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for (number, gateway) in gateways.iter().enumerate() {
            for call in 0..CALLS {
                let (ends, gateway) = (ends.clone(), Arc::clone(gateway));
                calls.spawn(async move {
                    // Each asks for something else: what is asked for at the same time is asked once.
                    let path = format!("/vps/{}", 1_000_000 + number * 1000 + call);
                    let mut answered = 0;
                    while !ends.load(Ordering::Relaxed) {
                        let answer = gateway.send("GET", &path, None, &[("request-timeout", "15s")]).await;
                        answered += usize::from(answer.status == 404);
                    }
                    answered
                });
            }
        }
        Self { ends, calls }
    }

    async fn for_a_while(self, time: Duration) -> usize {
        tokio::time::sleep(time).await;
        self.ends.store(true, Ordering::Relaxed);
        self.calls.join_all().await.into_iter().sum()
    }
}

/// When calls came to the provider, in seconds, in order.
async fn arrivals(gateway: &Gateway) -> Vec<f64> {
    let requests = gateway.control("GET", "/requests", json!({})).await;
    let requests = requests.as_array().expect("a list").iter();
    // Looks at the public catalog and whatever else there is count as well.
    requests.map(|request| request["at_us"].as_f64().expect("a time") / 1e6).collect()
}

/// In every window no more came than the burst, and the rate times the window and what a call may be late by.
fn assert_bounded(arrivals: &[f64]) {
    for (first, from) in arrivals.iter().enumerate() {
        for (count, to) in arrivals.iter().skip(first).enumerate() {
            let most = BURST + RATE * (to - from + LATE.as_secs_f64());
            assert!((count + 1) as f64 <= most, "{} within {} s, at most {most}", count + 1, to - from);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_let_through_what_one_may() {
    let provider = Sandbox::start();
    let (one, two) = two_of(&provider).await;
    // Each alone would let through as much as both may.
    let answered = Flood::at(&[&one, &two]).for_a_while(Duration::from_secs(8)).await;
    let arrivals = arrivals(&one).await;
    println!("{answered} answered, {} came", arrivals.len());
    // Both were at it all the while.
    assert!(answered > 40 && arrivals.len() >= answered, "{answered}");
    assert_bounded(&arrivals);
    for gateway in [&one, &two] {
        let shown = standing(gateway).await;
        assert!(shown["replicas"]["share"].as_f64().expect("a share") <= 1.0, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_is_told_all_heed() {
    let provider = Sandbox::start();
    let (one, two) = two_of(&provider).await;
    one.order(json!({"kind": "rate_limited", "retry_after": 600})).await;
    assert_eq!(one.get("/vps/1000001").await.status, 429);
    let complained = Instant::now();
    let shown = two.shows("paused", |shown| !shown["pace"]["paused_for_s"].is_null()).await;
    println!("the other knew after {:?}", complained.elapsed());
    assert_eq!(shown["pace"]["part_of_the_configured_rate"], 0.25, "{}", shown["pace"]);
    let before = arrivals(&one).await.len();
    assert!(before > 0, "what came is known");
    let refused = two.get("/vps/1000002").await;
    assert_eq!((refused.status, refused.reason().as_str()), (429, "PACE_EXCEEDED"), "{}", refused.text);
    assert_eq!(arrivals(&one).await.len(), before, "nothing is sent any more");
    // Who comes later is told, too.
    let three = one_of("3", &provider, &server());
    let shown = three.shows("paused", |shown| !shown["pace"]["paused_for_s"].is_null()).await;
    assert_eq!(shown["pace"]["part_of_the_configured_rate"], 0.25, "{}", shown["pace"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_each_goes_on_with_its_part_and_comes_back() {
    let provider = Sandbox::start();
    let (cable, url) = Cable::to(&server());
    let (one, two) = (replica(&provider, &url), replica(&provider, &server()));
    is_held(&one).await;
    is_held(&two).await;
    cable.cut();
    let flood = Flood::at(&[&one, &two]);
    let shown = one.shows("alone", |shown| shown["replicas"]["lease"] == "alone").await;
    assert!(shown["replicas"]["share"].as_f64().expect("a share") <= 0.5, "{}", shown["replicas"]);
    // It has never more than its even share, and that before long.
    one.shows("even", |shown| shown["replicas"]["share"] == 0.5).await;
    let other = two.sees_one_silent().await;
    assert!(other["replicas"]["share"].as_f64().expect("a share") <= 0.5, "{}", other["replicas"]);
    assert_eq!(one.get("/vps/1000099").await.status, 404, "it still asks the provider");
    cable.mend();
    is_held(&one).await;
    let answered = flood.for_a_while(Duration::from_secs(1)).await;
    let arrivals = arrivals(&one).await;
    assert!(arrivals.len() >= answered, "{answered}");
    assert_bounded(&arrivals);
}

/// Nobody else can know that it is not merely cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_for_a_killed_one_is_given_back_when_somebody_says_that_it_is_gone() {
    let provider = Sandbox::start();
    let (one, two) = two_of(&provider).await;
    let forget = |name: &str| format!("/replicas/forget?name={name}");
    let name = standing(&one).await["replicas"]["own"].as_str().expect("a name").to_owned();
    let alive = two.admin("POST", &forget(&name)).await;
    assert_eq!((alive.status, &alive.json()["title"]), (409, &json!("It is alive")), "{}", alive.text);
    assert_eq!(two.admin("POST", &forget("nobody")).await.status, 404);
    assert_eq!(two.admin("POST", "/replicas/forget?nam=x").await.status, 400);
    one.signal("KILL");
    two.sees_one_silent().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let kept = standing(&two).await;
    assert_eq!(kept["replicas"]["share"], 0.5, "the rest is kept: {}", kept["replicas"]);
    let forgotten = two.admin("POST", &forget(&name)).await;
    assert_eq!((forgotten.status, &forgotten.json()["forgotten"]), (200, &json!(name)), "{}", forgotten.text);
    two.shows("all of it", |shown| shown["replicas"]["share"] == 1.0).await;
    assert_eq!(two.admin("POST", &forget(&name)).await.status, 404, "it is not there any more");
}
