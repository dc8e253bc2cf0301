//! Reads the descriptors into rows and checks them, so that a mistake in `proto/` is found when the program
//! starts and not when a request meets it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor,
    MethodDescriptor,
};

use super::declared::{self, answer, route, told, upstream};
use super::options::{self, Extensions};
use super::{
    Body, Contract, Effect, EnumValue, Enumeration, Expiring, Field, Judged, Kind, Message, Operation, Path,
    Rules, Shape, Term, Verb, fold, trace, watch,
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
    let (mut operations, mut becomes, mut watches) = (Vec::new(), HashMap::new(), Vec::new());
    let mut leads: Vec<(usize, Vec<DynamicMessage>)> = Vec::new();
    for service in pool.services() {
        for method in service.methods() {
            if method.is_server_streaming() {
                match loader.watch(&method) {
                    Ok(watch) => watches.push(watch),
                    Err(what) => loader.defect(method.full_name(), what),
                }
                continue;
            }
            match loader.operation(&method) {
                Ok((operation, Named { becomes: state, goals })) => {
                    becomes.extend(state.map(|state| (operation.name.clone(), state)));
                    leads.push((operations.len(), goals));
                    operations.push(operation);
                }
                Err(what) => loader.defect(method.full_name(), what),
            }
        }
    }
    loader.collisions(operations.iter().chain(&watches));
    let traced = operations.iter().map(|o| trace::resolve(o, becomes.get(&o.name), &operations));
    for (operation, traced) in traced.collect::<Vec<_>>().into_iter().enumerate() {
        let Some(operation) = operations.get_mut(operation) else { continue };
        match traced {
            Ok(trace) => operation.trace = trace,
            Err(what) => loader.defect(&operation.name, what),
        }
    }
    if operations.is_empty() && loader.defects.is_empty() {
        loader.defect("descriptors", "there is no operation".to_owned());
    }
    for (place, declared) in leads {
        let goals = watch::goals(&declared, &operations);
        let Some(operation) = operations.get_mut(place) else { continue };
        match goals {
            Ok(goals) => operation.goals = goals,
            Err(what) => loader.defect(&operation.name, what),
        }
        for what in watch::wrong(operation) {
            loader.defect(&operation.name, what.to_owned());
        }
    }
    for own in &mut watches {
        let Some(watch) = own.watch.clone() else { continue };
        if let Some(of) = operations.iter().find(|of| of.name == watch.of) {
            own.local = of.local;
            own.upstream = of.upstream.clone();
        }
        if let Err(what) = watch.check(own, &operations) {
            loader.defect(&own.name, what);
        }
    }
    if loader.defects.is_empty() { Ok(Contract { pool, operations, watches }) } else { Err(loader.defects) }
}

/// What an operation declares that names others.
struct Named {
    becomes: Option<(String, String)>,
    goals: Vec<DynamicMessage>,
}

struct Loader {
    extensions: Extensions,
    defects: Vec<Defect>,
}

impl Loader {
    fn defect(&mut self, at: &str, what: String) {
        self.defects.push(Defect { at: at.to_owned(), what });
    }

    fn operation(&mut self, method: &MethodDescriptor) -> Result<(Operation, Named), String> {
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
        let local = options::flag(&action, "local");
        let expiring = Expiring::read(options::message(&action, "expiring").as_ref());
        let upstream = upstream(&action, &input, local || expiring.is_some())?;
        let filled = |name| Some(options::text(&action, name)).filter(|text| !text.is_empty());
        let (result, disrupts) = (filled("result"), filled("disrupts"));
        let (trace, becomes) = trace::read(options::message(&action, "trace").as_ref());
        let answer = answer(&action, told(&output, result.as_deref())?)?;
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
            result,
            trace,
            local,
            expiring,
            disrupts,
            goals: Vec::new(),
            unless_reached: options::flag(&action, "unless_reached"),
            watch: None,
        };
        self.check(method.full_name(), &operation);
        Ok((operation, Named { becomes, goals: options::messages(&action, "goals") }))
    }

    /// One that streams.
    fn watch(&mut self, method: &MethodDescriptor) -> Result<Operation, String> {
        let options = method.options();
        let http = options::given(&options, &self.extensions.http).ok_or("it has no google.api.http")?;
        let declared = options::given(&options, &self.extensions.watch)
            .ok_or("what streams needs (gizad.upstream.v1.watch)")?;
        let (input, output) = (self.message(&method.input()), self.message(&method.output()));
        let level = method.method_descriptor_proto().options.clone().unwrap_or_default().idempotency_level();
        let effect = Effect::declared(level, false, false, false)?;
        let watch = watch::watch(&declared, &output)?;
        watch::row(method, route(&http)?, effect, (input, output), watch)
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
        wrong.extend(declared::unmakeable(operation.told()));
        for field in &operation.input.fields {
            let selects = operation.upstream.variants.iter().any(|variant| variant.field == field.name);
            let names = operation.upstream.name_from.as_deref() == Some(field.name.as_str());
            let whole = operation.body == Body::Field(field.name.clone());
            if field.sent_as.is_some() && field.term.is_some() {
                wrong.push(format!("the field {:?} is a term of gizad's own and is not sent", field.name));
            }
            if field.sent_as.is_none()
                && field.term.is_none()
                && !(field.is_extra() || selects || names || whole || picked(&field.name))
            {
                wrong.push(format!("the field {:?} reaches nobody: it has no `sent_as`", field.name));
            }
        }
        let terms: &[Term] = match operation.effect {
            Effect::Spend => &[Term::Key, Term::Most, Term::ValidateOnly],
            Effect::Once => &[Term::Key],
            Effect::Public | Effect::Read | Effect::Secret | Effect::Converge => &[],
        };
        for term in terms.iter().filter(|term| operation.term(**term).is_none()) {
            wrong.push(format!("it must not run twice, and its request has no field with the term {term:?}"));
        }
        if operation.disrupts.as_ref().is_some_and(|name| operation.input.field(name).is_none()) {
            wrong.push("`disrupts` is no field of the request".to_owned());
        }
        for what in wrong {
            self.defect(at, what);
        }
    }

    /// Two operations may not be the same place, nor be told apart by a variable's name alone.
    fn collisions<'a>(&mut self, operations: impl Iterator<Item = &'a Operation>) {
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
            3 => Some(Judged::Seen),
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
            term: Term::of(spelled.as_ref().map_or(0, |o| options::number(o, "term")))?,
            vietqr: spelled
                .as_ref()
                .and_then(|o| options::message(o, "vietqr"))
                .map(|o| declared::vietqr(&o)),
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
