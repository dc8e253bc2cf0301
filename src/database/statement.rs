//! A text for a database and its parameters, in the words that SQLite and PostgreSQL have in common. Absent here: what it
//! is about.

use super::cells::Value;

/// A text and its parameters, which are `$1`, `$2` and so on in it.
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(text: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Self {
        Self { text: text.into(), values: values.into_iter().collect() }
    }

    /// Adds a piece of text, in which `$?` is the next parameter.
    pub(crate) fn add(&mut self, piece: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.text.push_str(&piece.replace("$?", &format!("${}", self.values.len())));
    }
}
