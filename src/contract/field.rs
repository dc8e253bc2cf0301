//! The fields of a message, resolved: what they are called by us and by the provider, and what they hold.

use std::sync::Arc;

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage as _, Value};

use super::rules::{Rules, Violation};

/// A message and its fields.
#[derive(Clone, Debug)]
pub struct Message {
    /// The descriptor that builds it.
    pub descriptor: MessageDescriptor,
    /// Its fields, in the order of their numbers.
    pub fields: Vec<Field>,
}

impl Message {
    /// A field by its name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that keeps what has no field of its own.
    #[must_use]
    pub fn extra(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.is_extra())
    }

    /// Everything that is wrong with a message of this kind, all at once.
    #[must_use]
    pub fn violations(&self, message: &DynamicMessage) -> Vec<Violation> {
        debug_assert_eq!(message.descriptor(), self.descriptor, "a plan checks its own messages");
        let mut found = Vec::new();
        for field in &self.fields {
            // An optional field that was not given breaks no rule.
            if field.optional && !message.has_field(&field.descriptor) {
                continue;
            }
            let value = message.get_field(&field.descriptor);
            field.rules.check(&field.name, &value, &mut found);
            if let (Kind::Enum(known), Value::EnumNumber(number)) = (&field.kind, &*value)
                && field.rules.defined_only()
                && known.by_number(*number).is_none()
            {
                found.push(Violation::new(&field.name, format!("must be {}", known.listed())));
            }
        }
        found
    }
}

/// One field of a message.
#[derive(Clone, Debug)]
pub struct Field {
    /// Our name for it, in proto and in JSON.
    pub name: String,
    /// The descriptor that sets it.
    pub descriptor: FieldDescriptor,
    /// What it holds.
    pub kind: Kind,
    /// Whether it holds many.
    pub repeated: bool,
    /// Whether "not given" differs from zero or empty.
    pub optional: bool,
    /// What a caller's value must satisfy.
    pub rules: Rules,
    /// The provider's parameter; none if it is not sent.
    pub sent_as: Option<String>,
    /// The JSON value that is sent when it is unset.
    pub when_unset: Option<serde_json::Value>,
    /// The provider's names for it in an answer, folded, in order of preference.
    pub read_as: Vec<String>,
    /// Whether it takes the key of a list that is an object keyed by it.
    pub list_key: bool,
    /// Whether it takes the whole of an item that is a bare value.
    pub bare_value: bool,
    /// What the judgement of the answer fills in.
    pub judged: Option<Judged>,
    /// What it means to gizad itself. It is not sent then.
    pub term: Option<Term>,
    /// The fields of which it is made, if it is a VietQR code.
    pub vietqr: Option<VietQr>,
}

/// The fields that say which transfer a VietQR code asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VietQr {
    /// The bank.
    pub bank: String,
    /// The account.
    pub account: String,
    /// How much, in đồng.
    pub amount: String,
    /// The note.
    pub note: String,
    /// How far the payment has come.
    pub state: String,
    /// When it was paid.
    pub paid: String,
    /// Until when it can be.
    pub expires: String,
}

impl Field {
    /// Whether this is the field that keeps what has no field of its own.
    #[must_use]
    pub fn is_extra(&self) -> bool {
        matches!(self.kind, Kind::Struct) && self.name == "extra"
    }

    /// Whether it is read from what the provider says about the thing, and from nothing else.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.judged.is_none() && self.vietqr.is_none() && !self.is_extra()
    }

    /// Whether it holds an amount of đồng, which the contract says by its name.
    #[must_use]
    pub fn is_money(&self) -> bool {
        self.name.ends_with("_vnd")
    }
}

/// What a field holds. Closed: a new kind of field must be decided everywhere it is read or written.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A text.
    Text,
    /// One of a few states.
    Enum(Enumeration),
    /// A moment.
    Timestamp,
    /// Anything, under names.
    Struct,
    /// Anything.
    Any,
    /// Amounts of đồng under names.
    Amounts,
    /// Another message.
    Message(Arc<Message>),
}

/// What a field of a request can mean to gizad itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// The caller's idempotency key.
    Key,
    /// The most that a purchase may cost.
    Most,
    /// Whether a purchase is only to be checked.
    ValidateOnly,
    /// The hostname of the server that is meant.
    Confirm,
    /// What is asked of gizad's own record.
    Local,
    /// How long the answer may wait for what the call leads to.
    Wait,
    /// What of a stream was had before.
    After,
}

impl Term {
    pub(super) fn of(number: i32) -> Result<Option<Self>, String> {
        match number {
            0 => Ok(None),
            1 => Ok(Some(Self::Key)),
            2 => Ok(Some(Self::Most)),
            3 => Ok(Some(Self::ValidateOnly)),
            4 => Ok(Some(Self::Confirm)),
            5 => Ok(Some(Self::Local)),
            6 => Ok(Some(Self::Wait)),
            7 => Ok(Some(Self::After)),
            other => Err(format!("`term` has no value {other}")),
        }
    }
}

/// What the judgement of an answer can fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The provider's own message.
    Message,
    /// Whether the provider has not finished.
    Pending,
    /// Nothing: gizad fills it in with what it has seen itself.
    Seen,
}

/// The states of an enum field.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// All of them; the first is "not said".
    pub values: Vec<EnumValue>,
}

/// One state.
#[derive(Clone, Debug)]
pub struct EnumValue {
    /// Our name for it.
    pub name: String,
    /// Its number on the wire.
    pub number: i32,
    /// The provider's words for it, folded.
    pub words: Vec<String>,
    /// Whether the provider has not finished while in it.
    pub pending: bool,
}

impl Enumeration {
    /// A state by its number.
    #[must_use]
    pub fn by_number(&self, number: i32) -> Option<&EnumValue> {
        self.values.iter().find(|value| value.number == number)
    }

    /// A state by our name for it, in any case.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&EnumValue> {
        self.values.iter().find(|value| value.name.eq_ignore_ascii_case(name))
    }

    /// A state by a folded word of the provider.
    #[must_use]
    pub fn by_word(&self, folded: &str) -> Option<&EnumValue> {
        self.values.iter().find(|value| value.words.iter().any(|word| word == folded))
    }

    /// The names a caller may give, for a message.
    #[must_use]
    pub fn listed(&self) -> String {
        let names: Vec<&str> = self.values.iter().skip(1).map(|value| value.name.as_str()).collect();
        format!("one of {}", names.join(", "))
    }
}
