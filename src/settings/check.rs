//! From what was written to what is used: every setting read as what it must be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use toml::Value;

use super::layers::{Given, Mistake};
use super::{Settings, State};
use crate::contract::{Contract, Effect};
use crate::sandbox::Personality;
use crate::upstream::{Target, Words};
use crate::{edge, sandbox, telemetry, upstream};

pub(super) fn settings(
    given: &Given,
    in_sandbox: bool,
    mistakes: Vec<Mistake>,
) -> Result<Settings, Vec<Mistake>> {
    let mut check = Check { given, mistakes };
    let listen = check.listen(in_sandbox);
    let upstream = check.upstream(in_sandbox);
    let (pair, credentials) = if in_sandbox { check.sandbox_pair() } else { check.pair() };
    let edge = edge::Options {
        max_body: check.whole("limits.body_bytes", 1024, 16 * 1024 * 1024),
        body_timeout: check.duration("limits.body_timeout"),
        ways: edge::Ways { hosts: check.names("listen.hosts"), proxies: check.proxies() },
        pages: check.pages(),
    };
    let limits = edge::Limits {
        connections: check.whole("limits.connections", 1, 100_000),
        connections_per_peer: check.whole("limits.connections_per_peer", 1, 100_000),
        head_timeout: check.duration("limits.head_timeout"),
        idle_timeout: check.duration("limits.idle_timeout"),
        write_timeout: check.duration("limits.write_timeout"),
        streams: edge::STREAMS,
    };
    let shutdown = check.shutdown(upstream.timeout);
    let mut policy = check.policy(in_sandbox);
    let shared = check.shared(policy.pace.rate.burst);
    policy.pace.replicas = shared.as_ref().map(|shared| shared.max_replicas);
    let settings = Settings {
        listen,
        upstream,
        pair,
        credentials,
        policy,
        state: check.state(in_sandbox),
        ledger: check.ledger(in_sandbox, shared.is_some()),
        shared,
        audit: check.audit(in_sandbox),
        metrics: check.metrics(),
        former_secret: check.former_secret(),
        edge,
        limits,
        shutdown,
        reload_every: check.reload_every(),
        log: check.log(),
        traces: check.traces(),
        record: check.place("upstream.record"),
        sandbox: in_sandbox.then(|| check.sandbox()),
        written: given.entries.iter().map(|entry| (entry.path.clone(), entry.shown())).collect(),
    };
    check.done(settings)
}

pub(super) fn sandbox(
    given: &Given,
    mistakes: Vec<Mistake>,
) -> Result<(sandbox::Options, telemetry::Options), Vec<Mistake>> {
    let mut check = Check { given, mistakes };
    let both = (check.sandbox(), check.log());
    check.done(both)
}

pub(super) fn admin(given: &Given, mistakes: Vec<Mistake>) -> Result<SocketAddr, Vec<Mistake>> {
    let mut check = Check { given, mistakes };
    let address = check.address("listen.admin");
    if address.port() == 0 {
        check.wrong("listen.admin", "the port that is listened on");
    }
    check.done(address)
}

