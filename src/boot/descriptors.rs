//! How many descriptors the process may open, and how many of them callers get: never those that the provider, the ledger and
//! the files need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Failure;
use crate::edge::{Limits, SPARE};

/// What is kept for connections to the provider and the database, the files of ledger, state and audit log, and standard streams.
const RESERVE: usize = 64;
/// Connections on their way in and out, of both listeners.
const PASSING: usize = 4 * SPARE;
/// The least that gizad starts with.
const LEAST: usize = 192;
/// What the admin listener gets at most: a browser alone keeps dozens.
const ADMIN: usize = 256;
/// Each of its answers is made for whoever asks, and may be long.
const ADMIN_STREAMS: u32 = 8;

/// The limits of the API and those of the admin listener, as far as the process's own limit goes, which is raised as far as
/// it may be.
///
/// # Errors
/// When that is too little for any use.
pub(super) fn share(limits: &Limits) -> Result<(Limits, Limits), Failure> {
    let allowed = raise();
    if allowed < LEAST {
        return Err(Failure::Build(format!(
            "the process may open {allowed} descriptors, and gizad needs {LEAST}: raise LimitNOFILE= or `ulimit -n`"
        )));
    }
    let (api, admin) = shared(limits, allowed);
    if api.connections < limits.connections {
        tracing::warn!(
            descriptors = allowed,
            connections = api.connections,
            "fewer connections than limits.connections are taken, because the process may not open more descriptors"
        );
    }
    Ok((api, admin))
}

/// Asks for as many as the system allows, which is more than what programs get that use `select`; gizad does not.
fn raise() -> usize {
    let own = getrlimit(Resource::Nofile);
    let (Some(now), most) = (own.current, own.maximum) else { return usize::MAX };
    if most.is_none_or(|most| now < most)
        && setrlimit(Resource::Nofile, Rlimit { current: most, ..own }).is_ok()
    {
        return most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    }
    usize::try_from(now).unwrap_or(usize::MAX)
}

fn shared(limits: &Limits, allowed: usize) -> (Limits, Limits) {
    let admin = ADMIN.min(allowed / 8).min(limits.connections);
    let api = limits.connections.min(allowed.saturating_sub(RESERVE + PASSING + admin));
    let of = |connections: usize, per_peer: usize, streams: u32| Limits {
        connections,
        connections_per_peer: per_peer.min(connections),
        streams,
        ..limits.clone()
    };
    (of(api, limits.connections_per_peer, limits.streams), of(admin, admin.div_ceil(2), ADMIN_STREAMS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_reserved_is_not_given_away() {
        let second = Duration::from_secs(1);
        let limits = Limits {
            connections: 1024,
            connections_per_peer: 512,
            head_timeout: second,
            idle_timeout: second,
            write_timeout: second,
            streams: 256,
        };
        for allowed in [LEAST, 256, 1024, 1_000_000] {
            let (api, admin) = shared(&limits, allowed);
            assert!(api.connections + admin.connections + PASSING + RESERVE <= allowed, "{allowed}");
            assert!(api.connections >= 40 && admin.connections >= 16, "{allowed}");
            assert!(api.connections_per_peer <= api.connections && admin.connections_per_peer >= 8);
        }
        assert_eq!(shared(&limits, 1_000_000).0.connections, 1024);
    }
}
