//! What the tests of layers above play with: the tables in memory, and replicas that can be cut off from them, grow deaf or die.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

use super::{
    Answers, Asked, Found, Hearing, Notice, Pending, Pulse, Reading, Sighted, Sights, Told, Trouble,
};
use crate::ambient;

/// The account of every play.
pub(crate) const ACCOUNT: &str = "play";
/// What the server's clock shows at the beginning: another time than anybody's here.
const BEGINNING: i64 = 1_000_000_000;

/// The tables, and the replicas that have them in common.
#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<State>>);

struct State {
    begun: Instant,
    sights: HashMap<String, (Arc<str>, Vec<u8>)>,
    answers: HashMap<String, Answer>,
    place: i64,
    sending: Option<Arc<str>>,
    /// Each replica that is there, and what it hears.
    replicas: HashMap<Arc<str>, Ear>,
    statements: usize,
}

struct Answer {
    holder: Arc<str>,
    until_ms: i64,
    asked: Asked,
    body: Option<Vec<u8>>,
}

struct Ear {
    hears: broadcast::Sender<Notice>,
    is_there: bool,
    is_away: bool,
    is_deaf: bool,
}

/// One replica.
#[derive(Clone)]
pub(crate) struct Replica {
    server: Server,
    name: Arc<str>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            begun: ambient::instant(),
            sights: HashMap::new(),
            answers: HashMap::new(),
            place: 0,
            sending: None,
            replicas: HashMap::new(),
            statements: 0,
        })))
    }

    pub(crate) fn replica(&self, name: &str) -> Replica {
        let name: Arc<str> = name.into();
        let ear = Ear { hears: broadcast::Sender::new(64), is_there: true, is_away: false, is_deaf: false };
        self.lock().replicas.insert(name.clone(), ear);
        Replica { server: self.clone(), name }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("sound")
    }

    /// How many statements have come.
    pub(crate) fn statements(&self) -> usize {
        self.lock().statements
    }

    /// An entry of the ledger: something is being sent, or has come to its end.
    pub(crate) fn writes(&self, operation: &str, sending: bool) {
        let mut state = self.lock();
        state.place += 1;
        state.sending = sending.then(|| operation.into());
        state.say(Told::WRITTEN, &format!("{operation} {}", i64::from(sending)));
    }
}

impl State {
    fn now(&self) -> i64 {
        BEGINNING + i64::try_from(self.begun.elapsed().as_millis()).expect("not that long")
    }

    fn is_there(&self, name: &Arc<str>) -> bool {
        self.replicas.get(name).is_some_and(|ear| ear.is_there)
    }

    fn say(&self, topic: &str, name: &str) {
        let said: Arc<str> = Told::say(ACCOUNT, topic, name).into();
        for ear in self.replicas.values().filter(|ear| !ear.is_deaf && !ear.is_away) {
            let _nobody_listens = ear.hears.send(Notice::Said(said.clone()));
        }
    }
}

impl Replica {
    fn ear(&self, change: impl FnOnce(&mut Ear)) {
        change(self.server.lock().replicas.get_mut(&self.name).expect("a replica"));
    }

    /// It is gone, and nobody says so.
    pub(crate) fn die(&self) {
        self.ear(|ear| (ear.is_there, ear.is_away) = (false, true));
    }

    /// Its session is lost, or there is one again.
    pub(crate) fn away(&self, is_away: bool) {
        self.ear(|ear| {
            ear.is_away = is_away;
            let _nobody_listens = ear.hears.send(if is_away { Notice::Lost } else { Notice::Again });
        });
    }

    /// It hears nothing of what others say, and does not know.
    pub(crate) fn deafen(&self, is_deaf: bool) {
        self.ear(|ear| ear.is_deaf = is_deaf);
    }

    /// Does something in the tables, in one statement.
    fn does<T>(&self, what: impl FnOnce(&mut State, &Arc<str>) -> T) -> Result<T, Trouble> {
        let mut state = self.server.lock();
        if state.replicas.get(&self.name).is_none_or(|ear| ear.is_away) {
            return Err(Trouble::Failed("away".into()));
        }
        state.statements += 1;
        Ok(what(&mut state, &self.name))
    }

    fn reading(state: &State) -> Reading {
        Reading::new(ambient::instant(), state.now())
    }
}

