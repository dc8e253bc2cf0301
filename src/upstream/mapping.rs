//! What an operator knows of the provider's answers and the contract does not yet: further names for a field, further words
//! for a state, further places of what was asked for. Each row makes the rows of the contract that it is about anew, so that
//! nobody who reads an answer knows of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::{Contract, Field, Kind, Message, Operation, Shape, fold, nearest};

/// One row, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The provider's action, or an operation by its name.
    pub action: String,
    /// A field of what is answered; below another message, with its path.
    pub field: Option<String>,
    /// Names under which the provider has it.
    pub from: Vec<String>,
    /// A state of that field.
    pub value: Option<String>,
    /// The provider's words for it.
    pub words: Vec<String>,
    /// Names under which what is answered stands.
    pub under: Vec<String>,
}

/// The operations whose answers are read in another way than the contract says.
#[derive(Clone, Debug, Default)]
pub struct Mapping(Arc<BTreeMap<String, Operation>>);

impl Mapping {
    /// Takes rows; those later count before those earlier.
    ///
    /// # Errors
    /// What is wrong with each row that cannot be used, by its number from zero and the member of it.
    pub fn new(contract: &Contract, rows: &[Row]) -> Result<Self, Vec<(usize, &'static str, String)>> {
        let mut mapped: BTreeMap<String, Operation> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let meant: Vec<&Operation> =
                contract.operations().iter().filter(|operation| row.is_about(operation)).collect();
            if meant.is_empty() {
                let names =
                    contract.actions().chain(contract.operations().iter().map(|row| row.name.as_str()));
                let near = nearest(&row.action, names)
                    .map_or(String::new(), |near| format!("; did you mean {near}?"));
                wrong.push((
                    index,
                    "action",
                    format!("an action or an operation as `gizad routes` lists them{near}"),
                ));
                continue;
            }
            let applied = meant.into_iter().map(|operation| {
                let mapped = mapped.entry(operation.name.clone()).or_insert_with(|| operation.clone());
                row.apply(mapped)
            });
            // One action may serve several operations, of which not all answer with the field.
            let results: Vec<_> = applied.collect();
            if !results.iter().any(Result::is_ok)
                && let Some(Err((member, what))) = results.into_iter().next()
            {
                wrong.push((index, member, what));
            }
        }
        if wrong.is_empty() { Ok(Self(Arc::new(mapped))) } else { Err(wrong) }
    }

    /// The row by which an answer of this operation is read.
    pub(super) fn of<'a>(&'a self, operation: &'a Operation) -> &'a Operation {
        self.0.get(&operation.name).unwrap_or(operation)
    }
}

impl Row {
    fn is_about(&self, operation: &Operation) -> bool {
        !operation.is_gizads()
            && (operation.name == self.action || operation.upstream.names().any(|name| name == self.action))
    }

    fn apply(&self, operation: &mut Operation) -> Result<(), (&'static str, String)> {
        for name in self.under.iter().rev() {
            front(&mut operation.answer.wrappers, fold(name));
        }
        let Some(path) = &self.field else { return Ok(()) };
        let part = operation.result.clone().into_iter();
        let beneath: Vec<String> = part.chain(item(operation)).collect();
        let path: Vec<&str> = path.split('.').collect();
        // Of a list, the items come first; then what stands beside them.
        let whole = (0..=beneath.len()).rev().map(|taken| {
            let before = beneath.iter().take(taken).map(String::as_str);
            before.chain(path.iter().copied()).collect::<Vec<&str>>()
        });
        for path in whole {
            let found =
                find(&operation.output, &path).filter(|field| field.judged.is_none() && !field.is_extra());
            if found.is_some() {
                let changed =
                    change(&mut operation.output, &path, |message, index| self.change(message, index));
                return changed.unwrap_or(Ok(()));
            }
        }
        let told = beneath.iter().map(String::as_str).collect::<Vec<_>>();
        let message = find(&operation.output, &told).and_then(inner).unwrap_or(&operation.output);
        let known = message.fields.iter().filter(|field| field.judged.is_none() && !field.is_extra());
        let known: Vec<&str> = known.map(|field| field.name.as_str()).collect();
        let near = nearest(&path.join("."), known.iter().copied());
        let near = near.map_or_else(
            || format!("; it has {}", known.join(", ")),
            |near| format!("; did you mean {near}?"),
        );
        Err(("field", format!("a field of what {} answers{near}", operation.name)))
    }

