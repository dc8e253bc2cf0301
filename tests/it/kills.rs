//! `kill -9` at every step of a purchase. Whatever gizad was at, after a restart on the same ledger nothing is bought
//! twice, nothing that was sent is missing, and the operation is found exactly if the provider has carried it out.
//!
//! The steps are of two kinds. On the wire: gizad is killed while the exchange is held behind a byte of the request or of
//! the answer, and then the provider gets the rest or does not. On the disk: gizad is killed before, in the middle of and
//! after every write, sync and removal in its folder that one purchase makes, as `kills/steps.c` counts them. A usual run
//! takes every step on the disk, and on the wire every sixth byte and the last. All bytes:
//!
//! ```text
//! KILLS=all tests/postgres run cargo nextest run --test it kills::
//! ```
//!
//! Absent here: a power cut, in which what was not synced is gone.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::task::JoinSet;

use super::ledger::{Folder, unique};
use super::market::{Provider, Told, buy, buying, decided, operation_of, try_to_buy};
use super::rig::Gateway;
use super::wire::proxy::{Act, Cut, Way, Wire};

/// How many bytes on, in a usual run.
const STEP: usize = 6;
/// Providers at once.
const LINES: usize = 4;
type Counts = BTreeMap<String, usize>;

/// A gizad whose ledger is in a folder.
fn gizad(url: &str, folder: &Path, further: &[(&str, &str)]) -> Gateway {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut environment = vec![
        ("GIZAD_LEDGER_DIR", folder.to_str().expect("text")),
        ("GIZAD_PURCHASE_LOOK_EVERY", "100ms"),
        ("GIZAD_PURCHASE_QUIET", "300ms"),
        ("GIZAD_PURCHASE_READINGS", "2"),
    ];
    environment.extend(further);
    Gateway::towards(url, &environment)
}

/// The operation under a key, if there is one.
async fn under(gateway: &Gateway, key: &str) -> Option<String> {
    let listed = gateway.get(&format!("/operations?request_id={key}")).await.json();
    let listed = listed["operations"].as_array().expect("a list").clone();
    assert!(listed.len() <= 1, "{listed:?}");
    listed.first().map(|operation| operation["operation_id"].as_str().expect("an id").to_owned())
}

/// What a purchase came to.
#[derive(Debug)]
struct Purchase<'a> {
    key: &'a str,
    hostname: &'a str,
    /// What its caller was told before gizad was killed.
    told: Option<Told>,
}

impl Purchase<'_> {
    /// Judges it after the restart; says where it stood in the end.
    async fn judge(&self, gateway: &Gateway, provider: &Provider, what: &str) -> String {
        let executed = provider.bought(self.hostname).await;
        let sent = provider.asked().await.iter().any(|(_, hostname)| hostname == self.hostname);
        let Some(operation) = under(gateway, self.key).await else {
            assert!(!sent && executed == 0 && self.told.is_none(), "{what}: {self:?} is lost");
            let answer = buy(gateway, self.key, self.hostname).await;
            assert_eq!(Told::of(&answer), Told::Succeeded, "{what}: {}", answer.text);
            assert_eq!(provider.bought(self.hostname).await, 1, "{what}");
            return "never begun".to_owned();
        };
        let state = decided(gateway, &operation).await;
        let sound = match (executed, state.as_str()) {
            (1, "SUCCEEDED" | "FOUND") => self.told.is_none() || state == "SUCCEEDED",
            (0, "ABSENT") => self.told.is_none(),
            _ => false,
        };
        assert!(sound, "{what}: {self:?}, carried out {executed} times, and {state}");
        let again = buy(gateway, self.key, self.hostname).await;
        assert_eq!(operation_of(&again), operation, "{what}: {}", again.text);
        assert_eq!(again.header("idempotent-replayed"), "true", "{what}: {}", again.text);
        assert_eq!(provider.bought(self.hostname).await, executed, "{what}: not again");
        state
    }
}

/// Does its work on several providers at once, and counts what came of it.
async fn spread<T, W>(work: Vec<T>, on: impl Fn(Vec<T>) -> W) -> Counts
where
    T: Send + 'static,
    W: Future<Output = Counts> + Send + 'static,
{
    let mut shares: Vec<Vec<T>> = (0..LINES).map(|_| Vec::new()).collect();
    for (number, one) in work.into_iter().enumerate() {
        shares[number % LINES].push(one);
    }
    let mut lines = JoinSet::new();
    for share in shares {
        lines.spawn(on(share));
    }
    let mut counts = Counts::new();
    while let Some(line) = lines.join_next().await {
        for (what, times) in line.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())) {
            *counts.entry(what).or_default() += times;
        }
    }
    counts
}

async fn killed(gateway: &mut Gateway) {
    let status = gateway.ended().await;
    assert_eq!(status.signal(), Some(9), "{status:?}: {}", gateway.log());
}

