//! The ledger's tables. They are written for SQLite; `database` knows the words that PostgreSQL spells otherwise.

use crate::database::Lineage;

pub(super) const TABLES: Lineage =
    Lineage { of: "the ledger", versions: "schema_version", steps: &[include_str!("migrations/1.sql")] };
