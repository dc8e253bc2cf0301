//! Replicas as they are, on a stage where the ways to the database fail, processes stand still, die and are replaced, and the load
//! moves from one to another; and somebody who counts what all together let through.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::store::{Chance, Database, Fate, Way, Weather};
use crate::ambient;
use crate::call::{Caller, Deadline};
use crate::policy::meter::Rate;
use crate::policy::pace::account::{Account, Entry};
use crate::policy::pace::queue::Lane;
use crate::policy::pace::{Options, renew};
use crate::shared::division::ALL;

/// Counts what passes, as the provider would.
pub(super) struct Counter {
    rate: f64,
    burst: f64,
    /// The most that may come at once now.
    level: f64,
    at: Instant,
    pub(super) passed: u64,
    pub(super) wrong: Option<String>,
}

impl Counter {
    fn new(rate: Rate) -> Self {
        let burst = f64::from(rate.burst.get());
        let per_second = 1.0 / rate.every.as_secs_f64();
        Self { rate: per_second, burst, level: burst, at: ambient::instant(), passed: 0, wrong: None }
    }

    /// One has passed. That this level is never below nothing is that in every window no more passes than the burst and the rate
    /// times the window.
    fn pass(&mut self) {
        let now = ambient::instant();
        let come = self.level + (now - self.at).as_secs_f64() * self.rate;
        (self.level, self.at) = (come.min(self.burst) - 1.0, now);
        self.passed += 1;
        if self.level < -1e-6 {
            let wrong = format!("{:.3} too many", -self.level);
            self.wrong.get_or_insert(wrong);
        }
    }
}

/// A replica that runs.
pub(super) struct Running {
    pub(super) account: Arc<Account>,
    store: Arc<Way>,
    pub(super) fate: watch::Sender<Fate>,
    /// Calls a second that come to it.
    pub(super) load: watch::Sender<f64>,
    tasks: JoinSet<()>,
}

/// All of it.
pub(super) struct Stage {
    pub(super) rate: Rate,
    pub(super) most: u32,
    pub(super) chance: Chance,
    pub(super) database: Arc<Database>,
    pub(super) weather: watch::Sender<Weather>,
    pub(super) running: Vec<Running>,
    pub(super) counter: Arc<Mutex<Counter>>,
    tasks: TaskTracker,
    come: u32,
}

impl Stage {
    pub(super) fn new(seed: u64, rate: Rate, most: u32) -> Self {
        Self {
            rate,
            most,
            chance: Chance::new(seed),
            database: Database::new(),
            weather: watch::Sender::new(Weather::FINE),
            running: Vec::new(),
            counter: Arc::new(Mutex::new(Counter::new(rate))),
            tasks: TaskTracker::new(),
            come: 0,
        }
    }

    /// Another replica comes.
    pub(super) fn join(&mut self, load: f64) {
        self.come += 1;
        let options = Options {
            rate: self.rate,
            queue: 200,
            longest_pause: Duration::from_secs(3600),
            polls: Vec::new(),
            replicas: std::num::NonZeroU32::new(self.most),
        };
        let account = Arc::new(Account::new(&options, self.tasks.clone()));
        account.recall(1.0, Duration::ZERO);
        let (fate, load) = (watch::Sender::new(Fate::Open), watch::Sender::new(load));
        let store = Arc::new(Way {
            name: format!("replica-{}", self.come),
            most: self.most,
            database: self.database.clone(),
            chance: self.chance.clone(),
            weather: self.weather.subscribe(),
            fate: fate.subscribe(),
            tasks: self.tasks.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(renew::run(account.clone(), store.clone()));
        let comes = Calls {
            account: account.clone(),
            counter: self.counter.clone(),
            chance: self.chance.clone(),
            load: load.subscribe(),
        };
        tasks.spawn(comes.run());
        self.running.push(Running { account, store, fate, load, tasks });
    }

    /// The parts of the rate that are in use now make at most the whole.
    pub(super) fn check_shares(&self) {
        let now = ambient::instant();
        let in_use = |running: &Running| {
            let state = running.account.lock();
            state.replica.as_ref().map_or(0, |replica| replica.lease.share(now))
        };
        let shares: Vec<u64> = self.running.iter().map(in_use).collect();
        if shares.iter().sum::<u64>() > ALL {
            let mut counter = self.counter.lock().expect("sound");
            counter.wrong.get_or_insert(format!("shares {shares:?}"));
        }
    }

    /// Lets time pass, and looks at the shares all the while.
    pub(super) async fn pass(&self, time: Duration) {
        let until = ambient::instant() + time;
        while ambient::instant() < until {
            sleep(Duration::from_millis(7)).await;
            self.check_shares();
        }
    }

    /// A replica ends, with a farewell or without.
    pub(super) async fn end(&mut self, which: usize, farewell: bool) {
        let mut running = self.running.swap_remove(which);
        if farewell {
            renew::leave(&running.account, &*running.store).await;
        }
        running.account.dismiss();
        running.tasks.abort_all();
    }

    pub(super) fn passed(&self) -> u64 {
        self.counter.lock().expect("sound").passed
    }

    pub(super) fn wrong(&self) -> Option<String> {
        self.counter.lock().expect("sound").wrong.clone()
    }
}

/// The calls that come to a replica.
struct Calls {
    account: Arc<Account>,
    counter: Arc<Mutex<Counter>>,
    chance: Chance,
    load: watch::Receiver<f64>,
}

impl Calls {
    async fn run(mut self) {
        let mut waiting = JoinSet::new();
        loop {
            let load = *self.load.borrow_and_update();
            // At random moments, as callers come who know nothing of each other; and several within what the clock can tell apart.
            let mut next = self.chance.wait(load);
            let mut calls = 1;
            while next < 0.001 && load > 0.0 {
                next += self.chance.wait(load);
                calls += 1;
            }
            tokio::select! {
                biased;
                changed = self.load.changed() => if changed.is_err() { return },
                () = sleep(Duration::from_secs_f64(next)) => for _ in 0..calls {
                    self.one(&mut waiting);
                },
            }
            while waiting.try_join_next().is_some() {}
        }
    }

    fn one(&self, waiting: &mut JoinSet<()>) {
        let deadline = Deadline::new(ambient::instant(), Some(Duration::from_secs(20)));
        match self.account.enter(Lane::Read, &Caller::Anonymous, &deadline) {
            Entry::Now => self.counter.lock().expect("sound").pass(),
            Entry::Later(turn) => {
                let (counter, patience) = (self.counter.clone(), self.chance.time(Duration::from_secs(20)));
                waiting.spawn(async move {
                    if let Ok(Ok(())) = timeout(patience, turn).await {
                        counter.lock().expect("sound").pass();
                    }
                });
            }
            Entry::Never(_) => {}
        }
    }
}
