//! The whole gateway over real sockets, against the stand-in for the provider, asserting both ends: what the
//! caller got and what the provider saw.

mod answers;
mod edge;
mod grpc;
mod operations;
mod provider;
mod rig;
mod secrets;
mod settings;
mod tables;
mod tls;
mod wallet;
