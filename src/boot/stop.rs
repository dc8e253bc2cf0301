//! When to stop, and how: readiness first, then new work, then what is under way, all within one bound.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::admin::State;
use super::notify::{AGAIN, Notify};
use crate::ambient;
use crate::edge::Edge;
use crate::policy::Traffic;
use crate::policy::purchase::Desk;
use crate::settings::Shutdown;

/// How long those who watch the health over gRPC have to hear that it is going.
const WATCHED: Duration = Duration::from_millis(500);
/// What was sent before anybody could know is taken for so long after the last connection was.
const LATE: Duration = Duration::from_millis(500);
/// How long the ledger is asked how the purchases stand that are cut off.
const ASKED: Duration = Duration::from_millis(500);
/// How many of those that were cut off are named.
const NAMED: usize = 100;

/// The signals that gizad listens to. Until there is one of these, each of them ends it.
pub struct Signals {
    pub(super) stop: Stop,
    pub(super) hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { stop: Stop::new()?, hangup: signal(SignalKind::hangup())? })
    }

    /// What comes of something, or nothing if gizad is asked to stop before.
    pub async fn unless_asked<T>(&mut self, doing: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = doing => Some(done),
            _ = self.stop.asked() => None,
        }
    }
}

/// The signals that ask to stop.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Terminate,
    Interrupt,
}

impl Asked {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one.
    pub(super) async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Terminate,
            _ = self.interrupt.recv() => Asked::Interrupt,
        }
    }
}

/// How gizad ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has finished what it began.
    Finished,
    /// The time to finish ran out, and calls were cut off.
    CutOff,
    /// It was told a second time to stop: with SIGTERM, or with SIGINT.
    AtOnce {
        /// Whether that was SIGINT.
        interrupted: bool,
    },
}

impl End {
    /// What the process ends with: 0, `EX_TEMPFAIL` of sysexits.h, or what a shell says of a process that the signal ended.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::CutOff => 75,
            Self::AtOnce { interrupted: false } => 128 + 15,
            Self::AtOnce { interrupted: true } => 128 + 2,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What takes part in a stop.
pub(super) struct Going<'a> {
    pub(super) traffic: &'a Traffic,
    pub(super) desk: &'a Desk,
    pub(super) edge: &'a Edge,
    pub(super) state: &'a watch::Sender<State>,
    pub(super) notify: &'a Notify,
    pub(super) times: Shutdown,
    /// The last moment to send what takes as long as it may and must not be cut off.
    pub(super) closing: Duration,
}

impl Going<'_> {
    /// Waits until gizad is asked to stop, has everything stop in its turn, and returns when it must not wait any longer.
    pub(super) async fn run(&self, stop: &mut Stop) -> End {
        let asked = stop.asked().await;
        let Shutdown { delay, grace } = self.times;
        // Before it is said: whoever reads that may ask at once.
        self.state.send_replace(State::Draining);
        tracing::info!(
            signal = asked.as_str(),
            delay_ms = millis(delay),
            "stopping: no new connections after the delay, finishing running calls"
        );
        self.traffic.close_at(ambient::instant() + self.closing);
        self.edge.set_serving(false).await;
        // The one bound of everything that follows.
        tokio::select! {
            never = self.steps() => match never {},
            () = sleep(grace) => {
                tracing::error!("the time to finish ran out");
                End::CutOff
            }
            again = stop.asked() => {
                tracing::error!(signal = again.as_str(), "asked to stop at once");
                End::AtOnce { interrupted: again == Asked::Interrupt }
            }
        }
    }

    async fn steps(&self) -> std::convert::Infallible {
        let leaving = async {
            sleep(self.times.delay).await;
            self.desk.close();
            self.traffic.end_watches();
            self.state.send_replace(State::Closing);
            tokio::join!(
                async {
                    sleep(WATCHED).await;
                    self.edge.end_watches().await;
                },
                async {
                    sleep(LATE).await;
                    self.traffic.refuse();
                    tracing::info!("stopping: no more calls are taken");
                }
            );
        };
        let closed = async {
            sleep(self.closing).await;
            self.traffic.dismiss();
        };
        let telling = async {
            let ends = ambient::instant() + self.times.grace;
            loop {
                let (calls, purchases) = (self.traffic.underway().len(), self.desk.running_now());
                let left = ends.saturating_duration_since(ambient::instant()).as_secs();
                self.notify.stopping(&format!(
                    "stopping: {calls} calls and {purchases} purchases are being finished, for {left} s at most"
                ));
                sleep(AGAIN).await;
            }
        };
        let (_, _, never) = tokio::join!(leaving, closed, telling);
        never
    }

    /// Names what is left, and says how gizad ends with that.
    pub(super) async fn cut_off(&self, end: End) -> End {
        let calls = self.traffic.underway();
        let purchases = timeout(ASKED, self.desk.underway()).await.unwrap_or_default();
        for call in calls.iter().take(NAMED) {
            tracing::error!(
                operation = call.operation,
                request_id = call.id.as_str(),
                age_ms = millis(call.age),
                "a call is cut off"
            );
        }
        for (operation_id, state) in purchases.iter().take(NAMED) {
            let state = state.map_or("unwritten", |state| state.as_str());
            tracing::error!(
                operation_id,
                state,
                "a purchase is cut off; the next gizad finds out what became of it"
            );
        }
        let nothing = calls.is_empty() && purchases.is_empty();
        if nothing {
            tracing::warn!("stopped early: somebody kept a connection open");
        } else {
            tracing::error!(
                cut_off = calls.len(),
                purchases = purchases.len(),
                "stopped early: the outcome of the calls that were cut off is unknown"
            );
        }
        if nothing && end == End::CutOff { End::Finished } else { end }
    }
}
