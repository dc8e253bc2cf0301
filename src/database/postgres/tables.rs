//! The tables of a lineage, made or brought up to date by whoever comes first. Absent here: what they are.

use tokio_postgres::Error;

use super::link::{self, Link};
use super::lock::{self, Key};
use crate::ambient;
use crate::database::lineage::{Lineage, for_postgres};
use crate::database::statement::Statement;
use crate::database::trouble::Trouble;

/// Makes what is missing, all or nothing, while everybody else waits.
pub(crate) async fn prepare(link: &mut Link, lineage: &Lineage) -> Result<(), Trouble> {
    link::in_time(link, async |link| {
        let unfit = |error: &Error| unfit(lineage, error);
        let transaction = link.client().transaction().await.map_err(|error| unfit(&error))?;
        link::change(&transaction, &lock::for_this_transaction(Key::new("schema", ""))).await?;
        let versions = lineage.versions;
        let there = asked(format!("SELECT to_regclass('{versions}') IS NOT NULL"));
        let found = if lock::is_true(link::rows(&transaction, &there).await?)? {
            let latest = asked(format!("SELECT MAX(version) FROM {versions}"));
            let rows = link::rows(&transaction, &latest).await?;
            rows.into_iter().next().map_or(Ok(None), |mut row| row.maybe_number())?.unwrap_or(0)
        } else {
            0
        };
        for (version, step) in lineage.missing(found)? {
            transaction.batch_execute(&lineage.begin()).await.map_err(|error| unfit(&error))?;
            transaction.batch_execute(&for_postgres(step)).await.map_err(|error| unfit(&error))?;
            let reached = Statement::new(
                format!("INSERT INTO {versions} VALUES ($1, $2)"),
                [version.into(), ambient::unix_millis().into()],
            );
            link::change(&transaction, &reached).await?;
        }
        transaction.commit().await.map_err(|error| unfit(&error))
    })
    .await
}

/// Whether anybody ever made the tables.
pub(crate) async fn are_there(link: &Link, lineage: &Lineage) -> Result<bool, Trouble> {
    lock::is_true(link.rows(&asked(format!("SELECT to_regclass('{}') IS NOT NULL", lineage.versions))).await?)
}

/// Looks whether the tables are there and can be read, and makes nothing.
pub(crate) async fn look(link: &Link, lineage: &Lineage) -> Result<(), Trouble> {
    let Lineage { of, versions, .. } = lineage;
    if !are_there(link, lineage).await? {
        return Err(Trouble::Unfit(format!(
            "{of} is not in this database yet; the first start of gizad makes it"
        )));
    }
    let rows = link.rows(&asked(format!("SELECT MAX(version) FROM {versions}"))).await?;
    let found = rows.into_iter().next().map_or(Ok(None), |mut row| row.maybe_number())?.unwrap_or(0);
    match lineage.missing(found)?.next() {
        None => Ok(()),
        Some(_) => Err(Trouble::Unfit(format!(
            "{of} has schema {found} and this build reads {}: the next start of gizad brings it up to date",
            lineage.known()
        ))),
    }
}

fn asked(text: String) -> Statement {
    Statement::new(text, [])
}

/// What the server itself refuses has to be changed there.
fn unfit(lineage: &Lineage, error: &Error) -> Trouble {
    match error.as_db_error() {
        Some(refused) => Trouble::Unfit(format!("the tables of {} cannot be made: {refused}", lineage.of)),
        None => link::trouble(error),
    }
}
