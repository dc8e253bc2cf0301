//! What is known of other replicas' purchases, as far as memory is concerned.
//!
//! A purchase is heard of before it is sent and after it has ended, each time later than it was written down. So nothing that
//! was kept before it or asked for meanwhile is fresh from the first word on, and the second need not come before the buyer's own
//! next question. Whoever does not hear knows of no purchase, and so takes nothing for fresh.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{ASKING, FAILED_REST, Memory, State};
use crate::ambient;

/// What other replicas do.
pub(super) struct Others {
    /// What is being sent, by its operation, and when that was heard.
    sent: HashMap<Arc<str>, Instant>,
    /// Until when all that they do is known here.
    known_until: Instant,
}

impl State {
    /// Whether it is known that nobody buys anything at this moment.
    pub(super) fn is_sure(&self, now: Instant) -> bool {
        self.others.as_ref().is_none_or(|others| others.sent.is_empty() && now < others.known_until)
    }

    pub(super) fn is_sent_elsewhere(&self) -> bool {
        self.others.as_ref().is_some_and(|others| !others.sent.is_empty())
    }

    /// When what is kept now may be asked for anew in the background: while it is no fresher then, not at every call.
    pub(super) fn rests(&self, now: Instant) -> Option<Instant> {
        let rest = if self.is_sent_elsewhere() { ASKING } else { FAILED_REST };
        (!self.is_sure(now)).then(|| now + rest)
    }
}

impl Memory {
    /// There are other replicas, of which nothing is known yet.
    pub(in crate::policy::cache) fn is_shared(&self) {
        let others = Others { sent: HashMap::new(), known_until: ambient::instant() };
        self.lock().others = Some(others);
        self.has_changed();
    }

    /// Whether an answer that is on its way can be given to whoever asks now, and under which mark: as long as that is the
    /// same, nothing was bought.
    pub(in crate::policy::cache) fn mark(&self, now: Instant) -> Option<u64> {
        let state = self.lock();
        state.is_sure(now).then_some(state.spends)
    }

    /// Until when what is fresh may be shown as that; none if there are no others.
    pub(in crate::policy::cache) fn known_until(&self) -> Option<Instant> {
        self.lock().others.as_ref().map(|others| others.known_until)
    }

    /// Something that takes money is being sent.
    pub(in crate::policy::cache) fn is_sent(&self, operation: &Arc<str>) {
        let (mut state, now) = (self.lock(), ambient::instant());
        let Some(others) = &mut state.others else { return };
        if others.sent.insert(operation.clone(), now).is_none() {
            self.has_changed();
            // Whatever is asked for now is spoiled as well, so that its end is waited for.
            state.spoil(now.checked_add(ASKING));
        }
    }

    /// It has come to its end, whichever that is.
    pub(in crate::policy::cache) fn has_ended(&self, operation: &str) {
        let mut state = self.lock();
        if state.others.as_mut().and_then(|others| others.sent.remove(operation)).is_some() {
            self.has_changed();
            state.spoil(None);
        }
    }

    /// At a moment when the server was asked, this and nothing else was being sent; all that was said before is known here, and so
    /// is what will be said until the other moment.
    pub(in crate::policy::cache) fn stands(
        &self,
        asked: Instant,
        sending: Option<&Arc<str>>,
        until: Instant,
    ) {
        let ended: Vec<Arc<str>> = {
            let state = self.lock();
            let sent = state.others.iter().flat_map(|others| &others.sent);
            let over = sent.filter(|(operation, heard)| **heard < asked && Some(*operation) != sending);
            over.map(|(operation, _)| operation.clone()).collect()
        };
        ended.iter().for_each(|operation| self.has_ended(operation));
        if let Some(operation) = sending {
            self.is_sent(operation);
        }
        if let Some(others) = &mut self.lock().others {
            others.known_until = others.known_until.max(until);
        }
    }

    /// Something was said that was not heard.
    pub(in crate::policy::cache) fn has_missed(&self) {
        let mut state = self.lock();
        if let Some(others) = &mut state.others {
            others.known_until = ambient::instant();
            self.has_changed();
            state.spoil(None);
        }
    }
}
