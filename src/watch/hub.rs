//! Everything that is looked at, and for whom.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Options;
use super::look::{Key, Seen, Subject};
use super::together::{Together, in_time};
use crate::ambient;
use crate::call::{Call, Caller, Limit, Reply};
use crate::contract::Operation;
use crate::fault::{Fault, Reason};
use crate::shared::Sights;

/// How it asks.
pub type Ask = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>> + Send + Sync>;

/// For how long what is seen may be from before what was done last: a guest that is asked to shut down may take its time.
const LAG: Duration = Duration::from_mins(15);
/// When it makes sense to open a stream again that was one too many.
const LATER: Duration = Duration::from_secs(5);

/// Something that is about to be done to a thing.
#[derive(Clone, Debug)]
pub struct Begun {
    key: Key,
    number: u64,
}

/// Everything that is looked at.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    options: RwLock<Options>,
    ask: OnceLock<Ask>,
    tasks: TaskTracker,
    state: Mutex<State>,
    closing: watch::Sender<bool>,
    /// Since when it is known what was done, if there may be something from before.
    since: OnceLock<Instant>,
    /// What other replicas see, if there are any.
    sights: OnceLock<Arc<dyn Sights>>,
}

#[derive(Default)]
struct State {
    subjects: HashMap<Key, Arc<Subject>>,
    /// The same by the names that they have for other replicas.
    named: HashMap<Arc<str>, Arc<Subject>>,
    /// What was done of late, by what it was done to.
    done: HashMap<Key, Vec<Done>>,
    /// The number of the next of these.
    next: u64,
    streams: HashMap<Caller, usize>,
}

/// That something was done to a thing: when it was answered, or begun, and to what it leads.
#[derive(Clone, Copy, Debug)]
struct Done {
    number: u64,
    at: Instant,
    wanted: i32,
    /// Whether it was sure to come to something new.
    anew: bool,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    /// One that looks at nothing yet, in tasks that nobody waits for.
    #[must_use]
    pub fn new(options: Options, tasks: TaskTracker) -> Self {
        Self(Arc::new(Shared {
            options: RwLock::new(options),
            ask: OnceLock::new(),
            tasks,
            state: Mutex::default(),
            closing: watch::Sender::new(false),
            since: OnceLock::new(),
            sights: OnceLock::new(),
        }))
    }

    /// How it is to ask.
    pub fn asks_by(&self, ask: Ask) {
        let _first = self.0.ask.set(ask);
    }

    /// Another gizad may have done something just before.
    pub fn has_a_past(&self) {
        let _first = self.0.since.set(ambient::instant());
    }

    /// There are other replicas, one of which looks for all. What they do, nobody here knows.
    pub fn is_shared_by(&self, sights: Arc<dyn Sights>) {
        let _first = self.0.sights.set(sights);
    }

    /// Another replica has seen something of a thing, or has let go of it.
    pub fn seen_elsewhere(&self, name: &str) {
        if let Some(subject) = self.state().named.get(name) {
            subject.elsewhere.notify_one();
        }
    }

    /// Something was done to a thing, through this replica or another.
    pub fn stirred_elsewhere(&self, name: &str) {
        if let Some(subject) = self.state().named.get(name) {
            subject.stirred_elsewhere();
        }
    }

    /// What other replicas have said was missed.
    pub fn has_missed(&self) {
        self.state().named.values().for_each(|subject| subject.elsewhere.notify_one());
    }

