//! Begins the recording of what is said to the provider and by it, if one is wanted.

use std::path::Path;

use super::Failure;
use crate::upstream::Recorder;

/// Begins it. It was asked for, so without it gizad does not start.
pub(super) fn begin(folder: Option<&Path>) -> Result<Option<Recorder>, Failure> {
    let Some(folder) = folder else { return Ok(None) };
    let begun = Recorder::begin(folder);
    let (recorder, file) =
        begun.map_err(|error| Failure::Build(format!("upstream.record: {}: {error}", folder.display())))?;
    tracing::warn!(file = %file.display(), "what is said to the provider and by it is recorded, without anything private");
    Ok(Some(recorder))
}
