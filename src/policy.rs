//! What happens to a call between the edge and the provider: a stack of small layers, one file each.
//!
//! Absent here: bytes, status codes, JSON, the provider's spelling. No layer names another.

mod actions;
mod detach;
mod log;

use std::collections::BTreeMap;

use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use crate::call::{Call, Reply};
use crate::contract::Effect;
use crate::fault::Fault;

/// The policies' settings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The actions without an operation that may be called, and what each does to the world.
    pub actions: BTreeMap<String, Effect>,
}

/// The stack around the provider. A call passes the layers from the first to the last, its answer from the last
/// to the first: the order is the meaning.
pub fn stack<S>(
    options: &Options,
    tasks: &TaskTracker,
    upstream: S,
) -> BoxCloneSyncService<Call, Reply, Fault>
where
    S: Service<Call, Response = Reply, Error = Fault> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let service = ServiceBuilder::new()
        // First, so that everything below, the log included, outlives a caller that hangs up.
        .layer_fn(|inner| detach::Detach::new(tasks.clone(), inner))
        // Before anything refuses, so that every call is logged once, with what became of it.
        .layer_fn(log::Log::new)
        // Before anything looks at a call's effect, because here it may change.
        .layer_fn(|inner| actions::Allow::new(options.actions.clone(), inner))
        .service(upstream);
    BoxCloneSyncService::new(service)
}
