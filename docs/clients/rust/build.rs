//! Makes the stubs from the contract. Copy `proto/` beside your own crate, and name it here.

use std::error::Error;

const PROTO: &str = "../../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let files = ["operations", "vps", "wallet"].map(|name| format!("{PROTO}/gizad/v1/{name}.proto"));
    let set = protox::compile(files, [PROTO])?;
    tonic_prost_build::configure().build_server(false).build_transport(false).compile_fds(set)?;
    Ok(())
}
