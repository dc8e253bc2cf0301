//! The tables of what is watched and of the catalog, in PostgreSQL, and the ear on what is said beside them. Each thing here is
//! one statement. Absent here: anything in clear; what a row is about is a digest, and what it says is sealed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::renewal::FURTHEST_MS;
use super::{Answers, Asked, Found, Hearing, Notice, Pending, Pulse, Reading, Shared, Sighted, Sights, Told};
use crate::ambient;
use crate::database::{Cells, Statement, Trouble, Value, all, said, unexpected};

/// What the server's clock shows, in milliseconds since 1970, the rest cut off.
const NOW: &str = "FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";
/// How much the ledger has grown.
const PLACE: &str = "COALESCE((SELECT MAX(seq) FROM entries WHERE account = $1), 0)";
/// For how long a row is kept that nobody has any more.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// What is written down is sealed by those who share the ledger, and by nobody else.
pub trait Seal: Send + Sync {
    /// Seals something for what it is about.
    fn seal(&self, of: &str, open: &[u8]) -> Vec<u8>;
    /// Opens what was sealed for that.
    fn unseal(&self, of: &str, sealed: &[u8]) -> Option<Vec<u8>>;
    /// A digest that nobody else can make.
    fn print(&self, what: &[u8]) -> [u8; 32];
}

/// The board on which replicas show each other what they have seen and heard.
pub struct Board {
    shared: Shared,
    seal: Arc<dyn Seal>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Whether the replica that has a row is there.
fn there(row: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM replicas r WHERE r.account = $1 AND r.name = {row}.holder AND r.until_ms > {NOW} AND \
         r.until_ms <= {NOW} + {FURTHEST_MS})"
    )
}

impl Board {
    /// The one of what is shared, sealed like this.
    #[must_use]
    pub fn new(shared: Shared, seal: Arc<dyn Seal>) -> Self {
        Self { shared, seal }
    }

    fn statement(
        &self,
        text: impl Into<String>,
        name: &str,
        further: impl IntoIterator<Item = Value>,
    ) -> Statement {
        let own = [&*self.shared.account, name, &*self.shared.name].map(Value::from);
        Statement::new(text, own.into_iter().chain(further))
    }

    fn name_of(&self, kind: &str, what: &[u8]) -> Arc<str> {
        let print = self.seal.print(&[kind.as_bytes(), b" ", what].concat());
        print.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }

    fn say(&self, topic: &str, name: &str) -> String {
        Told::say(&self.shared.account, topic, name)
    }

    /// Asks for one row, in which the server's clock comes first.
    async fn row(&self, statement: Statement) -> Result<Option<(Reading, Cells)>, Trouble> {
        let asked = ambient::instant();
        let Some(mut row) = self.shared.session.rows(&statement).await?.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some((Reading::new(asked, row.number()?), row)))
    }

    async fn change(&self, statement: Statement) -> Result<bool, Trouble> {
        Ok(self.shared.session.change(&statement).await? > 0)
    }

    /// What a row says, if it says anything that can be read.
    fn opened(&self, name: &str, sealed: Option<Vec<u8>>) -> Option<Vec<u8>> {
        sealed.filter(|sealed| !sealed.is_empty()).and_then(|sealed| self.seal.unseal(name, &sealed))
    }
}

fn whole(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn nothing() -> Trouble {
    unexpected("a row")
}

impl Sights for Board {
    fn name(&self, what: &[u8]) -> Arc<str> {
        self.name_of("sight", what)
    }

    fn claim<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Reading>> {
        // What somebody saw who is gone, perhaps long ago, is not shown any more.
        let text = format!(
            "INSERT INTO sights AS s (account, key, holder, asked_ms, body) VALUES ($1, $2, $3, 0, ''::bytea) \
             ON CONFLICT (account, key) DO UPDATE SET holder = $3, body = CASE WHEN s.holder = $3 THEN s.body ELSE \
             ''::bytea END WHERE s.holder = $3 OR NOT {} RETURNING {NOW}",
            there("s")
        );
        let statement = self.statement(text, name, []);
        Box::pin(async { Ok(self.row(statement).await?.map(|(reading, _)| reading)) })
    }

    fn read<'a>(&'a self, name: &'a str) -> Pending<'a, Sighted> {
        let text = format!(
            "SELECT {NOW}, COALESCE(s.holder <> $3, FALSE) AND {}, s.body FROM (SELECT 1) one LEFT JOIN sights s ON \
             s.account = $1 AND s.key = $2",
            there("s")
        );
        let statement = self.statement(text, name, []);
        Box::pin(async move {
            let (reading, mut row) = self.row(statement).await?.ok_or_else(nothing)?;
            let is_held = row.number()? != 0;
            let body = self.opened(name, row.maybe_bytes()?);
            Ok(Sighted { reading, is_held, body })
        })
    }

    fn post<'a>(&'a self, name: &'a str, asked_ms: i64, body: &'a [u8]) -> Pending<'a, bool> {
        let sealed = self.seal.seal(name, body);
        let further = [asked_ms.into(), sealed.as_slice().into(), self.say(Told::SEEN, name).as_str().into()];
        let statement = self.statement(
            "WITH posted AS (UPDATE sights SET asked_ms = $4, body = $5 WHERE account = $1 AND key = $2 AND holder = $3 \
             RETURNING 1) SELECT pg_notify('gizad', $6) FROM posted",
            name,
            further,
        );
        Box::pin(self.change(statement))
    }

    fn let_go<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let statement = self.statement(
            "WITH gone AS (DELETE FROM sights WHERE account = $1 AND key = $2 AND holder = $3 RETURNING 1) \
             SELECT pg_notify('gizad', $4) FROM gone",
            name,
            [self.say(Told::SEEN, name).as_str().into()],
        );
        Box::pin(async { self.change(statement).await.map(drop) })
    }

    fn stir<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let statement = said(&self.say(Told::STIRRED, name));
        Box::pin(async { self.change(statement).await.map(drop) })
    }
}

