//! Settings read anew while the daemon runs: checked first, and the last good ones kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::files::Files;
use super::levels::Levels;
use super::notify::Notify;
use crate::ambient;
use crate::audit::Log;
use crate::edge::tls::Tls;
use crate::metrics::Figures;
use crate::policy::{Traffic, purchase};
use crate::settings::{Mistake, Pair, Settings, Source, Watched};
use crate::upstream::Upstream;

/// The sections that are taken over without a restart.
const LIVE: [&str; 16] = [
    "access.",
    "callers.",
    "credentials.",
    "deadline.",
    "quota.",
    "pace.",
    "retry.",
    "breaker.",
    "cache.",
    "purchase.",
    "budget.",
    "protected.",
    "log.level",
    "reload.",
    "watch.",
    "upstream.mapping",
];

/// What changes while the daemon runs.
pub(super) struct Running<'a> {
    pub(super) traffic: &'a Traffic,
    pub(super) desk: &'a purchase::Desk,
    pub(super) audit: Option<&'a Log>,
    pub(super) pairs: &'a watch::Sender<Pair>,
    pub(super) tls: Option<&'a Tls>,
    pub(super) levels: &'a Levels,
    pub(super) upstream: &'a Upstream,
}

/// Notes that settings are used from now on, or that wrong ones are not.
pub(super) fn note(figures: &Figures, taken: bool) {
    figures.reload_successful.at([]).set(if taken { 1.0 } else { 0.0 });
    if taken {
        figures.reload_success.at([]).set(ambient::unix_millis() as f64 / 1000.0);
    }
}

/// Reads settings, which may take long where the files are far away, on a thread where nobody waits.
///
/// # Errors
/// All mistakes at once.
pub async fn load(source: Source) -> Result<(Settings, Origin), Vec<Mistake>> {
    let source = Arc::new(source);
    let (files, settings) = read(&source).await;
    let settings = settings?;
    let (every, written) = (settings.reload_every, settings.written.clone());
    Ok((settings, Origin { source, files, every, written }))
}

/// The files first, so that whatever is written while they are read is seen afterwards.
async fn read(source: &Arc<Source>) -> (Vec<Watched>, Result<Settings, Vec<Mistake>>) {
    let source = source.clone();
    let reading = tokio::task::spawn_blocking(move || (source.files(), source.load()));
    reading.await.unwrap_or_else(|error| {
        let expected = format!("the settings cannot be read: {error}");
        (Vec::new(), Err(vec![Mistake { path: "gizad".to_owned(), expected }]))
    })
}

/// Where settings come from, and how they were read last.
pub struct Origin {
    source: Arc<Source>,
    files: Vec<Watched>,
    every: Option<Duration>,
    written: Vec<(String, String)>,
}

/// Takes new settings over on every SIGHUP and when their files have changed, for ever.
pub(super) async fn run(
    mut asked: Signal,
    origin: Origin,
    running: Running<'_>,
    notify: &Notify,
    status: &str,
) {
    let figures = running.traffic.figures();
    let Origin { source, files: taken, every, written } = origin;
    let mut present = Present { written, files: taken.clone() };
    let mut files = Files::new(every, taken);
    for result in ["success", "failure"] {
        let _at_zero = figures.reloads.at([result.into()]);
    }
    loop {
        tokio::select! {
            got = asked.recv() => {
                if got.is_none() {
                    return std::future::pending().await;
                }
                // Whatever the settings say: its file may have been moved away.
                if let Some(audit) = running.audit {
                    audit.reopen();
                }
            }
            () = files.changed() => tracing::info!("files of the settings have changed; they are read again"),
        }
        notify.reloading();
        let (found, loaded) = read(&source).await;
        let result = if loaded.is_ok() { "success" } else { "failure" };
        figures.reloads.at([result.into()]).inc();
        note(figures, loaded.is_ok());
        files.were_read(loaded.as_ref().ok().map(|settings| settings.reload_every), found.clone());
        match loaded {
            Ok(settings) => {
                present.take(settings, found, &running);
                notify.ready(status);
            }
            Err(mistakes) => {
                for mistake in &mistakes {
                    tracing::error!(
                        setting = mistake.path,
                        expected = mistake.expected,
                        "a mistake in the settings"
                    );
                }
                tracing::error!(
                    mistakes = mistakes.len(),
                    "settings not taken over; everything stays as it was"
                );
                notify.ready(&format!("{status}; the settings have mistakes and were not taken over"));
            }
        }
    }
}

/// The settings in use.
struct Present {
    written: Vec<(String, String)>,
    files: Vec<Watched>,
}

impl Present {
    /// Takes new ones over, as far as that goes without a restart, and says what has changed.
    fn take(&mut self, settings: Settings, found: Vec<Watched>, running: &Running<'_>) {
        let Running { traffic, desk, pairs, tls, levels, upstream, .. } = running;
        traffic.change(&settings.policy);
        desk.change(&settings.policy.purchase);
        levels.reload(&settings.log.levels);
        // Also when nothing else has changed: what is in its files may have.
        pairs.send_replace(settings.pair);
        let certified = tls.zip(settings.listen.tls.as_ref());
        if let Some((present, next)) = certified {
            present.change(next);
        }
        // Also what is not written any more, and what is written in files that settings name.
        let added = settings.written.iter().filter(|setting| !self.written.contains(setting));
        let gone = self.written.iter().filter(|setting| !settings.written.contains(setting));
        let files = found.iter().filter(|file| !self.files.contains(file));
        let files = files.filter_map(|file| file.setting.as_deref());
        let changed: BTreeSet<&str> = added.chain(gone).map(|(path, _)| path.as_str()).chain(files).collect();
        let is_live = |path: &str| {
            let certificates = certified.is_some() && path.starts_with("listen.tls.");
            certificates || LIVE.iter().any(|section| path.starts_with(section))
        };
        let (live, rest): (Vec<&str>, Vec<&str>) = changed.into_iter().partition(|path| is_live(path));
        upstream.map(settings.upstream.mapping);
        if live.iter().any(|path| path.starts_with("upstream.")) {
            // What is in memory was read in another way.
            let _forgotten = traffic.purge(None);
        }
        tracing::info!(changed = live.join(", "), "settings taken over");
        if !rest.is_empty() {
            tracing::warn!(settings = rest.join(", "), "changed, but only taken over by a restart");
        }
        // What still needs a restart is said again the next time.
        self.written.retain(|(path, _)| !is_live(path));
        self.written.extend(settings.written.into_iter().filter(|(path, _)| is_live(path)));
        let is_live = |file: &Watched| file.setting.as_deref().is_none_or(is_live);
        self.files.retain(|file| !is_live(file));
        self.files.extend(found.into_iter().filter(is_live));
    }
}
