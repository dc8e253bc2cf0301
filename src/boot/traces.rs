//! Has traces sent, if somebody wants them.

use std::time::Duration;

use super::Failure;
use crate::traces::{Exporter, Options, Tracer};

/// How long the last of them may take, once gizad has finished.
const LAST: Duration = Duration::from_secs(3);

/// What sends them, if anything does.
pub(super) struct Sending(Option<Exporter>);

/// The hand that begins traces, and what sends them.
pub(super) fn start(options: Option<Options>) -> Result<(Tracer, Sending), Failure> {
    let Some(options) = options else { return Ok((Tracer::off(), Sending(None))) };
    let (tracer, exporter) = Tracer::new(options).map_err(Failure::Build)?;
    Ok((tracer, Sending(Some(exporter))))
}

impl Sending {
    /// Sends what there is, for ever.
    pub(super) async fn run(&self) {
        match &self.0 {
            Some(exporter) => exporter.run().await,
            None => std::future::pending().await,
        }
    }

    /// Sends what is left.
    pub(super) async fn flush(&self) {
        if let Some(exporter) = &self.0 {
            exporter.flush(LAST).await;
        }
    }
}