impl Answers for Board {
    fn name(&self, what: &[u8]) -> Arc<str> {
        self.name_of("answer", what)
    }

    fn find<'a>(&'a self, name: &'a str) -> Pending<'a, Found> {
        let text = format!(
            "SELECT {NOW}, {PLACE}, CASE WHEN a.holder <> $3 AND {} THEN GREATEST(a.asking_until_ms - {NOW}, 0) ELSE 0 END, \
             COALESCE(a.asked_ms, 0), COALESCE(a.place, 0), a.body FROM (SELECT 1) one LEFT JOIN answers a ON \
             a.account = $1 AND a.key = $2",
            there("a")
        );
        let statement = self.statement(text, name, []);
        Box::pin(async move {
            let (reading, mut row) = self.row(statement).await?.ok_or_else(nothing)?;
            let place = row.number()?;
            let asking = Duration::from_millis(u64::try_from(row.number()?).unwrap_or(0));
            let asked = Asked { ms: row.number()?, place: row.number()? };
            let body = self.opened(name, row.maybe_bytes()?);
            Ok(Found { reading, place, asking, asked, body })
        })
    }

    fn claim<'a>(&'a self, name: &'a str, found: &'a Found, time: Duration) -> Pending<'a, bool> {
        let text = format!(
            "INSERT INTO answers AS a (account, key, holder, asking_until_ms, asked_ms, place, body) VALUES ($1, $2, $3, \
             {NOW} + $4, 0, 0, ''::bytea) ON CONFLICT (account, key) DO UPDATE SET holder = $3, asking_until_ms = {NOW} + $4 \
             WHERE a.asked_ms = $5 AND (a.holder = $3 OR a.asking_until_ms <= {NOW} OR NOT {})",
            there("a")
        );
        let statement = self.statement(text, name, [whole(time).into(), found.asked.ms.into()]);
        Box::pin(self.change(statement))
    }

    fn put<'a>(&'a self, name: &'a str, asked: Asked, body: &'a [u8]) -> Pending<'a, ()> {
        let sealed = self.seal.seal(name, body);
        let told = self.say(Told::ANSWERED, name);
        let text = format!(
            "WITH put AS (INSERT INTO answers AS a (account, key, holder, asking_until_ms, asked_ms, place, body) VALUES ($1, \
             $2, $3, 0, $4, $5, $6) ON CONFLICT (account, key) DO UPDATE SET holder = $3, asking_until_ms = 0, asked_ms = $4, \
             place = $5, body = $6 WHERE a.asked_ms < $4 OR a.asked_ms > {NOW} RETURNING 1) SELECT pg_notify('gizad', $7) FROM put"
        );
        let statement = self.statement(
            text,
            name,
            [asked.ms.into(), asked.place.into(), sealed.as_slice().into(), told.as_str().into()],
        );
        Box::pin(async { self.change(statement).await.map(drop) })
    }

    fn give_back<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let statement = self.statement(
            "WITH back AS (UPDATE answers SET asking_until_ms = 0 WHERE account = $1 AND key = $2 AND holder = $3 AND \
             asking_until_ms > 0 RETURNING 1) SELECT pg_notify('gizad', $4) FROM back",
            name,
            [self.say(Told::ANSWERED, name).as_str().into()],
        );
        Box::pin(async { self.change(statement).await.map(drop) })
    }
}

impl Hearing for Board {
    fn account(&self) -> &str {
        &self.shared.account
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.shared.session.notices()
    }

    fn pulse(&self) -> Pending<'_, Pulse> {
        let text = format!(
            "SELECT {NOW}, {PLACE}, (SELECT id FROM operations WHERE account = $1 AND sending = 1 LIMIT 1), \
             COALESCE((SELECT until_ms FROM replicas WHERE account = $1 AND name = $2), 0) - {NOW}"
        );
        let statement = Statement::new(text, [&*self.shared.account, &*self.shared.name].map(Value::from));
        Box::pin(async {
            let (reading, mut row) = self.row(statement).await?.ok_or_else(nothing)?;
            let (place, sending) = (row.number()?, row.maybe_text()?.map(Arc::from));
            let lease = Duration::from_millis(u64::try_from(row.number()?).unwrap_or(0));
            Ok(Pulse { reading, place, sending, lease })
        })
    }

    fn knows<'a>(&'a self, operation: &'a str) -> Pending<'a, ()> {
        let known = self.say(Told::KNOWN, operation);
        let statement = said(&format!("{known} {}", self.shared.name));
        Box::pin(async { self.change(statement).await.map(drop) })
    }

    fn others(&self) -> Pending<'_, Vec<Arc<str>>> {
        let text =
            format!("SELECT name FROM replicas WHERE account = $1 AND name <> $2 AND until_ms > {NOW}");
        let statement = Statement::new(text, [&*self.shared.account, &*self.shared.name].map(Value::from));
        Box::pin(async move {
            let rows = self.shared.session.rows(&statement).await?;
            all(rows, |mut row| row.text().map(Arc::from))
        })
    }

    fn sweep(&self) -> Pending<'_, ()> {
        let gone = |table: &str| {
            format!(
                "DELETE FROM {table} t WHERE t.account = $1 AND t.asked_ms < {NOW} - $2 AND NOT {}",
                there("t")
            )
        };
        let values = || [Value::from(&*self.shared.account), whole(FORGOTTEN).into()];
        Box::pin(async move {
            for table in ["sights", "answers"] {
                self.change(Statement::new(gone(table), values())).await?;
            }
            Ok(())
        })
    }
}
