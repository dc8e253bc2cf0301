//! One run: a few callers, one to three processes on one ledger and one account, and everything that goes wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use super::check::{Answer, Told, told};
use super::provider::{Done, Kind, LAG_MS, LATE_MS, Provider, Wish};
use super::stage::{Stage, Tasks};
use super::store::{Memory, Shared};
use super::tally::{Fault, Tally};
use crate::fault::Fault as Refusal;
use crate::ledger::{Ledger, Store, Wrap};
use crate::policy::purchase::begin::consented;
use crate::policy::purchase::reconcile::judged;
use crate::policy::purchase::run::{Job, Look, World, crashed, run};
use crate::purchase::{Ending, Event, Failure, Limits, Record, Rules, Sight, State, planted, step};

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
/// More steps than any run takes.
const STEPS: u64 = 200_000;
/// The process that callers live in, which never fails.
const CALLERS: usize = usize::MAX;

/// What a run leaves behind.
pub(super) struct Played {
    pub(super) shared: Shared,
    pub(super) provider: Provider,
    pub(super) tally: Tally,
    pub(super) answers: Vec<Answer>,
    pub(super) ledger: Ledger,
}

/// One process, as long as it lives.
struct Process {
    group: usize,
    ledger: Ledger,
    turn: Arc<tokio::sync::Mutex<()>>,
    store: Arc<Memory>,
}

pub(super) struct Scene {
    stage: Stage,
    shared: Shared,
    provider: Provider,
    tally: Tally,
    processes: Mutex<Vec<Arc<Process>>>,
    answers: Mutex<Vec<Answer>>,
}

/// A caller's call.
#[derive(Clone)]
struct Order {
    caller: String,
    key: String,
    wish: Wish,
    number: u64,
}

/// The world of one call, in one process.
struct Stand {
    scene: Arc<Scene>,
    order: Order,
    id: String,
}

