//! What a writer is called. Absent here: whether it is alive.

use crate::ambient;
use crate::database::Trouble;

/// A name that no writer ever had.
///
/// # Errors
/// When there is no randomness: two writers of one name would take each other for alive.
pub(super) fn new() -> Result<String, Trouble> {
    let random = ambient::random();
    if random == [0; 16] {
        return Err(Trouble::Failed("the system has no randomness for the name of a writer".into()));
    }
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
