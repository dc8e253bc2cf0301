//! What the provider's answers look like: every harmless question of the contract is asked once, one after the other, and the
//! shape of each answer is kept, so that the next time shows what has changed. What changes something, reveals something, or
//! needs an identifier that no list shows, is not asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use prost_reflect::{DynamicMessage, Value};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::ambient;
use crate::call::Call;
use crate::contract::{Contract, Effect, Kind, Operation, Shape as Form, Watch};
use crate::settings::{Settings, State};
use crate::state::Folder;
use crate::upstream::{Drift, Sample, Shape, Upstream};

/// The name of the file.
const FILE: &str = "shapes.json";
/// The longest that is read, in bytes.
const LONGEST: u64 = 8 * 1024 * 1024;

/// What was learned.
#[derive(Debug, Default)]
pub struct Calibration {
    /// Each question, and what came of it.
    pub asked: Vec<Asked>,
    /// Questions that were not asked, and why.
    pub left: Vec<(String, String)>,
    /// Where the shapes are kept, if they are.
    pub kept: Option<PathBuf>,
    /// Whether there were shapes to compare with.
    pub compared: bool,
}

/// One question.
#[derive(Debug)]
pub struct Asked {
    /// The operation.
    pub operation: String,
    /// The action, with what always goes with it.
    pub action: String,
    /// What came of it.
    pub sample: Sample,
    /// What is different from the last time.
    pub drift: Vec<Drift>,
}

impl Calibration {
    /// Whether an answer looks different from the last time.
    #[must_use]
    pub fn drifted(&self) -> bool {
        self.asked.iter().any(|asked| !asked.drift.is_empty())
    }

    /// Whether every answer was understood.
    #[must_use]
    pub fn understood(&self) -> bool {
        self.asked.iter().all(|asked| asked.sample.understood.is_ok())
    }
}

/// Asks, compares and keeps.
///
/// # Errors
/// When the provider's client cannot be built, or the file cannot be read or written.
pub async fn calibrate(settings: &Settings, file: Option<PathBuf>) -> Result<Calibration, String> {
    let contract = Contract::embedded().map_err(|_| "the contract is not sound".to_owned())?;
    let file = match file {
        Some(file) => Some(file),
        None => usual(settings).map_err(|error| format!("the folder for {FILE} cannot be made: {error}"))?,
    };
    let before = match &file {
        Some(file) => read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => BTreeMap::new(),
    };
    let upstream = Upstream::new(settings.upstream.clone(), settings.credentials.clone())?;
    let mut done = Calibration { compared: !before.is_empty(), ..Calibration::default() };
    let mut known: HashMap<(String, String), Value> = HashMap::new();
    // Half of what the account may be used at, beside a daemon that may run.
    let rest = settings.policy.pace.rate.every * 2;
    let (free, bound): (Vec<&Operation>, Vec<&Operation>) = contract
        .operations()
        .iter()
        .filter(|row| is_asked(row))
        .partition(|row| row.path.variables().is_empty());
    for operation in free.into_iter().chain(bound) {
        for request in requests(operation, &known) {
            let request = match request {
                Ok(request) => request,
                Err(why) => {
                    done.left.push((operation.name.clone(), why));
                    continue;
                }
            };
            let sample = upstream.sample(&Call::own(operation, request, settings.upstream.timeout)).await;
            if let Some(message) = &sample.message {
                learn(operation, message, &mut known);
            }
            let action = label(operation, &sample.action);
            let drift = match (before.get(&action), &sample.shape) {
                (Some(before), Some(now)) => before.drift(now),
                _ => Vec::new(),
            };
            done.asked.push(Asked { operation: operation.name.clone(), action, sample, drift });
            sleep(rest).await;
        }
    }
    if let Some(file) = file {
        let mut shapes = before;
        for asked in &done.asked {
            // An answer that is none says nothing about those to come.
            if let (Some(shape), Ok(_)) = (&asked.sample.shape, &asked.sample.understood) {
                shapes.insert(asked.action.clone(), shape.clone());
            } else if let Some(shape) = &asked.sample.shape {
                shapes.entry(asked.action.clone()).or_insert_with(|| shape.clone());
            }
        }
        write(&file, &shapes).map_err(|error| format!("{}: {error}", file.display()))?;
        done.kept = Some(file);
    }
    Ok(done)
}

/// What is harmless, and has an answer of its own.
fn is_asked(operation: &Operation) -> bool {
    matches!(operation.effect, Effect::Public | Effect::Read)
        && !operation.is_gizads()
        && operation.upstream.name_from.is_none()
        && operation.answer.shape != Form::Item
}

