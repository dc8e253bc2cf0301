//! One run: a few callers, one to four processes on one ledger and one account, and everything that goes wrong.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use super::check::{Answer, Told, told};
use super::mischief::{Mischief, skew};
use super::provider::{Kind, Provider, Wish};
use super::stage::{Stage, Tasks};
use super::stand::Stand;
use super::store::{Memory, Shared};
use super::tally::Tally;
use crate::ledger::{Ledger, Wrap};
use crate::policy::purchase::begin::consented;
use crate::policy::purchase::reconcile::judged;
use crate::policy::purchase::run::{Job, crashed, run};
use crate::purchase::{Event, Limits, Record, Rules, Sight, State, planted, step};

/// The most that a caller may spend in a day.
pub(super) const DAY_LIMIT: i64 = 700;
/// From which price on somebody has to consent.
const APPROVAL: i64 = 100;
/// Long enough for everything that lags or comes late.
const QUIET_MS: i64 = 6 * 3_600_000;
/// How many purchases are wished for.
const WISHES: u64 = 20;
/// How long callers call.
const BUSY_MS: i64 = 20 * 3_600_000;
/// How many times all come at once, and within how long: closer together than clocks are wrong.
const RUSHES: u64 = 4;
const RUSH_MS: u64 = 12_000;
/// More steps than any run takes.
const STEPS: u64 = 200_000;
/// The process that callers live in, which never fails.
pub(super) const CALLERS: usize = usize::MAX;

/// What a run leaves behind.
pub(super) struct Played {
    pub(super) shared: Shared,
    pub(super) provider: Provider,
    pub(super) tally: Tally,
    pub(super) answers: Vec<Answer>,
    pub(super) ledger: Ledger,
}

/// One process, as long as it lives.
pub(super) struct Process {
    pub(super) group: usize,
    ledger: Ledger,
    turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) store: Arc<Memory>,
    /// How wrong its clock is, in milliseconds.
    clock: AtomicI64,
    /// Operations that nobody here is at any more.
    lost: Mutex<BTreeSet<String>>,
}

