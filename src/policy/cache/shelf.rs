//! What all calls for the account share of the memory: the answers, how long they may be used, and their copy on disk.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use fnv::FnvHashMap;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Options;
use super::decision::{Decision, decide};
use super::memory::{Found, Memory};
use super::together::Together;
use crate::ambient;
use crate::call::{Reply, Taken, Wishes};
use crate::contract::{Contract, Effect, Operation, canonical};
use crate::policy::kept::KeptReply;
use crate::shared::{Answers, Pulse};

/// The rule of an answer that was found on disk.
const FROM_DISK: &str = "kept_on_disk";

/// An answer that stays the same to the byte, because no header shows more of an age than its seconds.
struct Recalled {
    reply: Arc<Reply>,
    until: Instant,
    /// That of the memory, when it was looked up.
    revision: u64,
}

/// What all calls for the account share.
pub(in crate::policy) struct Shelf {
    pub(super) memory: Arc<Memory>,
    options: RwLock<Arc<Options>>,
    /// What was last given of each operation without parameters, by its address.
    recalled: RwLock<FnvHashMap<usize, Recalled>>,
    /// Refreshes that nobody waits for. A stop does not wait for them either.
    pub(super) tasks: TaskTracker,
    /// What other replicas are told, if there are any.
    pub(super) together: OnceLock<Arc<Together>>,
}

impl Shelf {
    pub(in crate::policy) fn new(options: &Options, tasks: TaskTracker) -> Self {
        Self {
            memory: Arc::new(Memory::new()),
            options: RwLock::new(Arc::new(options.clone())),
            recalled: RwLock::default(),
            tasks,
            together: OnceLock::new(),
        }
    }

    /// There are other replicas.
    pub(in crate::policy) fn is_shared_by(&self, answers: Arc<dyn Answers>) {
        let _first = self.together.set(Arc::new(Together::new(answers)));
        self.memory.is_shared();
    }

    /// Does something that nobody waits for.
    pub(in crate::policy) fn spawn(&self, what: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(what);
    }

    /// Whether there are any.
    pub(in crate::policy) fn is_shared(&self) -> bool {
        self.together.get().is_some()
    }

    /// Whether an answer of the catalog that is on its way can be given to whoever asks now, and under which mark: as long as that
    /// is the same, nothing was bought.
    pub(in crate::policy) fn mark(&self) -> Option<u64> {
        self.memory.mark(ambient::instant())
    }

    /// Another replica has an answer, or none.
    pub(in crate::policy) fn answered(&self, name: &str) {
        if let Some(together) = self.together.get() {
            together.answered(name);
        }
    }

    /// Something that takes money is being sent, or is so no more.
    pub(in crate::policy) fn written(&self, operation: &Arc<str>, is_sent: bool) {
        if is_sent {
            self.memory.is_sent(operation);
        } else {
            self.memory.has_ended(operation);
        }
    }

    /// Something was said that was not heard.
    pub(in crate::policy) fn has_missed(&self) {
        self.memory.has_missed();
    }

    /// All that was said before the server was asked has been heard, which is good for so long from then on.
    pub(in crate::policy) fn hears(&self, pulse: &Pulse, good_for: Duration) {
        let asked = pulse.reading.asked();
        if let Some(together) = self.together.get() {
            together.reads(pulse.reading, pulse.place);
        }
        self.memory.stands(asked, pulse.sending.as_ref(), asked + good_for);
    }

