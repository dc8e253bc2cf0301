//! What happens to a call between the edge and the provider: a stack of small layers, one file each.
//!
//! Absent here: bytes of a wire, status codes, JSON, the provider's spelling. No layer names another.

pub mod access;
mod actions;
pub mod audit;
pub mod breaker;
pub mod cache;
pub mod credentials;
pub mod deadline;
mod detach;
pub mod elsewhere;
mod guard;
mod kept;
mod log;
mod measure;
mod meter;
pub mod pace;
#[cfg(test)]
mod play;
pub mod purchase;
pub mod quota;
pub mod recent;
pub mod retry;
mod share;
mod shown;
pub mod survey;
mod traffic;
mod underway;
mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceBuilder};

use crate::audit::Log;
use crate::call::{Call, Face, Reply};
use crate::contract::{Effect, Operation, canonical};
use crate::fault::Fault;
use crate::watch;

pub use kept::{Kept, KeptReply};
pub use meter::Rate;
pub use shown::{Answers, CallerShown};
pub use traffic::{Mark, Shown, Traffic};
pub use underway::UnderwayShown;

/// The policies' settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The actions without an operation that may be called, and what each does to the world.
    pub actions: BTreeMap<String, Effect>,
    /// Who may do what.
    pub access: access::Options,
    /// What is not done without a trace.
    pub audit: audit::Options,
    /// How much time a call has.
    pub deadline: deadline::Options,
    /// How often one caller may have the provider asked.
    pub quota: quota::Options,
    /// How often the account is used.
    pub pace: pace::Options,
    /// What is sent again.
    pub retry: retry::Options,
    /// When a provider that is down is left alone.
    pub breaker: breaker::Options,
    /// What is answered from memory.
    pub cache: cache::Options,
    /// What must not run twice.
    pub purchase: purchase::Options,
    /// How it is waited and watched.
    pub watch: watch::Options,
    /// Servers that are never stopped, rebooted or reinstalled, by number or by hostname.
    pub protected: Vec<String>,
}

/// What a call ends with.
type Answer = Result<Reply, Fault>;
/// A call on its way.
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What is below a layer. It is always ready: whoever has to wait waits in its call, where the deadline counts.
trait Inner:
    Service<Call, Response = Reply, Error = Fault, Future = Answering> + Clone + Send + Sync + 'static
{
}

impl<S> Inner for S where
    S: Service<Call, Response = Reply, Error = Fault, Future = Answering> + Clone + Send + Sync + 'static
{
}

/// The two ways to an answer.
pub struct Stack {
    /// Through all the layers.
    pub call: Arc<dyn Fn(Call) -> Answering + Send + Sync>,
    /// From memory alone, of an operation without parameters, for somebody who presents nothing and has no wishes: an answer
    /// that is there at once, if there is one.
    pub recall: Arc<dyn Fn(&'static Operation, Instant) -> Option<Arc<Reply>> + Send + Sync>,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stack")
    }
}