pub(super) struct Check<'a> {
    pub(super) given: &'a Given,
    pub(super) mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn done<T>(self, checked: T) -> Result<T, Vec<Mistake>> {
        if self.mistakes.is_empty() { Ok(checked) } else { Err(self.mistakes) }
    }

    /// Notes that a setting is not what it must be, and where it was written.
    pub(super) fn wrong(&mut self, path: &str, expected: &str) {
        let written = self
            .given
            .entry(path)
            .map_or_else(String::new, |entry| format!(" ({}, from {})", entry.shown(), entry.source));
        self.mistakes
            .push(Mistake { path: path.to_owned(), expected: format!("expected {expected}{written}") });
    }

    pub(super) fn written(&self, path: &str) -> Option<&str> {
        self.given.entry(path).and_then(|entry| entry.value.as_str())
    }

    /// A list of words that all have to be among the known ones.
    pub(super) fn some_of<T: Copy>(
        &mut self,
        path: &str,
        known: &[T],
        word: fn(T) -> &'static str,
    ) -> Vec<T> {
        let before = self.mistakes.len();
        let written = self.names(path);
        let of = |text: &String| known.iter().copied().find(|known| word(*known) == text);
        let found: Option<Vec<T>> = written.iter().map(of).collect();
        found.filter(|_| self.mistakes.len() == before).unwrap_or_else(|| {
            self.mistakes.truncate(before);
            let words: Vec<&str> = known.iter().map(|known| word(*known)).collect();
            self.wrong(path, &format!("a list of some of {}", words.join(", ")));
            Vec::new()
        })
    }

    pub(super) fn text(&mut self, path: &str) -> String {
        let text = self.written(path).map(str::to_owned);
        text.unwrap_or_else(|| {
            self.wrong(path, "a text");
            String::new()
        })
    }

    /// A path, or nothing.
    pub(super) fn place(&mut self, path: &str) -> Option<std::path::PathBuf> {
        Some(self.text(path)).filter(|text| !text.is_empty()).map(Into::into)
    }

    pub(super) fn address(&mut self, path: &str) -> SocketAddr {
        let read = self.written(path).and_then(|text| text.parse().ok());
        read.unwrap_or_else(|| {
            self.wrong(path, "an address and a port, such as 127.0.0.1:7070 or [::1]:7070");
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// A list of texts; in the environment, joined by commas.
    pub(super) fn names(&mut self, path: &str) -> Vec<String> {
        let read: Option<Vec<String>> = match self.given.entry(path).map(|entry| &entry.value) {
            Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Some(Value::String(text)) => Some(
                text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            ),
            _ => None,
        };
        read.unwrap_or_else(|| {
            self.wrong(path, "a list of names, such as [\"gizad.default.svc\"]");
            Vec::new()
        })
    }

    pub(super) fn whole(&mut self, path: &str, least: i64, most: i64) -> usize {
        let read = match self.given.entry(path).map(|entry| &entry.value) {
            Some(Value::Integer(number)) => Some(*number),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let fit = read
            .filter(|number| (least..=most).contains(number))
            .and_then(|number| usize::try_from(number).ok());
        fit.unwrap_or_else(|| {
            self.wrong(path, &format!("a whole number from {least} to {most}"));
            0
        })
    }

    pub(super) fn flag(&mut self, path: &str) -> bool {
        let read = match self.given.entry(path).map(|entry| &entry.value) {
            Some(Value::Boolean(flag)) => Some(*flag),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        read.unwrap_or_else(|| {
            self.wrong(path, "true or false");
            false
        })
    }

    pub(super) fn duration(&mut self, path: &str) -> Duration {
        let read = self.written(path).and_then(duration);
        read.unwrap_or_else(|| {
            self.wrong(path, "a duration from 1ms to 24h, such as 500ms, 5s, 2m or 1h");
            Duration::from_secs(1)
        })
    }

    fn upstream(&mut self, in_sandbox: bool) -> upstream::Options {
        let url = self.text("upstream.url");
        let target = Target::parse(&url).unwrap_or_else(|expected| {
            self.wrong("upstream.url", &expected);
            Target::loopback()
        });
        // The sandbox has an address only once it runs; boot puts it here.
        let target = if in_sandbox { Target::loopback() } else { target };
        upstream::Options {
            target,
            frontend_source: self.text("upstream.frontend_source"),
            connect_timeout: self.duration("upstream.connect_timeout"),
            timeout: self.duration("upstream.timeout"),
            extra_ca: self.certificates("upstream.ca_file"),
            words: self.words(),
            mapping: self.mapping(),
            // Begun by boot, which writes files.
            recorder: None,
        }
    }

    /// The authorities in a file, if one is named.
    pub(super) fn certificates(&mut self, setting: &str) -> Vec<CertificateDer<'static>> {
        let path = self.text(setting);
        if path.is_empty() { Vec::new() } else { self.chain(setting, &path) }
    }

    fn words(&mut self) -> Words {
        let mut rows = BTreeMap::new();
        for (reason, entry) in self.given.under("upstream.words") {
            let words = entry
                .value
                .as_array()
                .map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
            match words {
                Some(Some(words)) => drop(rows.insert(reason.to_owned(), words)),
                _ => self.wrong(&entry.path, "a list of texts"),
            }
        }
        Words::with(&rows).unwrap_or_else(|unknown| {
            let known: Vec<&str> = Words::reasons().collect();
            for reason in unknown {
                self.wrong(&format!("upstream.words.{reason}"), &format!("a reason: {}", known.join(", ")));
            }
            Words::default()
        })
    }

    pub(super) fn actions(&mut self) -> BTreeMap<String, Effect> {
        let mut listed = BTreeMap::new();
        for (action, entry) in self.given.under("actions") {
            let own =
                Contract::embedded().is_ok_and(|contract| contract.actions().any(|known| known == action));
            // `public` is left out: what is sent without credentials is declared in the contract alone.
            let effects = || Effect::ALL.into_iter().filter(|effect| *effect != Effect::Public);
            let named = action.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            match effects().find(|effect| entry.value.as_str() == Some(effect.as_str())) {
                _ if !named => self.wrong(&entry.path, "a name of letters, digits and _"),
                _ if own => {
                    self.wrong(&entry.path, "an action without an operation of its own; see `gizad routes`")
                }
                Some(effect) => drop(listed.insert(action.to_owned(), effect)),
                None => {
                    let names: Vec<&str> = effects().map(Effect::as_str).collect();
                    self.wrong(&entry.path, &format!("one of {}", names.join(", ")));
                }
            }
        }
        listed
    }

    fn sandbox(&mut self) -> sandbox::Options {
        let spoken = self.text("sandbox.personality");
        let personality = Personality::named(&spoken).unwrap_or_else(|| {
            let names = Personality::ALL.map(Personality::as_str);
            self.wrong("sandbox.personality", &format!("one of {}", names.join(", ")));
            Personality::Boolean
        });
        sandbox::Options {
            listen: self.address("sandbox.listen"),
            control: self.address("sandbox.control"),
            identifier: self.text("sandbox.identifier"),
            secret: self.text("sandbox.secret"),
            personality,
            balance_vnd: i64::try_from(self.whole("sandbox.balance_vnd", 0, 1_000_000_000_000))
                .unwrap_or(i64::MAX),
            install_time: self.duration("sandbox.install_time"),
            power_time: self.duration("sandbox.power_time"),
            deposit_time: self.duration("sandbox.deposit_time"),
            replay: self.place("sandbox.replay"),
        }
    }

    fn state(&mut self, in_sandbox: bool) -> State {
        match self.text("state.dir").as_str() {
            "" => State::Nowhere,
            // What is learned of a stand-in is worth nothing.
            "auto" if in_sandbox => State::Nowhere,
            "auto" => super::layers::usual_state_dir().map_or(State::Nowhere, State::Usual),
            path => State::In(path.into()),
        }
    }

    fn log(&mut self) -> telemetry::Options {
        let (level, format) = (self.text("log.level"), self.text("log.format"));
        telemetry::Options::read(&level, &format).unwrap_or_else(|wrong| {
            for (path, expected) in wrong {
                self.wrong(path, expected);
            }
            telemetry::Options::default()
        })
    }
}

/// `500ms`, `5s`, `2m` or `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let read = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&read).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "5 s", "-1s", "0s", "25h", "99999999999999999999s", "1d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
