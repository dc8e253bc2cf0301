//! The settings of purchases: what is asked for, what may be spent, and where it is written down.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Ledger;
use super::check::Check;
use super::layers::usual_state_dir;
use crate::policy::purchase;
use crate::purchase::{Limits, Rules};

/// The section of budgets of single callers.
const CALLERS: &str = "budget.callers";
/// What may be set for a caller.
const SPANS: [&str; 3] = ["purchase_vnd", "day_vnd", "month_vnd"];
/// The most đồng that a limit can be.
const MOST: i64 = 1_000_000_000_000_000;

impl Check<'_> {
    pub(super) fn purchase(&mut self) -> purchase::Options {
        let quiet = self.duration("purchase.quiet");
        purchase::Options {
            require_key: self.flag("purchase.require_key"),
            approval_from_vnd: self.amount("purchase.approval_from_vnd"),
            rules: Rules {
                quiet_ms: i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX),
                readings: u32::try_from(self.whole("purchase.readings", 2, 1000)).unwrap_or(u32::MAX),
            },
            look_every: self.duration("purchase.look_every"),
            time: self.duration("purchase.time"),
            budget: Limits {
                purchase_vnd: self.amount("budget.purchase_vnd"),
                day_vnd: self.amount("budget.day_vnd"),
                month_vnd: self.amount("budget.month_vnd"),
            },
            budgets: self.budgets(),
        }
    }

    fn budgets(&mut self) -> BTreeMap<String, Limits> {
        let mut budgets: BTreeMap<String, Limits> = BTreeMap::new();
        let given = self.given;
        for (key, entry) in given.under(CALLERS) {
            let (caller, span) = key.rsplit_once('.').unwrap_or((key, ""));
            if !SPANS.contains(&span) || caller.is_empty() {
                self.wrong(&entry.path, &format!("the name of a caller and one of {}", SPANS.join(", ")));
                continue;
            }
            let amount = self.amount(&entry.path);
            let limits = budgets.entry(caller.to_owned()).or_default();
            match span {
                "purchase_vnd" => limits.purchase_vnd = amount,
                "day_vnd" => limits.day_vnd = amount,
                _ => limits.month_vnd = amount,
            }
        }
        budgets
    }

    /// An amount of đồng, or `none`.
    fn amount(&mut self, path: &str) -> Option<i64> {
        if self.written(path) == Some("none") {
            return None;
        }
        let before = self.mistakes.len();
        let amount = i64::try_from(self.whole(path, 0, MOST)).unwrap_or(i64::MAX);
        if self.mistakes.len() > before {
            self.mistakes.truncate(before);
            self.wrong(path, "an amount in whole đồng, such as 500000, or \"none\"");
        }
        Some(amount)
    }

    pub(super) fn ledger(&mut self, in_sandbox: bool, is_shared: bool) -> Ledger {
        let ledger = match self.text("ledger.dir").as_str() {
            _ if is_shared => return Ledger::Shared,
            "" => return Ledger::Nowhere,
            // What is bought of a stand-in is worth nothing.
            "auto" if in_sandbox => return Ledger::Fleeting,
            "auto" => usual_state_dir().map_or(Ledger::Nowhere, Ledger::Usual),
            path => Ledger::In(PathBuf::from(path)),
        };
        let passing = match &ledger {
            Ledger::Usual(folder) | Ledger::In(folder) if !in_sandbox => self.passing(folder),
            _ => None,
        };
        passing.map_or(ledger, Ledger::Passing)
    }
}
