//! Four real gizads on one PostgreSQL and one account, a hundred callers, and everything that happens to machines: replicas are
//! killed or stand still, the database begins anew, the way to it is cut or falls silent, the provider fails in its own ways,
//! and no two clocks agree. In the end everything is held against what the provider has counted.
//!
//! A usual run takes half a minute of that. Longer, or another:
//!
//! ```text
//! CHAOS=10m CHAOS_SEED=7 cargo nextest run --no-capture -E 'test(chaos::)'
//! ```
//!
//! With seed 0 nothing goes wrong, for comparison.
//!
//! Absent here: a power cut, and a store that forgets what it said it had.

mod callers;
mod dice;
mod judge;
mod replica;
mod store;

use std::sync::RwLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::json;

use super::access::token;
use super::market::Provider;
use super::rig::{File, Gateway};

use callers::{Crowd, NAMES};
use dice::Dice;
use replica::{Doors, Ground, REPLICAS};
use store::{Line, Store};

/// How long it goes on if nobody says how long.
const USUAL: Duration = Duration::from_secs(25);
/// An absence takes so long: longer than the provider may be late ([`LATE_MS`]), plus how long anybody stands still ([`STILL_MS`]),
/// plus ten seconds between two clocks.
const QUIET: &str = "25s";
const LATE_MS: usize = 1500;
const STILL_MS: usize = 7000;
/// How long it may take until nothing is in doubt any more.
const CALM: Duration = Duration::from_secs(150);
/// Who calls.
const BUYERS: usize = 40;
const READERS: usize = 59;

/// How long the chaos lasts.
fn wished() -> Duration {
    let Ok(text) = std::env::var("CHAOS") else { return USUAL };
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("such as 90s, 10m or 2h");
    Duration::from_secs(
        number
            * match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => panic!("such as 90s, 10m or 2h"),
            },
    )
}

/// What is to be put right again, and when.
enum Later {
    Wake(usize),
    Mend(usize),
}

struct Stage {
    ground: Ground,
    provider: Provider,
    store: Store,
    lines: Vec<Line>,
    replicas: Vec<Gateway>,
    doors: Doors,
    later: Vec<(Instant, Later)>,
    /// What is the matter with each replica.
    busy: [bool; REPLICAS],
    dice: Dice,
    struck: usize,
    done: std::collections::BTreeMap<&'static str, usize>,
    /// When each request came to the provider, in microseconds.
    arrived: Vec<u64>,
}

