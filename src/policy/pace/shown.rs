//! The pace as it is shown, and what a replica knows of the others.

use std::time::Duration;

use tokio::time::Instant;

use super::replica::Replica;
use crate::shared::division::ALL;
use crate::shared::lease::Standing;

/// The pace as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Calls a second, as this gizad lets them through now.
    pub per_second: f64,
    /// Calls a second, as all replicas of the account together do.
    pub account_per_second: f64,
    /// The part of the configured rate that this is, from 0 to 1.
    pub part: f64,
    /// How long the provider is left alone, if it is.
    pub paused_for: Option<Duration>,
    /// How many wait: writes, reads, polls.
    pub waiting: [usize; 3],
    /// Who shares the account's rate, if anybody does.
    pub replicas: Option<Replicas>,
}

/// This replica among the others.
#[derive(Clone, Debug)]
pub struct Replicas {
    /// The most that there may be.
    pub most: u32,
    /// The part of the account's rate that this one uses at most, from 0 to 1.
    pub share: f64,
    /// How it stands.
    pub standing: Standing,
    /// For how long it has heard nothing from the others and been on its own, if it is.
    pub alone_for: Option<Duration>,
    /// How long ago it saw the others last, if it ever did.
    pub seen_ago: Option<Duration>,
    /// Everyone, this one included, as it saw them then, by name.
    pub all: Vec<ReplicaShown>,
}

/// A replica as another sees it.
#[derive(Clone, Debug)]
pub struct ReplicaShown {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// How long it has been there.
    pub up: Duration,
    /// The part of the account's rate that it uses at most, or that is kept for it if it is silent; from 0 to 1.
    pub share: f64,
    /// The part that it wants; all of it if calls wait.
    pub wants: f64,
    /// How long ago it said so.
    pub lag: Duration,
    /// It has said nothing for so long that it counts as cut off: an even share is kept for it.
    pub is_silent: bool,
}

/// Why nothing is taken away from a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alive {
    /// It was heard of so long ago.
    Heard(Duration),
    /// There is none of that name.
    Unknown,
}

impl Replicas {
    pub(super) fn of(replica: &Replica, now: Instant) -> Self {
        let part = |share: u64| share as f64 / ALL as f64;
        let seen_ago = replica.seen.as_ref().map(|(_, at)| now.saturating_duration_since(*at));
        let mut all: Vec<ReplicaShown> = replica
            .seen
            .iter()
            .flat_map(|(view, at)| {
                // What the server's clock shows now, as far as this one can tell.
                let passed = now.saturating_duration_since(*at).as_millis();
                let now_ms = view.now_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
                let ago = move |ms: i64| {
                    Duration::from_millis(u64::try_from(now_ms.saturating_sub(ms)).unwrap_or(0))
                };
                view.rows.iter().map(move |row| ReplicaShown {
                    name: row.name.clone(),
                    version: row.version.clone(),
                    address: row.address.clone(),
                    up: ago(row.begun_ms),
                    share: part(row.counted(view.now_ms, replica.most)),
                    wants: part(row.wants),
                    lag: ago(row.renewed_ms),
                    is_silent: row.is_silent(view.now_ms),
                })
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let (standing, alone_for) = (replica.lease.standing(now), replica.alone_for(now));
        Self { most: replica.most, share: part(replica.lease.share(now)), standing, alone_for, seen_ago, all }
    }
}
