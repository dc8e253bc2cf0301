//! Assembles everything and runs it: the only place that binds, spawns and ends.

mod admin;
mod audit;
mod books;
mod conceal;
mod credentials;
mod descriptors;
mod failure;
mod files;
mod fleeting;
mod handed;
mod health;
mod keep;
mod ledger;
mod level;
mod levels;
mod notify;
mod record;
mod reload;
mod replica;
mod socket;
mod stand_in;
mod stop;
mod traces;
mod vitals;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::audit::Verdict;
use crate::call::Scopes;
use crate::contract::Contract;
use crate::edge::{Accept, Door, Edge, Gate, Places};
use crate::policy::Traffic;
use crate::policy::access::Anonymous;
use crate::policy::survey::Survey;
use crate::settings::{self, Settings};
use crate::upstream::Upstream;
use crate::{ambient, policy};

pub use conceal::conceal;
pub use failure::Failure;
pub use handed::Handed;
pub use health::{Probe, Unwell, health};
pub use ledger::{folder as ledger_folder, read as read_ledger, replicas};
pub use level::{Logged, log_level};
pub use reload::{Origin, load};
pub use stand_in::sandbox;
pub use stop::{End, Signals};

use admin::{Admin, State};
use books::Books;
use credentials::Rotation;
use handed::Listeners;
use keep::Keeper;
use levels::Levels;
use notify::{Life, Notify};
use replica::Replica;
use stop::{Going, Stop};
use vitals::Vitals;

/// How long what was learned may take to be written down when there is no time.
const HURRY: Duration = Duration::from_secs(1);

/// Runs the gateway until it is asked to stop and has finished what it began. What changes in its settings meanwhile is read
/// where they come from, and it listens on sockets that were handed over where there are such.
///
/// # Errors
/// What kept it from starting. Once it runs, nothing ends it but a signal.
pub async fn serve(
    settings: Settings,
    origin: Origin,
    signals: Signals,
    handed: Handed,
) -> Result<End, Failure> {
    let (mut early, (begun, has_begun)) = (Stop::new()?, oneshot::channel());
    let early = async {
        tokio::select! {
            biased;
            _ = has_begun => std::future::pending().await,
            asked = early.asked() => asked,
        }
    };
    tokio::select! {
        ended = run(settings, origin, signals, handed, begun) => ended,
        asked = early => {
            tracing::info!(signal = asked.as_str(), "stopped before it was ready");
            Ok(End::Finished)
        }
    }
}

