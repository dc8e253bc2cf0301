//! What is looked at, as a stream: what was seen, and then whatever has changed.

use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::sync::watch;

use super::hub::{Slot, Watching};
use super::look::{Seen, What};
use crate::call::Item;
use crate::contract::Watch;
use crate::fault::{Fault, Reason};

/// A stream under way.
struct Told {
    watching: Watching,
    closing: watch::Receiver<bool>,
    watch: Watch,
    /// What its caller has had last.
    had: Option<Arc<str>>,
    ended: bool,
    _slot: Slot,
}

/// The stream of what is looked at, for a caller who has had this already.
pub fn news(
    watching: Watching,
    closing: watch::Receiver<bool>,
    watch: &Watch,
    had: Option<Arc<str>>,
    slot: Slot,
) -> impl Stream<Item = Result<Item, Fault>> + Send + use<> {
    let told = Told { watching, closing, watch: watch.clone(), had, ended: false, _slot: slot };
    stream::unfold(told, |mut told| async move {
        let next = told.next().await?;
        told.ended = next.is_err();
        Some((next, told))
    })
}

/// What follows from what was seen.
enum Step {
    Tell(Item),
    Fail(Fault),
    End,
    Wait,
}

impl Told {
    async fn next(&mut self) -> Option<Result<Item, Fault>> {
        loop {
            if self.ended {
                return None;
            }
            if *self.closing.borrow() {
                return Some(Err(Fault::new(Reason::ShuttingDown, "gizad is stopping")));
            }
            let step = step(&self.watching.seen.borrow_and_update(), self.had.as_ref(), &self.watch);
            match step {
                Step::Tell(item) => {
                    self.had.clone_from(&item.id);
                    return Some(Ok(item));
                }
                Step::Fail(fault) => return Some(Err(fault)),
                Step::End => return None,
                Step::Wait => {}
            }
            tokio::select! {
                changed = self.watching.seen.changed() => {
                    // Nobody looks any more, which only happens when gizad stops.
                    if changed.is_err() {
                        return Some(Err(Fault::new(Reason::ShuttingDown, "gizad is stopping")));
                    }
                }
                _ = self.closing.changed() => {}
            }
        }
    }
}

fn step(seen: &Seen, had: Option<&Arc<str>>, watch: &Watch) -> Step {
    let twice = seen.before.as_ref().map(|sight| &sight.what);
    match (seen.last.as_ref().map(|sight| &sight.what), twice) {
        (Some(What::There(content, name)), _) if had != Some(name) => {
            Step::Tell(Item { content: content.clone(), id: Some(name.clone()) })
        }
        (Some(What::There(last, _)), Some(What::There(before, _)))
            if watch.is_last(last.message()) && watch.is_last(before.message()) =>
        {
            Step::End
        }
        (Some(What::Gone(fault)), Some(What::Gone(_))) => Step::Fail(fault.clone()),
        _ => Step::Wait,
    }
}
