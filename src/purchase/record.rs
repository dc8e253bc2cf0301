//! What is written down of one operation. Every field that is added gets a new tag, and none is ever reused: a record
//! must be readable years later.

use prost::{Enumeration, Message};

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum State {
    /// Not a state: what a record of a newer version says that this one does not know.
    Unknown = 0,
    /// It waits for another caller's approval. Nothing was sent.
    AwaitingApproval = 1,
    /// It is being sent: from before the first byte until the outcome is written down.
    Sending = 2,
    /// It is proven that nothing was sent. The same key tries again.
    NotSent = 3,
    /// It was carried out, and the provider said so.
    Succeeded = 4,
    /// The provider refused, and nothing moved.
    Refused = 5,
    /// It was given up before anything was sent.
    FailedNotSent = 6,
    /// It may have been carried out, and nobody knows yet.
    InDoubt = 7,
    /// It was in doubt, and was carried out.
    Found = 8,
    /// It was in doubt, and was not carried out.
    Absent = 9,
    /// It is in doubt, and what was seen does not decide it: a person does.
    NeedsOperator = 10,
}

impl State {
    /// All states that an operation can be in.
    pub const ALL: [Self; 10] = [
        Self::AwaitingApproval,
        Self::Sending,
        Self::NotSent,
        Self::Succeeded,
        Self::Refused,
        Self::FailedNotSent,
        Self::InDoubt,
        Self::Found,
        Self::Absent,
        Self::NeedsOperator,
    ];

    /// The name used in the API, in logs and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::AwaitingApproval => "AWAITING_APPROVAL",
            Self::Sending => "SENDING",
            Self::NotSent => "NOT_SENT",
            Self::Succeeded => "SUCCEEDED",
            Self::Refused => "REFUSED",
            Self::FailedNotSent => "FAILED_NOT_SENT",
            Self::InDoubt => "IN_DOUBT",
            Self::Found => "FOUND",
            Self::Absent => "ABSENT",
            Self::NeedsOperator => "NEEDS_OPERATOR",
        }
    }

    /// Whether nothing changes any more.
    #[must_use]
    pub fn is_last(self) -> bool {
        match self {
            Self::Succeeded | Self::Refused | Self::FailedNotSent | Self::Found | Self::Absent => true,
            Self::Unknown
            | Self::AwaitingApproval
            | Self::Sending
            | Self::NotSent
            | Self::InDoubt
            | Self::NeedsOperator => false,
        }
    }

    /// Whether it may have been carried out without anybody having been told.
    #[must_use]
    pub fn is_doubtful(self) -> bool {
        matches!(self, Self::Sending | Self::InDoubt | Self::NeedsOperator | Self::Unknown)
    }

    /// Whether it is, and nobody is at it any more: what is being sent just now is only in doubt once that has ended.
    #[must_use]
    pub fn is_in_doubt(self) -> bool {
        self.is_doubtful() && self != Self::Sending
    }
}

