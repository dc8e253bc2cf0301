//! The ledger of several replicas: PostgreSQL. Whoever writes does it over one session that also holds the lock named
//! after the writer, so that the server itself knows who can still write. Absent here: a retry; after a connection is
//! lost nobody knows what was written, and whoever asked has to look.

mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use self::writer::Writer;
use super::read;
use super::schema::TABLES;
use super::statement;
use super::store::{Entry, Filter, Kept, Period, Row, Store};
use crate::database::link::Link;
use crate::database::lock::{self, Key};
use crate::database::{Bounds, Cells, Pending, Server, Session, Statement, Trouble, all, first, tables};

/// What is left to readers of the sessions that a server may be asked for: one writes, one waits for the turn, and one is for
/// what replicas share besides.
const OTHERS: usize = 3;

/// Who has the turn and says nothing for so long has lost it.
const SILENCE: Duration = Duration::from_secs(5);

/// The entries of one account in a database that may hold others as well.
pub struct Postgres {
    account: String,
    server: Arc<Server>,
    /// None where only reading is wanted.
    writer: Option<Writer>,
    /// Beside the writer's session, so that reads do not wait for a commit.
    readers: Vec<Session>,
    next: AtomicUsize,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("writer", &self.writer.as_ref().map(Writer::name))
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the database behind a URL (`postgres://user:password@host/database`), within the usual bounds.
    ///
    /// # Errors
    /// Those of [`Server::new`] and of [`open`](Self::open).
    pub async fn connect(url: &str, account: &str) -> Result<Self, Trouble> {
        Self::open(Arc::new(Server::new(url, &[], Bounds::default())?), account).await
    }

    /// Makes the tables that are missing, and takes a name.
    ///
    /// # Errors
    /// When the server cannot be reached, when a newer version wrote the ledger, or when it is damaged.
    pub async fn open(server: Arc<Server>, account: &str) -> Result<Self, Trouble> {
        let mut link = server.link().await?;
        tables::prepare(&mut link, &TABLES).await?;
        let ending = link.rows(&statement::ending(account)).await?;
        first(ending, statement::check)?;
        drop(link);
        let writer = Some(Writer::open(&server, account).await?);
        Ok(Self::with(server, account, writer))
    }

    /// For reading alone, also while others write: nothing is made or changed.
    ///
    /// # Errors
    /// When the server cannot be reached, when there is no ledger in it, or one that this build cannot read.
    pub async fn read_only(server: Arc<Server>, account: &str) -> Result<Self, Trouble> {
        if !tables::look(&mut server.link().await?, &TABLES).await? {
            return Err(Trouble::Unfit(
                "there is no ledger in this database yet; the first start of gizad makes it".into(),
            ));
        }
        Ok(Self::with(server, account, None))
    }

    fn with(server: Arc<Server>, account: &str, writer: Option<Writer>) -> Self {
        let readers = server.bounds().connections.saturating_sub(OTHERS).max(1);
        let readers = (0..readers).map(|_| Session::new(server.clone())).collect();
        Self { account: account.into(), server, writer, readers, next: AtomicUsize::new(0) }
    }

    fn writing(&self) -> Result<&Writer, Trouble> {
        self.writer.as_ref().ok_or_else(|| Trouble::Unfit("the ledger is open for reading only".into()))
    }

    async fn ask(&self, statement: Statement) -> Result<Vec<Cells>, Trouble> {
        self.reader()?.rows(&statement).await
    }

    fn reader(&self) -> Result<&Session, Trouble> {
        let at = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(self.readers.len()).unwrap_or(0);
        self.readers.get(at).ok_or_else(|| Trouble::Failed("nobody reads the ledger".into()))
    }
}

/// Held by a writer as long as it can write.
fn of_writer(name: &str) -> Key {
    Key::new("writer", name)
}

/// Held by whoever buys for an account.
fn of_turn(account: &str) -> Key {
    Key::new("turn", account)
}

/// The turn of one purchase over all replicas. The lock is the session's, and the session ends with the link, or when nothing
/// is heard over it: a replica that stands still would keep everybody from buying, with a turn that it may have been given
/// without knowing. What it was sending is still its own; what it was about to send it finds outrun.
struct Turn(AbortHandle);

impl Turn {
    #[expect(
        clippy::disallowed_methods,
        reason = "somebody has to speak as long as the turn is held, and no longer"
    )]
    fn of(link: Link) -> Self {
        let speaks = tokio::spawn(async move {
            while link.rows(&Statement::new("SELECT 1::BIGINT", [])).await.is_ok() {
                sleep(SILENCE / 4).await;
            }
        });
        Self(speaks.abort_handle())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Store for Postgres {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        Box::pin(async { self.writing()?.append(&self.server, entry, row).await })
    }

    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>> {
        Box::pin(async {
            let place = first(self.ask(statement::last(&self.account)).await?, read::place)?;
            self.writer.as_ref().map_or(Ok(()), |writer| writer.sees(place))?;
            Ok(place)
        })
    }

    fn by_id<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(async { first(self.ask(statement::by_id(&self.account, id)).await?, read::kept) })
    }

    fn by_key<'a>(&'a self, caller: &'a str, key: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(async { first(self.ask(statement::by_key(&self.account, caller, key)).await?, read::kept) })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Vec<Kept>> {
        Box::pin(async { all(self.ask(statement::list(&self.account, filter)).await?, read::kept) })
    }

    fn spent<'a>(&'a self, caller: &'a str, period: Period) -> Pending<'a, i64> {
        Box::pin(async move {
            let rows = self.ask(statement::spent(&self.account, caller, period)).await?;
            Ok(first(rows, |mut row| row.number())?.unwrap_or(0))
        })
    }

    fn entries(&self, behind: i64, most: u32) -> Pending<'_, Vec<Entry>> {
        Box::pin(
            async move { all(self.ask(statement::entries(&self.account, behind, most)).await?, read::entry) },
        )
    }

    fn history<'a>(&'a self, id: &'a str) -> Pending<'a, Vec<Entry>> {
        Box::pin(async { all(self.ask(statement::history(&self.account, id)).await?, read::entry) })
    }

    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async {
            first(self.ask(statement::note(&self.account, name)).await?, |mut row| row.bytes())
        })
    }

    fn set_note<'a>(&'a self, name: &'a str, value: &'a [u8], before: Option<&'a [u8]>) -> Pending<'a, ()> {
        let statement = statement::set_note(&self.account, name, value, before);
        Box::pin(async { self.writing()?.change(&self.server, &statement?).await })
    }

    fn writer(&self) -> &str {
        self.writer.as_ref().map_or("", Writer::name)
    }

    fn wake(&self) -> Pending<'_, ()> {
        Box::pin(async { self.writing()?.wake(&self.server).await })
    }

    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool> {
        Box::pin(async { lock::is_held(self.reader()?.link().await?.as_ref(), of_writer(writer)).await })
    }

    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async {
            let link = self.server.link().await?;
            lock::wait(&link, of_turn(&self.account), SILENCE).await?;
            Ok(Box::new(Turn::of(link)) as Box<dyn Send>)
        })
    }

    fn mends(&self) -> bool {
        true
    }
}
