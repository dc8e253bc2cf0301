//! Settings that put every limit out of the way of what is tested or measured.

/// Nobody waits for a turn, nothing is kept, nothing is sent again, and nothing is looked at first.
pub(crate) const OUT_OF_THE_WAY: [(&str, &str); 12] = [
    ("GIZAD_PACE_RATE", "1000000/s"),
    ("GIZAD_PACE_BURST", "100000"),
    ("GIZAD_PACE_QUEUE", "10000"),
    ("GIZAD_PACE_LONGEST_PAUSE", "1ms"),
    ("GIZAD_QUOTA_RATE", "1000000/s"),
    ("GIZAD_QUOTA_BURST", "100000"),
    ("GIZAD_RETRY_ATTEMPTS", "1"),
    ("GIZAD_BREAKER_FAILURES", "10000"),
    ("GIZAD_BREAKER_LEAST", "1000000"),
    ("GIZAD_CACHE_TTL", "0s"),
    ("GIZAD_STATE_DIR", ""),
    ("GIZAD_WATCH_LOOK_FIRST", "false"),
];
