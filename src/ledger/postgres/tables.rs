//! The tables of a database, made or brought up to date by whoever comes first. Absent here: what they are.

use tokio_postgres::Error;

use super::link::{self, Link};
use super::lock;
use crate::ambient;
use crate::ledger::cells::Value;
use crate::ledger::schema;
use crate::ledger::statement::Statement;
use crate::ledger::store::Trouble;

/// Makes what is missing, all or nothing, while everybody else waits.
pub(super) async fn prepare(link: &mut Link) -> Result<(), Trouble> {
    link::in_time(link, async |link| {
        let transaction = link.client().transaction().await.map_err(|error| unfit(&error))?;
        link::change(&transaction, &lock::for_tables()).await?;
        let there = asked("SELECT to_regclass('schema_version') IS NOT NULL");
        let found = if lock::is_true(link::rows(&transaction, &there).await?)? {
            let rows = link::rows(&transaction, &asked("SELECT MAX(version) FROM schema_version")).await?;
            rows.into_iter().next().map_or(Ok(None), |mut row| row.maybe_number())?.unwrap_or(0)
        } else {
            0
        };
        for (version, step) in schema::missing(found)? {
            transaction.batch_execute(schema::VERSIONS).await.map_err(|error| unfit(&error))?;
            let step = schema::for_postgres(step);
            transaction.batch_execute(&step).await.map_err(|error| unfit(&error))?;
            let mut reached = asked("INSERT INTO schema_version VALUES ($1, $2)");
            reached.values = vec![Value::from(version), Value::from(ambient::unix_millis())];
            link::change(&transaction, &reached).await?;
        }
        transaction.commit().await.map_err(|error| unfit(&error))
    })
    .await
}

fn asked(text: &str) -> Statement {
    Statement { text: text.into(), values: Vec::new() }
}

/// What the server itself refuses has to be changed there.
fn unfit(error: &Error) -> Trouble {
    match error.as_db_error() {
        Some(refused) => Trouble::Unfit(format!("the ledger's tables cannot be made: {refused}")),
        None => link::trouble(error),
    }
}
