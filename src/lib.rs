//! gizad
pub mod ambient;
pub mod boot;
pub mod call;
pub mod contract;
pub mod edge;
pub mod fault;
pub mod policy;
pub mod sandbox;
pub mod settings;
pub mod telemetry;
pub mod upstream;