async fn run(
    mut settings: Settings,
    origin: Origin,
    Signals { mut stop, hangup }: Signals,
    handed: Handed,
    begun: oneshot::Sender<()>,
) -> Result<End, Failure> {
    let contract = Contract::embedded().map_err(|defects| {
        Failure::Build(defects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let (notify, watchdog) = (Notify::new(&handed.said), handed.said.watchdog);
    let Listeners { api, admin, socket, place } = handed::listen(&settings.listen, handed).await?;
    let (api_address, admin_address) = (api.local_addr()?, admin.local_addr()?);

    let control = match settings.sandbox.take() {
        Some(options) => Some(stand_in::start(options, &mut settings).await?),
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
    if control.is_none() {
        traffic.has_a_past();
    }
    // Those that it was started with.
    reload::note(traffic.figures(), true);
    let since = ambient::instant();
    let url = settings.upstream.target.uri().to_string();
    let account = settings.credentials.fingerprint();
    let keeper = Keeper::new(&settings.state, &[&url, &account], traffic.clone())?;
    let opened = ledger::open(&settings, &[&url, &account], traffic.figures()).await?;
    let replica = Replica::join(&opened, &traffic, api_address);
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
    let closing = settings.shutdown.grace.saturating_sub(settings.upstream.timeout);
    settings.upstream.recorder = record::begin(settings.record.as_deref())?;
    let upstream = Upstream::new(settings.upstream, settings.credentials.clone()).map_err(Failure::Build)?;
    let stack = policy::stack(&settings.policy, &traffic, &desk, &tasks, audit.as_ref(), upstream.clone());
    let refused = vitals::refused(traffic.figures().clone());
    let (tracer, exporter) = traces::start(settings.traces)?;
    let gate =
        Gate { call: stack.call, recall: stack.recall, refused: Arc::new(refused), tracer: tracer.clone() };
    for file in settings.pair.exposed() {
        tracing::warn!(
            file = %file.display(),
            "every user of this machine may read this file, and with it the account's key; chmod 0400 it"
        );
    }
    let rotation = Rotation {
        current: settings.credentials,
        upstream: upstream.clone(),
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
    let mut knocks = Vec::new();
    let api = join_all(doors.map(|(name, door)| {
        let (open, (knock, heard)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel(1));
        connections.push((name, open.clone()));
        knocks.push(knock);
        let accept = Accept { door, places: callers.clone(), open, knocks: heard };
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
    let (knock, heard) = mpsc::channel(1);
    knocks.push(knock);
    let admin = Accept { door: Door::Tcp(admin), places: probes, open: admin_open, knocks: heard };
    let survey = Arc::new(Survey::default());
    let wanted = is_wanted(&settings.ledger).then(|| opened.ledger.clone());
    let vitals = Vitals {
        traffic: traffic.clone(),
        desk: desk.clone(),
        books: Books::new(wanted, opened.fails.clone()),
        audit: audit.clone(),
        tracer,
        survey: survey.clone(),
        connections,
        scraping: Mutex::default(),
    };
    let levels = Arc::new(Levels::new(settings.log.levels.clone()));
    let asked = Arc::new(Admin {
        contract,
        traffic: traffic.clone(),
        desk: desk.clone(),
        provider: url,
        sandbox: control.is_some(),
        begun: since,
        replica: replica.name(),
        vitals: Arc::new(vitals),
        levels: levels.clone(),
        everyone: settings.metrics.everyone,
        ways: settings.edge.ways,
    });
    let admin = admin.run(
        move |request, guest| {
            let (asked, state) = (asked.clone(), *seen.borrow());
            async move { asked.answer(state, &admin::with_body(request).await, guest.address).await }
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
    if let Some(within) = watchdog {
        let life = Life { knocks, admin: admin_address };
        #[expect(clippy::disallowed_methods, reason = "apart from all that it watches")]
        tokio::spawn(life.watch(notify.clone(), within));
    }
    let status = format!("serving on {api_address}; health on {admin_address}");
    notify.ready(&status);
    let _early = begun.send(());
    let going = Going {
        traffic: &traffic,
        desk: &desk,
        edge: &edge,
        state: &state,
        notify: &notify,
        times: settings.shutdown,
        closing,
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
        levels: &levels,
        upstream: &upstream,
    };
    let cut_short = tokio::select! {
        () = serving => None,
        () = keeper.run() => None,
        () = exporter.run() => None,
        () = levels.run() => None,
        _ = join_all(places.iter().map(|places| places.watch())) => None,
        () = desk.clone().reconcile() => None,
        () = replica.hear(&traffic, &desk) => None,
        () = reload::run(hangup, origin, running, &notify, &status) => None,
        () = rotation.run(new_pairs) => None,
        () = survey.run(&desk, contract, traffic.figures(), settings.metrics.account) => None,
        end = going.run(&mut stop) => Some(end),
    };
    let end = match cut_short {
        None => End::Finished,
        Some(end) => going.cut_off(end).await,
    };
    let saved = async {
        let audited = async {
            if let Some(audit) = &audit {
                audit.finish().await;
            }
        };
        let _logged = tokio::join!(audited, keeper.save(), exporter.flush(), replica.leave(&traffic));
    };
    match cut_short {
        None => saved.await,
        Some(_) => drop(timeout(HURRY, saved).await),
    }
    tracing::info!("stopped");
    Ok(end)
}

/// Checks files of the audit log of these settings.
///
/// # Errors
/// When a file cannot be read.
pub fn verify_audit(settings: &Settings, files: &[PathBuf]) -> Result<Verdict, Failure> {
    audit::verify(settings, files)
}

/// Whether purchases are to be made: what is not wanted is not missing.
fn is_wanted(ledger: &settings::Ledger) -> bool {
    !matches!(ledger, settings::Ledger::Nowhere | settings::Ledger::Passing(_))
}

/// Until the daemon begins to stop.
async fn leave(mut states: watch::Receiver<State>) {
    let _gone = states.wait_for(|state| *state >= State::Closing).await;
}

/// Until everything else has stopped.
async fn gone(mut states: watch::Receiver<State>) {
    let _gone = states.wait_for(|state| *state == State::Gone).await;
}
