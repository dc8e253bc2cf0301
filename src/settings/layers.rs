//! What was written where: the defaults, a file, the environment, flags, laid over one another.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zeroize::Zeroize as _;

use super::access::sum;
use super::{DEFAULTS, Flags, otel};
use crate::call::Token;
use crate::contract::nearest;
use crate::edge::tls::{SPIFFE, subject};

/// Sections whose keys are the operator's own.
const FREE: [&str; 5] = ["actions", "budget.callers", "cache.operations", "callers", "upstream.words"];
/// Settings that are never shown, and are taken out of the environment.
pub(super) const SECRET: [&str; 5] =
    ["credentials.identifier", "credentials.secret", "sandbox.secret", "shared.url", "traces.headers"];

/// What is set for a caller and hides nothing.
const CALLERS_PLAIN: [&str; 5] = [".scopes", ".operations", ".expires", ".quota.rate", ".quota.burst"];

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its path, such as `listen.api`.
    pub path: String,
    /// What was expected, and what to do.
    pub expected: String,
}

impl Mistake {
    pub(super) fn at(path: &str, expected: &str) -> Self {
        Self { path: path.to_owned(), expected: expected.to_owned() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.expected)
    }
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(String),
    Environment(String),
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path) => f.write_str(path),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("a flag"),
        }
    }
}

/// One setting as it was written last.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) source: Source,
}

impl Entry {
    /// The value as it may be seen: no secret, no user and password of a URL, and no token, wherever it was put.
    pub(super) fn shown(&self) -> String {
        let secret = SECRET.contains(&self.path.as_str()) && self.value.as_str() != Some("");
        if secret || self.value.to_string().contains(Token::PREFIX) || self.is_doubtful_at_a_caller() {
            return "\"[masked]\"".to_owned();
        }
        match self.value.as_str().and_then(|text| text.split_once("://")?.1.rsplit_once('@')) {
            Some(_) => "\"[masked]\"".to_owned(),
            None => self.value.to_string(),
        }
    }

    /// Something at a caller that is neither a digest nor anything else that belongs there: perhaps what the digest should
    /// be of.
    fn is_doubtful_at_a_caller(&self) -> bool {
        let texts = match &self.value {
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            other => vec![other.as_str()],
        };
        let named = |text: &str| match self.path.rsplit_once('.').map(|(_, what)| what) {
            Some("spiffe") => text.starts_with(SPIFFE),
            Some("subject") => subject(text).is_some(),
            _ => sum(text).is_some(),
        };
        let fits = texts.into_iter().flatten().all(named);
        let plain = CALLERS_PLAIN.iter().any(|what| self.path.ends_with(what));
        self.path.starts_with("callers.") && !plain && !fits
    }
}

/// All settings as they were written last, in the order of the annotated file.
#[derive(Clone, Debug)]
pub struct Given {
    pub(super) entries: Vec<Entry>,
}

impl Drop for Given {
    /// Wipes what is secret, once the settings are checked.
    fn drop(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| SECRET.contains(&entry.path.as_str())) {
            if let Value::String(text) = &mut entry.value {
                text.zeroize();
            }
        }
    }
}

impl Given {
    pub(super) fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// The keys of a free section.
    pub(super) fn under<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        self.entries.iter().filter_map(move |entry| {
            let key = entry.path.strip_prefix(section)?.strip_prefix('.')?;
            Some((key, entry))
        })
    }

    fn set(&mut self, path: &str, value: Value, source: Source) {
        match self.entries.iter_mut().find(|entry| entry.path == path) {
            Some(entry) => (entry.value, entry.source) = (value, source),
            None => self.entries.push(Entry { path: path.to_owned(), value, source }),
        }
    }
}

/// What the variables of settings begin with.
pub(super) const PREFIX: &str = "GIZAD_";

/// The file in which systemd hands a credential over (`LoadCredential=`, systemd.exec(5)), if it does.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn handed_by_systemd(name: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    path.is_absolute().then_some(path).filter(|path| path.exists())
}

/// Where a daemon keeps what it remembers, if nothing else is said: what systemd names (its first folder), or the
/// user's own place for it (XDG base directories).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn usual_state_dir() -> Option<PathBuf> {
    let named = |name: &str| std::env::var(name).ok().filter(|path| path.starts_with('/'));
    let by_systemd = || named("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(PathBuf::from));
    let own = || named("XDG_STATE_HOME").map(PathBuf::from);
    let home = || named("HOME").map(|home| Path::new(&home).join(".local/state"));
    by_systemd().or_else(|| own().or_else(home).map(|state| state.join("gizad")))
}