fn hex(what: &[u8]) -> Arc<str> {
    what.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

impl Sights for Replica {
    fn name(&self, what: &[u8]) -> Arc<str> {
        hex(what)
    }

    fn claim<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Reading>> {
        Box::pin(async move {
            self.does(|state, own| {
                let holder = state.sights.get(name).map(|(holder, _)| holder.clone());
                match holder {
                    Some(holder) if &holder == own => {}
                    Some(holder) if state.is_there(&holder) => return None,
                    _ => drop(state.sights.insert(name.into(), (own.clone(), Vec::new()))),
                }
                Some(Self::reading(state))
            })
        })
    }

    fn read<'a>(&'a self, name: &'a str) -> Pending<'a, Sighted> {
        Box::pin(async move {
            self.does(|state, own| {
                let row = state.sights.get(name);
                let is_held = row.is_some_and(|(holder, _)| holder != own && state.is_there(holder));
                let body = row.map(|(_, body)| body.clone()).filter(|body| !body.is_empty());
                Sighted { reading: Self::reading(state), is_held, body }
            })
        })
    }

    fn post<'a>(&'a self, name: &'a str, _asked_ms: i64, body: &'a [u8]) -> Pending<'a, bool> {
        Box::pin(async move {
            self.does(|state, own| {
                let Some((_, kept)) = state.sights.get_mut(name).filter(|(holder, _)| holder == own) else {
                    return false;
                };
                body.clone_into(kept);
                state.say(Told::SEEN, name);
                true
            })
        })
    }

    fn let_go<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            self.does(|state, own| {
                if state.sights.get(name).is_some_and(|(holder, _)| holder == own) {
                    state.sights.remove(name);
                    state.say(Told::SEEN, name);
                }
            })
        })
    }

    fn stir<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move { self.does(|state, _| state.say(Told::STIRRED, name)) })
    }
}

impl Answers for Replica {
    fn name(&self, what: &[u8]) -> Arc<str> {
        hex(what)
    }

    fn find<'a>(&'a self, name: &'a str) -> Pending<'a, Found> {
        Box::pin(async move {
            self.does(|state, own| {
                let row = state.answers.get(name);
                let asking = row.filter(|row| &row.holder != own && state.is_there(&row.holder));
                let asking = asking.map_or(0, |row| row.until_ms - state.now());
                Found {
                    reading: Self::reading(state),
                    place: state.place,
                    asking: Duration::from_millis(u64::try_from(asking).unwrap_or(0)),
                    asked: row.map(|row| row.asked).unwrap_or_default(),
                    body: row.and_then(|row| row.body.clone()),
                }
            })
        })
    }

    fn claim<'a>(&'a self, name: &'a str, found: &'a Found, time: Duration) -> Pending<'a, bool> {
        Box::pin(async move {
            self.does(|state, own| {
                let until_ms = state.now() + i64::try_from(time.as_millis()).expect("not that long");
                if let Some(row) = state.answers.get(name) {
                    let is_free =
                        &row.holder == own || row.until_ms <= state.now() || !state.is_there(&row.holder);
                    if row.asked.ms != found.asked.ms || !is_free {
                        return false;
                    }
                }
                let holder = own.clone();
                let row = state.answers.entry(name.into()).or_insert_with(|| Answer {
                    holder: holder.clone(),
                    until_ms,
                    asked: Asked::default(),
                    body: None,
                });
                (row.holder, row.until_ms) = (holder, until_ms);
                true
            })
        })
    }

    fn put<'a>(&'a self, name: &'a str, asked: Asked, body: &'a [u8]) -> Pending<'a, ()> {
        Box::pin(async move {
            self.does(|state, own| {
                if state.answers.get(name).is_some_and(|row| row.asked.ms >= asked.ms) {
                    return;
                }
                let answer = Answer { holder: own.clone(), until_ms: 0, asked, body: Some(body.to_owned()) };
                state.answers.insert(name.into(), answer);
                state.say(Told::ANSWERED, name);
            })
        })
    }

    fn give_back<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            self.does(|state, own| {
                if let Some(row) = state.answers.get_mut(name).filter(|row| &row.holder == own) {
                    row.until_ms = 0;
                    state.say(Told::ANSWERED, name);
                }
            })
        })
    }
}

impl Hearing for Replica {
    fn account(&self) -> &str {
        ACCOUNT
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.server.lock().replicas.get(&self.name).expect("a replica").hears.subscribe()
    }

    fn pulse(&self) -> Pending<'_, Pulse> {
        Box::pin(async {
            self.does(|state, _| Pulse {
                reading: Self::reading(state),
                place: state.place,
                sending: state.sending.clone(),
                lease: Duration::from_secs(3),
            })
        })
    }

    fn knows<'a>(&'a self, operation: &'a str) -> Pending<'a, ()> {
        Box::pin(async move { self.does(|state, own| state.say(Told::KNOWN, &format!("{operation} {own}"))) })
    }

    fn others(&self) -> Pending<'_, Vec<Arc<str>>> {
        Box::pin(async {
            self.does(|state, own| {
                let others = state.replicas.iter().filter(|(name, ear)| *name != own && ear.is_there);
                others.map(|(name, _)| name.clone()).collect()
            })
        })
    }

    fn sweep(&self) -> Pending<'_, ()> {
        Box::pin(async { self.does(|_, _| ()) })
    }
}
