//! The comments of the protos, which are the documentation of the API. Only what is made of them once needs them, so they are
//! not among the descriptors.

use std::collections::HashMap;

/// Full names and comments in turn, as `build.rs` found them.
static TOLD: &str = include_str!(concat!(env!("OUT_DIR"), "/comments.txt"));

/// What the protos say of everything that has a name.
#[derive(Debug)]
pub struct Comments(HashMap<&'static str, String>);

impl Comments {
    /// Those of the contract that is compiled into this program.
    #[must_use]
    pub fn embedded() -> Self {
        let mut told = HashMap::new();
        let mut parts = TOLD.split('\0');
        while let (Some(name), Some(comment)) = (parts.next(), parts.next()) {
            told.insert(name, flowing(comment));
        }
        Self(told)
    }

    /// What is said of a service, a method, a message, a field, an enum, or a value below its enum; nothing if nothing is.
    #[must_use]
    pub fn of(&self, full_name: &str) -> &str {
        self.0.get(full_name).map_or("", String::as_str)
    }
}

/// A comment without the line ends that only the width of the file has made.
fn flowing(comment: &str) -> String {
    let mut text = String::new();
    for line in comment.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()) {
        let apart = line.starts_with([' ', '-', '*', '|']);
        match text.chars().last() {
            None => {}
            Some('\n') if line.is_empty() => continue,
            _ if line.is_empty() => text.push_str("\n\n"),
            Some('\n') => {}
            Some(_) if apart => text.push('\n'),
            Some(_) => text.push(' '),
        }
        text.push_str(line);
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Contract, Kind, Message};

    #[test]
    fn lines_flow_and_paragraphs_stay() {
        assert_eq!(
            flowing(" One\n line.\n\n Another\n one:\n\n     a  b\n     c\n"),
            "One line.\n\nAnother one:\n\n    a  b\n    c"
        );
    }

    fn missing(message: &Message, comments: &Comments, found: &mut Vec<String>) {
        let name = message.descriptor.full_name();
        let fields = message.fields.iter().map(|field| field.descriptor.full_name().to_owned());
        found.extend(fields.chain([name.to_owned()]).filter(|name| comments.of(name).is_empty()));
        for field in &message.fields {
            match (&field.kind, field.descriptor.kind().as_enum()) {
                (Kind::Message(inner), _) => missing(inner, comments, found),
                (_, Some(values)) => {
                    let of = |value: &str| format!("{}.{value}", values.full_name());
                    let names = values.values().map(|value| of(value.name()));
                    found.extend(names.filter(|name| comments.of(name).is_empty()));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn everything_that_a_caller_meets_has_a_comment() {
        let (contract, comments) = (Contract::embedded().expect("sound"), Comments::embedded());
        let mut found: Vec<String> =
            contract.services().filter(|name| comments.of(name).is_empty()).map(str::to_owned).collect();
        for operation in contract.all() {
            let name = operation.grpc_path.trim_start_matches('/').replace('/', ".");
            found.extend(comments.of(&name).is_empty().then_some(name));
            missing(&operation.input, &comments, &mut found);
            missing(&operation.output, &comments, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, Vec::<String>::new());
    }
}
