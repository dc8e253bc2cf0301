//! One row of the contract.

use super::{Effect, Expiring, Field, Goal, Kind, Message, Path, Term, Trace, Verb, Watch};

/// An operation: what it is called over gRPC and REST, what it does, and how it is sent.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `Service.Method`, the name used in logs, metrics and settings.
    pub name: String,
    /// The full name of its gRPC service.
    pub service: String,
    /// Its gRPC path, `/package.Service/Method`.
    pub grpc_path: String,
    /// Its REST verb.
    pub verb: Verb,
    /// Its REST path.
    pub path: Path,
    /// What the REST body is read into.
    pub body: Body,
    /// What one call does to the world.
    pub effect: Effect,
    /// How it is sent to the provider.
    pub upstream: Action,
    /// What its answer looks like.
    pub answer: Answer,
    /// The request.
    pub input: Message,
    /// The response.
    pub output: Message,
    /// The response's field that takes the provider's answer, where the response is gizad's own record.
    pub result: Option<String>,
    /// Where a purchase leaves traces.
    pub trace: Trace,
    /// Whether it is answered from gizad's own record.
    pub local: bool,
    /// What it is made of, if it lists what expires: it is answered from other operations.
    pub expiring: Option<Expiring>,
    /// The request's field that names a server which this interrupts or destroys.
    pub disrupts: Option<String>,
    /// What a call leads to, one after the other, for those who wait for it.
    pub goals: Vec<Goal>,
    /// Whether it is not sent if that is seen to be reached already.
    pub unless_reached: bool,
    /// What it streams, if it does.
    pub watch: Option<Watch>,
}

impl Operation {
    /// Whether a success has made something new (AIP-133), which REST answers with 201.
    #[must_use]
    pub fn creates(&self) -> bool {
        self.verb == Verb::Post
            && self.name.rsplit('.').next().is_some_and(|method| method.starts_with("Create"))
    }

    /// Whether the provider has no action for it: it is answered from gizad's own record, or from other operations.
    #[must_use]
    pub fn is_gizads(&self) -> bool {
        self.local || self.expiring.is_some()
    }

    /// What the provider's answer is read into: the response, or the part of it that is the provider's.
    #[must_use]
    pub fn told(&self) -> &Message {
        let part = self.result.as_deref().and_then(|name| self.output.field(name));
        match part.map(|field| &field.kind) {
            Some(Kind::Message(part)) => part,
            _ => &self.output,
        }
    }

    /// The request's field that is this term of a call.
    #[must_use]
    pub fn term(&self, term: Term) -> Option<&Field> {
        self.input.fields.iter().find(|field| field.term == Some(term))
    }

    /// The request's fields that the path does not carry.
    pub fn free_fields(&self) -> impl Iterator<Item = &Field> {
        self.input.fields.iter().filter(|field| !self.path.variables().contains(&field.name))
    }
}

/// What the REST body is read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing: what the path does not carry comes as query parameters.
    None,
    /// The whole request.
    Whole,
    /// One field of it.
    Field(String),
}

/// How an operation is sent to the provider.
#[derive(Clone, Debug, Default)]
pub struct Action {
    /// The provider's name for it; empty where `name_from` is set.
    pub name: String,
    /// Parameters that never change, in the order they are sent.
    pub constants: Vec<(String, String)>,
    /// Other actions that a request may ask for.
    pub variants: Vec<Variant>,
    /// The request's field that names the action.
    pub name_from: Option<String>,
}

impl Action {
    /// Every action this operation can be sent as, where the contract knows it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.variants.iter().map(|variant| variant.action.as_str());
        std::iter::once(self.name.as_str()).filter(|name| !name.is_empty()).chain(others)
    }
}

/// An action that replaces the usual one when an enum field has a certain value.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The request's field.
    pub field: String,
    /// The value that selects the variant.
    pub number: i32,
    /// The action sent then.
    pub action: String,
}

/// What is known, or assumed, about an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its overall form.
    pub shape: Shape,
    /// Names under which its content may stand, folded, in order of preference.
    pub wrappers: Vec<String>,
    /// Fields of which at least one must be found for the answer to be believed.
    pub minimum: Vec<String>,
    /// Whether "it worked" with nothing else is believed all the same.
    pub bare_success: bool,
    /// Fields of which one proves the success of an answer that does not say outright that it worked.
    pub proof: Vec<String>,
    /// A field and the enum number it gets when the answer does not mention it.
    pub implied: Option<(String, i32)>,
}

/// The overall form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing but "it worked" is expected.
    Done,
    /// One object.
    Object,
    /// Many objects.
    List,
    /// One object picked from a list.
    Item,
    /// The answer as it came.
    Raw,
}
