//! Mistakes of design that tests plant one at a time, to see that the simulation finds each of them.

use crate::plant::bugs;

bugs! {
    /// The request leaves before the record is on the disk.
    SendBeforeWrite,
    /// A success is told before it is on the disk.
    TellBeforeWrite,
    /// An unknown outcome is taken for a failure.
    DoubtIsFailure,
    /// An unknown outcome is taken for "nothing was sent", and sent again (a retry on hyper's IncompleteMessage).
    DoubtIsUnsent,
    /// A crash while sending is taken for a failure.
    CrashIsFailure,
    /// A record that is being sent lets a second call in after a while.
    LockExpires,
    /// A key is forgotten once its operation has ended.
    KeyForgotten,
    /// The same key with another request gets the answer of the first.
    BodyNotInFingerprint,
    /// What was set aside is let go while the outcome is unknown.
    HoldReleasedInDoubt,
    /// A new key for what is in doubt is let through.
    NoTwinGuard,
    /// A refusal is believed without looking whether anything moved.
    RefusalUnconfirmed,
    /// One piece of evidence is taken for a proof.
    OnePieceIsEnough,
    /// An absence is stated before the quiet time is over.
    AbsentTooEarly,
    /// Evidence that another operation could explain is claimed.
    NobodyElse,
    /// The budget of the day does not count what was spent before.
    DayNotCounted,
    /// A failed write is tried again as if nothing had happened, and the request sent whatever comes of it.
    FailedWriteIgnored,
    /// Two purchases of one account run at once.
    NoTurn,
    /// What is found not to have been carried out is sent again by itself.
    AbsentSendsAgain,
    /// A caller is given the operation of another who used the same key.
    KeyWithoutCaller,
    /// What was found to be in doubt at the start is left alone.
    NoReconciliation,
    /// Whoever cannot reach the store sends all the same.
    SentWithoutStore,
    /// The turn is only a process's own.
    TurnOnlyLocal,
    /// Whoever has lost the turn with its connection goes on as if it had it.
    LostTurnUnnoticed,
    /// A process that begins anew takes the name of the one before it.
    NameUsedAgain,
    /// What came first is told by the clocks of different machines.
    ClocksCompared,
    /// Who was taken for dead writes its own outcome over what was decided meanwhile.
    DecisionOverwritten,
}