/// Kills one gizad after the other on one ledger, each in the middle of its exchange.
async fn on_the_wire(places: Vec<(Way, usize, bool)>) -> Counts {
    let mut counts = Counts::new();
    let provider = Provider::open();
    provider.past_its_first_hundred().await;
    let wire = Wire::towards(&provider.url).await;
    let folder = Folder::new();
    let mut gateway = gizad(&wire.url, folder.path(), &[]);
    for (number, (way, at, rest)) in places.into_iter().enumerate() {
        let (key, hostname) = (unique(), format!("w{number:04}"));
        let hand = wire.arm(Some(Cut { way, at, act: Act::Hold }));
        let call = tokio::spawn(buying(&gateway, &key, &hostname));
        hand.held.await.expect("it comes there");
        gateway.signal("KILL");
        killed(&mut gateway).await;
        hand.rest.send(rest).expect("it waits");
        hand.over.await.expect("it ends");
        // With the whole answer it may have been quicker than the kill.
        let told = call.await.expect("not panicked").map(|answer| Told::of(&answer));
        gateway = gizad(&wire.url, folder.path(), &[]);
        let what = format!("killed behind byte {at} of the {way:?}, the rest let through: {rest}");
        let purchase = Purchase { key: &key, hostname: &hostname, told };
        let state = purchase.judge(&gateway, &provider, &what).await;
        assert_ne!(state, "never begun", "{what}: something was sent");
        *counts.entry(format!("{way:?} {state}")).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_byte_of_the_exchange() {
    let provider = Provider::open();
    provider.past_its_first_hundred().await;
    let (wire, folder) = (Wire::towards(&provider.url).await, Folder::new());
    let gateway = gizad(&wire.url, folder.path(), &[]);
    let hand = wire.arm(None);
    let answer = buy(&gateway, "whole", "w0000").await;
    assert_eq!(Told::of(&answer), Told::Succeeded);
    let whole = hand.over.await.expect("it ends");
    let step = if std::env::var("KILLS").is_ok_and(|wish| wish == "all") { 1 } else { STEP };
    let mut places = Vec::new();
    for (way, length) in [(Way::Request, whole.request.len()), (Way::Answer, whole.answer.len())] {
        for at in (0..length).step_by(step).chain([length]) {
            places.extend([(way, at, true), (way, at, false)]);
        }
    }
    let kills = places.len();
    let counts = spread(places, on_the_wire).await;
    println!("{kills} kills on the wire: {counts:?}");
    assert_eq!(counts.values().sum::<usize>(), kills, "each was judged");
    for expected in ["Request FOUND", "Request ABSENT", "Answer FOUND"] {
        assert!(counts.contains_key(expected), "{expected} never happened: {counts:?}");
    }
    assert!(!counts.contains_key("Answer ABSENT"), "what was answered was carried out: {counts:?}");
}

/// The library that counts steps, built where it is needed.
fn steps() -> (PathBuf, Folder) {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let library = folder.path().join("steps.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kills/steps.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .output();
    let built = built.expect("a C compiler, as SQLite needs one too");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (library, folder)
}

/// Buys once from a gizad whose steps are counted, and that is killed at one of them if there are so many. Says which
/// steps there were.
async fn at_step(library: &Path, provider: &Provider, order: &str, hostname: &str) -> (Vec<String>, String) {
    let (folder, beside) = (Folder::new(), Folder::new());
    std::fs::create_dir_all(beside.path()).expect("a folder");
    let (orders, log) = (beside.path().join("orders"), beside.path().join("log"));
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let mut gateway = gizad(
        &provider.url,
        folder.path(),
        &[
            ("LD_PRELOAD", &text(library)),
            ("STEPS_FOLDER", &text(folder.path())),
            ("STEPS_ORDERS", &text(&orders)),
            ("STEPS_LOG", &text(&log)),
        ],
    );
    // At once or not at all, for whoever reads it meanwhile.
    let written = beside.path().join("written");
    std::fs::write(&written, order).expect("written");
    std::fs::rename(&written, &orders).expect("in its place");
    let key = unique();
    let told = try_to_buy(&gateway, &key, hostname).await.map(|answer| Told::of(&answer));
    if order.starts_with("0 ") {
        assert_eq!(told, Some(Told::Succeeded));
        gateway.signal("KILL");
    }
    killed(&mut gateway).await;
    let seen: Vec<String> =
        std::fs::read_to_string(&log).expect("a log").lines().map(str::to_owned).collect();
    let gateway = gizad(&provider.url, folder.path(), &[]);
    let purchase = Purchase { key: &key, hostname, told };
    let state = purchase.judge(&gateway, provider, order).await;
    let told = told.map_or("nothing".to_owned(), |told| format!("{told:?}"));
    (seen, format!("told {told}, {state}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_on_the_disk() {
    let (library, _folder) = steps();
    let (seen, _) = at_step(&library, &Provider::open(), "0 never", "whole").await;
    println!("{} steps: {seen:?}", seen.len());
    assert!(seen.iter().filter(|step| step.contains("sync")).count() >= 2, "SENDING and its end: {seen:?}");
    let mut orders = Vec::new();
    for (number, step) in seen.iter().enumerate().map(|(index, step)| (index + 1, step)) {
        orders.extend([(number, "before"), (number, "after")]);
        if step.contains("write") {
            orders.push((number, "half"));
        }
    }
    let kills = orders.len();
    let counts = spread(orders, |orders| {
        let (library, seen) = (library.clone(), seen.clone());
        async move {
            let (mut counts, provider) = (Counts::new(), Provider::open());
            for (number, how) in orders {
                let hostname = format!("d{number:04}{how}");
                let order = format!("{number} {how}");
                let (steps, end) = at_step(&library, &provider, &order, &hostname).await;
                assert_eq!(steps, seen[..number], "it was killed where it was to be");
                *counts.entry(end).or_default() += 1;
            }
            counts
        }
    })
    .await;
    println!("{kills} kills on the disk, at {} of {} steps: {counts:?}", seen.len(), seen.len());
    assert_eq!(counts.values().sum::<usize>(), kills, "each was judged");
    for expected in ["told nothing, never begun", "told nothing, FOUND", "told nothing, ABSENT"] {
        assert!(counts.contains_key(expected), "{expected} never happened: {counts:?}");
    }
}
