//! The contract as text: one line an operation, for people and for the golden file.

use std::fmt::Write as _;

use super::{Contract, Operation};

pub(super) fn print(contract: &Contract) -> String {
    let rows: Vec<[String; 5]> = contract
        .all()
        .map(|operation| {
            [
                operation.verb.to_string(),
                operation.path.template().to_owned(),
                operation.name.clone(),
                action(operation),
                operation.effect.to_string(),
            ]
        })
        .collect();
    let heads = ["METHOD", "PATH", "RPC", "ACTION", "EFFECT"].map(str::to_owned);
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = std::iter::once(&heads).chain(&rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let mut out = String::new();
    for row in std::iter::once(&heads).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The action with what is always sent beside it.
fn action(operation: &Operation) -> String {
    let upstream = &operation.upstream;
    let mut text = match &upstream.name_from {
        Some(field) => format!("{{{field}}}"),
        None if operation.is_gizads() => "-".to_owned(),
        None => upstream.names().collect::<Vec<_>>().join(" | "),
    };
    for (name, value) in &upstream.constants {
        let _infallible = write!(text, " {name}={value}");
    }
    text
}