/// The requests that show all answers of an operation: as usual, and for each action that serves it, too.
fn requests(
    operation: &Operation,
    known: &HashMap<(String, String), Value>,
) -> Vec<Result<DynamicMessage, String>> {
    let mut request = DynamicMessage::new(operation.input.descriptor.clone());
    for name in operation.path.variables() {
        let value = known.get(&(operation.service.clone(), name.clone()));
        match (operation.input.field(name), value) {
            (Some(field), Some(value)) => request.set_field(&field.descriptor, value.clone()),
            _ => return vec![Err(format!("no list shows the {name} to ask with"))],
        }
    }
    let needed =
        operation.free_fields().find(|field| field.rules.require() && !field.optional && !field.repeated);
    if let Some(needed) = needed {
        return vec![Err(format!("it needs {}", needed.name))];
    }
    let variants = operation.upstream.variants.iter().filter_map(|variant| {
        let mut asked = request.clone();
        asked
            .set_field(&operation.input.field(&variant.field)?.descriptor, Value::EnumNumber(variant.number));
        Some(Ok(asked))
    });
    let variants: Vec<_> = variants.collect();
    std::iter::once(Ok(request)).chain(variants).collect()
}

/// Identifiers of the first of what is listed, for the questions about one.
fn learn(operation: &Operation, message: &DynamicMessage, known: &mut HashMap<(String, String), Value>) {
    let Some((items, Kind::Message(plan))) = Watch::items(operation).map(|field| (field, &field.kind)) else {
        return;
    };
    let held = message.get_field(&items.descriptor);
    let Some(first) = held.as_list().and_then(<[Value]>::first).and_then(Value::as_message) else { return };
    for field in plan.fields.iter().filter(|field| first.has_field(&field.descriptor)) {
        let value = first.get_field(&field.descriptor).into_owned();
        known.entry((operation.service.clone(), field.name.clone())).or_insert(value);
    }
}

fn label(operation: &Operation, action: &str) -> String {
    let constants = operation.upstream.constants.iter();
    constants.fold(action.to_owned(), |label, (name, value)| format!("{label} {name}={value}"))
}

fn usual(settings: &Settings) -> io::Result<Option<PathBuf>> {
    let (State::Usual(below) | State::In(below)) = &settings.state else { return Ok(None) };
    let url = settings.upstream.target.uri().to_string();
    let folder = Folder::of_account(below, &[&url, &settings.credentials.fingerprint()])?;
    Ok(Some(folder.path().join(FILE)))
}

fn read(file: &Path) -> io::Result<BTreeMap<String, Shape>> {
    let mut text = String::new();
    match fs::File::open(file) {
        Ok(open) => io::Read::read_to_string(&mut io::Read::take(open, LONGEST), &mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let strange = || {
        io::Error::new(io::ErrorKind::InvalidData, "these are no shapes; take the file away to begin anew")
    };
    let whole: Json = serde_json::from_str(&text).map_err(|_| strange())?;
    let answers = whole.get("answers").and_then(Json::as_object).ok_or_else(strange)?;
    let shape = |json: &Json| -> Option<Shape> {
        let places = json.as_object()?.iter().map(|(at, kinds)| {
            let kinds = kinds.as_array()?.iter().map(|kind| kind.as_str().map(str::to_owned));
            Some((at.clone(), kinds.collect::<Option<BTreeSet<String>>>()?))
        });
        Some(Shape(places.collect::<Option<BTreeMap<_, _>>>()?))
    };
    let read = answers.iter().map(|(action, json)| Some((action.clone(), shape(json)?)));
    read.collect::<Option<BTreeMap<_, _>>>().ok_or_else(strange)
}

/// Writes beside the old file first, then in its place.
fn write(file: &Path, shapes: &BTreeMap<String, Shape>) -> io::Result<()> {
    let answers: serde_json::Map<String, Json> =
        shapes.iter().map(|(action, shape)| (action.clone(), json!(shape.0))).collect();
    let taken = jiff::Timestamp::from_millisecond(ambient::unix_millis())
        .map_or_else(|_| String::new(), |time| time.to_string());
    let whole = json!({"gizad": env!("CARGO_PKG_VERSION"), "taken": taken, "answers": answers});
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    open.write_all(serde_json::to_string_pretty(&whole)?.as_bytes())?;
    open.write_all(b"\n")?;
    open.sync_all()?;
    fs::rename(&beside, file)
}
