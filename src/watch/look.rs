//! One thing that is looked at, what was seen of it, and when to look again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost_reflect::DynamicMessage;
use ring::digest;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Options;
use super::hub::Ask;
use crate::ambient;
use crate::call::{Call, Caller, Content};
use crate::contract::{Operation, canonical};
use crate::fault::{Fault, Reason};

/// How long one look may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// What part of the time since something was done passes until the next look.
const PART: u32 = 10;
/// By how much that varies, so that many things are not looked at in one moment.
const JITTER: f64 = 0.1;

/// What is looked at: an operation and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// That of an operation with this request.
    #[must_use]
    pub fn new(operation: &Operation, request: &DynamicMessage) -> Self {
        Self([operation.name.as_bytes(), b"\n", &canonical(request)].concat().into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What was seen last.
    pub last: Option<Sight>,
    /// What was seen the time before.
    pub before: Option<Sight>,
    /// Why nothing could be seen the last time, if that is so.
    pub trouble: Option<Fault>,
}

/// What was seen once.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When it was asked for: what it shows is no older.
    pub asked: Instant,
    /// The same by the wall clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it was.
    pub what: What,
}

/// What can be seen.
#[derive(Clone, Debug)]
pub enum What {
    /// The thing, and a name for how it was.
    There(Arc<Content>, Arc<str>),
    /// There is none, and in what words that was said.
    Gone(Fault),
}

impl What {
    /// The thing.
    #[must_use]
    pub fn content(&self) -> Option<&Arc<Content>> {
        match self {
            Self::There(content, _) => Some(content),
            Self::Gone(_) => None,
        }
    }
}

/// A name for how something is: the same for the same.
pub(super) fn name(message: &DynamicMessage) -> Arc<str> {
    let digest = digest::digest(&digest::SHA256, &canonical(message));
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Reasons that say of a thing that there is none, and not of gizad that it could not see.
fn is_gone(reason: Reason) -> bool {
    matches!(reason, Reason::NotFound | Reason::NotOwned)
}

/// One thing that is looked at.
pub(super) struct Subject {
    pub(super) key: Key,
    pub(super) operation: &'static Operation,
    request: DynamicMessage,
    pub(super) seen: watch::Sender<Seen>,
    /// Since when it is of interest how it goes on.
    stirred: Mutex<Instant>,
    pub(super) nudge: Notify,
    /// Whether that is so because of something here, which nobody else knows yet.
    untold: AtomicBool,
    /// Another replica has seen something, or has let go of it.
    pub(super) elsewhere: Notify,
}

impl Subject {
    pub(super) fn new(key: Key, operation: &'static Operation, request: DynamicMessage) -> Self {
        let stirred = Mutex::new(ambient::instant());
        Self {
            key,
            operation,
            request,
            seen: watch::Sender::default(),
            stirred,
            nudge: Notify::new(),
            untold: AtomicBool::new(false),
            elsewhere: Notify::new(),
        }
    }

    /// Something was done to it, so that it is worth to look soon.
    pub(super) fn stir(&self) {
        self.untold.store(true, Ordering::Release);
        self.stirred_elsewhere();
    }

    /// Something was done to it through another replica.
    pub(super) fn stirred_elsewhere(&self) {
        *self.stirred.lock().unwrap_or_else(PoisonError::into_inner) = ambient::instant();
        self.nudge.notify_one();
    }

    /// Whether something was done to it here since this was last asked.
    pub(super) fn was_stirred(&self) -> bool {
        self.untold.swap(false, Ordering::AcqRel)
    }

    /// How long to rest between two looks.
    pub(super) fn rest(&self, options: &Options) -> Duration {
        let stirred = *self.stirred.lock().unwrap_or_else(PoisonError::into_inner);
        (stirred.elapsed() / PART).clamp(options.quick, options.slow.max(options.quick))
    }

    /// Looks once.
    pub(super) async fn look(&self, ask: &Ask) {
        let looked = self.see(ask).await;
        self.take(looked, true);
    }

    /// What there is to see.
    pub(super) async fn see(&self, ask: &Ask) -> Result<Sight, Fault> {
        let (begun, at_ms) = (ambient::instant(), ambient::unix_millis());
        let own = Call::own(self.operation, self.request.clone(), PATIENCE);
        let answer = ask(Call { caller: Caller::Watch, ..own }).await;
        match answer {
            Ok(reply) => {
                let name = name(reply.content.message());
                let asked = reply.asked.min(begun);
                Ok(Sight { asked, at_ms, what: What::There(reply.content, name) })
            }
            Err(fault) if is_gone(fault.reason) => Ok(Sight { asked: begun, at_ms, what: What::Gone(fault) }),
            Err(fault) => Err(fault),
        }
    }

    /// Takes down what was seen: in a row with what was seen before, or not.
    pub(super) fn take(&self, looked: Result<Sight, Fault>, in_a_row: bool) {
        let is_new =
            |seen: &Seen, sight: &Sight| match (seen.last.as_ref().map(|last| &last.what), &sight.what) {
                (Some(What::There(_, was)), What::There(_, is)) => was != is,
                (Some(What::Gone(_)), What::Gone(_)) => false,
                _ => true,
            };
        let changes = matches!(&looked, Ok(sight) if is_new(&self.seen.borrow(), sight));
        if changes {
            *self.stirred.lock().unwrap_or_else(PoisonError::into_inner) = ambient::instant();
        }
        self.seen.send_modify(|seen| match looked {
            Ok(sight) => {
                let before = seen.last.take().filter(|_| in_a_row);
                *seen = Seen { before, last: Some(sight), trouble: None };
            }
            Err(fault) => seen.trouble = Some(fault),
        });
    }

    /// Whether something was seen that was asked for at this moment or later.
    pub(super) fn knows_since(&self, moment: Instant) -> bool {
        self.seen.borrow().last.as_ref().is_some_and(|last| last.asked >= moment)
    }

    /// Rests until it is time to look again, also if that comes nearer meanwhile.
    pub(super) async fn pause(&self, options: impl Fn() -> Options) {
        let looked = ambient::instant();
        let jitter = jitter();
        loop {
            let until = looked + self.rest(&options()).mul_f64(jitter);
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = self.nudge.notified() => {}
            }
        }
    }
}

/// By what a rest varies.
pub(super) fn jitter() -> f64 {
    1.0 + JITTER * (2.0 * ambient::fraction() - 1.0)
}
