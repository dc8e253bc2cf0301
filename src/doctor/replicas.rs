//! The gizads that share the account, as the database has them.

use std::time::Duration;

use super::Finding;
use crate::boot::Failure;
use crate::shared::division::ALL;
use crate::shared::renewal::{Row, View};

const CHECK: &str = "replicas";

/// Whether they are silent, as they were seen.
pub(super) fn judged(seen: Result<Option<View>, Failure>, most: u32) -> Finding {
    match seen {
        Err(failure) => Finding::wrong(
            CHECK,
            failure.to_string(),
            "no gizad starts without the database; those that run use their static share of the rate and buy nothing until it is back",
        ),
        Ok(None) => Finding::skipped(CHECK, "no gizad of this account was ever there"),
        Ok(Some(view)) => listed(&view, most),
    }
}

fn listed(view: &View, most: u32) -> Finding {
    let there = view.rows.iter().filter(|row| !row.is_silent(view.now_ms)).count();
    let silent = view.rows.len() - there;
    let each: Vec<String> = view.rows.iter().map(|row| told(row, view.now_ms, most)).collect();
    let all = match each.is_empty() {
        true => String::new(),
        false => format!(": {}", each.join("; ")),
    };
    let what = format!("{there} of {most} are there{all}");
    if silent > 0 {
        let advice = "one that is gone without a farewell keeps its static share of the rate until another needs its place; if its process \
                      is certainly gone, say so on the admin port of one that is there (`curl -X POST 'localhost:7071/replicas/forget?name=NAME'`); \
                      if it runs, look why it does not reach the database";
        return Finding::warning(CHECK, format!("{what}; {silent} of them silent"), advice);
    }
    Finding::fine(CHECK, what)
}

fn told(row: &Row, now_ms: i64, most: u32) -> String {
    let lag = Duration::from_millis(u64::try_from(now_ms.saturating_sub(row.renewed_ms)).unwrap_or(0));
    let Row { name, version, address, .. } = row;
    let percent = row.counted(now_ms, most) as f64 / ALL as f64 * 100.0;
    if row.is_silent(now_ms) {
        let silent = lag.as_secs_f64();
        return format!(
            "{name} {version} at {address}, silent for {silent:.0} s, {percent:.0} % of the rate kept for it"
        );
    }
    format!(
        "{name} {version} at {address}, {percent:.0} % of the rate, heard of {:.1} s ago",
        lag.as_secs_f64()
    )
}
