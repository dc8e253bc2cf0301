//! The ledger of several replicas: PostgreSQL. Whoever writes does it over one session that also holds the lock named
//! after the writer, so that the server itself knows who can still write. Absent here: a retry; after a connection is
//! lost nobody knows what was written, and whoever asked has to look.

mod link;
mod lock;
mod tables;
mod writer;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_rustls::rustls::pki_types::CertificateDer;

use self::link::{Link, Server};
use self::writer::Writer;
use super::cells::{self, Cells};
use super::statement::{self, Statement};
use super::store::{Entry, Filter, Kept, Pending, Period, Row, Store, Trouble};

/// The entries of one account in a database that may hold others as well.
pub struct Postgres {
    account: String,
    server: Server,
    writer: Writer,
    /// Beside the writer's session, so that reads do not wait for a commit. Made anew when it is lost.
    reader: Mutex<Option<Arc<Link>>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("writer", &self.writer.name()).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the database behind a URL (`postgres://user:password@host/database`), makes the tables that are
    /// missing, and takes a name. Anything but this machine is spoken to over TLS, with the roots of the browsers.
    ///
    /// # Errors
    /// When it cannot be reached, when a newer version wrote it, when it is damaged, or when TLS is turned off for
    /// another machine.
    pub async fn connect(url: &str, account: &str) -> Result<Self, Trouble> {
        Self::connect_trusting(url, account, &[]).await
    }

    /// The same, with further authorities whose certificates are believed.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and when a certificate cannot be used.
    pub async fn connect_trusting(
        url: &str,
        account: &str,
        extra_ca: &[CertificateDer<'static>],
    ) -> Result<Self, Trouble> {
        let server = Server::new(url, extra_ca)?;
        let mut link = server.link().await?;
        tables::prepare(&mut link).await?;
        let ending = link.rows(&statement::ending(account)).await?;
        cells::first(ending, statement::check)?;
        let writer = Writer::open(&server, account).await?;
        Ok(Self { account: account.into(), server, writer, reader: Mutex::new(Some(Arc::new(link))) })
    }

    async fn ask(&self, statement: Statement) -> Result<Vec<Cells>, Trouble> {
        let link = self.reader().await?;
        link.rows(&statement).await
    }

    async fn reader(&self) -> Result<Arc<Link>, Trouble> {
        let mut reader = self.reader.lock().await;
        if let Some(link) = reader.as_ref().filter(|link| link.is_open()) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(self.server.link().await?);
        *reader = Some(Arc::clone(&link));
        Ok(link)
    }
}

impl Store for Postgres {
    fn append<'a>(&'a self, entry: &'a Entry, row: &'a Row) -> Pending<'a, ()> {
        Box::pin(self.writer.append(&self.server, entry, row))
    }

    fn head(&self) -> Pending<'_, Option<(i64, [u8; 32])>> {
        Box::pin(async { cells::first(self.ask(statement::last(&self.account)).await?, Cells::place) })
    }

    fn by_id<'a>(&'a self, id: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(async { cells::first(self.ask(statement::by_id(&self.account, id)).await?, Cells::kept) })
    }

    fn by_key<'a>(&'a self, caller: &'a str, key: &'a str) -> Pending<'a, Option<Kept>> {
        Box::pin(async {
            cells::first(self.ask(statement::by_key(&self.account, caller, key)).await?, Cells::kept)
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> Pending<'a, Vec<Kept>> {
        Box::pin(async { cells::all(self.ask(statement::list(&self.account, filter)).await?, Cells::kept) })
    }

    fn spent<'a>(&'a self, caller: &'a str, period: Period) -> Pending<'a, i64> {
        Box::pin(async move {
            let rows = self.ask(statement::spent(&self.account, caller, period)).await?;
            Ok(cells::first(rows, |mut row| row.number())?.unwrap_or(0))
        })
    }

    fn entries(&self, behind: i64, most: u32) -> Pending<'_, Vec<Entry>> {
        Box::pin(async move {
            cells::all(self.ask(statement::entries(&self.account, behind, most)).await?, Cells::entry)
        })
    }

    fn history<'a>(&'a self, id: &'a str) -> Pending<'a, Vec<Entry>> {
        Box::pin(async { cells::all(self.ask(statement::history(&self.account, id)).await?, Cells::entry) })
    }

    fn note<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async {
            cells::first(self.ask(statement::note(&self.account, name)).await?, |mut row| row.bytes())
        })
    }

    fn set_note<'a>(&'a self, name: &'a str, value: &'a [u8], before: Option<&'a [u8]>) -> Pending<'a, ()> {
        let statement = statement::set_note(&self.account, name, value, before);
        Box::pin(async { self.writer.change(&self.server, &statement?).await })
    }

    fn writer(&self) -> &str {
        self.writer.name()
    }

    fn is_alive<'a>(&'a self, writer: &'a str) -> Pending<'a, bool> {
        Box::pin(async { lock::is_held(self.reader().await?.as_ref(), lock::of_writer(writer)).await })
    }

    fn turn(&self) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async {
            let link = self.server.link().await?;
            lock::wait(&link, lock::of_turn(&self.account)).await?;
            // The lock is the session's, and the session ends with the link.
            Ok(Box::new(link) as Box<dyn Send>)
        })
    }

    fn mends(&self) -> bool {
        true
    }
}
