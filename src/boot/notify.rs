//! What a service manager is told (sd_notify(3)): that gizad is ready, reads its settings, stops; in a line how it is; and,
//! as long as it does, that it lives.

use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, timeout};

use super::health::{Probe, health};
use crate::settings;

/// How much more time is asked for at a time while gizad stops, and how often.
const MORE: Duration = Duration::from_secs(10);
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// Whoever listens, if anybody does.
#[derive(Clone)]
pub(super) struct Notify(Option<Arc<(UnixDatagram, UnixAddr)>>);

impl Notify {
    /// Nothing that is told ever holds gizad up, so a place that cannot be reached is only worth a line.
    pub(super) fn new(said: &settings::Manager) -> Self {
        let Some(at) = &said.notify else { return Self(None) };
        let open = || {
            let address = match at.as_bytes() {
                [b'@', name @ ..] => UnixAddr::from_abstract_name(name)?,
                _ => UnixAddr::from_pathname(at)?,
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            io::Result::Ok(Arc::new((socket, address)))
        };
        Self(
            open()
                .inspect_err(|error| tracing::warn!(%error, "the service manager cannot be told anything"))
                .ok(),
        )
    }

    fn say(&self, what: &str) {
        let Some(there) = &self.0 else { return };
        if let Err(error) = there.0.send_to_addr(what.as_bytes(), &there.1) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }

    /// It takes calls.
    pub(super) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// It reads its settings again; `ready` says that it has.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading its settings again"));
    }

    /// It stops, and needs some more time for that.
    pub(super) fn stopping(&self, status: &str) {
        let more = MORE.as_micros();
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={more}\nSTATUS={status}"));
    }

    fn alive(&self) {
        self.say("WATCHDOG=1");
    }
}

/// By which a listener is asked whether it takes its turns.
pub(super) type Knock = mpsc::Sender<oneshot::Sender<()>>;

/// What has to answer for gizad to be alive: the listeners' loops, and the listener of health over its socket.
pub(super) struct Life {
    pub(super) knocks: Vec<Knock>,
    pub(super) admin: SocketAddr,
}

impl Life {
    /// Says that gizad lives, twice as often as that is wanted, and only if it does; for ever.
    pub(super) async fn watch(self, notify: Notify, within: Duration) {
        let mut turns = interval(within / 2);
        loop {
            turns.tick().await;
            match timeout(within / 4, self.answers()).await {
                Ok(Ok(())) => notify.alive(),
                Ok(Err(what)) => {
                    tracing::error!(what, "gizad is not itself, and the watchdog is not told otherwise")
                }
                Err(_) => tracing::error!("gizad answers nobody, and the watchdog is not told otherwise"),
            }
        }
    }

    async fn answers(&self) -> Result<(), String> {
        for knock in &self.knocks {
            let (asks, answered) = oneshot::channel();
            // One that listens no more has ended, as it does when gizad stops.
            if knock.send(asks).await.is_ok() {
                let _ended = answered.await;
            }
        }
        // As long as this is all there is, nobody else has to answer.
        match health(self.admin, Probe::Live, Duration::MAX).await {
            Ok(_) => Ok(()),
            Err(unwell) => Err(unwell.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_is_stuck_is_not_alive_and_one_that_has_ended_is_no_trouble() {
        let (knock, stuck) = mpsc::channel(1);
        let life = Life { knocks: vec![knock], admin: ([127, 0, 0, 1], 9).into() };
        let waits = timeout(Duration::from_millis(50), life.answers()).await;
        assert!(waits.is_err(), "it waits for the listener");
        drop(stuck);
        let answered = life.answers().await;
        assert!(answered.is_err_and(|why| why.contains("127.0.0.1:9")), "then only nobody is there");
    }
}
