//! The fields of a request as arguments: what the path carries by its place, the rest by its name. What they must satisfy
//! beyond their types is said by gizad, all at once.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use gizad::contract::{Body, Comments, Effect, Field, Kind, Operation, Term};
use gizad::records;
use gizad::settings;
use serde_json::{Map, Value as Json};

/// The whole request.
pub(super) const DATA: &str = "data";
/// The longest file that holds a field or a request, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The arguments of an operation.
pub(super) fn of(operation: &Operation, comments: &Comments) -> Vec<Arg> {
    let mut arguments = Vec::new();
    for (index, name) in operation.path.variables().iter().enumerate() {
        if let Some(field) = operation.input.field(name) {
            let told = comments.of(field.descriptor.full_name()).to_owned();
            let argument = Arg::new(id(field)).index(index + 1).required(true);
            arguments.push(typed(argument, field, comments).value_name(name.to_uppercase()).help(told));
        }
    }
    for field in operation.free_fields() {
        let mut argument = option(field, comments);
        if field.term == Some(Term::Key) && operation.effect != Effect::Read {
            argument = argument.long("key").alias("request-id").value_name("KEY");
        }
        if is_required(field) {
            argument = argument.required_unless_present(DATA);
        }
        arguments.push(argument);
    }
    if operation.free_fields().next().is_some() {
        arguments.push(
            Arg::new(DATA)
                .long(DATA)
                .value_name("JSON|@FILE")
                .help("The whole request as JSON, or @FILE with it (@- for standard input); other options replace what it says"),
        );
    }
    arguments
}

/// Whether a request without it is refused.
fn is_required(field: &Field) -> bool {
    field.rules.require() && !field.optional && !field.repeated
}

/// A field by its name. What is secret is never on the command line, which every user of the machine can read.
pub(super) fn option(field: &Field, comments: &Comments) -> Arg {
    let told = comments.of(field.descriptor.full_name());
    let needed = if is_required(field) { " [required]" } else { "" };
    let name = field.name.replace('_', "-");
    let argument = Arg::new(id(field));
    if is_hidden(field) {
        let help = format!("A file with this and nothing else, or - for standard input: {told}{needed}");
        return argument
            .long(format!("{name}-file"))
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(help);
    }
    typed(argument.long(name), field, comments).help(format!("{told}{needed}"))
}

/// Whether it is a secret, by the contract.
fn is_hidden(field: &Field) -> bool {
    let options = field.descriptor.options();
    let marked =
        options.get_field_by_name("debug_redact").and_then(|flag| flag.as_bool()).unwrap_or_default();
    marked && matches!(field.kind, Kind::Text)
}

/// What it is called among the arguments.
pub(super) fn id(field: &Field) -> String {
    format!("field.{}", field.name)
}

fn typed(argument: Arg, field: &Field, comments: &Comments) -> Arg {
    let argument = match &field.kind {
        Kind::Bool => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .value_parser(clap::value_parser!(bool)),
        Kind::Int32 | Kind::Int64 => {
            let unit = if field.is_money() { "ĐỒNG" } else { "NUMBER" };
            argument.value_name(unit).allow_negative_numbers(true).value_parser(clap::value_parser!(i64))
        }
        Kind::Text => argument.value_name("TEXT"),
        Kind::Enum(states) => {
            let name = field.descriptor.kind().as_enum().map(|states| states.full_name().to_owned());
            let name = name.unwrap_or_default();
            let values = states.values.iter().skip(1).map(|state| {
                let told = comments.of(&format!("{name}.{}", state.name)).to_owned();
                PossibleValue::new(state.name.to_lowercase()).help(told)
            });
            argument
                .value_name(field.name.to_uppercase())
                .ignore_case(true)
                .value_parser(PossibleValuesParser::new(values.collect::<Vec<_>>()))
        }
        Kind::Timestamp => argument.value_name("TIME").value_parser(moment),
        Kind::Struct => {
            argument.value_name("NAME=TEXT|NAME:=JSON").value_parser(member).action(ArgAction::Append)
        }
        Kind::Any | Kind::Amounts | Kind::Message(_) => argument.value_name("JSON").value_parser(json),
    };
    if field.repeated { argument.action(ArgAction::Append) } else { argument }
}

