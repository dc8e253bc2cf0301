//! Connections: how they are made, what they are limited by, and how a statement goes over one. Absent here: what is
//! said, and a plain connection to another machine.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, GenericClient, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::session::Notice;
use crate::database::cells::{Cells, Value};
use crate::database::statement::Statement;
use crate::database::trouble::Trouble;
use crate::outward;

/// Who is told what is heard.
pub(super) type Hearing = broadcast::Sender<Notice>;

/// How long connecting may take, from looking up the name to the server's greeting.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a statement may take over a session that listens.
const HEARING: Duration = Duration::from_secs(2);
/// By how much longer than the server a statement or a transaction is waited for here.
const MARGIN: u32 = 2;
/// After so much silence a connection is tried, and after as much again without an answer it counts as lost.
const SILENCE: Duration = Duration::from_secs(10);

/// What is asked of a server at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions at once.
    pub connections: usize,
    /// How long it may work at one statement.
    pub statement: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 4, statement: Duration::from_secs(10) }
    }
}

/// What a session asks of the server: to give up in time, to notice a client that is gone (a dead writer would keep its
/// locks), to leave one alone that is only holding a lock, and to have on the disk what it says it has.
fn limits(statement: Duration) -> String {
    let ms = statement.as_millis();
    format!(
        "SET statement_timeout = {ms}; SET lock_timeout = {ms}; SET idle_in_transaction_session_timeout = {ms}; \
         SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2; \
         SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'; \
         SELECT set_config(name, 'on', false) FROM pg_settings \
         WHERE name = 'synchronous_commit' AND setting IN ('off', 'local', 'remote_write')"
    )
}

/// A server: where it is, whom to believe that it is the one, and what is asked of it at most.
pub struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    bounds: Bounds,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    /// The one behind a URL (`postgres://user:password@host/database`). Anything but this machine is spoken to over TLS, with
    /// the roots of the browsers and these.
    ///
    /// # Errors
    /// When the URL cannot be read or turns TLS off for another machine, or a certificate cannot be used.
    pub fn new(url: &str, extra_ca: &[CertificateDer<'static>], bounds: Bounds) -> Result<Self, Trouble> {
        let mut config: Config = url.parse().map_err(|error| {
            Trouble::Unfit(format!("the URL of the database cannot be read: {}", outward::causes(&error)))
        })?;
        config.ssl_mode(tls_for(&config)?);
        // After a failover, the one that takes writes.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(CONNECT).tcp_user_timeout(2 * SILENCE);
        config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 2).keepalives_retries(2);
        if config.get_application_name().is_none() {
            config.application_name("gizad");
        }
        let tls = MakeRustlsConnect::new(outward::tls(extra_ca).map_err(Trouble::Unfit)?);
        Ok(Self { config, tls, bounds, places: Arc::new(Semaphore::new(bounds.connections)) })
    }

    /// What is asked of it at most.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// A new session.
    pub(crate) async fn link(&self) -> Result<Link, Trouble> {
        self.connected(None).await
    }

    /// A new session over which is heard what is said.
    pub(super) async fn listening(&self, hears: Hearing) -> Result<Link, Trouble> {
        self.connected(Some(hears)).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a connection needs somebody who drives it, and ends with it"
    )]
    async fn connected(&self, hears: Option<Hearing>) -> Result<Link, Trouble> {
        let patience = self.bounds.statement.saturating_mul(MARGIN);
        // Over a session that hangs nothing is heard, so that it is not waited for as long.
        let patience = if hears.is_some() { patience.min(HEARING) } else { patience };
        let place = timeout(CONNECT, self.places.clone().acquire_owned()).await;
        let place = place.ok().and_then(Result::ok).ok_or_else(|| {
            let most = self.bounds.connections;
            Trouble::Failed(format!("all {most} sessions with the database are in use"))
        })?;
        let connected = timeout(CONNECT, async {
            let (client, connection) = self.config.connect(self.tls.clone()).await?;
            // Its errors reach whoever is waiting for an answer over it.
            let driver = tokio::spawn(drive(connection, hears)).abort_handle();
            let link = Link { client, driver, patience, _place: place };
            link.client.batch_execute(&limits(self.bounds.statement)).await?;
            Ok(link)
        });
        connected.await.map_err(|_| too_long())?.map_err(|error| trouble(&error))
    }
}

/// Says that a session is lost, however it was.
struct Losing(Option<Hearing>);

impl Drop for Losing {
    fn drop(&mut self) {
        if let Some(hears) = &self.0 {
            let _nobody_listens = hears.send(Notice::Lost);
        }
    }
}

async fn drive<T>(mut connection: Connection<Socket, T>, hears: Option<Hearing>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let losing = Losing(hears);
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let (AsyncMessage::Notification(said), Some(hears)) = (message, &losing.0) {
            let _nobody_listens = hears.send(Notice::Said(said.payload().into()));
        }
    }
}

