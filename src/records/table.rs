//! A list of operations for a terminal.

use std::fmt::Write as _;

use super::{plain, time};
use crate::purchase::Record;

const HEAD: [&str; 8] = ["ID", "CREATED", "STATE", "METHOD", "CALLER", "PRICE", "POSTED", "KEY"];

/// One line an operation, its columns one below the other.
pub(super) fn table(records: &[Record]) -> String {
    let lines = records.iter().map(line).collect::<Vec<_>>();
    let head = HEAD.map(str::to_owned);
    let mut widths = HEAD.map(str::len);
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for line in std::iter::once(&head).chain(&lines) {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _infallible = write!(text, "{cell:width$}  ");
        }
        out += text.trim_end();
        out.push('\n');
    }
    out
}

fn line(record: &Record) -> [String; 8] {
    // To the second: a list is for finding something.
    let created = time(record.created_ms.div_euclid(1000) * 1000);
    [
        plain(&record.id),
        created,
        record.state().as_str().to_owned(),
        plain(&record.operation),
        plain(&record.caller),
        record.price_vnd.map_or_else(|| "-".to_owned(), |price| price.to_string()),
        record.posted_vnd.to_string(),
        record.key.as_deref().map_or_else(|| "-".to_owned(), plain),
    ]
}
