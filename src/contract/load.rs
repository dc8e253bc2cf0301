//! Reads the descriptors into rows and checks them, so that a mistake in `proto/` is found when the program
//! starts and not when a request meets it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor,
    MethodDescriptor,
};

use super::options::{self, Extensions};
use super::{
    Action, Answer, Body, Contract, Effect, EnumValue, Enumeration, Field, Judged, Kind, Message, Operation,
    Path, Rules, Shape, Variant, Verb, fold,
};

/// Something that is wrong with the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The RPC, field or file it was found at.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

pub(super) fn contract(encoded: &[u8]) -> Result<Contract, Vec<Defect>> {
    let whole = |what: String| vec![Defect { at: "descriptors".to_owned(), what }];
    let pool = DescriptorPool::decode(encoded).map_err(|error| whole(error.to_string()))?;
    let extensions = Extensions::of(&pool).map_err(whole)?;
    let mut loader = Loader { extensions, defects: Vec::new() };
    let mut operations = Vec::new();
    for service in pool.services() {
        for method in service.methods() {
            match loader.operation(&method) {
                Ok(operation) => operations.push(operation),
                Err(what) => loader.defect(method.full_name(), what),
            }
        }
    }
    loader.collisions(&operations);
    if operations.is_empty() && loader.defects.is_empty() {
        loader.defect("descriptors", "there is no operation".to_owned());
    }
    if loader.defects.is_empty() { Ok(Contract { pool, operations }) } else { Err(loader.defects) }
}

struct Loader {
    extensions: Extensions,
    defects: Vec<Defect>,
}

impl Loader {
    fn defect(&mut self, at: &str, what: String) {
        self.defects.push(Defect { at: at.to_owned(), what });
    }

    fn operation(&mut self, method: &MethodDescriptor) -> Result<Operation, String> {
        let options = method.options();
        let http = options::given(&options, &self.extensions.http).ok_or("it has no google.api.http")?;
        let action = options::given(&options, &self.extensions.action)
            .ok_or("it has no (gizad.upstream.v1.action)")?;
        let (verb, path, body) = route(&http)?;
        let level = method.method_descriptor_proto().options.clone().unwrap_or_default().idempotency_level();
        let effect = Effect::declared(
            level,
            options::flag(&action, "public"),
            options::flag(&action, "sensitive"),
            options::flag(&action, "spends"),
        )?;
        let input = self.message(&method.input());
        let output = self.message(&method.output());
        let upstream = upstream(&action, &input)?;
        let answer = answer(&action, &output)?;
        let service = method.parent_service();
        let operation = Operation {
            name: format!("{}.{}", service.name(), method.name()),
            service: service.full_name().to_owned(),
            grpc_path: format!("/{}/{}", service.full_name(), method.name()),
            verb,
            path,
            body,
            effect,
            upstream,
            answer,
            input,
            output,
        };
        self.check(method.full_name(), &operation);
        Ok(operation)
    }

    /// What can only be said of a whole row.
    fn check(&mut self, at: &str, operation: &Operation) {
        let mut wrong = Vec::new();
        if operation.verb == Verb::Get && !operation.effect.is_read() {
            wrong.push(format!("GET is for reads, this is `{}`", operation.effect));
        }
        for variable in operation.path.variables() {
            match operation.input.field(variable) {
                Some(field) if !field.repeated && matches!(field.kind, Kind::Int64 | Kind::Text) => {}
                Some(_) => wrong.push(format!("the path variable {variable:?} is no number or text")),
                None => wrong.push(format!("the path variable {variable:?} is no field of the request")),
            }
        }
        if let Body::Field(name) = &operation.body
            && !operation.input.field(name).is_some_and(|field| matches!(field.kind, Kind::Struct))
        {
            wrong.push(format!("the body field {name:?} is no Struct of the request"));
        }
        let picked = |name: &str| {
            operation.answer.shape == Shape::Item && operation.path.variables().iter().any(|v| v == name)
        };
        for field in &operation.input.fields {
            let selects = operation.upstream.variants.iter().any(|variant| variant.field == field.name);
            let names = operation.upstream.name_from.as_deref() == Some(field.name.as_str());
            let whole = operation.body == Body::Field(field.name.clone());
            if field.sent_as.is_none()
                && !(field.is_extra() || selects || names || whole || picked(&field.name))
            {
                wrong.push(format!("the field {:?} reaches nobody: it has no `sent_as`", field.name));
            }
        }
        for what in wrong {
            self.defect(at, what);
        }
    }

