//! An answer for a person: a table of what is listed, names and values of one thing.

use gizad::contract::{Field, Kind, Message, Operation, Watch};
use serde_json::Value as Json;

use super::cells::{Moments, UNKNOWN, bare, cell, padded, plain, width};

/// What is between two columns.
const GAP: &str = "  ";
/// How far something that stands within another is set in.
const INDENT: &str = "  ";

/// An answer as text, and how many columns were left out for want of room.
pub(super) fn answer(operation: &Operation, json: &Json, room: Option<usize>) -> (String, usize) {
    // What has a list in it, such as a ticket its replies, is one thing all the same.
    let items = Watch::items(operation).filter(|_| is_list(operation));
    let listed = items.and_then(|field| match (&field.kind, json.get(&field.name)) {
        (Kind::Message(plan), Some(Json::Array(items))) => Some((plan, items)),
        _ => None,
    });
    match listed {
        Some((_, items)) if items.is_empty() => ("nothing\n".to_owned(), 0),
        Some((plan, items)) => table(plan, items, room),
        None => {
            let mut out = String::new();
            single(&operation.output, json, "", &mut out);
            (out, 0)
        }
    }
}

/// Whether the answer is a list, and not one thing that has a list in it.
fn is_list(operation: &Operation) -> bool {
    operation.output.descriptor.name().ends_with("Response")
        || operation.output.fields.iter().all(|field| field.repeated || field.is_extra())
}

/// A table with those columns that say something.
pub(super) fn table(plan: &Message, items: &[Json], room: Option<usize>) -> (String, usize) {
    let fields: Vec<&Field> = plan.fields.iter().filter(|field| is_cell(field)).collect();
    let mut columns: Vec<(String, Vec<String>, bool)> = Vec::new();
    for field in fields {
        let cells: Vec<String> = items
            .iter()
            .map(|item| one_line(&cell(field, item.get(&field.name).unwrap_or(&Json::Null), Moments::Short)))
            .collect();
        if cells.iter().any(|cell| cell != UNKNOWN) {
            let right = !field.repeated && matches!(field.kind, Kind::Int32 | Kind::Int64);
            columns.push((heading(&field.name), cells, right));
        }
    }
    let widths: Vec<usize> = columns
        .iter()
        .map(|(name, cells, _)| cells.iter().map(|cell| width(cell)).chain([width(name)]).max().unwrap_or(0))
        .collect();
    let mut fit = columns.len();
    if let Some(room) = room {
        let mut taken = 0;
        let fitting = widths.iter().take_while(|width| {
            taken += **width + GAP.len();
            taken <= room + GAP.len()
        });
        fit = fitting.count().max(1).min(columns.len());
    }
    let mut out = String::new();
    let mut line = |cells: Vec<(&str, usize, bool)>| {
        let cells: Vec<String> = cells.iter().map(|(text, to, right)| padded(text, *to, *right)).collect();
        out.push_str(cells.join(GAP).trim_end());
        out.push('\n');
    };
    let kept = || columns.iter().zip(&widths).take(fit);
    line(kept().map(|((name, _, right), width)| (name.as_str(), *width, *right)).collect());
    for row in 0..items.len() {
        let cells = kept().map(|((_, cells, right), width)| {
            (cells.get(row).map_or(UNKNOWN, String::as_str), *width, *right)
        });
        line(cells.collect());
    }
    (out, columns.len() - fit)
}

/// Names and values of one thing, and of what stands within it.
pub(super) fn single(plan: &Message, json: &Json, indent: &str, out: &mut String) {
    let names = plan.fields.iter().filter(|field| is_cell(field)).map(|field| width(&field.name));
    let names = names.max().unwrap_or(0);
    for field in &plan.fields {
        let json = json.get(&field.name).unwrap_or(&Json::Null);
        match (&field.kind, json) {
            (Kind::Message(_), Json::Null) => {}
            (Kind::Message(_), Json::Array(items)) if items.is_empty() => {}
            (Kind::Message(inner), Json::Array(items)) => {
                out.push_str(&format!("{indent}{}\n", field.name));
                for line in table(inner, items, None).0.lines() {
                    out.push_str(&format!("{indent}{INDENT}{line}\n"));
                }
            }
            (Kind::Message(inner), json) => {
                out.push_str(&format!("{indent}{}\n", field.name));
                single(inner, json, &format!("{indent}{INDENT}"), out);
            }
            (Kind::Struct, Json::Object(members)) => {
                for (name, json) in members {
                    let name = plain(name);
                    out.push_str(&format!("{indent}{}.{name}{GAP}{}\n", field.name, bare(json)));
                }
            }
            (Kind::Any, json) => {
                let text = serde_json::to_string_pretty(json).unwrap_or_default();
                text.lines().for_each(|line| out.push_str(&format!("{indent}{}\n", plain(line))));
            }
            _ => {
                let value = cell(field, json, Moments::Whole);
                // Further lines of a text stand below its first.
                let below = format!("\n{indent}{}", " ".repeat(names + GAP.len()));
                let value = value.trim_end().replace('\n', &below);
                out.push_str(&format!("{indent}{}{GAP}{value}\n", padded(&field.name, names, false)));
            }
        }
    }
}

/// Whether it is one value.
fn is_cell(field: &Field) -> bool {
    !matches!(field.kind, Kind::Struct | Kind::Any | Kind::Message(_))
}

fn heading(name: &str) -> String {
    let name = name.strip_suffix("_vnd").unwrap_or(name);
    name.to_uppercase()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How wide the terminal is, if the answer goes to one.
pub(super) fn room() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