/// Plays a seed.
pub(super) fn play(seed: u64) -> Played {
    let stage = Stage::new(seed);
    let tally = Tally::new(stage.clone(), DAY_LIMIT);
    let scene = Arc::new(Scene {
        stage: stage.clone(),
        shared: Shared::default(),
        provider: Provider::default(),
        tally: tally.clone(),
        processes: Mutex::default(),
        answers: Mutex::default(),
    });
    let mut tasks = Tasks::new(stage.clone());
    let replicas = 1 + stage.below(3) as usize;
    for number in 0..replicas {
        let process = begin(&scene, number);
        scene.processes.lock().expect("sound").push(process);
    }
    let begun = stage.now_ms();
    for number in 0..WISHES {
        let wished = wish(&scene, number);
        stage.spawn(CALLERS, caller(scene.clone(), wished));
    }
    // Things go wrong.
    let mut groups = replicas;
    // Processes that stand still, each until it is ended.
    let mut still: Vec<(i64, usize)> = Vec::new();
    let mut next_fault = begun + stage.below(3_600_000) as i64;
    let mut steps = 0;
    while steps < STEPS && tasks.step(begun + BUSY_MS) {
        steps += 1;
        let now = stage.now_ms();
        still.retain(|(until, group)| {
            let ends = *until <= now;
            if ends {
                tasks.kill(*group);
            }
            !ends
        });
        if now < next_fault {
            continue;
        }
        next_fault = now + stage.below(5_400_000) as i64;
        groups += 1;
        still.extend(strike(&scene, &mut tasks, stage.below(replicas as u64) as usize, groups));
    }
    for (_, group) in still {
        tasks.kill(group);
    }
    // Nothing goes wrong any more: everything must come to its end.
    tally.lock().calm = true;
    for number in 0..replicas {
        groups += 1;
        restart(&scene, &mut tasks, number, groups);
    }
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
    let first = scene.processes.lock().expect("sound").first().cloned().expect("a process");
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

/// A process begins: it opens the ledger, and looks after what is in doubt.
fn begin(scene: &Arc<Scene>, group: usize) -> Arc<Process> {
    let writer = format!("writer{group}");
    scene.shared.lock().alive.push(writer.clone());
    let store = Arc::new(Memory {
        stage: scene.stage.clone(),
        shared: scene.shared.clone(),
        tally: scene.tally.clone(),
        writer,
        poisoned: Mutex::new(false),
    });
    let wrap = Wrap::from_secret(b"secret").expect("a key");
    let opened = Ledger::open(store.clone(), &wrap, None).now_or_never();
    let ledger = opened.expect("notes are read at once").expect("sound");
    let process = Arc::new(Process { group, ledger, turn: Arc::default(), store });
    scene.stage.spawn(group, look_after(scene.clone(), process.clone()));
    process
}

/// A process is killed or stands still, and begins anew.
fn strike(scene: &Arc<Scene>, tasks: &mut Tasks, number: usize, group: usize) -> Option<(i64, usize)> {
    hit(scene, number);
    if scene.stage.per_mille(600) {
        scene.tally.note(Fault::Crash);
        restart(scene, tasks, number, group);
        return None;
    }
    // Its session is lost. It goes on with what it was at, writes nothing any more, and is ended some time later.
    scene.tally.note(Fault::Pause);
    let process = scene.processes.lock().expect("sound").get(number).cloned().expect("a process");
    scene.shared.gone(process.store.writer());
    *process.store.poisoned.lock().expect("sound") = true;
    let fresh = begin(scene, group);
    if let Some(place) = scene.processes.lock().expect("sound").get_mut(number) {
        *place = fresh;
    }
    Some((scene.stage.now_ms() + scene.stage.below(600_000) as i64, process.group))
}

/// Whatever a process is sending is hit when it ends.
fn hit(scene: &Scene, number: usize) {
    let writer = scene.processes.lock().expect("sound").get(number).map(|p| p.store.writer().to_owned());
    let disk = scene.shared.lock();
    let owned = disk.rows.values().filter(|kept| Some(&kept.row.owner) == writer.as_ref() && kept.row.open);
    scene.tally.lock().hit.extend(owned.map(|kept| kept.row.id.clone()));
}

fn restart(scene: &Arc<Scene>, tasks: &mut Tasks, number: usize, group: usize) {
    let old = scene.processes.lock().expect("sound").get(number).cloned().expect("a process");
    tasks.kill(old.group);
    scene.shared.gone(old.store.writer());
    let fresh = begin(scene, group);
    if let Some(place) = scene.processes.lock().expect("sound").get_mut(number) {
        *place = fresh;
    }
}

/// What a process does by itself.
async fn look_after(scene: Arc<Scene>, process: Arc<Process>) {
    let ledger = &process.ledger;
    let mut seen: std::collections::BTreeMap<String, (u32, u32)> = std::collections::BTreeMap::new();
    loop {
        if let Ok(open) = ledger.open_ones().await {
            for record in open {
                let alive = ledger.store().is_alive(&record.owner).await.unwrap_or(true);
                if record.state() == State::Sending && !alive {
                    let _failed = crashed(ledger, &record, scene.stage.now_ms()).await;
                }
                if record.state() == State::InDoubt && !planted!(NoReconciliation) {
                    let (clean, looked) = seen.get(&record.id).copied().unwrap_or_default();
                    let sight = scene.look(&wish_of(&record)).await;
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

async fn approve(scene: &Arc<Scene>, process: &Process, record: Record) {
    let event = if scene.stage.per_mille(800) {
        Event::Approved { by: "boss".to_owned() }
    } else {
        Event::GivenUp { by: "boss".to_owned(), note: "no".to_owned() }
    };
    let Ok(next) = step(&record, event, scene.stage.now_ms()) else { return };
    if process.ledger.update(&record, &next.record).await.is_err() || next.record.state().is_last() {
        return;
    }
    let order = Order {
        caller: record.caller.clone(),
        key: record.key.clone().unwrap_or_default(),
        wish: wish_of(&record),
        number: 0,
    };
    let stand = Stand { scene: scene.clone(), order: order.clone(), id: record.id.clone() };
    let (limits, begun) = (limits(), scene.stage.now_ms());
    let outcome = consented(&process.ledger, &process.turn, &stand, &record.id, &limits).await;
    let answer = told(&record, &outcome, begun, scene.stage.now_ms());
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
    scene.stage.moment(BUSY_MS as u64 * 3 / 4).await;
    let mut order = order;
    for _ in 0..4 {
        let (sender, receiver) = oneshot::channel();
        let process = {
            let all = scene.processes.lock().expect("sound");
            let number = scene.stage.below(all.len() as u64) as usize;
            all.get(number).cloned().expect("a process")
        };
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

async fn call(scene: &Arc<Scene>, process: &Process, order: &Order) -> Answer {
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
        created_ms: now,
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
    let stand = Stand { scene: scene.clone(), order: order.clone(), id };
    let outcome = run(&process.ledger, &process.turn, &stand, &job).await;
    let answer = told(&asked_for, &outcome, now, scene.stage.now_ms());
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

impl Scene {
    async fn look(&self, wish: &Wish) -> Sight {
        self.stage.moment(200).await;
        let now = self.stage.now_ms();
        for (place, fault) in [(0, Fault::LaggingBalance), (1, Fault::LaggingListing)] {
            // One of them lags at a time.
            let lags = self.provider.lock().lags.iter().any(|lag| now < lag.0);
            if !lags && self.tally.strikes(fault, 40) {
                let lag = self.stage.below(LAG_MS as u64) as i64;
                if let Some(place) = self.provider.lock().lags.get_mut(place) {
                    *place = (now + lag, lag);
                }
            }
        }
        self.provider.see(wish, now)
    }
}

impl Stand {
    fn strikes(&self, id: &str, fault: Fault, per_mille: u64) -> bool {
        let strikes = self.scene.tally.strikes(fault, per_mille);
        if strikes {
            self.scene.tally.lock().hit.insert(id.to_owned());
        }
        strikes
    }

    fn execute(&self, record: &Record, in_ms: i64) -> String {
        let (order, now) = (&self.order, self.scene.stage.now_ms());
        self.scene.provider.execute(Done {
            at_ms: now + in_ms,
            sent_ms: now,
            id: record.id.clone(),
            caller: order.caller.clone(),
            key: order.key.clone(),
            fingerprint: format!("{:?}", order.wish).into_bytes(),
            wish: order.wish.clone(),
            service: String::new(),
        })
    }
}

fn failure(reason: &str) -> Failure {
    Failure { reason: reason.to_owned(), ..Failure::default() }
}

impl World for Stand {
    fn now_ms(&self) -> i64 {
        self.scene.stage.now_ms()
    }

    async fn pause(&self, time: Duration) {
        self.scene.stage.sleep(time.as_millis() as i64).await;
    }

    async fn look(&self) -> Result<Look, Refusal> {
        let sight = self.see().await?;
        Ok(Look { sight, price_vnd: Some(self.order.wish.price), source: String::new() })
    }

    async fn see(&self) -> Result<Sight, Refusal> {
        Ok(self.scene.look(&self.order.wish).await)
    }

    async fn send(&self) -> Ending {
        let (stage, provider) = (&self.scene.stage, &self.scene.provider);
        let stands = super::check::sending(&self.scene, &self.order.caller, &self.order.key, &self.id);
        stage.moment(100).await;
        if self.strikes(&stands.id, Fault::NotSent, 80) {
            return Ending::Unsent(failure("UPSTREAM_UNREACHABLE"));
        }
        super::check::arrives(&self.scene, &stands, stage.now_ms());
        stage.moment(300).await;
        let ending = if self.strikes(&stands.id, Fault::DiedBefore, 60) {
            Ending::Doubted(failure("OUTCOME_UNKNOWN"))
        } else if self.strikes(&stands.id, Fault::LateExecution, 60) {
            self.execute(&stands, 60_000 + stage.below(LATE_MS as u64) as i64);
            Ending::Doubted(failure("OUTCOME_UNKNOWN"))
        } else if self.strikes(&stands.id, Fault::Refusal, 60) {
            Ending::Refused(failure("UPSTREAM_REFUSED"))
        } else if self.strikes(&stands.id, Fault::LyingRefusal, 60) {
            self.execute(&stands, 0);
            Ending::Refused(failure("UPSTREAM_REFUSED"))
        } else if self.strikes(&stands.id, Fault::LostAnswer, 90) {
            self.execute(&stands, 0);
            Ending::Doubted(failure("OUTCOME_UNKNOWN"))
        } else {
            // What is answered twice is read once.
            let _twice = self.strikes(&stands.id, Fault::DuplicateAnswer, 50);
            let service = self.execute(&stands, 0);
            stage.moment(300).await;
            Ending::Succeeded {
                result: stands.id.clone().into_bytes(),
                rule: "success".to_owned(),
                cost_vnd: stage.per_mille(500).then_some(self.order.wish.price),
                services: if stage.per_mille(700) && !service.is_empty() {
                    vec![service]
                } else {
                    Vec::new()
                },
            }
        };
        let still = self.scene.shared.lock().rows.get(&stands.id).is_some_and(|kept| kept.row.sending);
        if still {
            provider.lock().last_end_ms = stage.now_ms();
        }
        ending
    }

    fn commit(&self) -> bool {
        // Sometimes nobody waits any more.
        !self.scene.stage.per_mille(20)
    }
}

impl Scene {
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
