//! Settings read anew while the daemon runs: checked first, and the last good ones kept.

use std::collections::BTreeSet;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::ambient;
use crate::audit::Log;
use crate::edge::tls::Tls;
use crate::metrics::Figures;
use crate::policy::{Traffic, purchase};
use crate::settings::{Mistake, Pair, Settings};
use crate::upstream::Upstream;

/// The sections that are taken over without a restart.
const LIVE: [&str; 13] = [
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
    "upstream.mapping",
];

/// What changes while the daemon runs.
pub(super) struct Running<'a> {
    pub(super) traffic: &'a Traffic,
    pub(super) desk: &'a purchase::Desk,
    pub(super) audit: Option<&'a Log>,
    pub(super) pairs: &'a watch::Sender<Pair>,
    pub(super) tls: Option<&'a Tls>,
    pub(super) upstream: &'a Upstream,
}

/// Notes that settings are used from now on, or that wrong ones are not.
pub(super) fn note(figures: &Figures, taken: bool) {
    figures.reload_successful.at([]).set(if taken { 1.0 } else { 0.0 });
    if taken {
        figures.reload_success.at([]).set(ambient::unix_millis() as f64 / 1000.0);
    }
}

/// Takes new settings over on every SIGHUP, for ever.
pub(super) async fn run(
    mut asked: Signal,
    load: impl Fn() -> Result<Settings, Vec<Mistake>>,
    running: Running<'_>,
    mut written: Vec<(String, String)>,
) {
    let Running { traffic, desk, audit, pairs, tls, upstream } = running;
    // The ones that gizad was started with.
    note(traffic.figures(), true);
    for result in ["success", "failure"] {
        let _at_zero = traffic.figures().reloads.at([result.into()]);
    }
    while asked.recv().await.is_some() {
        // Whatever the settings say: its file may have been moved away.
        if let Some(audit) = audit {
            audit.reopen();
        }
        let loaded = load();
        let result = if loaded.is_ok() { "success" } else { "failure" };
        traffic.figures().reloads.at([result.into()]).inc();
        note(traffic.figures(), loaded.is_ok());
        match loaded {
            Ok(settings) => {
                traffic.change(&settings.policy);
                desk.change(&settings.policy.purchase);
                // Also when nothing else has changed: what is in its files may have.
                pairs.send_replace(settings.pair);
                let certified = tls.zip(settings.listen.tls.as_ref());
                if let Some((present, next)) = certified {
                    present.change(next);
                }
                // Also what is not written any more.
                let added = settings.written.iter().filter(|setting| !written.contains(setting));
                let gone = written.iter().filter(|setting| !settings.written.contains(setting));
                let changed: BTreeSet<&str> = added.chain(gone).map(|(path, _)| path.as_str()).collect();
                let is_live = |path: &str| {
                    let certificates = certified.is_some() && path.starts_with("listen.tls.");
                    certificates || LIVE.iter().any(|section| path.starts_with(section))
                };
                let (live, rest): (Vec<&str>, Vec<&str>) =
                    changed.into_iter().partition(|path| is_live(path));
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
                written.retain(|(path, _)| !is_live(path));
                written.extend(settings.written.into_iter().filter(|(path, _)| is_live(path)));
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
            }
        }
    }
}
