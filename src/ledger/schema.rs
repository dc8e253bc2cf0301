//! The tables, and how a database of an older gizad becomes one of this. Absent here: a connection; each store runs
//! these texts in a transaction of its own, under a lock that keeps others out.

use super::store::Trouble;

/// Each step from one version to the next, the first from nothing. A step that was ever released is never edited.
const STEPS: [&str; 1] = [include_str!("migrations/1.sql")];

/// Holds the versions that were reached; made before the first step.
pub(super) const VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY, at_ms BIGINT NOT NULL)";

/// The version that this build knows.
pub(super) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// The steps that a database at a version still needs, each with the version it leads to.
///
/// # Errors
/// When a newer gizad was here: what it wrote may mean something that this one does not know.
pub(super) fn missing(found: i64) -> Result<impl Iterator<Item = (i64, &'static str)>, Trouble> {
    let known = known();
    if found > known {
        return Err(Trouble::Unfit(format!(
            "the ledger has schema {found} and this build knows {known}: a newer gizad has used it; run that \
             version or a newer one, or restore the copy that was made before the upgrade"
        )));
    }
    Ok((1..).zip(STEPS).filter(move |(version, _)| *version > found))
}

/// The words that PostgreSQL spells otherwise. Text is compared byte by byte, as SQLite does, whatever the database's
/// collation is.
pub(super) fn for_postgres(step: &str) -> String {
    step.replace(" TEXT", " TEXT COLLATE \"C\"")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
        .replace(") STRICT;", ");")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_schema_gets_what_it_lacks_and_a_newer_one_is_refused() {
        assert_eq!(missing(0).expect("older").count(), STEPS.len());
        assert_eq!(missing(known()).expect("the same").count(), 0);
        let Err(Trouble::Unfit(told)) = missing(known() + 1).map(|_| ()) else { panic!("a newer schema") };
        assert!(told.contains("schema 2") && told.contains("knows 1"), "{told}");
    }
}
