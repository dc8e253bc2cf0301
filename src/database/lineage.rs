//! The steps that lead to a set of tables, and which of them one that is there still needs. Absent here: a connection; each
//! database runs these texts in a transaction of its own, under a lock that keeps others out.

use super::trouble::Trouble;

/// A set of tables by the steps that lead to it, the first from nothing.
///
/// A step that was ever released is never edited, and it only adds: two versions next to each other work on the same tables,
/// so that replicas can be replaced one by one, and the newer one can be taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lineage {
    /// What they are, in words.
    pub(crate) of: &'static str,
    /// The table of the versions that were reached.
    pub(crate) versions: &'static str,
    pub(crate) steps: &'static [&'static str],
}

impl Lineage {
    /// Makes the table of versions, before the first step.
    pub(crate) fn begin(&self) -> String {
        let versions = self.versions;
        format!(
            "CREATE TABLE IF NOT EXISTS {versions} (version BIGINT NOT NULL PRIMARY KEY, at_ms BIGINT NOT NULL)"
        )
    }

    /// The version that this build leads to.
    pub(crate) fn known(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }

    /// The steps that tables at a version still need, each with the version it leads to.
    ///
    /// # Errors
    /// When a gizad was here that is newer by more than one step: what it wrote may mean something that this one does not know.
    pub(crate) fn missing(&self, found: i64) -> Result<impl Iterator<Item = (i64, &'static str)>, Trouble> {
        let (of, known) = (self.of, self.known());
        if found > known.saturating_add(1) {
            return Err(Trouble::Unfit(format!(
                "{of} has schema {found} and this build knows {known}, and works with {}: a newer gizad has used it; run that \
                 version or one next to it, or restore the copy that was made before the upgrade",
                known.saturating_add(1)
            )));
        }
        Ok((1..).zip(self.steps.iter().copied()).filter(move |(version, _)| *version > found))
    }
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

    const LINEAGE: Lineage = Lineage { of: "the ledger", versions: "versions", steps: &["one", "two"] };

    #[test]
    fn an_older_set_gets_what_it_lacks_the_next_one_is_worked_with_and_a_newer_one_is_refused() {
        let missing = |found| LINEAGE.missing(found).map(|steps| steps.collect::<Vec<_>>());
        assert_eq!(missing(0), Ok(vec![(1, "one"), (2, "two")]));
        assert_eq!(missing(1), Ok(vec![(2, "two")]));
        for next in [2, 3] {
            assert_eq!(missing(next), Ok(vec![]));
        }
        let Err(Trouble::Unfit(told)) = missing(4) else { panic!("a newer schema") };
        assert!(told.contains("schema 4") && told.contains("knows 2"), "{told}");
    }
}