    /// Two operations may not be the same place, nor be told apart by a variable's name alone.
    fn collisions(&mut self, operations: &[Operation]) {
        let mut routes: HashMap<(Verb, String), &str> = HashMap::new();
        let mut spellings: HashMap<String, &Path> = HashMap::new();
        let mut found = Vec::new();
        for operation in operations {
            let shape = operation.path.shape();
            if let Some(other) = routes.insert((operation.verb, shape.clone()), &operation.name) {
                found.push((operation.name.clone(), format!("its route is that of {other}")));
            }
            match spellings.get(&shape) {
                Some(other) if **other != operation.path => {
                    let what = format!("its path is {} elsewhere", other.template());
                    found.push((operation.name.clone(), what));
                }
                _ => drop(spellings.insert(shape, &operation.path)),
            }
        }
        for (at, what) in found {
            self.defect(&at, what);
        }
    }

    fn message(&mut self, descriptor: &MessageDescriptor) -> Message {
        let mut fields: Vec<Field> = Vec::new();
        for field in descriptor.fields() {
            match self.field(&field) {
                Ok(field) => fields.push(field),
                Err(what) => self.defect(field.full_name(), what),
            }
        }
        fields.sort_by_key(|field| field.descriptor.number());
        Message { descriptor: descriptor.clone(), fields }
    }

    fn field(&mut self, descriptor: &FieldDescriptor) -> Result<Field, String> {
        let given = descriptor.options();
        let spelled = options::given(&given, &self.extensions.field);
        let rules = options::given(&given, &self.extensions.rules);
        let rules = rules.map(|rules| Rules::compile(&rules)).transpose()?.unwrap_or_default();
        let text = |name: &str| spelled.as_ref().map(|o| options::text(o, name)).filter(|t| !t.is_empty());
        let flag = |name: &str| spelled.as_ref().is_some_and(|o| options::flag(o, name));
        let when_unset = text("when_unset")
            .map(|json| serde_json::from_str(&json).map_err(|e| format!("`when_unset` is no JSON: {e}")))
            .transpose()?;
        // The field's own name is the first an answer is looked up by.
        let mut read_as = vec![fold(descriptor.name())];
        for name in spelled.iter().flat_map(|o| options::texts(o, "read_as")) {
            let folded = fold(&name);
            if !read_as.contains(&folded) {
                read_as.push(folded);
            }
        }
        let judged = match spelled.as_ref().map_or(0, |o| options::number(o, "judged")) {
            0 => None,
            1 => Some(Judged::Message),
            2 => Some(Judged::Pending),
            other => return Err(format!("`judged` has no value {other}")),
        };
        Ok(Field {
            name: descriptor.name().to_owned(),
            descriptor: descriptor.clone(),
            kind: self.kind(descriptor)?,
            repeated: descriptor.is_list(),
            optional: descriptor.supports_presence(),
            rules,
            sent_as: text("sent_as"),
            when_unset,
            read_as,
            list_key: flag("list_key"),
            bare_value: flag("bare_value"),
            judged,
        })
    }

    fn kind(&mut self, descriptor: &FieldDescriptor) -> Result<Kind, String> {
        if descriptor.is_map() {
            let amounts = descriptor.name().ends_with("_vnd")
                && descriptor.kind().as_message().is_some_and(|entry| {
                    entry.map_entry_key_field().kind() == Type::String
                        && entry.map_entry_value_field().kind() == Type::Int64
                });
            return if amounts {
                Ok(Kind::Amounts)
            } else {
                Err("only a map of amounts is supported".into())
            };
        }
        match descriptor.kind() {
            Type::Bool => Ok(Kind::Bool),
            Type::Int32 => Ok(Kind::Int32),
            Type::Int64 => Ok(Kind::Int64),
            Type::String => Ok(Kind::Text),
            Type::Enum(states) => Ok(Kind::Enum(self.enumeration(&states))),
            Type::Message(message) => Ok(match message.full_name() {
                "google.protobuf.Timestamp" => Kind::Timestamp,
                "google.protobuf.Struct" => Kind::Struct,
                "google.protobuf.Value" => Kind::Any,
                _ => Kind::Message(Arc::new(self.message(&message))),
            }),
            other => Err(format!("fields of type {other:?} are not supported")),
        }
    }