    pub(super) fn options(&self) -> Arc<Options> {
        self.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An answer that is there at once, for whoever asks: of the public catalog, and as fresh at this moment as it is
    /// wished for.
    pub(in crate::policy) fn at_once(
        &self,
        operation: &'static Operation,
        parameters: Vec<u8>,
        wishes: Wishes,
        now: Instant,
    ) -> Option<Reply> {
        let entry = self.memory.find(&(&operation.name, parameters), now).filter(|entry| entry.public)?;
        let options = self.options.read().unwrap_or_else(PoisonError::into_inner);
        let (lifetime, age) = (options.lifetime(operation, Effect::Public), entry.age_at(now));
        let decision = decide(Some((age, entry.is_spoiled())), lifetime, wishes, options.least_age);
        (decision == Decision::Serve).then(|| entry.reply(Taken::Hit, lifetime, age))
    }

    /// The answer to an operation without parameters, for whoever has no wishes, if it is there at once. It is looked up no
    /// more than once a second, unless something has changed.
    pub(in crate::policy) fn recall(
        &self,
        operation: &'static Operation,
        now: Instant,
    ) -> Option<Arc<Reply>> {
        // Read first: what changes from here on makes what is found now a thing of the past.
        let revision = self.memory.revision();
        let place = std::ptr::from_ref(operation).addr();
        let recalled = self.recalled.read().unwrap_or_else(PoisonError::into_inner);
        let known = recalled.get(&place).filter(|known| known.revision == revision && now < known.until);
        if let Some(known) = known {
            return Some(known.reply.clone());
        }
        drop(recalled);
        let mut reply = self.at_once(operation, Vec::new(), Wishes::default(), now)?;
        let memory = reply.memory.as_mut()?;
        memory.age = Duration::from_secs(memory.age.as_secs());
        let until = reply.asked + memory.lifetime.ttl.min(memory.age + Duration::from_secs(1));
        let until = self.memory.known_until().map_or(until, |known| until.min(known));
        let reply = Arc::new(reply);
        let recalled = Recalled { reply: reply.clone(), until, revision };
        self.recalled.write().unwrap_or_else(PoisonError::into_inner).insert(place, recalled);
        Some(reply)
    }

    pub(in crate::policy) fn change(&self, options: &Options) {
        let mut options = options.clone();
        if self.is_shared() {
            // Also where new settings say nothing of the others any more: they are there until a restart.
            options.operations.retain(|name, _| Contract::effect_of(name) == Some(Effect::Public));
        }
        let options = &options;
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options.clone());
        self.memory.shrink(options.bytes);
        self.forget_recalled();
    }

    /// What is forgotten is not held in memory any longer, either; that it is not given again, the revision sees to.
    fn forget_recalled(&self) {
        self.recalled.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets everything, or everything of one operation; says how much that was.
    pub(in crate::policy) fn purge(&self, operation: Option<&str>) -> usize {
        let forgotten = self.memory.purge(operation);
        self.forget_recalled();
        forgotten
    }

    /// How many answers are kept, and how many bytes they take.
    pub(in crate::policy) fn size(&self) -> (usize, usize) {
        self.memory.size()
    }

    /// What is kept: the operation of each answer, how many bytes it takes, how old it is, whether it is fresh.
    pub(in crate::policy) fn shown(&self) -> Vec<(&'static Operation, usize, Duration, bool)> {
        let options = self.options();
        let shown = self.memory.all().into_iter().map(|entry| {
            let effect = if entry.public { Effect::Public } else { entry.operation.effect };
            let is_fresh = !entry.is_spoiled() && entry.age() < options.lifetime(entry.operation, effect).ttl;
            (entry.operation, entry.size, entry.age(), is_fresh)
        });
        shown.collect()
    }

    pub(in crate::policy) fn revision(&self) -> u64 {
        self.memory.revision()
    }

    /// The catalog, for the copy on disk.
    pub(in crate::policy) fn kept(&self) -> Vec<KeptReply> {
        let entries = self.memory.public();
        entries
            .iter()
            .map(|entry| KeptReply {
                operation: entry.operation.name.clone(),
                request: entry.request.clone(),
                reply: entry.content.message().encode_to_vec(),
                asked_unix_ms: entry.asked_unix_millis(),
            })
            .collect()
    }

    /// Takes the catalog from its copy on disk. What cannot be read any more is left out.
    pub(in crate::policy) fn restore(&self, contract: &'static Contract, kept: &[KeptReply]) {
        let most = self.options().bytes;
        for kept in kept {
            let operation = contract.operation(&kept.operation).filter(|o| o.effect == Effect::Public);
            let Some(operation) = operation else { continue };
            let decode = |message: &prost_reflect::MessageDescriptor, bytes: &[u8]| {
                DynamicMessage::decode(message.clone(), bytes).ok()
            };
            let request = decode(&operation.input.descriptor, &kept.request);
            let (Some(request), Some(message)) = (request, decode(&operation.output.descriptor, &kept.reply))
            else {
                continue;
            };
            // By a clock that was turned back, it would never grow old.
            let age = ambient::unix_millis().saturating_sub(kept.asked_unix_ms);
            let age = Duration::from_millis(u64::try_from(age).unwrap_or(u64::MAX));
            let Some(asked) = ambient::instant().checked_sub(age) else { continue };
            let reply = Reply { asked, ..Reply::new(message, FROM_DISK, false) };
            let found = Found {
                asked_unix_millis: kept.asked_unix_ms,
                // What was bought between then and now, nobody knows.
                spoiled: true,
                ..Found::now(operation, kept.request.clone(), true, reply)
            };
            let marks = self.memory.marks();
            self.memory.keep((&operation.name, canonical(&request)), found, marks, most);
        }
    }
}
