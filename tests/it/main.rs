//! The whole gateway over real sockets, against the stand-in for the provider, asserting both ends: what the
//! caller got and what the provider saw.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails loudly, and reaches for clocks, files and tasks as it likes"
)]

mod access;
mod answers;
#[path = "../client/attacks.rs"]
mod attacks;
mod audit;
mod cache;
mod canaries;
mod certificates;
mod chaos;
mod cli;
#[path = "../client/codec.rs"]
mod codec;
mod credentials;
mod crowd;
mod doctor;
mod documented;
mod edge;
mod expiring;
mod grpc;
mod hostile;
mod kills;
mod ledger;
mod life;
#[path = "../client/limits.rs"]
mod limits;
mod listen;
mod logs;
mod malformed;
mod market;
mod matrix;
#[path = "../client/memory.rs"]
mod memory;
mod metrics;
mod money;
mod openapi;
mod operations;
mod paces;
mod pages;
mod paying;
mod pods;
mod provider;
mod recording;
mod records;
mod replicas;
mod rig;
mod secrets;
mod seeing;
mod settings;
mod shares;
mod status;
mod tables;
mod tls;
mod together;
mod traces;
mod traffic;
mod upgrade;
mod waiting;
mod wallet;
mod wire;
