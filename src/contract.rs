//! The contract: every operation of the API, read once from the descriptors of `proto/` and resolved into
//! rows that all other rooms read. Nothing is looked up by name once a request is on its way.
//!
//! Absent here: an HTTP server, a provider's spelling, a setting.

pub mod any;
mod canonical;
mod comments;
mod declared;
mod effect;
mod field;
mod fold;
mod free;
mod load;
mod operation;
mod options;
mod route;
mod rules;
pub mod strict;
mod table;
mod trace;
mod watch;

use std::sync::OnceLock;

use prost_reflect::DescriptorPool;

pub use canonical::canonical;
pub use comments::Comments;
pub use effect::Effect;
pub use field::{EnumValue, Enumeration, Field, Judged, Kind, Message, Term, VietQr};
pub use fold::{fold, nearest};
pub use load::Defect;
pub use operation::{Action, Answer, Body, Operation, Shape, Variant};
pub use route::{Path, Verb};
pub use rules::{Bounds, Rules, Violation};
pub use trace::{Change, Expiring, Listing, Price, Renews, Trace};
pub use watch::{Goal, Watch, same};

/// The descriptors that `build.rs` compiled, without comments.
static ENCODED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.bin"));

/// The operations of the API and the descriptors they were read from.
#[derive(Debug)]
pub struct Contract {
    pool: DescriptorPool,
    operations: Vec<Operation>,
    watches: Vec<Operation>,
}

impl Contract {
    /// The contract that is compiled into this program, checked the first time it is asked for.
    ///
    /// # Errors
    /// Everything that is wrong with it, all at once. It cannot happen in a build that passed its tests.
    pub fn embedded() -> Result<&'static Self, &'static [Defect]> {
        static EMBEDDED: OnceLock<Result<Contract, Vec<Defect>>> = OnceLock::new();
        EMBEDDED.get_or_init(|| Self::load(ENCODED)).as_ref().map_err(Vec::as_slice)
    }

    /// Reads and checks a contract from an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    /// Everything that is wrong with it, all at once.
    pub fn load(encoded: &[u8]) -> Result<Self, Vec<Defect>> {
        load::contract(encoded)
    }

    /// The rows, in the order of their files and of the services in them.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The rows of those that stream.
    #[must_use]
    pub fn watches(&self) -> &[Operation] {
        &self.watches
    }

    /// Both.
    pub fn all(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().chain(&self.watches)
    }

    /// The row of one operation, by `Service.Method`.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.all().find(|operation| operation.name == name)
    }

    /// What the operation of a name does, as the contract that is compiled in has it; nothing if there is none.
    #[must_use]
    pub fn effect_of(name: &str) -> Option<Effect> {
        Self::embedded().ok()?.operation(name).map(|operation| operation.effect)
    }

    /// The full names of the gRPC services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let mut last = "";
        self.operations.iter().map(|operation| operation.service.as_str()).filter(move |service| {
            let new = *service != last;
            last = service;
            new
        })
    }

    /// The actions of the provider that have an operation of their own.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().flat_map(|operation| operation.upstream.names())
    }

    /// The encoded `FileDescriptorSet`, for reflection.
    #[must_use]
    pub fn encoded() -> &'static [u8] {
        ENCODED
    }

    /// The descriptors, for whoever builds messages by name.
    #[must_use]
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// The table of operations as text, one line each: verb, path, RPC, action, effect.
    #[must_use]
    pub fn table(&self) -> String {
        table::print(self)
    }
}
