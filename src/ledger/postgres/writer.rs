//! The one session that writes. It holds the lock of the writer's name, and so the name is alive exactly as long as
//! anything can still be written in it: the server lets go of the lock after the session's last transaction, never
//! before. Absent here: writing over any other session, and going on under a name that was lost.

use std::sync::{Mutex as Held, PoisonError, RwLock};

use tokio::sync::Mutex;

use super::of_writer;
use crate::database::link::{self, Link};
use crate::database::{Server, Statement, Trouble, first, lock};
use crate::ledger::statement::{self, Writing};
use crate::ledger::store::{Entry, Row};
use crate::ledger::{name, read};

/// What is said of an entry: that there is one of this operation, and whether that is being sent and takes money.
const SAID: &str = "ledger";

pub(super) struct Writer {
    account: String,
    session: Mutex<Option<Link>>,
    /// All names that it ever had; the last is that of the session. Each lives as long as the process, for it may be
    /// known to others; there is one more with each lost connection.
    names: RwLock<Vec<&'static str>>,
    /// The latest entry that this process has written or seen.
    seen: Held<Option<Place>>,
}

/// The place of an entry, and its MAC.
type Place = (i64, [u8; 32]);

impl Writer {
    pub(super) async fn open(server: &Server, account: &str) -> Result<Self, Trouble> {
        let names = RwLock::new(Vec::new());
        let (session, seen) = (Mutex::new(None), Held::default());
        let writer = Self { account: account.into(), session, names, seen };
        *writer.session.lock().await = Some(writer.begin(server).await?);
        Ok(writer)
    }

    pub(super) fn name(&self) -> &'static str {
        self.names.read().unwrap_or_else(PoisonError::into_inner).last().copied().unwrap_or_default()
    }

    /// Whether it had this name before a connection was lost.
    fn was(&self, name: &str) -> bool {
        name != self.name() && self.names.read().unwrap_or_else(PoisonError::into_inner).contains(&name)
    }

    /// A new session under a new name: the old one may have been found dead by then.
    async fn begin(&self, server: &Server) -> Result<Link, Trouble> {
        let name: &'static str = name::new()?.leak();
        let link = server.link().await?;
        if !lock::take(&link, of_writer(name)).await? {
            return Err(Trouble::Failed("the name of this writer is another's".into()));
        }
        self.has_kept(&link).await?;
        self.names.write().unwrap_or_else(PoisonError::into_inner).push(name);
        Ok(link)
    }

    /// What there is was seen.
    ///
    /// # Errors
    /// When there was more before: a server that takes over without the last of what another had on its disk knows nothing of
    /// what was bought since.
    pub(super) fn sees(&self, place: Option<Place>) -> Result<(), Trouble> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (was, is) = (seen.map_or(0, |(seq, _)| seq), place.map_or(0, |(seq, _)| seq));
        if is < was {
            return Err(lost(was));
        }
        if is > was {
            *seen = place;
        }
        Ok(())
    }

    /// Whether what this process has seen is still there, over a session that may be with another server.
    async fn has_kept(&self, link: &Link) -> Result<(), Trouble> {
        let Some((seq, mac)) = *self.seen.lock().unwrap_or_else(PoisonError::into_inner) else {
            return Ok(());
        };
        let found = link.rows(&statement::entries(&self.account, seq.saturating_sub(1), 1)).await?;
        match first(found, read::entry)? {
            Some(entry) if (entry.seq, entry.mac) == (seq, mac) => Ok(()),
            _ => Err(lost(seq)),
        }
    }

    /// Makes the session anew if it was lost, so that the name is one that can be written under.
    pub(super) async fn wake(&self, server: &Server) -> Result<(), Trouble> {
        let mut session = self.session.lock().await;
        self.current(server, &mut session).await.map(drop)
    }

    pub(super) async fn append(&self, server: &Server, entry: &Entry, row: &Row) -> Result<(), Trouble> {
        let mut session = self.session.lock().await;
        let link = self.current(server, &mut session).await?;
        if row.sending && self.was(&row.owner) {
            return Err(Trouble::Failed(format!(
                "the connection to the ledger was lost, and with it the name {} that this was to be sent under; \
                 nothing was written",
                row.owner
            )));
        }
        let mut writing = Writing::new(&self.account, entry, row);
        // Heard by the other replicas once it is written, and never if it is not.
        let told = format!("{} {SAID} {} {}", self.account, row.id, i64::from(row.sending));
        writing.head.add(" RETURNING pg_notify('gizad', $?)", told.as_str());
        link::in_time(link, async |link| self.transact(link, entry.seq, &writing).await).await?;
        self.sees(Some((entry.seq, entry.mac)))
    }

    /// Changes one row of what is kept beside the entries.
    pub(super) async fn change(&self, server: &Server, statement: &Statement) -> Result<(), Trouble> {
        let mut session = self.session.lock().await;
        match self.current(server, &mut session).await?.change(statement).await? {
            0 => Err(Trouble::Taken),
            _ => Ok(()),
        }
    }

    async fn current<'a>(
        &self,
        server: &Server,
        session: &'a mut Option<Link>,
    ) -> Result<&'a mut Link, Trouble> {
        match session.take().filter(Link::is_open) {
            Some(link) => Ok(session.insert(link)),
            None => Ok(session.insert(self.begin(server).await?)),
        }
    }

    /// All or nothing: whatever is returned early takes the transaction back.
    async fn transact(&self, link: &mut Link, seq: i64, writing: &Writing) -> Result<(), Trouble> {
        let transaction = link.client().transaction().await.map_err(|error| link::trouble(&error))?;
        // A pooler that gives each transaction another session would make the lock worth nothing.
        let ours = lock::is_ours(of_writer(self.name()));
        if !lock::is_true(link::rows(&transaction, &ours).await?)? {
            return Err(Trouble::Failed(
                "the ledger's database does not keep the session's lock: connect to it directly, or through a pooler \
                 that pools sessions"
                    .into(),
            ));
        }
        let last = link::rows(&transaction, &statement::last(&self.account)).await?;
        let last = first(last, read::place)?.map_or(0, |(seq, _)| seq);
        if last.checked_add(1) != Some(seq) {
            return Err(Trouble::Taken);
        }
        for statement in [&writing.entry, &writing.operation, &writing.head] {
            link::change(&transaction, statement).await?;
        }
        transaction.commit().await.map_err(|error| link::trouble(&error))
    }
}

/// What was on a disk is gone.
fn lost(seq: i64) -> Trouble {
    Trouble::Unfit(format!(
        "the ledger's database has lost entries: {seq} was there, and is not any more. Nothing is bought with it; let the server take \
         over that has them, or restore them, and start gizad again"
    ))
}
