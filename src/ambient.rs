//! The one door to what is not an argument: the clock and randomness. Everything else goes through here, and
//! the lints of `.clippy.toml` hold that, so that each can be replaced in a test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Sixteen random bytes from the operating system; all zero if it has none to give.
#[must_use]
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Used for names, never for secrets of the gateway; a name that repeats is better than no answer.
    let _best_effort = getrandom::getrandom(&mut bytes);
    bytes
}

/// Thirty-two random bytes from the operating system, fit for keys; nothing if it has none to give.
#[must_use]
pub fn secret() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::getrandom(&mut bytes).ok().map(|()| bytes)
}

/// Sixteen bytes that this process gives only once, and no other process is likely to: a random beginning, and a count
/// that is made to look like nothing. Cheap enough for every request; not for secrets.
#[must_use]
pub fn unique() -> [u8; 16] {
    static BEGINNING: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let beginning = BEGINNING.get_or_init(|| u128::from_ne_bytes(random()));
    // An odd factor keeps different counts different.
    let count = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (beginning ^ u128::from(count)).to_be_bytes()
}

/// A random fraction, from 0 to just under 1.
#[must_use]
pub fn fraction() -> f64 {
    let [a, b, c, d, ..] = random();
    f64::from(u32::from_ne_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

/// A moment to measure from. Stands still with tokio's clock in a test.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn instant() -> Instant {
    Instant::now()
}

/// What the wall clock shows.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970 by the wall clock.
#[must_use]
pub fn unix_millis() -> i64 {
    wall_clock()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
