//! Assembles everything and runs it: the only place that binds, spawns and ends.

mod admin;
mod audit;
mod books;
mod conceal;
mod credentials;
mod descriptors;
mod failure;
mod health;
mod keep;
mod ledger;
mod reload;
mod socket;
mod stop;
mod vitals;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::audit::Verdict;
use crate::call::Scopes;
use crate::contract::Contract;
use crate::edge::{Accept, Door, Edge, Gate, Places};
use crate::ledger::Ledger;
use crate::policy::Traffic;
use crate::policy::access::Anonymous;
use crate::policy::survey::Survey;
use crate::sandbox::Sandbox;
use crate::settings::{self, Mistake, Settings};
use crate::upstream::{Target, Upstream};
use crate::{ambient, policy, sandbox};

pub use conceal::conceal;
pub use failure::Failure;
pub use health::{Probe, Unwell, health};

use admin::{Admin, State};
use books::Books;
use credentials::Rotation;
use keep::Keeper;
use stop::Stop;
use vitals::Vitals;

/// How long those who watch the health over gRPC have to hear that it is going.
const WATCHED: Duration = Duration::from_millis(500);

/// Runs the gateway until it is asked to stop and has finished what it began. When it is asked to read its settings
/// again, it uses `load`.
///
/// # Errors
/// What kept it from starting. Once it runs, nothing ends it but a signal.
pub async fn serve(
    mut settings: Settings,
    load: impl Fn() -> Result<Settings, Vec<Mistake>>,
) -> Result<(), Failure> {
    let contract = Contract::embedded().map_err(|defects| {
        Failure::Build(defects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let api = bind(settings.listen.api)?;
    let admin = bind(settings.listen.admin)?;
    let (api_address, admin_address) = (api.local_addr()?, admin.local_addr()?);
    let (socket, place) = match &settings.listen.socket {
        Some(wanted) => match socket::bind(wanted).await {
            Ok((listener, own, place)) => (Some((listener, own)), Some(place)),
            Err(error) => return Err(Failure::Socket(wanted.path.clone(), error)),
        },
        None => (None, None),
    };
    // Asked for before anything is served, so that no early signal is lost.
    let mut stop = Stop::new()?;
    let hangup = signal(SignalKind::hangup())?;

    let control = match settings.sandbox.take() {
        Some(options) => Some(start_sandbox(options, &mut settings).await?),
        None => None,
    };
    let is_known = settings.listen.socket.is_some() || !settings.policy.access.callers.is_empty();
    if !is_known && settings.policy.access.anonymous == Anonymous::Only(Scopes::NONE) {
        tracing::warn!(
            "there is no caller, so nobody gets more than the catalog: set listen.socket for yourself, and \
             `gizad token new NAME` makes a token for others"
        );
    }
    let tasks = TaskTracker::new();
    let traffic = Traffic::new(contract, &settings.policy);
    let begun = ambient::instant();
    let url = settings.upstream.target.uri().to_string();
    let account = settings.credentials.fingerprint();
    let keeper = Keeper::new(&settings.state, &[&url, &account], traffic.clone())?;
    let opened = ledger::open(&settings, &[&url, &account], traffic.figures()).await?;
    let audit = audit::open(&settings, &[&url, &account])?;
    let desk = policy::purchase::Desk::new(
        contract,
        &settings.policy.purchase,
        opened.ledger.clone(),
        tasks.clone(),
    );
    let desk = Arc::new(desk);
    let doubtful = desk.recover().await.map_err(|trouble| Failure::Build(trouble.to_string()))?;
    if doubtful > 0 {
        tracing::warn!(doubtful, "purchases are in doubt; gizad finds out what became of them");
    }
    // The last moment to send what takes as long as it may and must not be cut off.
    let closing = settings.grace.saturating_sub(settings.upstream.timeout);
    let upstream = Upstream::new(settings.upstream, settings.credentials.clone()).map_err(Failure::Build)?;
    let stack = policy::stack(&settings.policy, &traffic, &desk, &tasks, audit.as_ref(), upstream.clone());
    let refused = vitals::refused(traffic.figures().clone());
    let gate = Gate { call: stack.call, recall: stack.recall, refused: Arc::new(refused) };
    for file in settings.pair.exposed() {
        tracing::warn!(
            file = %file.display(),
            "every user of this machine may read this file, and with it the account's key; chmod 0400 it"
        );
    }
    let rotation = Rotation {
        current: settings.credentials,
        upstream,
        traffic: traffic.clone(),
        ledger: opened.ledger.clone().ok(),
        audit: audit.clone(),
    };
    let (pairs, new_pairs) = watch::channel(settings.pair);
    let edge = Edge::new(contract, &gate, &settings.edge).map_err(Failure::Build)?;
    edge.set_serving(true).await;

    let (state, states) = watch::channel(State::Ready);
    let tls = settings.listen.tls.map(Arc::new);
    let api = match &tls {
        Some(tls) => Door::Tls(api, tls.clone()),
        None => Door::Tcp(api),
    };
    let (limits, few) = descriptors::share(&settings.limits)?;
    let places = [limits, few].map(|limits| Arc::new(Places::new(limits)));
    let [callers, probes] = places.clone();
    let socket = socket.map(|(listener, own)| ("socket", Door::Unix(listener, own)));
    let admin_open = Arc::new(AtomicUsize::new(0));
    let mut connections = vec![("admin", admin_open.clone())];
    let doors = [Some(("api", api)), socket].into_iter().flatten();
    let api = join_all(doors.map(|(name, door)| {
        let open = Arc::new(AtomicUsize::new(0));
        connections.push((name, open.clone()));
        let accept = Accept { door, places: callers.clone(), open };
        let answering = edge.clone();
        accept.run(move |request, guest| answering.answer(request, guest), leave(states.clone()))
    }));
    // Whoever looks for the socket then finds that nobody is there, or the next gizad.
    let vacating = {
        let leave = leave(states.clone());
        async {
            leave.await;
            drop(place);
        }
    };
    let seen = states.clone();
    let admin = Accept { door: Door::Tcp(admin), places: probes, open: admin_open };
    let survey = Arc::new(Survey::default());
    let wanted = (settings.ledger != settings::Ledger::Nowhere).then(|| opened.ledger.clone());
    let vitals = Vitals {
        traffic: traffic.clone(),
        desk: desk.clone(),
        books: Books::new(wanted, opened.fails.clone()),
        audit: audit.clone(),
        survey: survey.clone(),
        connections,
        scraping: Mutex::default(),
    };
    let asked = Arc::new(Admin {
        contract,
        traffic: traffic.clone(),
        desk: desk.clone(),
        provider: url,
        sandbox: control.is_some(),
        begun,
        vitals: Arc::new(vitals),
        everyone: settings.metrics.everyone,
        ways: settings.edge.ways,
    });
    let admin = admin.run(
        move |request, guest| {
            let (asked, state, request) = (asked.clone(), *seen.borrow(), request.map(drop));
            async move { asked.answer(state, &request, guest.address).await }
        },
        gone(states),
    );

    tracing::info!(
        api = %api_address,
        admin = %admin_address,
        socket = settings.listen.socket.map(|socket| socket.path.display().to_string()),
        tls = tls.is_some(),
        sandbox_control = control.map(|address| address.to_string()),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    let life = async {
        let name = stop.asked().await;
        tracing::info!(signal = name, "stopping: no new connections, finishing running calls");
        traffic.close_at(ambient::instant() + closing);
        desk.close();
        traffic.end_watches();
        edge.set_serving(false).await;
        state.send_replace(State::Draining);
        // The one bound of everything that follows.
        let watched = async {
            sleep(WATCHED).await;
            edge.end_watches().await;
        };
        // What has not begun by then could not end.
        let closed = async {
            sleep(closing).await;
            traffic.dismiss();
        };
        let steps = async {
            tokio::join!(watched, closed);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = steps => {}
            () = sleep(settings.grace) => tracing::error!("the time to finish ran out"),
            name = stop.asked() => tracing::error!(signal = name, "asked to stop at once"),
        }
    };
    let serving = async {
        let working = async {
            tokio::join!(api, vacating);
            tasks.close();
            tasks.wait().await;
            state.send_replace(State::Gone);
        };
        tokio::join!(working, admin);
    };
    let running = reload::Running {
        traffic: &traffic,
        desk: &desk,
        audit: audit.as_ref(),
        pairs: &pairs,
        tls: tls.as_deref(),
    };
    tokio::select! {
        () = serving => tracing::info!("stopped"),
        () = keeper.run() => {}
        _ = join_all(places.iter().map(|places| places.watch())) => {}
        () = desk.clone().reconcile() => {}
        () = reload::run(hangup, load, running, settings.written) => {}
        () = rotation.run(new_pairs) => {}
        () = survey.run(&desk, contract, traffic.figures(), settings.metrics.account) => {}
        () = life => {
            match tasks.len() {
                0 => tracing::warn!("stopped early: somebody kept a connection open"),
                cut_off => {
                    tracing::error!(cut_off, "stopped early: the outcome of the calls that were cut off is unknown");
                }
            }
        }
    }
    let _logged = keeper.save().await;
    if let Some(audit) = &audit {
        audit.finish().await;
    }
    Ok(())
}

/// Opens the ledger of these settings for reading, also while a daemon writes it.
///
/// # Errors
/// What kept it from being read.
pub async fn read_ledger(settings: &Settings) -> Result<Ledger, Failure> {
    ledger::read(settings).await
}

/// Checks files of the audit log of these settings.
///
/// # Errors
/// When a file cannot be read.
pub fn verify_audit(settings: &Settings, files: &[PathBuf]) -> Result<Verdict, Failure> {
    audit::verify(settings, files)
}

/// Runs the stand-in for the provider alone.
///
/// # Errors
/// What kept it from starting.
pub async fn sandbox(options: sandbox::Options) -> Result<(), Failure> {
    let sandbox = bind_sandbox(options).await?;
    let (listen, control) = sandbox.addresses()?;
    tracing::info!(url = %format!("http://{listen}/api"), control = %control, "sandbox ready");
    let mut stop = Stop::new()?;
    tokio::select! {
        () = sandbox.run() => {}
        name = stop.asked() => tracing::info!(signal = name, "stopped"),
    }
    Ok(())
}

/// Starts the stand-in and points the provider's settings at it; returns where it takes orders.
async fn start_sandbox(options: sandbox::Options, settings: &mut Settings) -> Result<SocketAddr, Failure> {
    let sandbox = bind_sandbox(options).await?;
    let (listen, control) = sandbox.addresses()?;
    settings.upstream.target = Target::parse(&format!("http://{listen}/api")).map_err(Failure::Build)?;
    #[expect(clippy::disallowed_methods, reason = "boot is where tasks start")]
    tokio::spawn(sandbox.run());
    Ok(control)
}

async fn bind_sandbox(options: sandbox::Options) -> Result<Sandbox, Failure> {
    let provider = bind(options.listen)?;
    let control = bind(options.control)?;
    Ok(Sandbox::new(options, provider, control))
}

/// Connections that the system accepts on its own until gizad does, as far as it allows (`net.core.somaxconn`). Whoever finds no
/// place there tries again after a second.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        #[expect(clippy::disallowed_methods, reason = "boot is the only place that binds")]
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| Failure::Bind(address, error))
}

/// Until the daemon begins to stop.
async fn leave(mut states: watch::Receiver<State>) {
    let _gone = states.wait_for(|state| *state != State::Ready).await;
}

/// Until everything else has stopped.
async fn gone(mut states: watch::Receiver<State>) {
    let _gone = states.wait_for(|state| *state == State::Gone).await;
}
