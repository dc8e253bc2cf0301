//! A database in memory that does what the statements of `shared::pace` do, and the ways to it: slow, lossy, cut, or held up in the
//! middle.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::ambient;
use crate::shared::division::ALL;
use crate::shared::pace::{Ears, Heard, Pending, Saying, Store, Trouble};
use crate::shared::renewal::{Account, Row, View, Word};

/// Chance, from a seed.
#[derive(Clone)]
pub(super) struct Chance(Arc<Mutex<u64>>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)))
    }

    pub(super) fn fraction(&self) -> f64 {
        let mut state = self.0.lock().expect("sound");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn below(&self, end: usize) -> usize {
        (self.fraction() * end as f64) as usize
    }

    pub(super) fn comes(&self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// How long it is until the next, if so many come a second at random.
    pub(super) fn wait(&self, per_second: f64) -> f64 {
        if per_second > 0.0 { -(1.0 - self.fraction()).ln() / per_second } else { 3600.0 }
    }

    /// A time up to this one, short ones being as likely as long ones.
    pub(super) fn time(&self, most: Duration) -> Duration {
        most.mul_f64(self.fraction() * self.fraction())
    }
}

/// The database.
pub(super) struct Database {
    begun: Instant,
    pub(super) state: Mutex<State>,
    said: broadcast::Sender<(String, Word)>,
    pub(super) statements: Mutex<u64>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) account: Option<(i64, Account)>,
    pub(super) rows: BTreeMap<String, Row>,
}

impl Database {
    pub(super) fn new() -> Arc<Self> {
        let said = broadcast::Sender::new(64);
        let statements = Mutex::default();
        Arc::new(Self { begun: ambient::instant(), state: Mutex::default(), said, statements })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        *self.statements.lock().expect("sound") += 1;
        self.state.lock().expect("sound")
    }

    /// What its clock shows.
    pub(super) fn now_ms(&self) -> i64 {
        1_700_000_000_000 + i64::try_from(self.begun.elapsed().as_millis()).expect("soon")
    }

    fn read(&self) -> Option<View> {
        let state = self.lock();
        let (revision, account) = state.account?;
        Some(View { now_ms: self.now_ms(), revision, account, rows: state.rows.values().cloned().collect() })
    }

    fn begin(&self, part: u64) {
        let account = Account { part, changed_ms: self.now_ms(), cut_ms: 0, paused_until_ms: 0 };
        self.lock().account.get_or_insert((0, account));
    }

    fn say(&self, name: &str, saying: &Saying) -> bool {
        let mut state = self.lock();
        let own = |rows: &BTreeMap<String, Row>| rows.get(name).map(|row| row.renewed_ms);
        if own(&state.rows) != saying.view.row(name).map(|row| row.renewed_ms) {
            return false;
        }
        if saying.is_guarded() {
            let Some((revision, account)) = &mut state.account else { return false };
            if *revision != saying.view.revision {
                return false;
            }
            (*revision, *account) = (*revision + 1, saying.account.unwrap_or(*account));
            for (removed, renewed_ms) in &saying.renewal.removed {
                if state.rows.get(removed).map(|row| row.renewed_ms) != Some(*renewed_ms) {
                    return false;
                }
                state.rows.remove(removed);
            }
        } else if own(&state.rows).is_none() {
            return false;
        }
        state.rows.insert(name.to_owned(), saying.row(name, ""));
        drop(state);
        if let Some(word) = saying.renewal.word {
            let _nobody_listens = self.said.send((name.to_owned(), word));
        }
        true
    }

    fn leave(&self, name: &str) {
        let mut state = self.lock();
        state.rows.remove(name);
        if let Some((revision, _)) = &mut state.account {
            *revision += 1;
        }
        drop(state);
        let _nobody_listens = self.said.send((name.to_owned(), Word::Free));
    }
}

/// How the ways to the database are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) slow: Duration,
    pub(super) requests_lost: f64,
    pub(super) answers_lost: f64,
    pub(super) late: f64,
}

