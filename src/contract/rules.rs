//! What a request's fields must satisfy, declared in the protos with `buf.validate` and compiled here.
//!
//! Only a part of that vocabulary is supported. Any other rule is refused when the contract is loaded, so
//! that none is ever declared and not applied.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};
use regex_lite::Regex;

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `attachment_urls[2]`.
    pub field: String,
    /// What was expected.
    pub description: String,
}

impl Violation {
    /// A violation of a field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// What the rules of a field say, for whoever tells it to others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds<'a> {
    /// The fewest characters.
    pub min_len: Option<u64>,
    /// The most characters.
    pub max_len: Option<u64>,
    /// What a text must match.
    pub pattern: Option<&'a str>,
    /// What a number must be greater than.
    pub gt: Option<i64>,
    /// The least a number may be.
    pub gte: Option<i64>,
    /// The most a number may be.
    pub lte: Option<i64>,
    /// The most items of a list.
    pub max_items: Option<u64>,
}

/// The rules of one field.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    min_len: Option<u64>,
    max_len: Option<u64>,
    pattern: Option<Regex>,
    gt: Option<i64>,
    gte: Option<i64>,
    lte: Option<i64>,
    max_items: Option<u64>,
    defined_only: bool,
    required: bool,
    items: Option<Box<Rules>>,
}

impl Rules {
    /// Compiles the option of a field.
    pub(super) fn compile(options: &DynamicMessage) -> Result<Self, String> {
        let mut rules = Self::default();
        for (descriptor, value) in options.fields() {
            match (descriptor.name(), value) {
                ("string" | "int64" | "int32" | "enum" | "repeated", Value::Message(kind)) => {
                    for (descriptor, value) in kind.fields() {
                        rules.set(&descriptor, value)?;
                    }
                }
                ("required", Value::Bool(required)) => rules.required = *required,
                (other, _) => return Err(format!("the rule `{other}` is not supported")),
            }
        }
        Ok(rules)
    }

    fn set(&mut self, descriptor: &FieldDescriptor, value: &Value) -> Result<(), String> {
        let whole = value.as_i64().or_else(|| value.as_i32().map(i64::from));
        match descriptor.name() {
            "min_len" => self.min_len = value.as_u64(),
            "max_len" => self.max_len = value.as_u64(),
            "max_items" => self.max_items = value.as_u64(),
            "gt" => self.gt = whole,
            "gte" => self.gte = whole,
            "lte" => self.lte = whole,
            "defined_only" => self.defined_only = value.as_bool().unwrap_or_default(),
            "pattern" => {
                let text = value.as_str().unwrap_or_default();
                self.pattern = Some(Regex::new(text).map_err(|e| format!("the pattern {text:?}: {e}"))?);
            }
            "items" => {
                let options = value.as_message().ok_or("`items` is not a message")?;
                self.items = Some(Box::new(Self::compile(options)?));
            }
            other => return Err(format!("the rule `{other}` is not supported")),
        }
        Ok(())
    }

    /// What they say.
    #[must_use]
    pub fn bounds(&self) -> Bounds<'_> {
        Bounds {
            min_len: self.min_len,
            max_len: self.max_len,
            pattern: self.pattern.as_ref().map(Regex::as_str),
            gt: self.gt,
            gte: self.gte,
            lte: self.lte,
            max_items: self.max_items,
        }
    }

    /// The rules of the items of a list.
    #[must_use]
    pub fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }

    /// Whether what is not given breaks them: the empty text, or zero.
    #[must_use]
    pub fn require(&self) -> bool {
        self.required
            || self.min_len.is_some_and(|least| least > 0)
            || self.gt.is_some_and(|bound| bound >= 0)
            || self.gte.is_some_and(|bound| bound > 0)
    }

    /// Adds what is wrong with a field's value, if anything is.
    pub(super) fn check(&self, path: &str, value: &Value, found: &mut Vec<Violation>) {
        let wrong = match value {
            Value::String(text) => self.text(text),
            Value::I64(number) => self.number(*number),
            Value::I32(number) => self.number(i64::from(*number)),
            // The first of an enum is what it is that was not given.
            Value::EnumNumber(0) if self.required => Some("is required".to_owned()),
            Value::List(items) => {
                if let Some(rules) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        rules.check(&format!("{path}[{index}]"), item, found);
                    }
                }
                self.max_items
                    .filter(|most| items.len() as u64 > *most)
                    .map(|most| format!("must have at most {most} items, has {}", items.len()))
            }
            _ => None,
        };
        found.extend(wrong.map(|description| Violation::new(path, description)));
    }

    /// Whether an enum field takes only the values it declares.
    #[must_use]
    pub fn defined_only(&self) -> bool {
        self.defined_only
    }

    /// Lengths count characters, as `buf.validate` has it.
    fn text(&self, text: &str) -> Option<String> {
        let length = text.chars().count() as u64;
        if let Some(least) = self.min_len.filter(|least| length < *least) {
            return Some(match (length, least) {
                (0, 1) => "is required".to_owned(),
                _ => format!("must have at least {least} characters, has {length}"),
            });
        }
        if let Some(most) = self.max_len.filter(|most| length > *most) {
            return Some(format!("must have at most {most} characters, has {length}"));
        }
        let pattern = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text))?;
        Some(format!("must match the pattern {pattern}"))
    }

    fn number(&self, number: i64) -> Option<String> {
        // Zero is also what a number is that was not given.
        if let Some(bound) = self.gt.filter(|bound| number == 0 && *bound >= 0) {
            return Some(format!("is required and must be greater than {bound}"));
        }
        if let Some(bound) = self.gt.filter(|bound| number <= *bound) {
            return Some(format!("must be greater than {bound}, is {number}"));
        }
        if let Some(bound) = self.gte.filter(|bound| number < *bound) {
            return Some(format!("must be at least {bound}, is {number}"));
        }
        let bound = self.lte.filter(|bound| number > *bound)?;
        Some(format!("must be at most {bound}, is {number}"))
    }
}
