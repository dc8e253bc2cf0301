//! A session that many use at once, and that is made anew when it was lost. What others say to all is heard over it, if it is
//! one that listens.

use std::sync::Arc;

use tokio::sync::{Mutex, broadcast};

use super::link::{Hearing, Link, Server};
use crate::database::cells::Cells;
use crate::database::statement::Statement;
use crate::database::trouble::Trouble;

/// The channel that everything is said on.
const CHANNEL: &str = "gizad";
/// As many notices are kept for whoever is slow; one that is slower still has missed some.
const KEPT: usize = 1024;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody has said this.
    Said(Arc<str>),
    /// The session was lost: from now on nothing is heard, until [`Again`](Self::Again).
    Lost,
    /// There is a session again. Whatever was said in between was missed.
    Again,
}

/// The session. Statements of many run in it one after the other, each by itself: there are no transactions here.
pub struct Session {
    server: Arc<Server>,
    link: Mutex<Option<Arc<Link>>>,
    hears: Option<Hearing>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// One that only asks. It is made when it is first used.
    #[must_use]
    pub fn new(server: Arc<Server>) -> Self {
        Self { server, link: Mutex::default(), hears: None }
    }

    /// One over which is heard what is said.
    #[must_use]
    pub fn listening(server: Arc<Server>) -> Self {
        Self { hears: Some(broadcast::Sender::new(KEPT)), ..Self::new(server) }
    }

    /// What is heard from now on. Whoever lags behind has missed something, as after [`Notice::Again`].
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.hears
            .as_ref()
            .map_or_else(|| broadcast::Sender::new(1).subscribe(), broadcast::Sender::subscribe)
    }

    /// What a statement finds.
    pub(crate) async fn rows(&self, statement: &Statement) -> Result<Vec<Cells>, Trouble> {
        self.link().await?.rows(statement).await
    }

    /// How many rows a statement changes.
    pub(crate) async fn change(&self, statement: &Statement) -> Result<u64, Trouble> {
        self.link().await?.change(statement).await
    }

    /// The session as it is now, or a new one.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, Trouble> {
        let mut current = self.link.lock().await;
        if let Some(link) = current.as_ref().filter(|link| link.is_open()) {
            return Ok(Arc::clone(link));
        }
        *current = None;
        let link = match &self.hears {
            None => self.server.link().await?,
            Some(hears) => {
                let link = self.server.listening(hears.clone()).await?;
                link.change(&Statement::new(format!("LISTEN {CHANNEL}"), [])).await?;
                let _nobody_listens = hears.send(Notice::Again);
                link
            }
        };
        Ok(current.insert(Arc::new(link)).clone())
    }
}

/// Says something to all who listen.
pub(crate) fn said(payload: &str) -> Statement {
    Statement::new(format!("SELECT pg_notify('{CHANNEL}', $1)"), [payload.into()])
}