/// Whether this runs in a pod of Kubernetes, which says so to every container.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn in_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty())
}

/// Where a user's own sockets are (XDG base directories).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn runtime_dir() -> Option<PathBuf> {
    std::env::var("XDG_RUNTIME_DIR").ok().filter(|path| path.starts_with('/')).map(PathBuf::from)
}

/// Lays the layers over one another. What is unknown or cannot be read is a mistake.
pub(super) fn read(flags: &Flags, environment: &[(String, String)]) -> (Given, Vec<Mistake>) {
    let mut given = Given { entries: Vec::new() };
    let mut mistakes = Vec::new();
    match DEFAULTS.parse::<Table>() {
        Ok(defaults) => {
            leaves(&defaults, "", &mut |path, value| given.set(path, value.clone(), Source::Default))
        }
        Err(error) => {
            mistakes.push(Mistake { path: "deploy/gizad.toml".into(), expected: error.to_string() })
        }
    }
    if let Some(path) = &flags.config {
        file(path, &mut given, &mut mistakes);
    }
    for (path, name, text) in otel::settings(environment) {
        given.set(path, Value::String(text), Source::Environment(name.to_owned()));
    }
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        variable(name, text, &mut given, &mut mistakes);
    }
    for (path, text) in &flags.set {
        given.set(path, Value::String(text.clone()), Source::Flag);
    }
    (given, mistakes)
}

fn file(path: &Path, given: &mut Given, mistakes: &mut Vec<Mistake>) {
    let shown = path.display().to_string();
    let mut mistake = |expected: String| mistakes.push(Mistake { path: shown.clone(), expected });
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return mistake(format!("the file of --config cannot be read: {error}")),
    };
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        // Without the excerpt that the library prints: the line may hold the secret.
        Err(error) => {
            let line = error
                .span()
                .map_or(0, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
            return mistake(format!("line {line}: {}", error.message()));
        }
    };
    let known: Vec<String> = given.entries.iter().map(|entry| entry.path.clone()).collect();
    let mut unknown = Vec::new();
    leaves(&table, "", &mut |path, value| {
        let free =
            FREE.iter().any(|section| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')));
        if free || known.iter().any(|name| name == path) {
            given.set(path, value.clone(), Source::File(shown.clone()));
        } else {
            unknown.push(path.to_owned());
        }
    });
    let section =
        |path: &str| known.iter().any(|name| name.starts_with(&format!("{path}."))) || FREE.contains(&path);
    unknown.extend(
        table.iter().filter(|(name, value)| value.is_table() && !section(name)).map(|(name, _)| name.clone()),
    );
    for path in unknown {
        mistakes.push(Mistake { expected: unknown_setting(&path, &known), path });
    }
}

fn unknown_setting(path: &str, known: &[String]) -> String {
    match nearest(path, known.iter().map(String::as_str)) {
        Some(near) => format!("there is no such setting; did you mean {near}?"),
        None => "there is no such setting; deploy/gizad.toml lists all".to_owned(),
    }
}

fn variable(name: &str, text: &str, given: &mut Given, mistakes: &mut Vec<Mistake>) {
    let known: Vec<(String, String)> =
        given.entries.iter().map(|entry| (variable_of(&entry.path), entry.path.clone())).collect();
    if let Some((_, path)) = known.iter().find(|(variable, _)| variable == name) {
        given.set(path, Value::String(text.to_owned()), Source::Environment(name.to_owned()));
        return;
    }
    // Kubernetes sets these in every pod beside a Service that is called gizad.
    let of_a_service = ["GIZAD_SERVICE_", "GIZAD_PORT"].iter().any(|prefix| name.starts_with(prefix));
    let of_a_caller = super::reach::VARIABLES.contains(&name);
    if !of_a_service && !of_a_caller {
        // What they have in common makes none of them nearer.
        let own = |name: &'_ str| name.strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let names: Vec<String> = known.iter().map(|(variable, _)| own(variable)).collect();
        let expected = match nearest(&own(name), names.iter().map(String::as_str)) {
            Some(near) => format!("this variable is no setting; did you mean {PREFIX}{near}?"),
            None => "this variable is no setting; deploy/gizad.toml lists all".to_owned(),
        };
        mistakes.push(Mistake { path: name.to_owned(), expected });
    }
}

/// The variable of a setting.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// Every value of a table that is no table, with its path.
fn leaves(table: &Table, prefix: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => leaves(inner, &path, visit),
            leaf => visit(&path, leaf),
        }
    }
}
