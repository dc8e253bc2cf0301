//! Runs the stand-in for the provider: alone, or beside the gateway.

use std::net::SocketAddr;

use super::Failure;
use super::handed::bind;
use super::stop::Stop;
use crate::sandbox::{self, Sandbox};
use crate::settings::Settings;
use crate::upstream::Target;

/// Runs the stand-in for the provider alone.
///
/// # Errors
/// What kept it from starting.
pub async fn sandbox(options: sandbox::Options) -> Result<(), Failure> {
    let sandbox = bind_sandbox(options).await?;
    let (listen, control) = sandbox.addresses()?;
    tracing::info!(url = %format!("http://{listen}/api"), control = %control, "sandbox ready");
    let mut stop = Stop::new()?;
    tokio::select! {
        () = sandbox.run() => {}
        asked = stop.asked() => tracing::info!(signal = asked.as_str(), "stopped"),
    }
    Ok(())
}

/// Starts the stand-in and points the provider's settings at it; returns where it takes orders.
pub(super) async fn start(options: sandbox::Options, settings: &mut Settings) -> Result<SocketAddr, Failure> {
    let sandbox = bind_sandbox(options).await?;
    let (listen, control) = sandbox.addresses()?;
    settings.upstream.target = Target::parse(&format!("http://{listen}/api")).map_err(Failure::Build)?;
    #[expect(clippy::disallowed_methods, reason = "boot is where tasks start")]
    tokio::spawn(sandbox.run());
    Ok(control)
}

async fn bind_sandbox(options: sandbox::Options) -> Result<Sandbox, Failure> {
    let provider = bind(options.listen)?;
    let control = bind(options.control)?;
    Sandbox::new(options, provider, control).map_err(|why| Failure::Build(format!("sandbox.replay: {why}")))
}
