//! What the policies have learned and would like to know again after a restart. It is a convenience: without it gizad
//! starts all the same.

use prost::Message;

/// All of it.
#[derive(Clone, PartialEq, Message)]
pub struct Kept {
    /// The public catalog.
    #[prost(message, repeated, tag = "1")]
    pub replies: Vec<KeptReply>,
    /// The part of the configured rate that the provider seems to take, from 0 to 1; 0 if nothing is known.
    #[prost(double, tag = "2")]
    pub pace_part: f64,
    /// Until when the provider wants to be left alone, in milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub paused_until_unix_ms: i64,
}

/// One answer of the catalog.
#[derive(Clone, PartialEq, Message)]
pub struct KeptReply {
    /// The operation's name.
    #[prost(string, tag = "1")]
    pub operation: String,
    /// Its request, as protobuf.
    #[prost(bytes = "vec", tag = "2")]
    pub request: Vec<u8>,
    /// Its response, as protobuf.
    #[prost(bytes = "vec", tag = "3")]
    pub reply: Vec<u8>,
    /// When the provider was asked, in milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub asked_unix_ms: i64,
}