impl Weather {
    pub(super) const FINE: Self =
        Self { slow: Duration::from_millis(2), requests_lost: 0.0, answers_lost: 0.0, late: 0.0 };
}

/// What happens to one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    #[default]
    Open,
    /// Nothing gets through.
    Cut,
    /// What is asked gets there, and nothing comes back.
    OneWay,
    /// What is said is done, and whoever said it does not hear that it was.
    Deaf,
    /// The process stands still: it neither asks nor hears until it goes on.
    Still,
}

/// A replica's way to the database.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) name: String,
    pub(super) most: u32,
    pub(super) database: Arc<Database>,
    pub(super) chance: Chance,
    pub(super) weather: watch::Receiver<Weather>,
    pub(super) fate: watch::Receiver<Fate>,
    pub(super) tasks: TaskTracker,
}

impl Way {
    /// There and back. What gets there is done, whether or not anybody still waits for it.
    fn ask<T: Send + 'static>(
        &self,
        says: bool,
        does: impl FnOnce(&Database) -> T + Send + 'static,
    ) -> Pending<'static, T> {
        let (way, chance, weather) = (self.clone(), self.chance.clone(), *self.weather.borrow());
        let (answered, answer) = tokio::sync::oneshot::channel();
        let lost = chance.comes(weather.requests_lost);
        let silent = chance.comes(weather.answers_lost);
        let late = chance.comes(weather.late).then(|| chance.time(Duration::from_secs(8)));
        let (there, back) = (chance.time(weather.slow), chance.time(weather.slow));
        let asking = self.clone();
        Box::pin(async move {
            asking.goes_on().await;
            let cut = *way.fate.borrow() == Fate::Cut;
            asking.tasks.spawn(async move {
                sleep(there + late.unwrap_or_default()).await;
                if lost || cut {
                    return;
                }
                let done = does(&way.database);
                sleep(back).await;
                let heard = match *way.fate.borrow() {
                    Fate::Open | Fate::Still => true,
                    Fate::Cut | Fate::OneWay => false,
                    Fate::Deaf => !says,
                };
                if heard && !silent {
                    let _nobody_waits = answered.send(done);
                }
            });
            let answer = answer.await;
            asking.goes_on().await;
            match answer {
                Ok(answer) => Ok(answer),
                // Half of the time it is known at once that there will be none.
                Err(_) if asking.chance.comes(0.5) => Err(Trouble::Failed("cut".to_owned())),
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// Waits while the process stands still.
    async fn goes_on(&self) {
        let mut fate = self.fate.clone();
        let _gone = fate.wait_for(|fate| *fate != Fate::Still).await;
    }
}

impl Store for Way {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> &str {
        ""
    }

    fn most(&self) -> u32 {
        self.most
    }

    fn read(&self) -> Pending<'_, Option<View>> {
        self.ask(false, Database::read)
    }

    fn begin(&self, _: u64) -> Pending<'_, ()> {
        // At the full rate, so that what is too much shows.
        self.ask(true, |database| database.begin(ALL))
    }

    fn say<'a>(&'a self, saying: &'a Saying) -> Pending<'a, bool> {
        let (name, saying) = (self.name.clone(), saying.clone());
        self.ask(true, move |database| database.say(&name, &saying))
    }

    fn leave(&self) -> Pending<'_, ()> {
        let name = self.name.clone();
        self.ask(true, move |database| database.leave(&name))
    }

    fn ears(&self) -> Box<dyn Ears> {
        Box::new(Ear { said: self.database.said.subscribe(), way: self.clone() })
    }
}

struct Ear {
    said: broadcast::Receiver<(String, Word)>,
    way: Way,
}

impl Ears for Ear {
    fn hear(&mut self) -> Pin<Box<dyn Future<Output = Heard> + Send + '_>> {
        Box::pin(async {
            loop {
                match self.said.recv().await {
                    Ok((name, word)) => {
                        if name != self.way.name && matches!(*self.way.fate.borrow(), Fate::Open | Fate::Deaf)
                        {
                            return Heard::Word(word);
                        }
                    }
                    Err(_) => return Heard::Missed,
                }
            }
        })
    }
}
