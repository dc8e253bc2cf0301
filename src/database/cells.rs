//! What goes into a statement and what comes out, without a database's own types. Absent here: SQL.

use super::trouble::Trouble;

/// A value of one of the three types that the tables know, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Number(Some(i64::from(yes)))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}

/// A row of an answer, read from left to right.
#[derive(Debug)]
pub(crate) struct Cells(std::vec::IntoIter<Value>);

impl Cells {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, Trouble> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            other => nothing(other.as_ref(), "text"),
        }
    }

    pub(crate) fn maybe_number(&mut self) -> Result<Option<i64>, Trouble> {
        match self.0.next() {
            Some(Value::Number(number)) => Ok(number),
            other => nothing(other.as_ref(), "a number"),
        }
    }

    pub(crate) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        match self.0.next() {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            other => nothing(other.as_ref(), "bytes"),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, Trouble> {
        self.maybe_text()?.ok_or_else(|| unexpected("text"))
    }

    pub(crate) fn number(&mut self) -> Result<i64, Trouble> {
        self.maybe_number()?.ok_or_else(|| unexpected("a number"))
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Trouble> {
        self.maybe_bytes()?.ok_or_else(|| unexpected("bytes"))
    }
}

/// SQLite has one nothing for every type.
fn nothing<T>(found: Option<&Value>, wanted: &str) -> Result<Option<T>, Trouble> {
    match found {
        Some(Value::Text(None) | Value::Number(None) | Value::Bytes(None)) => Ok(None),
        Some(Value::Text(_) | Value::Number(_) | Value::Bytes(_)) | None => Err(unexpected(wanted)),
    }
}

/// A database has something else where something was expected.
pub(crate) fn unexpected(wanted: &str) -> Trouble {
    Trouble::Failed(format!("the database does not have {wanted} where it should"))
}

/// The first row as what it means, if there is one.
pub(crate) fn first<T>(
    rows: Vec<Cells>,
    read: impl FnOnce(Cells) -> Result<T, Trouble>,
) -> Result<Option<T>, Trouble> {
    rows.into_iter().next().map(read).transpose()
}

/// Every row as what it means.
pub(crate) fn all<T>(
    rows: Vec<Cells>,
    read: impl FnMut(Cells) -> Result<T, Trouble>,
) -> Result<Vec<T>, Trouble> {
    rows.into_iter().map(read).collect()
}
