//! What a connection is worth beside others, when there are more than there is room for.

/// When a connection's turn comes to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) worth: Worth,
    pub(super) since: u32,
}

/// What a connection is worth beside others, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// It does not take what it has asked for.
    Untaken,
    /// It has never had an answer.
    Unknown,
    /// It has come just now, and its request may be on its way: whoever wants its place waits until its grace is over.
    Newcomer,
    /// It has had an answer, and keeps the connection for the next.
    Idle,
    /// It has had one just now, and the next may be on its way, likewise.
    Busy,
}
