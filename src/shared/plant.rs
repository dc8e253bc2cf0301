//! Mistakes of design that tests plant one at a time, to see that the simulation of the shared pace finds each of them.

use crate::plant::bugs;

bugs! {
    /// A replica says that it uses less before it does.
    SaysLessFirst,
    /// A lease counts from the answer, and so ends later than others believe.
    LeaseFromTheAnswer,
    /// A lease has no end.
    LeaseForEver,
    /// Only what renews a lease notices its end, and not a call that asks.
    EndUnseenByCalls,
    /// A replica whose lease has ended goes on with its share, although others count an even one.
    EndKeepsTheShare,
    /// A replica whose lease has ended takes an even share at once, although others may not have noticed.
    EvenAtOnce,
    /// The time until it does counts from the last answer, although what was asked since may have been done.
    RiseFromTheLastAnswer,
    /// A replica that is silent is taken for gone.
    SilentIsGone,
    /// A share grows without regard to what others did since it was reckoned.
    GrowsBlindly,
    /// A share above the even one is renewed without regard to what others did since.
    LargeIsRenewedBlindly,
    /// A newcomer begins with a full bucket.
    NewcomerIsRested,
    /// Each replica has the account's whole burst.
    BurstOfEach,
    /// What is left in a bucket stays when its share is taken away.
    BurstIsKept,
    /// A newcomer takes a place although nobody knows who of the others is alive.
    PlaceTakenAtOnce,
}