impl Stage {
    async fn open(seed: u64, lines: &str) -> (Self, File) {
        let provider = Provider::open();
        let store = Store::open();
        let mut between = Vec::new();
        for _ in 0..REPLICAS {
            between.push(Line::to(&store.url).await);
        }
        let settings = File::new(&format!("chaos-{}", super::ledger::unique()), lines);
        let ground = Ground::new(&provider.url, settings.path());
        let replicas: Vec<Gateway> =
            between.iter().enumerate().map(|(number, line)| ground.begin(number, line)).collect();
        let doors: Vec<RwLock<String>> =
            replicas.iter().map(|replica| RwLock::new(replica.api.clone())).collect();
        let doors: Doors = std::sync::Arc::new(doors.try_into().expect("as many"));
        let stage = Self {
            ground,
            provider,
            store,
            lines: between,
            replicas,
            doors,
            later: Vec::new(),
            busy: [false; REPLICAS],
            dice: Dice::new(seed),
            struck: 0,
            done: std::collections::BTreeMap::new(),
            arrived: Vec::new(),
        };
        (stage, settings)
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// Some time from now.
    fn soon(&mut self, least_ms: usize, most_ms: usize) -> Instant {
        Instant::now() + Duration::from_millis((least_ms + self.dice.below(most_ms - least_ms)) as u64)
    }

    /// A replica with which nothing is the matter.
    fn any(&mut self) -> Option<usize> {
        let first = self.dice.below(REPLICAS);
        (0..REPLICAS).map(|next| (first + next) % REPLICAS).find(|number| !self.busy[*number])
    }

    async fn strike(&mut self) {
        // Everything once, and then whatever comes.
        let some = self.dice.below(10);
        let what = [0, 7, 4, 2, 5, 6].get(self.struck).copied().unwrap_or(some);
        self.struck += 1;
        match what {
            0 | 1 => {
                let Some(number) = self.any() else { return };
                self.count("killed");
                self.kill(number).await;
            }
            2 | 3 => {
                let Some(number) = self.any() else { return };
                self.count("stood still");
                self.busy[number] = true;
                self.replicas[number].signal("STOP");
                let until = self.soon(2000, STILL_MS);
                self.later.push((until, Later::Wake(number)));
            }
            4 => {
                self.count("store restarted");
                self.store.stop();
                let down = Duration::from_millis(self.dice.below(2500) as u64);
                tokio::time::sleep(down).await;
                self.store.start();
            }
            5 => {
                let Some(number) = self.any() else { return };
                self.count("cut off");
                self.busy[number] = true;
                self.lines[number].cut();
                let until = self.soon(500, 8000);
                self.later.push((until, Later::Mend(number)));
            }
            6 => {
                let Some(number) = self.any() else { return };
                self.count("cut off in silence");
                self.busy[number] = true;
                self.lines[number].hold();
                let until = self.soon(1000, STILL_MS);
                self.later.push((until, Later::Mend(number)));
            }
            _ => {
                self.count("provider failed");
                let kinds = [
                    json!({"kind": "close_after"}),
                    json!({"kind": "truncate"}),
                    json!({"kind": "execute_late", "ms": self.dice.below(LATE_MS)}),
                    json!({"kind": "error500"}),
                    json!({"kind": "close_before"}),
                    json!({"kind": "html"}),
                    json!({"kind": "stall"}),
                    json!({"kind": "wrong_shape"}),
                    json!({"kind": "delay", "ms": self.dice.below(3000)}),
                ];
                let mut order = kinds[self.dice.below(kinds.len())].clone();
                order["action"] =
                    json!(["create_vps", "create_vps", "create_vps", "balance"][self.dice.below(4)]);
                order["times"] = json!(1 + self.dice.below(3));
                self.provider.order(order).await;
            }
        }
    }

    /// Kills one as a machine that fails does, and begins it anew.
    async fn kill(&mut self, number: usize) {
        self.replicas[number].signal("KILL");
        self.replicas[number].ended().await;
        let (ground, line) = (&self.ground, &self.lines[number]);
        let fresh = tokio::task::block_in_place(|| ground.begin(number, line));
        *self.doors[number].write().unwrap() = fresh.api.clone();
        self.replicas[number] = fresh;
    }

    fn put_right(&mut self, all: bool) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _)| all || *at <= now);
        self.later = later;
        for (_, what) in due {
            match what {
                Later::Wake(number) => {
                    self.replicas[number].signal("CONT");
                    self.busy[number] = false;
                }
                Later::Mend(number) => {
                    self.lines[number].open();
                    self.busy[number] = false;
                }
            }
        }
    }

    /// Takes down what has come to the provider since.
    async fn watch(&mut self) {
        let last = self.arrived.last().copied();
        let requests = self.provider.control("GET", "/requests", json!({})).await;
        // What the catalog is asked for is the account's as well.
        let at = requests
            .as_array()
            .expect("a list")
            .iter()
            .map(|request| request["at_us"].as_u64().expect("a time"));
        self.arrived.extend(at.filter(|at| last.is_none_or(|last| *at > last)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_replicas_keep_every_promise_whatever_happens() {
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let scopes = "read,sensitive,write,spend";
    let [(anna, one), (bora, two)] = NAMES.map(|name| token(name, scopes));
    let budget = judge::BUDGET;
    let settings = format!("{one}\n{two}\n[budget.callers]\n{}.day_vnd = {budget}\n", NAMES[1]);
    let (mut stage, _settings) = Stage::open(seed, &settings).await;
    let before_vnd =
        stage.provider.control("GET", "/state", json!({})).await["balance"].as_i64().expect("a balance");
    let crowd = Crowd::new(stage.doors.clone(), [anna, bora].map(|token| format!("Bearer {token}")));
    let mut tasks = tokio::task::JoinSet::new();
    let mut dice = Dice::new(seed ^ 1);
    for number in 0..BUYERS {
        tasks.spawn(callers::buyer(crowd.clone(), number, dice.others()));
    }
    for number in 0..READERS {
        tasks.spawn(callers::reader(crowd.clone(), number, dice.others()));
    }
    tasks.spawn(callers::changer(crowd.clone(), dice.others()));

    let over = Instant::now() + wished();
    let mut next = Instant::now() + Duration::from_secs(2);
    let mut watched = Instant::now();
    while Instant::now() < over {
        stage.put_right(false);
        if Instant::now() >= next && seed != 0 {
            stage.strike().await;
            next = stage.soon(500, 3000);
        }
        if watched.elapsed() > Duration::from_secs(5) {
            watched = Instant::now();
            stage.watch().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Nothing goes wrong any more, and nobody wishes for anything else.
    stage.put_right(true);
    stage.provider.control("DELETE", "/faults", json!({})).await;
    crowd.over.store(true, Relaxed);
    tasks.join_all().await;
    let calm = Instant::now();
    loop {
        stage.watch().await;
        let mut open = Vec::new();
        for who in 0..NAMES.len() {
            let found = judge::operations(&crowd, who, who, "&open=true").await;
            open.extend(found.unwrap_or_else(|| vec![json!({"state": "SENDING"})]));
        }
        if !open.iter().any(|operation| {
            ["SENDING", "IN_DOUBT"].contains(&operation["state"].as_str().unwrap_or("SENDING"))
        }) {
            break;
        }
        assert!(calm.elapsed() < CALM, "I7: still in doubt: {open:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("calm after {:.1?}", calm.elapsed());
    let mut wrong = judge::judge(&crowd, &stage.provider, before_vnd).await;
    match judge::verify(&stage.store.url, &stage.provider.url) {
        Ok(said) => println!("{said}"),
        Err(said) => wrong.push(format!("the ledger: {said}")),
    }
    stage.watch().await;
    let busiest = judge::busiest(&stage.arrived);
    println!("{:?}\n{:#?}", stage.done, crowd.notes.counts.lock().unwrap());
    let wishes = crowd.notes.wishes.lock().unwrap().len();
    let bought = stage.provider.carried_out().await.len();
    println!("{wishes} wishes, {bought} carried out; {} requests; {busiest}", stage.arrived.len());
    if busiest.excess > 0.0 {
        wrong.push(format!("the pace: {busiest} of {:?}", stage.arrived));
    }
    assert!(wrong.is_empty(), "seed {seed}: {} wrong: {wrong:#?}", wrong.len());
    assert!(bought > 0 && crowd.notes.counts.lock().unwrap().contains_key("bought"), "something was bought");
}
