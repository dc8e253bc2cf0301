//! What to do about a read that may be answered from memory: one table.

use std::time::Duration;

use crate::call::{Lifetime, Taken, Wishes};

/// What to do about a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Answer from memory.
    Serve,
    /// Answer from memory, and ask the provider meanwhile.
    ServeAndRefresh,
    /// Ask the provider; if it cannot be asked, there may be an old answer.
    Ask { why: Taken, fall_back: bool },
    /// There is nothing to answer with.
    Refuse,
}

/// The table: what is kept (its age, and whether it was spoiled), how long it may be used, what the caller wants.
pub(super) fn decide(
    kept: Option<(Duration, bool)>,
    lifetime: Lifetime,
    wishes: Wishes,
    least_age: Duration,
) -> Decision {
    let Some((age, spoiled)) = kept else {
        let ask = Decision::Ask { why: Taken::Missing, fall_back: false };
        return if wishes.only_if_cached { Decision::Refuse } else { ask };
    };
    let fresh = !spoiled && age < lifetime.ttl;
    let stale_for = age.saturating_sub(lifetime.ttl);
    let usable_meanwhile = stale_for < lifetime.stale_while_revalidate;
    let usable_on_error = stale_for < lifetime.stale_if_error;
    let too_old = wishes.max_age.is_some_and(|most| age > most);
    if wishes.only_if_cached {
        return match (fresh, too_old) {
            (_, true) => Decision::Refuse,
            (true, false) => Decision::Serve,
            (false, false) if usable_meanwhile || usable_on_error => Decision::ServeAndRefresh,
            (false, false) => Decision::Refuse,
        };
    }
    // A caller may have it asked for anew, but not at every moment.
    if (wishes.no_cache || too_old) && age >= least_age {
        return Decision::Ask { why: Taken::Requested, fall_back: false };
    }
    match fresh {
        true => Decision::Serve,
        false if usable_meanwhile && !wishes.no_cache && wishes.max_age.is_none() => {
            Decision::ServeAndRefresh
        }
        false => Decision::Ask { why: Taken::Expired, fall_back: usable_on_error },
    }
}
