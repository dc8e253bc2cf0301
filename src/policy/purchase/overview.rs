//! The purchases as a person looks at them: first those that somebody has to do something about, then the others.
//!
//! Absent here: what was asked and what was answered.

use super::desk::Desk;
use crate::ambient;
use crate::ledger::{Filter, Trouble};
use crate::purchase::{Limits, Record, Spent, State};

/// The most that are shown of what is open, and of what is not.
const OPEN: u32 = 100;
const ENDED: u32 = 20;

/// All of that.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The purchases.
    pub purchases: Vec<Shown>,
    /// How many of them are in doubt.
    pub doubtful: usize,
    /// What callers have spent and may spend, by name.
    pub budgets: Vec<(String, Limits, Spent)>,
}

/// A purchase, or another call that is recorded.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its name.
    pub id: String,
    /// What was called.
    pub operation: String,
    /// By whom.
    pub caller: String,
    /// Where it stands.
    pub state: &'static str,
    /// Whether it may have been carried out without anybody having been told.
    pub is_doubtful: bool,
    /// When it came in, in milliseconds since 1970.
    pub created_ms: i64,
    /// When something last happened to it.
    pub changed_ms: i64,
    /// What it costs, in đồng, if that is known.
    pub price_vnd: Option<i64>,
    /// What is set aside for it.
    pub held_vnd: i64,
    /// What it has cost.
    pub posted_vnd: i64,
    /// The constant that names why it did not succeed.
    pub reason: Option<String>,
    /// What was seen of the account, in words.
    pub findings: Vec<String>,
    /// What is to be done about it.
    pub to_do: ToDo,
}

/// What is to be done about a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToDo {
    /// In words.
    pub words: &'static str,
    /// The operation of the contract by which that is done, if there is one.
    pub by: Option<&'static str>,
}

impl Desk {
    /// The purchases, and what these callers have spent.
    ///
    /// # Errors
    /// When there is no ledger, or it has trouble.
    pub async fn overview(&self, callers: &[&str]) -> Result<Overview, Trouble> {
        let ledger = self.ledger().map_err(|fault| Trouble::Unfit(fault.detail))?;
        let of = |open, most| Filter { open: Some(open), most, ..Filter::default() };
        let mut records = ledger.list(&of(true, OPEN)).await?;
        records.extend(ledger.list(&of(false, ENDED)).await?);
        let mut purchases: Vec<Shown> = records.iter().map(shown).collect();
        // What is equally urgent stays in its order, the newest first.
        let mut order: Vec<(u8, usize)> =
            records.iter().enumerate().map(|(place, record)| (urgency(record.state()), place)).collect();
        order.sort_unstable();
        purchases = order.iter().filter_map(|(_, place)| purchases.get(*place).cloned()).collect();
        let doubtful = purchases.iter().filter(|shown| shown.is_doubtful).count();
        let options = self.options();
        let mut budgets = Vec::new();
        for caller in callers {
            let spent = ledger.spent(caller, ambient::unix_millis()).await?;
            budgets.push(((*caller).to_owned(), options.limits(caller), spent));
        }
        Ok(Overview { purchases, doubtful, budgets })
    }
}

fn shown(record: &Record) -> Shown {
    let state = record.state();
    Shown {
        id: record.id.clone(),
        operation: record.operation.clone(),
        caller: record.caller.clone(),
        state: state.as_str(),
        is_doubtful: state.is_in_doubt(),
        created_ms: record.created_ms,
        changed_ms: record.changed_ms,
        price_vnd: record.price_vnd,
        held_vnd: record.held_vnd,
        posted_vnd: record.posted_vnd,
        reason: record
            .failure
            .as_ref()
            .map(|failure| failure.reason.clone())
            .filter(|reason| !reason.is_empty()),
        findings: record.evidence.clone(),
        to_do: to_do(state),
    }
}

/// What comes first: what only a person ends.
fn urgency(state: State) -> u8 {
    match state {
        State::NeedsOperator | State::Unknown => 0,
        State::InDoubt => 1,
        State::AwaitingApproval => 2,
        State::Sending => 3,
        State::NotSent
        | State::Succeeded
        | State::Refused
        | State::FailedNotSent
        | State::Found
        | State::Absent => 4,
    }
}

fn to_do(state: State) -> ToDo {
    let (words, by) = match state {
        State::NeedsOperator => (
            "Look at the provider's own pages whether it was carried out, then say so: FOUND or ABSENT.",
            Some("OperationService.ResolveOperation"),
        ),
        State::InDoubt => (
            "Wait: gizad looks for it by itself. Do not buy the same again. It can be looked at now.",
            Some("OperationService.ReconcileOperation"),
        ),
        State::AwaitingApproval => (
            "Another caller, one with the scope admin, consents to it, or gives it up.",
            Some("OperationService.ApproveOperation"),
        ),
        State::Sending => ("Nothing: it is being sent.", None),
        State::NotSent => ("Nothing was sent. Whoever asked for it calls again with the same key.", None),
        State::Refused => ("Read why, mend it, and use a new key.", Some("OperationService.GetOperation")),
        State::Absent => ("It was not carried out. If it is still wanted, use a new key.", None),
        State::Unknown => ("A newer gizad has written this state: look at it with that one.", None),
        State::Succeeded | State::Found | State::FailedNotSent => ("Nothing.", None),
    };
    ToDo { words, by }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbook_has_each_state_and_says_the_same() {
        let runbook = include_str!("../../../docs/runbook.md");
        for state in State::ALL.into_iter().chain([State::Unknown]) {
            let heading = format!("\n### {}\n", state.as_str());
            let (_, section) = runbook.split_once(&heading).unwrap_or_default();
            let section = section.split("\n### ").next().unwrap_or_default();
            assert!(section.contains(to_do(state).words), "{state:?}: {section}");
        }
    }
}