/// A moment in RFC 3339, or how long ago.
fn moment(text: &str) -> Result<String, String> {
    // What is a moment already is left as it was written.
    if text.contains('T') || text.contains('t') {
        return Ok(text.to_owned());
    }
    let since = records::since(text)?;
    jiff::Timestamp::from_millisecond(since).map(|time| time.to_string()).map_err(|error| error.to_string())
}

/// How long something may take.
pub(super) fn time(text: &str) -> Result<String, String> {
    settings::duration(text).map(|_| text.to_owned())
}

/// A member of an object: `name=text`, or `name:=json`.
fn member(text: &str) -> Result<(String, Json), String> {
    let expected = || "NAME=TEXT, or NAME:=JSON such as vpsid:=1".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(expected)?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => (name, json(value)?),
        None => (name, Json::String(value.to_owned())),
    };
    if name.is_empty() { Err(expected()) } else { Ok((name.to_owned(), value)) }
}

fn json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

/// The fields of a request as they were given.
///
/// # Errors
/// When a file cannot be read, or what it holds is no request.
pub(super) fn read(operation: &Operation, matches: &ArgMatches) -> Result<Map<String, Json>, String> {
    let mut fields = Map::new();
    let data = matches.try_get_one::<String>(DATA).ok().flatten();
    if let Some(data) = data {
        let text = match data.strip_prefix('@') {
            Some(path) => file(Path::new(path))?,
            None => data.clone(),
        };
        let whole: Map<String, Json> =
            serde_json::from_str(&text).map_err(|error| format!("--data is no JSON object: {error}"))?;
        match &operation.body {
            // The body is one field then, and so is what is given for it.
            Body::Field(name) => drop(fields.insert(name.clone(), Json::Object(whole))),
            Body::Whole | Body::None => fields = whole,
        }
    }
    for field in &operation.input.fields {
        if let Some(value) = value(field, matches)? {
            match (fields.get_mut(&field.name), value) {
                // Members are added to those of --data.
                (Some(Json::Object(held)), Json::Object(more)) => held.extend(more),
                (_, value) => drop(fields.insert(field.name.clone(), value)),
            }
        }
    }
    Ok(fields)
}

fn value(field: &Field, matches: &ArgMatches) -> Result<Option<Json>, String> {
    let id = id(field);
    if matches.value_source(&id) != Some(ValueSource::CommandLine) {
        return Ok(None);
    }
    if is_hidden(field) {
        let Some(path) = matches.get_one::<PathBuf>(&id) else { return Ok(None) };
        return file(path).map(|text| Some(Json::String(text.trim_end_matches(['\n', '\r']).to_owned())));
    }
    let mut found: Vec<Json> = match &field.kind {
        Kind::Bool => {
            matches.get_many::<bool>(&id).into_iter().flatten().map(|flag| Json::Bool(*flag)).collect()
        }
        Kind::Int32 | Kind::Int64 => {
            matches.get_many::<i64>(&id).into_iter().flatten().map(|number| Json::from(*number)).collect()
        }
        Kind::Text | Kind::Enum(_) | Kind::Timestamp => {
            let texts = matches.get_many::<String>(&id).into_iter().flatten();
            texts.map(|text| Json::String(text.clone())).collect()
        }
        Kind::Struct => {
            let members = matches.get_many::<(String, Json)>(&id).into_iter().flatten();
            return Ok(Some(Json::Object(members.cloned().collect())));
        }
        Kind::Any | Kind::Amounts | Kind::Message(_) => {
            matches.get_many::<Json>(&id).into_iter().flatten().cloned().collect()
        }
    };
    Ok(if field.repeated { Some(Json::Array(found)) } else { found.pop() })
}

/// What a file holds, or standard input.
fn file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(LONGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}