/// One operation, as it is written down.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// Its name, which nothing else has.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Who called.
    #[prost(string, tag = "2")]
    pub caller: String,
    /// The caller's idempotency key.
    #[prost(string, optional, tag = "3")]
    pub key: Option<String>,
    /// What was asked for: a digest over the operation and its parameters, secrets among them only by a keyed hash.
    #[prost(bytes = "vec", tag = "4")]
    pub fingerprint: Vec<u8>,
    /// What the evidence would be about. Two operations with the same cannot be told apart by what is seen.
    #[prost(bytes = "vec", tag = "5")]
    pub identity: Vec<u8>,
    /// The operation's name in the contract.
    #[prost(string, tag = "6")]
    pub operation: String,
    /// Whether it takes money from the wallet.
    #[prost(bool, tag = "7")]
    pub spends: bool,
    /// Where it stands.
    #[prost(enumeration = "State", tag = "8")]
    pub state: i32,
    /// How often it was begun to be sent.
    #[prost(uint32, tag = "9")]
    pub attempt: u32,
    /// What it costs, in đồng, if that is known.
    #[prost(int64, optional, tag = "10")]
    pub price_vnd: Option<i64>,
    /// What is set aside for it, in đồng.
    #[prost(int64, tag = "11")]
    pub held_vnd: i64,
    /// What it has cost, in đồng.
    #[prost(int64, tag = "12")]
    pub posted_vnd: i64,
    /// The day it counts for, in days since 1970 in Asia/Ho_Chi_Minh.
    #[prost(int64, tag = "13")]
    pub day: i64,
    /// The month it counts for, in months since 1970 there.
    #[prost(int64, tag = "14")]
    pub month: i64,
    /// When it came in, in milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub created_ms: i64,
    /// When something last happened to it.
    #[prost(int64, tag = "16")]
    pub changed_ms: i64,
    /// Since when it is in doubt; 0 if it is not.
    #[prost(int64, tag = "17")]
    pub doubted_ms: i64,
    /// The writer that is at it.
    #[prost(string, tag = "18")]
    pub owner: String,
    /// The whole request, sealed.
    #[prost(bytes = "vec", tag = "19")]
    pub request: Vec<u8>,
    /// The provider's answer as it is given to the caller, sealed.
    #[prost(bytes = "vec", tag = "20")]
    pub result: Vec<u8>,
    /// The rule that judged the provider's answer.
    #[prost(string, tag = "21")]
    pub rule: String,
    /// Why it did not succeed.
    #[prost(message, optional, tag = "22")]
    pub failure: Option<Failure>,
    /// What was seen of the account before it was sent.
    #[prost(message, optional, tag = "23")]
    pub before: Option<Sight>,
    /// What was seen of it last.
    #[prost(message, optional, tag = "24")]
    pub after: Option<Sight>,
    /// What that says, in words.
    #[prost(string, repeated, tag = "25")]
    pub evidence: Vec<String>,
    /// The services that came of it, as far as they are known.
    #[prost(string, repeated, tag = "26")]
    pub services: Vec<String>,
    /// Who approved, rejected or resolved it.
    #[prost(string, tag = "27")]
    pub decided_by: String,
    /// What that person said to it.
    #[prost(string, tag = "28")]
    pub note: String,
    /// Readings in a row in which nothing had moved. Not kept over a restart.
    #[prost(uint32, tag = "29")]
    pub clean: u32,
    /// Readings made since it is in doubt. Not kept over a restart.
    #[prost(uint32, tag = "30")]
    pub looked: u32,
    /// The place in the ledger of the latest entry about it; 0 if it is in none.
    #[prost(int64, tag = "31")]
    pub place: i64,
    /// The place of the entry with which it was last begun to be sent; 0 if it never was, or by a version that did not
    /// write that down.
    #[prost(int64, tag = "32")]
    pub begun: i64,
}

/// Why an operation did not succeed.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Failure {
    /// The constant that names it.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Why, for a person to read.
    #[prost(string, tag = "2")]
    pub detail: String,
    /// The rule that judged the provider's answer.
    #[prost(string, tag = "3")]
    pub rule: String,
    /// The HTTP status of that answer.
    #[prost(uint32, optional, tag = "4")]
    pub status: Option<u32>,
    /// The provider's own words.
    #[prost(string, tag = "5")]
    pub message: String,
}

/// What was seen of the account at one moment. What could not be read is missing.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Sight {
    /// When, in milliseconds since 1970.
    #[prost(int64, tag = "1")]
    pub at_ms: i64,
    /// What was in the wallet, in đồng.
    #[prost(int64, optional, tag = "2")]
    pub wallet_vnd: Option<i64>,
    /// The movements of the wallet.
    #[prost(message, optional, tag = "3")]
    pub moves: Option<Marks>,
    /// The things that the operation adds to or changes.
    #[prost(message, optional, tag = "4")]
    pub listing: Option<Listing>,
    /// The place of the latest entry in the ledger when the look began. Clocks of several replicas differ, and places do
    /// not: what has a higher one was written later. Missing in what earlier versions saw.
    #[prost(int64, optional, tag = "5")]
    pub place: Option<i64>,
}

/// Movements of the wallet that could be debits: of each a mark that tells it from others, and its amount.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Marks {
    /// The marks.
    #[prost(fixed64, repeated, tag = "1")]
    pub marks: Vec<u64>,
    /// The amounts, without a sign, in đồng.
    #[prost(int64, repeated, tag = "2")]
    pub amounts: Vec<i64>,
}

/// The things that an operation adds to or changes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Listing {
    /// All of them.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<Item>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Item {
    /// Its identifier.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether it is what was asked for, or what was asked to be changed.
    #[prost(bool, tag = "2")]
    pub fits: bool,
    /// What grows when it is renewed or paid: its end in milliseconds since 1970, or 1 for paid.
    #[prost(int64, optional, tag = "3")]
    pub worth: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_name_of_its_own() {
        let mut names: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), State::ALL.len());
    }

    /// The bytes as an earlier build has written them. Whoever has to change this text breaks ledgers.
    #[test]
    fn a_record_is_readable_years_later() {
        let record = Record {
            id: "op_1".into(),
            caller: "a".into(),
            key: Some("k".into()),
            spends: true,
            state: State::InDoubt.into(),
            attempt: 1,
            price_vnd: Some(149_000),
            held_vnd: 149_000,
            ..Record::default()
        };
        let text: String = record.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "0a046f705f311201611a016b38014007480150888c0958888c09");
        assert_eq!(Record::decode(&*record.encode_to_vec()).expect("readable"), record);
    }
}