/// The stack around the provider. A call passes the layers from the first to the last, its answer from the last
/// to the first: the order is the meaning.
pub fn stack<S>(
    options: &Options,
    traffic: &Traffic,
    desk: &Arc<purchase::Desk>,
    tasks: &TaskTracker,
    audit: Option<&Log>,
    upstream: S,
) -> Stack
where
    S: Service<Call, Response = Reply, Error = Fault, Future = Answering> + Clone + Send + Sync + 'static,
{
    let shelf = traffic.shelf.clone();
    desk.forgets_by(move || {
        let _answers = shelf.purge(None);
    });
    let refusals = audit::Refusals::new(audit.cloned());
    let refused: access::Refused = Arc::new(move |call, fault| refusals.note(call, fault));
    let counters = traffic.counters.clone();
    desk.charges_by(move |caller| counters.charge(caller));
    let counters = traffic.counters.clone();
    let charge: waiting::Charge = Arc::new(move |caller| counters.charge(caller));
    let service = ServiceBuilder::new()
        // First, so that nobody waits longer than the call has time, whatever happens to the call itself.
        .layer_fn(|inner| deadline::Answer::new(traffic.clock.clone(), inner))
        // So that everything below, the log included, outlives a caller that hangs up or runs out of time.
        .layer_fn(|inner| detach::Detach::new(tasks.clone(), inner))
        // Before the log, which names who calls; it refuses nobody.
        .layer_fn(|inner| access::Identify::new(traffic.register.clone(), inner))
        // Before anything refuses, so that every call is logged and counted once, with what became of it.
        .layer_fn(|inner| log::Log::new(traffic.recent.clone(), traffic.figures.clone(), inner))
        // Below the log, so that what comes too late is logged, too; above all that takes time.
        .layer_fn(|inner| underway::Note::new(traffic.underway.clone(), inner))
        // Before anything looks at a call's effect, because here it may change.
        .layer_fn(|inner| actions::Allow::new(options.actions.clone(), inner))
        // Above all that has a caller's name on it, and below what says what a call does, which is what a scope is for.
        .layer_fn(|inner| access::Access::new(refused.clone(), inner))
        // Below what refuses those who may not, whose calls are no intents; above everything that does something.
        .layer_fn(|inner| audit::Audit::new(audit.cloned(), &options.audit, inner))
        // Before it is written down, because what is spared is not begun.
        .layer_fn(|inner| guard::Guard::new(traffic.contract, traffic.spared.clone(), inner))
        // Above all that carries something out, because it waits for what comes of that; below all that refuses.
        .layer_fn(|inner| waiting::Waiting::new(traffic.contract, traffic.hub.clone(), charge.clone(), inner))
        // Above all that asks the provider, because it does so itself, before a purchase and after one that is in doubt.
        .layer_fn(|inner| purchase::Purchase::new(desk.clone(), inner))
        // Above the limits: what is answered from memory uses none of them up.
        .layer_fn(|inner| cache::Cache::new(traffic.shelf.clone(), inner))
        // Above all that costs something, so that it costs it once: five hundred callers use up the quota of one.
        .layer_fn(|inner| share::Share::new(traffic.shelf.clone(), inner))
        // Above every limit: what cannot be answered in time uses none of them up.
        .layer_fn(|inner| deadline::Enough::new(traffic.clock.clone(), inner))
        // Above the repeats, which are gizad's own doing.
        .layer_fn(|inner| quota::Quota::new(traffic.counters.clone(), inner))
        // Above the breaker, which counts every attempt, and the pace, which every attempt waits for.
        .layer_fn(|inner| retry::Retry::new(traffic.retry.clone(), inner))
        // Above the breaker: a provider that refuses gizad's credentials is well, and is left alone all the same.
        .layer_fn(|inner| credentials::Credentials::new(traffic.credentials.clone(), inner))
        // Above the pace: what is not sent takes no turn.
        .layer_fn(|inner| breaker::Breaker::new(traffic.breaker.clone(), inner))
        .layer_fn(|inner| pace::Pace::new(traffic.pace.clone(), inner))
        // Last, because only now is known how much time is left to send with.
        .layer_fn(|inner| deadline::Depart::new(traffic.clock.clone(), inner))
        // What is counted here was sent, or tried to be.
        .layer_fn(|inner| measure::Exchanges::new(traffic.figures.clone(), inner))
        .service(upstream);
    let counted = Arc::new(measure::AtOnce::new(&traffic.figures, traffic.contract));
    let (shelf, counts) = (traffic.shelf.clone(), counted.clone());
    let call = move |call: Call| match at_once(&shelf, &call) {
        Some(reply) => {
            counts.count(call.operation, call.face);
            call.trace.note("gizad.source", recent::Source::Memory.as_str());
            Box::pin(ready(Ok(reply)))
        }
        // Every layer is always ready, so none has to be asked.
        None => service.clone().call(call),
    };
    let shelf = traffic.shelf.clone();
    let recall = move |operation, now| {
        let reply = if log::writes_hits() { None } else { shelf.recall(operation, now) };
        reply.inspect(|_| counted.count(operation, Face::Rest))
    };
    Stack { call: Arc::new(call), recall: Arc::new(recall) }
}

/// What everybody may have and memory holds fresh would pass all layers unchanged, and pay for each. A token is always
/// looked at, though, and a line of the log is written by the layer that does that.
fn at_once(shelf: &cache::Shelf, call: &Call) -> Option<Reply> {
    if call.effect != Effect::Public || !call.presented.is_nothing() || log::writes_hits() {
        return None;
    }
    shelf.at_once(call.operation, canonical(&call.request), call.wishes, call.deadline.begun())
}
