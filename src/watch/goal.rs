//! Waits until what a call leads to is seen, twice in a row; or cannot come any more; or the time is up.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::hub::Watching;
use super::look::{Seen, Sight, What};
use crate::ambient;
use crate::call::Deadline;
use crate::contract::Goal;
use crate::fault::{Fault, Reason, Sent};

/// After how many quick looks it counts as new what was so from before.
const A_WHILE: u32 = 10;

/// What came of waiting.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether it was seen twice.
    pub reached: bool,
    /// What was seen last since it began.
    pub seen: Option<Sight>,
    /// Whether anything else was seen.
    pub otherwise: bool,
    /// Why nothing could be seen the last time.
    pub trouble: Option<Fault>,
}

/// Waits for a goal of something that was done at this moment.
///
/// # Errors
/// When it cannot come to that any more.
pub async fn wait(
    goal: &Goal,
    watching: &mut Watching,
    (since, until): (Instant, Instant),
    quick: Duration,
    mut closing: watch::Receiver<bool>,
    asked: &Deadline,
) -> Result<Outcome, Fault> {
    let mut otherwise = false;
    loop {
        let seen = watching.seen.borrow_and_update().clone();
        let new = |sight: &Option<Sight>| sight.clone().filter(|sight| sight.asked >= since);
        let (last, before) = (new(&seen.last), new(&seen.before));
        let verdict = judge(goal, last.as_ref(), before.as_ref());
        otherwise |= last.as_ref().is_some_and(|sight| !is_at(goal, sight, goal.reached));
        let is_new = !goal.anew || otherwise || since.elapsed() >= quick * A_WHILE;
        match verdict {
            Verdict::Reached if is_new => {
                return Ok(Outcome { reached: true, seen: last, otherwise, trouble: None });
            }
            Verdict::Failed(detail) => {
                let detail = format!("it was carried out, but {detail}");
                return Err(Fault::new(Reason::WaitedInVain, detail).sent(Sent::Answered));
            }
            Verdict::Reached | Verdict::Open => {}
        }
        // Whoever has hung up does not wait any more; it is noticed at the next look.
        let is_over = ambient::instant() >= until || *closing.borrow() || asked.is_given_up();
        if is_over {
            return Ok(pending(last, otherwise, &seen));
        }
        tokio::select! {
            // Its end is the daemon's.
            changed = timeout_at(until, watching.seen.changed()) => {
                if matches!(changed, Ok(Err(_))) {
                    return Ok(pending(last, otherwise, &seen));
                }
            }
            _ = closing.changed() => {}
        }
    }
}

fn pending(seen: Option<Sight>, otherwise: bool, all: &Seen) -> Outcome {
    Outcome { reached: false, seen, otherwise, trouble: all.trouble.clone() }
}

/// What two looks in a row say.
enum Verdict {
    Reached,
    Failed(String),
    Open,
}

fn judge(goal: &Goal, last: Option<&Sight>, before: Option<&Sight>) -> Verdict {
    let (Some(last), Some(before)) = (last, before) else { return Verdict::Open };
    if is_at(goal, last, goal.reached) && is_at(goal, before, goal.reached) {
        return Verdict::Reached;
    }
    if let Some(state) =
        goal.failed.iter().find(|state| is_at(goal, last, **state) && is_at(goal, before, **state))
    {
        let (is, wanted) = (goal.words(*state), goal.words(goal.reached));
        return Verdict::Failed(format!("it is {is} now, and does not come to {wanted} by itself"));
    }
    match (&last.what, &before.what) {
        (What::Gone(_), What::Gone(_)) if !goal.appears => {
            Verdict::Failed("there is no such thing any more".to_owned())
        }
        _ => Verdict::Open,
    }
}

/// Whether a sight shows a state.
#[must_use]
fn is_at(goal: &Goal, sight: &Sight, state: i32) -> bool {
    sight.what.content().is_some_and(|content| goal.state(content.message()) == state)
}
