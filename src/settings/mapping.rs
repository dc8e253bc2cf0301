//! The settings of `[[upstream.mapping]]`: what the operator knows of the provider's answers.

use toml::{Table, Value};

use super::check::Check;
use crate::contract::Contract;
use crate::upstream::{Mapping, Row};

const PATH: &str = "upstream.mapping";
/// What a row is.
const ROW: &str = "tables with action, and with field and from (a list of names), or field, value and words, or under (a list of names)";

impl Check<'_> {
    pub(super) fn mapping(&mut self) -> Mapping {
        let rows = match self.given.entry(PATH).map(|entry| &entry.value) {
            Some(Value::Array(rows)) => rows.clone(),
            // In the environment, as TOML writes a list.
            Some(Value::String(text)) => {
                let read = format!("rows = {text}").parse::<Table>().ok();
                match read.and_then(|mut table| table.remove("rows")) {
                    Some(Value::Array(rows)) => rows,
                    _ => return self.no_mapping(None, &format!("a list of {ROW}")),
                }
            }
            _ => return self.no_mapping(None, &format!("a list of {ROW}")),
        };
        let before = self.mistakes.len();
        let rows: Vec<Row> =
            rows.iter().enumerate().filter_map(|(index, row)| self.row(index, row)).collect();
        if self.mistakes.len() > before {
            return Mapping::default();
        }
        let Ok(contract) = Contract::embedded() else { return Mapping::default() };
        Mapping::new(contract, &rows).unwrap_or_else(|wrong| {
            for (index, member, expected) in wrong {
                self.no_mapping(Some((index, member)), &expected);
            }
            Mapping::default()
        })
    }

    fn row(&mut self, index: usize, row: &Value) -> Option<Row> {
        let Some(table) = row.as_table() else {
            self.no_mapping(None, &format!("a list of {ROW}"));
            return None;
        };
        let mut found = Row::default();
        for (member, value) in table {
            let text = || value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let texts = || {
                let items = value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned));
                items
                    .collect::<Option<Vec<String>>>()
                    .filter(|texts| texts.iter().all(|text| !text.trim().is_empty()))
            };
            let read = match member.as_str() {
                "action" => text().map(|text| found.action = text),
                "field" => text().map(|text| found.field = Some(text)),
                "value" => text().map(|text| found.value = Some(text)),
                "from" => texts().map(|texts| found.from = texts),
                "words" => texts().map(|texts| found.words = texts),
                "under" => texts().map(|texts| found.under = texts),
                _ => {
                    self.no_mapping(Some((index, member)), &format!("no such member; rows are {ROW}"));
                    return None;
                }
            };
            if read.is_none() {
                self.no_mapping(
                    Some((index, member)),
                    "a text, or for from, words and under a list of texts",
                );
                return None;
            }
        }
        let named = found.field.is_some()
            && (!found.from.is_empty() || (found.value.is_some() && !found.words.is_empty()));
        let whole = found.value.is_some() != found.words.is_empty();
        if found.action.is_empty() || !whole || (!named && (found.under.is_empty() || found.field.is_some()))
        {
            self.no_mapping(Some((index, "action")), &format!("rows that are {ROW}"));
            return None;
        }
        Some(found)
    }

    fn no_mapping(&mut self, at: Option<(usize, &str)>, expected: &str) -> Mapping {
        let path = at.map_or_else(|| PATH.to_owned(), |(index, member)| format!("{PATH}[{index}].{member}"));
        self.wrong(&path, expected);
        Mapping::default()
    }
}