/// Whether TLS is asked for: of another machine always, of this one if the URL says so.
fn tls_for(config: &Config) -> Result<SslMode, Trouble> {
    let here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    };
    let all_here =
        config.get_hosts().iter().all(here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    match (config.get_ssl_mode(), all_here) {
        (SslMode::Require, _) | (SslMode::Prefer, false) => Ok(SslMode::Require),
        (_, true) => Ok(SslMode::Disable),
        (_, false) => Err(Trouble::Unfit(
            "the database is on another machine, and its URL turns TLS off: take sslmode=disable out of it"
                .into(),
        )),
    }
}

/// A session. It ends when this is dropped.
pub(crate) struct Link {
    client: Client,
    driver: AbortHandle,
    /// How long a statement or a transaction may take. The server gives up on each statement before.
    patience: Duration,
    _place: OwnedSemaphorePermit,
}

impl Link {
    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// What a statement finds.
    pub(crate) async fn rows(&self, statement: &Statement) -> Result<Vec<Cells>, Trouble> {
        self.in_time(rows(&self.client, statement)).await
    }

    /// How many rows a statement changes.
    pub(crate) async fn change(&self, statement: &Statement) -> Result<u64, Trouble> {
        self.in_time(change(&self.client, statement)).await
    }

    /// Takes as long as it takes.
    pub(crate) async fn change_at_leisure(&self, statement: &Statement) -> Result<(), Trouble> {
        change(&self.client, statement).await.map(drop)
    }

    /// Lets the server take as long as it takes, and has it end this session when it has answered and hears nothing for so
    /// long: then whoever asked stands still. Servers before PostgreSQL 14 do not count that time.
    pub(crate) async fn at_leisure(&self, silence: Duration) -> Result<(), Trouble> {
        let ms = silence.as_millis();
        let wish = format!(
            "SET statement_timeout = 0; SET lock_timeout = 0; \
             SELECT set_config(name, '{ms}', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
        );
        self.in_time(async { self.client.batch_execute(&wish).await.map_err(|error| trouble(&error)) }).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        timeout(self.patience, work).await.unwrap_or_else(|_| {
            self.cut();
            Err(too_long())
        })
    }

    /// Hangs up on a server that does not answer.
    pub(crate) fn cut(&self) {
        self.driver.abort();
    }
}

/// Runs something over a link that is borrowed as a whole, with the patience of a statement.
pub(crate) async fn in_time<T>(
    link: &mut Link,
    work: impl AsyncFnOnce(&mut Link) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let done = timeout(link.patience, work(link)).await;
    done.unwrap_or_else(|_| {
        link.cut();
        Err(too_long())
    })
}

fn too_long() -> Trouble {
    Trouble::Failed("the database does not answer in time".into())
}

pub(crate) async fn rows(client: &impl GenericClient, statement: &Statement) -> Result<Vec<Cells>, Trouble> {
    let found = client.query_typed(&statement.text, &parameters(statement)).await;
    let found = found.map_err(|error| trouble(&error))?;
    found.iter().map(|row| cells(row).map_err(|error| trouble(&error))).collect()
}

pub(crate) async fn change(client: &impl GenericClient, statement: &Statement) -> Result<u64, Trouble> {
    client.execute_typed(&statement.text, &parameters(statement)).await.map_err(|error| trouble(&error))
}

fn parameters(statement: &Statement) -> Vec<(&(dyn ToSql + Sync), Type)> {
    statement.values.iter().map(typed).collect()
}

fn typed(value: &Value) -> (&(dyn ToSql + Sync), Type) {
    match value {
        Value::Text(text) => (text, Type::TEXT),
        Value::Number(number) => (number, Type::INT8),
        Value::Bytes(bytes) => (bytes, Type::BYTEA),
    }
}

fn cells(row: &Row) -> Result<Cells, Error> {
    let value = |(at, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT8 => Value::Number(row.try_get(at)?),
            Type::BOOL => Value::Number(row.try_get::<_, Option<bool>>(at)?.map(i64::from)),
            Type::BYTEA => Value::Bytes(row.try_get(at)?),
            _ => Value::Text(row.try_get(at)?),
        })
    };
    row.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(Cells::new)
}

/// What an error means to whoever was writing or reading. The server speaks of a full disk only before a commit.
pub(crate) fn trouble(error: &Error) -> Trouble {
    let told = format!("the database: {}", outward::causes(error));
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => Trouble::Taken,
        Some(&SqlState::DISK_FULL) => Trouble::Full(told),
        _ => Trouble::Failed(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<SslMode, Trouble> {
        tls_for(&url.parse().expect("a URL"))
    }

    #[test]
    fn another_machine_is_spoken_to_over_tls() {
        for here in ["postgres://u@127.0.0.1/d", "postgres://u@localhost/d", "host=/run/postgresql user=u"] {
            assert_eq!(mode(here), Ok(SslMode::Disable), "{here}");
        }
        assert_eq!(mode("postgres://u@localhost/d?sslmode=require"), Ok(SslMode::Require));
        for there in ["postgres://u@db.example.com/d", "postgres://u@localhost,10.0.0.1/d"] {
            assert_eq!(mode(there), Ok(SslMode::Require), "{there}");
        }
        assert_eq!(mode("host=localhost hostaddr=10.0.0.1 user=u"), Ok(SslMode::Require));
        assert!(matches!(mode("postgres://u@10.0.0.1/d?sslmode=disable"), Err(Trouble::Unfit(_))));
    }
}