    /// Takes new settings over.
    pub fn change(&self, options: Options) {
        *self.0.options.write().unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// Ends all waiting and every stream: gizad is stopping.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// Whether it was ended, and whoever asks can wait for that.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> Options {
        *self.0.options.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many things are looked at, and how many streams are open.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.subjects.len(), state.streams.values().sum())
    }

    /// A place for one more stream of a caller.
    ///
    /// # Errors
    /// When it has as many as it may.
    pub fn slot(&self, caller: &Caller) -> Result<Slot, Fault> {
        let most = self.options().streams;
        let mut state = self.state();
        let count = state.streams.entry(caller.clone()).or_default();
        if *count >= most {
            let quota = u32::try_from(most).unwrap_or(u32::MAX);
            let limit = Limit { name: "streams", quota, window: LATER, remaining: 0, reset: LATER };
            let detail = format!(
                "this caller has {most} streams open, which is as many as it may have (watch.streams)"
            );
            let fault = Fault::new(Reason::QuotaExceeded, detail);
            return Err(Fault { retry_after: Some(LATER), limit: Some(limit), ..fault });
        }
        *count += 1;
        Ok(Slot { hub: self.clone(), caller: caller.clone() })
    }

    /// Something is about to be done to a thing that leads to this state of it.
    #[must_use]
    pub fn begins(&self, key: &Key, wanted: i32, anew: bool) -> Begun {
        let at = ambient::instant();
        let mut state = self.state();
        state.done.retain(|_, done| {
            done.retain(|done| done.at.elapsed() < LAG);
            !done.is_empty()
        });
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.done.entry(key.clone()).or_default().push(Done { number, at, wanted, anew });
        match (state.subjects.get(key), self.0.sights.get().cloned()) {
            (Some(subject), _) => subject.stir(),
            // Somebody may look at it through another replica.
            (None, Some(sights)) => {
                let name = sights.name(key.as_bytes());
                self.0.tasks.spawn(async move { in_time(sights.stir(&name)).await });
            }
            (None, None) => {}
        }
        Begun { key: key.clone(), number }
    }

    /// It was answered now, whatever that took; or it is certain that nothing was done.
    pub fn ends(&self, begun: &Begun, is_undone: bool) {
        let mut state = self.state();
        let Some(done) = state.done.get_mut(&begun.key) else { return };
        if is_undone {
            done.retain(|done| done.number != begun.number);
        } else if let Some(done) = done.iter_mut().find(|done| done.number == begun.number) {
            done.at = ambient::instant();
        }
    }

    /// What was done to a thing before a moment, and leads to this state, was seen to have come about: what is seen from now on is
    /// not from before it.
    pub fn settles(&self, key: &Key, wanted: i32, before: Instant) {
        if let Some(done) = self.state().done.get_mut(key) {
            done.retain(|done| done.wanted != wanted || done.at > before);
        }
    }

    /// Whether what is seen of a thing may be from before something that leads to another state of it.
    #[must_use]
    pub fn is_doubtful(&self, key: &Key, wanted: i32) -> bool {
        let has_a_past = self.0.since.get().is_some_and(|since| since.elapsed() < LAG);
        if has_a_past || self.0.sights.get().is_some() {
            return true;
        }
        let state = self.state();
        let mut done = state.done.get(key).into_iter().flatten().filter(|done| done.at.elapsed() < LAG);
        done.any(|done| done.anew || done.wanted != wanted)
    }

    /// Looks at something as long as the answer is kept.
    #[must_use]
    pub fn watch(&self, operation: &'static Operation, request: DynamicMessage) -> Watching {
        let key = Key::new(operation, &request);
        let mut state = self.state();
        match state.subjects.entry(key.clone()) {
            Entry::Occupied(known) => {
                let subject = known.get().clone();
                Watching { seen: subject.seen.subscribe(), subject }
            }
            Entry::Vacant(place) => {
                let subject = Arc::new(Subject::new(key, operation, request));
                place.insert(subject.clone());
                let together = self.0.sights.get().map(|sights| Together::new(sights.clone(), &subject.key));
                if let Some(together) = &together {
                    state.named.insert(together.name().clone(), subject.clone());
                }
                // Subscribed before it runs, so that it sees that somebody is there.
                let seen = subject.seen.subscribe();
                self.0.tasks.spawn(run(self.clone(), subject.clone(), together));
                Watching { seen, subject }
            }
        }
    }

    /// Forgets a thing that nobody wants to know any more.
    fn forget(&self, subject: &Subject, together: Option<&Together>) -> bool {
        let mut state = self.state();
        let is_done = subject.seen.receiver_count() == 0;
        if is_done {
            state.subjects.remove(&subject.key);
            together.and_then(|together| state.named.remove(together.name()));
            if state.subjects.is_empty() {
                state.subjects.shrink_to_fit();
            }
        }
        is_done
    }
}

/// Looks again and again, as long as somebody wants to know. Whoever comes back within a rest goes on from what was seen, so
/// that nobody has it looked at more often by leaving and coming.
async fn run(hub: Hub, subject: Arc<Subject>, mut together: Option<Together>) {
    let (Some(ask), mut closing) = (hub.0.ask.get().cloned(), hub.closing()) else { return };
    loop {
        match &mut together {
            None => subject.look(&ask).await,
            Some(together) => together.look(&subject, &ask, &hub.options()).await,
        }
        let resting = async {
            match &mut together {
                None => subject.pause(|| hub.options()).await,
                Some(together) => together.rest(&subject, || hub.options()).await,
            }
        };
        let is_closing = tokio::select! {
            () = resting => false,
            _ = closing.wait_for(|closing| *closing) => true,
        };
        if is_closing || hub.forget(&subject, together.as_ref()) {
            if let Some(together) = &mut together {
                together.let_go().await;
            }
            return;
        }
    }
}

/// What is looked at, for one who wants to know.
pub struct Watching {
    /// What was seen, and when there is more.
    pub seen: watch::Receiver<Seen>,
    subject: Arc<Subject>,
}

impl Watching {
    /// Has it looked at soon.
    pub fn stir(&self) {
        self.subject.stir();
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}

/// A place for a stream.
pub struct Slot {
    hub: Hub,
    caller: Caller,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.hub.state().streams.entry(self.caller.clone()) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
