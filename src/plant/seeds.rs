//! Seeds that a simulation is played with, on as many threads as there are cores, until something is wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A number that somebody has written into the environment.
#[expect(clippy::disallowed_methods, reason = "whoever runs more seeds says so in the environment")]
pub(crate) fn wished(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The same, or the usual one.
pub(crate) fn number(name: &str, usual: u64) -> u64 {
    wished(name).unwrap_or(usual)
}

/// Plays seeds, each thread after it has begun like this. Says which seed was the first for which something was wrong, and what.
pub(crate) fn play_all<W: Send>(
    first: u64,
    seeds: u64,
    begin: impl Fn() + Sync,
    play: impl Fn(u64) -> Option<W> + Sync,
) -> Option<(u64, W)> {
    let (next, found, violated) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                begin();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || found.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Some(wrong) = play(seed) {
                        found.store(true, Ordering::Relaxed);
                        let mut violated = violated.lock().unwrap_or_else(PoisonError::into_inner);
                        violated.get_or_insert((seed, wrong));
                    }
                }
            });
        }
    });
    violated.into_inner().unwrap_or_else(PoisonError::into_inner)
}