    fn change(&self, message: &mut Message, index: usize) -> Result<(), (&'static str, String)> {
        let folded: Vec<String> = self.from.iter().map(|name| fold(name)).collect();
        for (other, field) in message.fields.iter_mut().enumerate() {
            if other == index {
                for name in folded.iter().rev() {
                    front(&mut field.read_as, name.clone());
                }
            } else {
                // What was said to be one thing is no other.
                field.read_as.retain(|name| !folded.contains(name));
            }
        }
        let (Some(field), Some(value)) = (message.fields.get_mut(index), &self.value) else { return Ok(()) };
        let Kind::Enum(states) = &mut field.kind else {
            return Err(("value", format!("nothing, because {} is no state", field.name)));
        };
        if states.by_name(value).is_none() {
            return Err(("value", states.listed()));
        }
        let words: Vec<String> = self.words.iter().map(|word| fold(word)).collect();
        for state in &mut states.values {
            if state.name.eq_ignore_ascii_case(value) {
                state.words.extend(words.iter().cloned());
            } else {
                state.words.retain(|word| !words.contains(word));
            }
        }
        Ok(())
    }
}

/// The field of what a list answers that holds the items.
fn item(operation: &Operation) -> Option<String> {
    let items = operation.told().fields.iter().find(|field| field.repeated && inner(field).is_some());
    items.filter(|_| operation.answer.shape == Shape::List).map(|field| field.name.clone())
}

fn inner(field: &Field) -> Option<&Message> {
    match &field.kind {
        Kind::Message(inner) => Some(inner),
        _ => None,
    }
}

/// The field at the end of a path of names.
fn find<'a>(message: &'a Message, path: &[&str]) -> Option<&'a Field> {
    let (first, rest) = path.split_first()?;
    let field = message.field(first)?;
    if rest.is_empty() { Some(field) } else { find(inner(field)?, rest) }
}

/// Changes what is at the end of a path, and nothing that somebody else holds.
fn change<R>(message: &mut Message, path: &[&str], work: impl FnOnce(&mut Message, usize) -> R) -> Option<R> {
    let (first, rest) = path.split_first()?;
    let index = message.fields.iter().position(|field| field.name == *first)?;
    if rest.is_empty() {
        return Some(work(message, index));
    }
    match &mut message.fields.get_mut(index)?.kind {
        Kind::Message(inner) => change(Arc::make_mut(inner), rest, work),
        _ => None,
    }
}

fn front(names: &mut Vec<String>, name: String) {
    names.retain(|other| *other != name);
    names.insert(0, name);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(action: &str, field: &str, from: &[&str]) -> Row {
        let from = from.iter().map(|name| (*name).to_owned()).collect();
        Row { action: action.to_owned(), field: Some(field.to_owned()), from, ..Row::default() }
    }

    #[test]
    fn a_name_belongs_to_one_field_and_to_what_the_row_is_about() {
        let contract = Contract::embedded().expect("sound");
        let mapping = Mapping::new(contract, &[row("list_vps", "plan_name", &["Name"])]).expect("sound rows");
        for name in ["VpsService.ListVps", "VpsService.GetVps"] {
            let operation = contract.operation(name).expect("a row");
            let mapped = mapping.of(operation);
            let read_as = |operation: &Operation, field: &str| {
                let item = item(operation);
                let path: Vec<&str> = item.iter().map(String::as_str).chain([field]).collect();
                find(&operation.output, &path).expect("a field").read_as.clone()
            };
            assert!(read_as(operation, "hostname").contains(&"name".to_owned()));
            assert!(!read_as(mapped, "hostname").contains(&"name".to_owned()));
            assert_eq!(read_as(mapped, "plan_name")[0], "name");
        }
        let other = contract.operation("HostingService.ListHosting").expect("a row");
        assert!(std::ptr::eq(mapping.of(other), other));
    }

    #[test]
    fn a_row_that_says_nothing_is_named() {
        let contract = Contract::embedded().expect("sound");
        let state =
            |field: &str, value: &str| Row { value: Some(value.to_owned()), ..row("list_vps", field, &[]) };
        let rows = [
            row("list_vpss", "hostname", &["a"]),
            row("list_vps", "hostnam", &["a"]),
            row("list_vps", "extra", &["a"]),
            state("hostname", "ON"),
            state("power", "ONN"),
        ];
        let wrong = Mapping::new(contract, &rows).expect_err("five mistakes");
        let members: Vec<(usize, &str)> = wrong.iter().map(|(index, member, _)| (*index, *member)).collect();
        assert_eq!(members, [(0, "action"), (1, "field"), (2, "field"), (3, "value"), (4, "value")]);
        assert!(
            wrong[0].2.contains("did you mean list_vps?") && wrong[1].2.contains("did you mean hostname?"),
            "{wrong:?}"
        );
    }
}