    fn enumeration(&self, states: &EnumDescriptor) -> Enumeration {
        let values = states.values().map(|value| {
            let spelled = options::given(&value.options(), &self.extensions.value);
            EnumValue {
                name: value.name().to_owned(),
                number: value.number(),
                words: spelled.iter().flat_map(|o| options::texts(o, "words")).map(|w| fold(&w)).collect(),
                pending: spelled.as_ref().is_some_and(|o| options::flag(o, "pending")),
            }
        });
        Enumeration { values: values.collect() }
    }
}

fn route(http: &DynamicMessage) -> Result<(Verb, Path, Body), String> {
    let verbs = [("get", Verb::Get), ("post", Verb::Post), ("patch", Verb::Patch)];
    let mut found = verbs.into_iter().filter(|(name, _)| http.has_field_by_name(name));
    let Some((name, verb)) = found.next() else {
        return Err("its route is none of GET, POST, PATCH".to_owned());
    };
    if !options::messages(http, "additional_bindings").is_empty() {
        return Err("an operation has one route".to_owned());
    }
    let path = Path::parse(&options::text(http, name))?;
    let body = match options::text(http, "body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        field => Body::Field(field.to_owned()),
    };
    if verb == Verb::Get && body != Body::None {
        return Err("a GET has no body".to_owned());
    }
    Ok((verb, path, body))
}

fn upstream(action: &DynamicMessage, input: &Message) -> Result<Action, String> {
    let name = options::text(action, "name");
    let name_from = Some(options::text(action, "name_from")).filter(|field| !field.is_empty());
    match &name_from {
        None if name.is_empty() => return Err("it names no action".to_owned()),
        Some(_) if !name.is_empty() => return Err("`name` and `name_from` exclude each other".to_owned()),
        Some(field) if !input.field(field).is_some_and(|field| matches!(field.kind, Kind::Text)) => {
            return Err(format!("`name_from`: the request has no text field {field:?}"));
        }
        _ => {}
    }
    let pairs = options::messages(action, "constants");
    let constants = pairs.iter().map(|pair| (options::text(pair, "name"), options::text(pair, "value")));
    let variants = options::messages(action, "variants").into_iter().map(|variant| {
        let field = options::text(&variant, "field");
        let value = options::text(&variant, "value");
        let number = state(input, &field, &value).ok_or(format!("no variant {value:?} of {field:?}"))?;
        Ok(Variant { field, number, action: options::text(&variant, "action") })
    });
    Ok(Action {
        name,
        constants: constants.collect(),
        variants: variants.collect::<Result<_, String>>()?,
        name_from,
    })
}

fn answer(action: &DynamicMessage, output: &Message) -> Result<Answer, String> {
    let answer = options::message(action, "answer").ok_or("it does not say what its answer looks like")?;
    let shape = match options::number(&answer, "shape") {
        1 => Shape::Done,
        2 => Shape::Object,
        3 => Shape::List,
        4 => Shape::Item,
        5 => Shape::Raw,
        _ => return Err("its answer has no shape".to_owned()),
    };
    let minimum = options::texts(&answer, "minimum");
    let proof = match options::texts(&answer, "proof") {
        given if given.is_empty() => minimum.clone(),
        given => given,
    };
    let bare_success = options::flag(&answer, "bare_success");
    let list = output.fields.iter().find(|field| field.repeated);
    let items = match (shape, list.map(|field| &field.kind)) {
        (Shape::List, Some(Kind::Message(items))) => items,
        (Shape::List, _) => return Err("its response has no list of messages".to_owned()),
        (Shape::Done | Shape::Object | Shape::Item | Shape::Raw, _) => output,
    };
    if let Some(name) = minimum.iter().chain(&proof).find(|name| items.field(name).is_none()) {
        return Err(format!("`minimum` or `proof` names {name:?}, which its response does not have"));
    }
    let implied = match options::message(&answer, "implied") {
        None => None,
        Some(implied) => {
            let (field, value) = (options::text(&implied, "field"), options::text(&implied, "value"));
            let number = state(output, &field, &value).ok_or(format!("no implied {value:?} of {field:?}"))?;
            Some((field, number))
        }
    };
    let wrappers = options::texts(&answer, "wrappers").iter().map(|name| fold(name)).collect();
    Ok(Answer { shape, wrappers, minimum, bare_success, proof, implied })
}

/// The number of an enum field's value, by their names.
fn state(message: &Message, field: &str, value: &str) -> Option<i32> {
    match &message.field(field)?.kind {
        Kind::Enum(states) => states.by_name(value).map(|value| value.number),
        _ => None,
    }
}
