//! The tables of a lineage, made or brought up to date by whoever comes first. Absent here: what they are.

use tokio_postgres::{Error, GenericClient};

use super::link::{self, Link};
use super::lock::{self, Key};
use crate::ambient;
use crate::database::cells::first;
use crate::database::lineage::{Lineage, for_postgres};
use crate::database::statement::Statement;
use crate::database::trouble::Trouble;

/// Makes what is missing, all or nothing, while everybody else waits.
pub(crate) async fn prepare(link: &mut Link, lineage: &Lineage) -> Result<(), Trouble> {
    link::in_time(link, async |link| {
        let unfit = |error: &Error| unfit(lineage, error);
        let transaction = link.client().transaction().await.map_err(|error| unfit(&error))?;
        link::change(&transaction, &lock::for_this_transaction(Key::new("schema", ""))).await?;
        let found = version(&transaction, lineage).await?.unwrap_or(0);
        for (version, step) in lineage.missing(found)? {
            transaction.batch_execute(&lineage.begin()).await.map_err(|error| unfit(&error))?;
            transaction.batch_execute(&for_postgres(step)).await.map_err(|error| unfit(&error))?;
            let reached = Statement::new(
                format!("INSERT INTO {} VALUES ($1, $2)", lineage.versions),
                [version.into(), ambient::unix_millis().into()],
            );
            link::change(&transaction, &reached).await?;
        }
        transaction.commit().await.map_err(|error| unfit(&error))
    })
    .await
}

/// Looks whether the tables can be read by this build, and makes nothing. False if nobody ever made them.
///
/// # Errors
/// When they are older or newer than it knows.
pub(crate) async fn look(link: &mut Link, lineage: &Lineage) -> Result<bool, Trouble> {
    let found = link::in_time(link, async |link| version(link.client(), lineage).await).await?;
    let Some(found) = found else { return Ok(false) };
    match lineage.missing(found)?.next() {
        None => Ok(true),
        Some(_) => Err(Trouble::Unfit(format!(
            "{} has schema {found} and this build reads {}: the next start of gizad brings it up to date",
            lineage.of,
            lineage.known()
        ))),
    }
}

/// The version that the tables have; nothing if nobody ever made them.
async fn version(client: &impl GenericClient, lineage: &Lineage) -> Result<Option<i64>, Trouble> {
    let asked = |text: String| Statement::new(text, []);
    let versions = lineage.versions;
    let there = asked(format!("SELECT to_regclass('{versions}') IS NOT NULL"));
    if !lock::is_true(link::rows(client, &there).await?)? {
        return Ok(None);
    }
    let rows =
        link::rows(client, &asked(format!("SELECT COALESCE(MAX(version), 0) FROM {versions}"))).await?;
    first(rows, |mut row| row.number())
}

/// What the server itself refuses has to be changed there.
fn unfit(lineage: &Lineage, error: &Error) -> Trouble {
    match error.as_db_error() {
        Some(refused) => Trouble::Unfit(format!("the tables of {} cannot be made: {refused}", lineage.of)),
        None => link::trouble(error),
    }
}
