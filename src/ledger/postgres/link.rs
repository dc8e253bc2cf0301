//! Connections: how they are made, what they are limited by, and how a statement goes over one. Absent here: what is
//! said, and a plain connection to another machine.

use std::net::IpAddr;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, GenericClient, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::ledger::cells::{Cells, Value};
use crate::ledger::statement::Statement;
use crate::ledger::store::Trouble;
use crate::outward;

/// How long connecting may take, from looking up the name to the server's greeting.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a statement or a transaction may take here. The server gives up on each statement before, in [`LIMITS`].
const PATIENCE: Duration = Duration::from_secs(15);
/// After so much silence a connection is tried, and after as much again without an answer it counts as lost.
const SILENCE: Duration = Duration::from_secs(10);

/// What a session asks of the server: to give up in time, to notice a client that is gone (a dead writer would keep its
/// locks), to leave one alone that is only holding a lock, and to have on the disk what it says it has.
const LIMITS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '10s'; \
                      SET idle_in_transaction_session_timeout = '10s'; \
                      SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2; \
                      SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'; \
                      SELECT set_config(name, 'on', false) FROM pg_settings \
                      WHERE name = 'synchronous_commit' AND setting = 'off'";

/// Where to connect to, and how.
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Server {
    pub(super) fn new(url: &str, extra_ca: &[CertificateDer<'static>]) -> Result<Self, Trouble> {
        let mut config: Config = url.parse().map_err(|error| {
            Trouble::Unfit(format!("the URL of the ledger cannot be read: {}", outward::causes(&error)))
        })?;
        config.ssl_mode(tls_for(&config)?);
        // After a failover, the one that takes writes.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(CONNECT).tcp_user_timeout(2 * SILENCE);
        config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 2).keepalives_retries(2);
        if config.get_application_name().is_none() {
            config.application_name("gizad");
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(outward::tls(extra_ca).map_err(Trouble::Unfit)?) })
    }

    /// A new session.
    #[expect(
        clippy::disallowed_methods,
        reason = "a connection needs somebody who drives it, and ends with it"
    )]
    pub(super) async fn link(&self) -> Result<Link, Trouble> {
        let connected = timeout(CONNECT, async {
            let (client, connection) = self.config.connect(self.tls.clone()).await?;
            // Its errors reach whoever is waiting for an answer over it.
            let driver = tokio::spawn(async { drop(connection.await) }).abort_handle();
            let link = Link { client, driver };
            link.client.batch_execute(LIMITS).await?;
            Ok(link)
        });
        connected.await.map_err(|_| too_long())?.map_err(|error| trouble(&error))
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
            "the ledger is on another machine, and its URL turns TLS off: take sslmode=disable out of it"
                .into(),
        )),
    }
}

/// A session. It ends when this is dropped.
pub(super) struct Link {
    client: Client,
    driver: AbortHandle,
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// What a statement finds.
    pub(super) async fn rows(&self, statement: &Statement) -> Result<Vec<Cells>, Trouble> {
        self.in_time(rows(&self.client, statement)).await
    }

    /// How many rows a statement changes.
    pub(super) async fn change(&self, statement: &Statement) -> Result<u64, Trouble> {
        self.in_time(change(&self.client, statement)).await
    }

    /// Takes as long as it takes.
    pub(super) async fn change_at_leisure(&self, statement: &Statement) -> Result<(), Trouble> {
        change(&self.client, statement).await.map(drop)
    }

    /// Lets the server take as long as it takes.
    pub(super) async fn without_limits(&self) -> Result<(), Trouble> {
        let lifted = self.client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0");
        self.in_time(async { lifted.await.map_err(|error| trouble(&error)) }).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        timeout(PATIENCE, work).await.unwrap_or_else(|_| {
            self.cut();
            Err(too_long())
        })
    }

    /// Hangs up on a server that does not answer.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }
}

/// Runs something over a link that is borrowed as a whole, with the patience of a statement.
pub(super) async fn in_time<T>(
    link: &mut Link,
    work: impl AsyncFnOnce(&mut Link) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let done = timeout(PATIENCE, work(link)).await;
    done.unwrap_or_else(|_| {
        link.cut();
        Err(too_long())
    })
}

fn too_long() -> Trouble {
    Trouble::Failed("the ledger's database does not answer in time".into())
}

pub(super) async fn rows(client: &impl GenericClient, statement: &Statement) -> Result<Vec<Cells>, Trouble> {
    let found = client.query_typed(&statement.text, &parameters(statement)).await;
    let found = found.map_err(|error| trouble(&error))?;
    found.iter().map(|row| cells(row).map_err(|error| trouble(&error))).collect()
}

pub(super) async fn change(client: &impl GenericClient, statement: &Statement) -> Result<u64, Trouble> {
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
pub(super) fn trouble(error: &Error) -> Trouble {
    let told = format!("the ledger's database: {}", outward::causes(error));
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
