//! A write under way, as far as memory is concerned.

use std::sync::Arc;

use super::Memory;

/// A write under way. However it ends, what it may have changed is forgotten then.
pub(in crate::policy::cache) struct Writing {
    pub(super) memory: Arc<Memory>,
    pub(super) spends: bool,
    pub(super) was_one: bool,
}

impl Writing {
    /// Ends it as one that was never sent, and so has changed nothing.
    pub(in crate::policy::cache) fn was_none(mut self) {
        self.was_one = false;
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.writing -= 1;
        if self.was_one {
            if self.spends {
                self.memory.has_changed();
            }
            state.written(self.spends);
        }
    }
}
