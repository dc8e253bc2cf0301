//! The settings of what several replicas of one account share: where that is, and how much is asked of it.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use toml::{Table, Value};

use super::DEFAULTS;
use super::check::Check;
use super::layers::Source;
use crate::contract::{Contract, Effect};

/// The section.
const SECTION: &str = "shared";
/// The most replicas that an account can have.
const MOST: i64 = 10_000;
/// Sessions without which a replica cannot do all it does: one writes purchases down, one reads them, one waits for its turn to
/// buy, and one is for all that is shared besides.
const LEAST_SESSIONS: i64 = 4;
/// How long a statement may take: a replica must be able to hear of another's within the time that others wait for it.
const STATEMENT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];

/// What replicas of one account share.
#[derive(Clone, PartialEq, Eq)]
pub struct Shared {
    /// Where it is. It may hold a password.
    pub url: String,
    /// Authorities beside those that browsers believe.
    pub extra_ca: Vec<CertificateDer<'static>>,
    /// The most replicas that there ever are at once, those that are just being replaced included.
    pub max_replicas: NonZeroU32,
    /// Sessions at once.
    pub connections: usize,
    /// How long the server may work at one statement.
    pub statement: Duration,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// A value as it would be written into a variable.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Check<'_> {
    /// What is shared, and with how many, if anything is.
    pub(super) fn shared(&mut self, burst: NonZeroU32) -> Option<Shared> {
        let (url, file) = (self.text("shared.url"), self.text("shared.url_file"));
        let max_replicas = self.count("shared.max_replicas", 1, MOST);
        let connections = self.whole("shared.connections", LEAST_SESSIONS, MOST);
        let statement = self.duration("shared.statement_timeout");
        let [least, most] = STATEMENT;
        if statement < least || statement > most {
            self.wrong("shared.statement_timeout", "a time from 100ms to 60s");
        }
        let extra_ca = self.certificates("shared.ca_file");
        let url = match (url.is_empty(), file.is_empty()) {
            (true, true) => {
                self.alone();
                return None;
            }
            (false, true) => url,
            (true, false) => self.read_line("shared.url_file", &file).to_string(),
            (false, false) => {
                self.wrong("shared.url_file", "one of url and url_file, not both");
                return None;
            }
        };
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            self.wrong("shared.url", "a URL such as postgres://user:password@host/database");
        }
        if max_replicas > burst.get() {
            let expected = format!(
                "no more than pace.burst, which is {burst}: replicas that cannot hear of each other may each send a call at the \
                 same moment"
            );
            self.wrong("shared.max_replicas", &expected);
        }
        self.no_memory_of_the_account();
        let max_replicas = NonZeroU32::new(max_replicas).unwrap_or(NonZeroU32::MIN);
        Some(Shared { url, extra_ca, max_replicas, connections, statement })
    }

    /// Nothing of it may be set where nothing is shared: whoever sets it counts on it.
    fn alone(&mut self) {
        let mut written: Vec<_> =
            self.given.under(SECTION).filter(|(_, entry)| entry.source != Source::Default).collect();
        if !written.is_empty() {
            // What is written as it is anyway, as `gizad check` prints it, says nothing. As texts, because variables are.
            let defaults = DEFAULTS.parse::<Table>().unwrap_or_default();
            let usual = |key: &str| defaults.get(SECTION)?.as_table()?.get(key).map(plain);
            written.retain(|(key, entry)| usual(key) != Some(plain(&entry.value)));
        }
        let written: Vec<String> = written.into_iter().map(|(_, entry)| entry.path.clone()).collect();
        for path in written {
            self.wrong(
                &path,
                "shared.url or shared.url_file as well: without it nothing is shared with any other gizad",
            );
        }
    }

    /// What another replica has changed must not be shown as it was before.
    fn no_memory_of_the_account(&mut self) {
        let of_the_account: Vec<String> = self
            .given
            .under("cache.operations")
            .filter(|(key, _)| {
                let name = key.rsplit_once('.').map_or(*key, |(name, _)| name);
                Contract::effect_of(name).is_some_and(|effect| effect != Effect::Public)
            })
            .map(|(_, entry)| entry.path.clone())
            .collect();
        for path in of_the_account {
            let expected = "operations of the public catalog, as shared.url is set: what another replica has changed would be \
                            shown as it was before";
            self.wrong(&path, expected);
        }
    }
}