impl Process {
    pub(super) fn skew_ms(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn set_clock(&self, skew_ms: i64) {
        self.clock.store(skew_ms, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, operation: &str) {
        self.lost.lock().expect("sound").insert(operation.to_owned());
    }

    fn is_lost(&self, operation: &str) -> bool {
        self.lost.lock().expect("sound").contains(operation)
    }
}

pub(super) struct Scene {
    stage: Stage,
    shared: Shared,
    provider: Provider,
    tally: Tally,
    processes: Mutex<Vec<Arc<Process>>>,
    answers: Mutex<Vec<Answer>>,
    /// When all come at once.
    rushes: Vec<i64>,
}

/// A caller's call.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) wish: Wish,
    number: u64,
}

/// Plays a seed, with so many processes if somebody says how many.
pub(super) fn play(seed: u64, replicas: Option<u64>) -> Played {
    let stage = Stage::new(seed);
    let tally = Tally::new(stage.clone(), DAY_LIMIT);
    let scene = Arc::new(Scene {
        stage: stage.clone(),
        shared: Shared::default(),
        provider: Provider::default(),
        tally: tally.clone(),
        processes: Mutex::default(),
        answers: Mutex::default(),
        rushes: (0..RUSHES).map(|_| stage.now_ms() + stage.below(BUSY_MS as u64 * 3 / 4) as i64).collect(),
    });
    let mut tasks = Tasks::new(stage.clone());
    let any = 1 + stage.below(4);
    let replicas = replicas.unwrap_or(any) as usize;
    for number in 0..replicas {
        let process = begin(&scene, number, None);
        scene.processes().push(process);
    }
    let begun = stage.now_ms();
    for number in 0..WISHES {
        let wished = wish(&scene, number);
        stage.spawn(CALLERS, caller(scene.clone(), wished));
    }
    // Things go wrong.
    let mut mischief = Mischief::new(replicas);
    let mut next_fault = begun + stage.below(3_600_000) as i64;
    let mut steps = 0;
    while steps < STEPS && tasks.step(begun + BUSY_MS) {
        steps += 1;
        let now = stage.now_ms();
        mischief.follow(&scene, &mut tasks);
        if now < next_fault {
            continue;
        }
        next_fault = scene.next_fault();
        mischief.strike(&scene, &mut tasks);
    }
    // Nothing goes wrong any more: everything must come to its end.
    mischief.stop(&scene, &mut tasks);
    let latest = scene.provider.lock().done.iter().map(|done| done.at_ms).max().unwrap_or(0);
    while steps < STEPS && tasks.step(begun + BUSY_MS + 4 * QUIET_MS) {
        steps += 1;
        let over = steps % 64 == 0 && stage.now_ms() > latest.max(begun + BUSY_MS);
        if over && scene.shared.is_settled() && !tasks.has(CALLERS) {
            break;
        }
    }
    if steps >= STEPS {
        tally.lock().wrong.push("I7: it comes to no end".to_owned());
    }
    let first = scene.process(0);
    let answers = std::mem::take(&mut *scene.answers.lock().expect("sound"));
    // Ten years later.
    tasks.jump(10 * 365 * 86_400_000);
    Played {
        shared: scene.shared.clone(),
        provider: scene.provider.clone(),
        tally,
        answers,
        ledger: first.ledger.clone(),
    }
}

/// A process begins: it opens the ledger, and looks after what is in doubt. It may come in the place of another.
pub(super) fn begin(scene: &Arc<Scene>, group: usize, former: Option<&Process>) -> Arc<Process> {
    let (stage, shared, tally) = (scene.stage.clone(), scene.shared.clone(), scene.tally.clone());
    let former = former.map(|former| former.store.as_ref());
    let store = Arc::new(Memory::new(stage, shared, tally, group, former));
    let wrap = Wrap::from_secret(b"secret").expect("a key");
    let opened = Ledger::open(store.clone(), &wrap, None).now_or_never();
    let ledger = opened.expect("notes are read at once").expect("sound");
    let clock = AtomicI64::new(skew(scene));
    let process =
        Arc::new(Process { group, ledger, turn: Arc::default(), store, clock, lost: Mutex::default() });
    scene.stage.spawn(group, look_after(scene.clone(), process.clone()));
    process
}

/// What a process does by itself.
async fn look_after(scene: Arc<Scene>, process: Arc<Process>) {
    let ledger = &process.ledger;
    let mut seen: std::collections::BTreeMap<String, (u32, u32)> = std::collections::BTreeMap::new();
    loop {
        if let Ok(open) = ledger.open_ones().await {
            for record in open {
                let alive = ledger.store().is_alive(&record.owner).await.unwrap_or(true);
                if record.state() == State::Sending && (!alive || process.is_lost(&record.id)) {
                    let _failed = crashed(ledger, &record, process.now_ms(&scene)).await;
                }
                if record.state() == State::InDoubt && !planted!(NoReconciliation) {
                    let (clean, looked) = seen.get(&record.id).copied().unwrap_or_default();
                    let Ok(head) = ledger.head().await else { continue };
                    let sight = scene.look(&wish_of(&record), process.skew_ms()).await;
                    let sight = Sight { place: Some(head.place()), ..sight };
                    let record = Record { clean, looked, ..record.clone() };
                    let rules = Rules { quiet_ms: QUIET_MS, readings: 3 };
                    if let Ok(next) = judged(ledger, &record, sight, rules).await {
                        seen.insert(next.id.clone(), (next.clean, next.looked));
                    }
                }
                if record.state() == State::AwaitingApproval && scene.stage.per_mille(300) {
                    approve(&scene, &process, record).await;
                }
            }
        }
        let idle = scene.shared.is_settled();
        scene.stage.moment(if idle { 7_200_000 } else { 3_600_000 }).await;
    }
}

async fn approve(scene: &Arc<Scene>, process: &Arc<Process>, record: Record) {
    let event = if scene.stage.per_mille(800) {
        Event::Approved { by: "boss".to_owned() }
    } else {
        Event::GivenUp { by: "boss".to_owned(), note: "no".to_owned() }
    };
    let Ok(next) = step(&record, event, process.now_ms(scene)) else { return };
    if process.ledger.update(&record, &next.record).await.is_err() || next.record.state().is_last() {
        return;
    }
    let order = Order {
        caller: record.caller.clone(),
        key: record.key.clone().unwrap_or_default(),
        wish: wish_of(&record),
        number: 0,
    };
    let stand = Stand::new(scene, process, order, record.id.clone());
    let (limits, begun) = (limits(), scene.stage.now_ms());
    let outcome = consented(&process.ledger, &process.turn, &stand, &record.id, &limits).await;
    let answer = told(scene, &record, &outcome, begun);
    scene.answers.lock().expect("sound").push(answer);
}

fn limits() -> Limits {
    Limits { day_vnd: Some(DAY_LIMIT), ..Limits::default() }
}

/// A wish of a caller, which is sometimes the same as another's.
fn wish(scene: &Scene, number: u64) -> Order {
    let stage = &scene.stage;
    let (kind, name) = match stage.below(5) {
        0 | 1 => (Kind::Server, format!("host{}", stage.below(6))),
        2 | 3 => (Kind::Renewal, (1 + stage.below(3)).to_string()),
        _ => (Kind::Key, format!("product{}", stage.below(3))),
    };
    let price = 40 + 40 * stage.below(3) as i64;
    let caller = if stage.per_mille(500) { "a" } else { "b" };
    // Keys are mostly new, and sometimes another caller's or another wish's.
    let key = if stage.per_mille(150) { stage.below(WISHES) } else { number };
    Order { caller: caller.to_owned(), key: format!("key{key}"), wish: Wish { kind, name, price }, number }
}

/// A caller wishes for something, and calls until it is told what became of it, or gives up.
async fn caller(scene: Arc<Scene>, order: Order) {
    if scene.stage.per_mille(400) {
        scene.stage.sleep(scene.rush() - scene.stage.now_ms()).await;
        scene.stage.moment(RUSH_MS).await;
    } else {
        scene.stage.moment(BUSY_MS as u64 * 3 / 4).await;
    }
    let mut order = order;
    for _ in 0..4 {
        let (sender, receiver) = oneshot::channel();
        let among = scene.processes().len() as u64;
        let process = scene.process(scene.stage.below(among) as usize);
        let (on, called) = (scene.clone(), order.clone());
        scene.stage.spawn(process.group, async move {
            let outcome = call(&on, &process, &called).await;
            let _gone = sender.send(outcome);
        });
        // Whoever is cut off knows nothing, and calls again.
        let outcome = receiver.await.ok();
        let again = match &outcome {
            None => true,
            Some(answer) => match answer.told {
                Told::NotSent | Told::Unknown => scene.stage.per_mille(600),
                Told::Success(_) => scene.stage.per_mille(100),
                _ => scene.stage.per_mille(50),
            },
        };
        if !again {
            return;
        }
        if scene.stage.per_mille(100) {
            order.key = format!("key{}-again", order.number);
        }
        scene.stage.moment(600_000).await;
    }
}

async fn call(scene: &Arc<Scene>, process: &Arc<Process>, order: &Order) -> Answer {
    let now = scene.stage.now_ms();
    let id = format!("op-{:06}-{}", scene.shared.lock().entries.len(), scene.stage.below(1_000_000_000));
    let asked = format!("{:?}", order.wish);
    let identity = match order.wish.kind {
        Kind::Server | Kind::Renewal => format!("{:?} {}", order.wish.kind, order.wish.name),
        Kind::Key => asked.clone(),
    };
    let record = Record {
        id: id.clone(),
        caller: order.caller.clone(),
        key: Some(order.key.clone()),
        fingerprint: asked.clone().into_bytes(),
        identity: identity.into_bytes(),
        operation: format!("{:?} {} {}", order.wish.kind, order.wish.name, order.wish.price),
        spends: true,
        created_ms: process.now_ms(scene),
        ..Record::default()
    };
    let asked_for = record.clone();
    let job = Job {
        record,
        most_vnd: None,
        validate_only: false,
        limits: limits(),
        approval_from_vnd: Some(APPROVAL),
    };
    let stand = Stand::new(scene, process, order.clone(), id);
    let outcome = run(&process.ledger, &process.turn, &stand, &job).await;
    let answer = told(scene, &asked_for, &outcome, now);
    scene.answers.lock().expect("sound").push(answer.clone());
    answer
}

fn wish_of(record: &Record) -> Wish {
    let mut parts = record.operation.split(' ');
    let kind = match parts.next() {
        Some("Server") => Kind::Server,
        Some("Renewal") => Kind::Renewal,
        _ => Kind::Key,
    };
    let name = parts.next().unwrap_or_default().to_owned();
    Wish { kind, name, price: parts.next().and_then(|price| price.parse().ok()).unwrap_or(0) }
}

impl Process {
    /// What its clock shows.
    fn now_ms(&self, scene: &Scene) -> i64 {
        scene.stage.now_ms() + self.skew_ms()
    }
}

impl Scene {
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(super) fn processes(&self) -> MutexGuard<'_, Vec<Arc<Process>>> {
        self.processes.lock().expect("sound")
    }

    pub(super) fn process(&self, number: usize) -> Arc<Process> {
        self.processes().get(number).cloned().expect("a process")
    }

    pub(super) fn replace(&self, number: usize, fresh: Arc<Process>) {
        if let Some(place) = self.processes().get_mut(number) {
            *place = fresh;
        }
    }

    /// One of the times at which all come at once.
    fn rush(&self) -> i64 {
        let number = self.stage.below(self.rushes.len() as u64) as usize;
        self.rushes.get(number).copied().unwrap_or_default()
    }

    /// When the next thing goes wrong: some time, or just when all come.
    fn next_fault(&self) -> i64 {
        let now = self.stage.now_ms();
        let some_time = now + self.stage.below(5_400_000) as i64;
        let coming = self.rushes.iter().copied().filter(|rush| (now..some_time).contains(rush)).min();
        let just_then = coming.map(|rush| rush + self.stage.below(2 * RUSH_MS) as i64);
        just_then.filter(|_| self.stage.per_mille(700)).unwrap_or(some_time)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }
}
