//! What is looked at again and again: what a call leads to, and what is streamed as it changes.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::{
    Action, Answer, Body, Effect, Enumeration, Field, Judged, Kind, Message, Operation, Path, Shape, Term,
    Trace, Verb, options,
};

/// Something that a call leads to, as another operation shows it.
#[derive(Clone, Debug)]
pub struct Goal {
    /// That operation.
    pub of: String,
    /// The enum field of its response that shows it.
    pub field: String,
    /// What that field can say.
    pub states: Enumeration,
    /// The value that is waited for.
    pub reached: i32,
    /// Values from which it does not come to that any more.
    pub failed: Vec<i32>,
    /// Whether there is no such thing yet when it begins.
    pub appears: bool,
    /// Whether it may be so from before.
    pub anew: bool,
    /// The field of the request of `of` that takes an identifier from the answer of the call, and the way to that field.
    pub id: Option<(String, Vec<String>)>,
}

impl Goal {
    /// What an answer of `of` says.
    #[must_use]
    pub fn state(&self, answer: &DynamicMessage) -> i32 {
        answer.get_field_by_name(&self.field).and_then(|state| state.as_enum_number()).unwrap_or_default()
    }

    /// That in words, such as `power ON`.
    #[must_use]
    pub fn words(&self, state: i32) -> String {
        let word = self.states.by_number(state).filter(|_| state != 0);
        format!("{} {}", self.field, word.map_or("not known", |value| &value.name))
    }

    /// The request of `of` that a call leads to; nothing if its answer does not say of what.
    #[must_use]
    pub fn request(
        &self,
        of: &Operation,
        asked: &DynamicMessage,
        answer: Option<&DynamicMessage>,
    ) -> Option<DynamicMessage> {
        let mut request = same(of, asked);
        if let Some((name, way)) = &self.id {
            let _set = request.try_set_field_by_name(name, first(answer?, way)?);
        }
        Some(request)
    }

    /// What is wrong with it, given all operations.
    fn check(&self, operations: &[Operation]) -> Result<(), String> {
        let of = operations.iter().find(|operation| operation.name == self.of);
        let of = of.filter(|of| of.effect.is_read() && !of.local);
        of.map(drop).ok_or_else(|| format!("it leads to {:?}, which is no operation that reads", self.of))
    }
}

/// The request of one operation with the fields of the same name of another's, without its terms.
#[must_use]
pub fn same(of: &Operation, asked: &DynamicMessage) -> DynamicMessage {
    let mut request = DynamicMessage::new(of.input.descriptor.clone());
    for field in of.input.fields.iter().filter(|field| field.term.is_none()) {
        if let Some(value) = asked.get_field_by_name(&field.name) {
            let _set = request.try_set_field_by_name(&field.name, value.into_owned());
        }
    }
    request
}

/// The first identifier at the end of a way through messages, if there is one.
fn first(answer: &DynamicMessage, way: &[String]) -> Option<Value> {
    let (name, rest) = way.split_first()?;
    let value = answer.get_field_by_name(name)?.into_owned();
    match (value, rest) {
        (Value::Message(inner), rest) if !rest.is_empty() => first(&inner, rest),
        (Value::List(items), []) => items.into_iter().next(),
        (value, []) => {
            Some(value).filter(|value| answer.has_field_by_name(name) && !matches!(value, Value::Message(_)))
        }
        _ => None,
    }
}

/// What an operation streams: what another answers, whenever it has changed.
#[derive(Clone, Debug)]
pub struct Watch {
    /// That operation. Of one that is local the items of its list are streamed.
    pub of: String,
    /// The field of its answer, and the values of that after which nothing changes any more.
    pub last: Option<(String, Vec<i32>)>,
}

impl Watch {
    /// The request's field for what has not ended.
    pub const OPEN: &str = "open";
    /// The request's field for what has changed since.
    pub const AFTER: &str = "after_change";
    /// The response's field for where to go on.
    pub const LATEST: &str = "latest_change";

    /// The field of an operation's response with the items.
    #[must_use]
    pub fn items(operation: &Operation) -> Option<&Field> {
        operation.output.fields.iter().find(|field| field.repeated && matches!(field.kind, Kind::Message(_)))
    }

    /// Whether nothing will change any more after this.
    #[must_use]
    pub fn is_last(&self, answer: &DynamicMessage) -> bool {
        self.last.as_ref().is_some_and(|(field, values)| {
            let state = answer.get_field_by_name(field).and_then(|state| state.as_enum_number());
            state.is_some_and(|state| values.contains(&state))
        })
    }

    /// What is wrong with the operation that streams it, given all others.
    pub(super) fn check(&self, own: &Operation, operations: &[Operation]) -> Result<(), String> {
        let of = operations.iter().find(|operation| operation.name == self.of);
        let of = of.filter(|of| of.effect.is_read());
        let of = of.ok_or_else(|| format!("it streams {:?}, which is no operation that reads", self.of))?;
        let fields = own.input.fields.iter().filter(|field| field.term != Some(Term::After));
        let lost = fields.map(|field| field.name.as_str()).find(|name| of.input.field(name).is_none());
        if let Some(name) = lost {
            return Err(format!("the request of {} has no {name:?}", of.name));
        }
        if !of.local {
            let same = of.output.descriptor == own.output.descriptor && of.answer.shape != Shape::List;
            return if same { Ok(()) } else { Err(format!("{} answers something else", of.name)) };
        }
        if let Some(name) = [Self::OPEN, Self::AFTER].iter().find(|name| of.input.field(name).is_none()) {
            return Err(format!("the request of {} has no {name:?}", of.name));
        }
        if of.output.field(Self::LATEST).is_none() {
            return Err(format!("the response of {} has no {:?}", of.name, Self::LATEST));
        }
        let item = Self::items(of).and_then(|field| field.descriptor.kind().as_message().cloned());
        if item.as_ref() == Some(&own.output.descriptor) {
            Ok(())
        } else {
            Err(format!("{} lists something else", of.name))
        }
    }
}

/// The values of an enum field of an operation that answers so.
fn values(names: &[String], field: &str, states: &Enumeration) -> Result<Vec<i32>, String> {
    let number = |name: &String| states.by_name(name).map(|value| value.number);
    names.iter().map(|name| number(name).ok_or_else(|| format!("{field:?} has no value {name:?}"))).collect()
}

/// The field of a message that says how something stands.
fn states<'a>(answer: &'a Message, name: &str) -> Result<&'a Enumeration, String> {
    match answer.field(name).map(|field| &field.kind) {
        Some(Kind::Enum(states)) => Ok(states),
        _ => Err(format!("{name:?} is no enum field of {}", answer.descriptor.name())),
    }
}

/// What the options of an operation say that it leads to. Read once all operations are known, because they name others.
pub(super) fn goals(declared: &[DynamicMessage], operations: &[Operation]) -> Result<Vec<Goal>, String> {
    let read = |declared: &DynamicMessage| {
        let of = options::text(declared, "of");
        let shows = operations.iter().find(|operation| operation.name == of);
        let shows = shows.ok_or_else(|| format!("it leads to {of:?}, which is no operation"))?;
        let field = options::text(declared, "field");
        let states = states(&shows.output, &field)?;
        let [reached] = values(&[options::text(declared, "reached")], &field, states)?[..] else {
            return Err("it does not say what is reached".to_owned());
        };
        let (id, way) = (options::text(declared, "id"), options::text(declared, "id_from"));
        let goal = Goal {
            failed: values(&options::texts(declared, "failed"), &field, states)?,
            states: states.clone(),
            reached,
            appears: options::flag(declared, "appears"),
            anew: options::flag(declared, "anew"),
            id: (!id.is_empty()).then(|| (id, way.split('.').map(str::to_owned).collect())),
            of,
            field,
        };
        goal.check(operations).map(|()| goal)
    };
    declared.iter().map(read).collect()
}

/// What the option of an operation that streams says.
pub(super) fn watch(declared: &DynamicMessage, answer: &Message) -> Result<Watch, String> {
    let (of, field) = (options::text(declared, "of"), options::text(declared, "field"));
    let last = if field.is_empty() {
        None
    } else {
        let values = values(&options::texts(declared, "last"), &field, states(answer, &field)?)?;
        Some((field, values))
    };
    Ok(Watch { of, last })
}

/// The row of an operation that streams. What it streams is another's, and so is how that is asked.
pub(super) fn row(
    method: &MethodDescriptor,
    (verb, path, body): (Verb, Path, Body),
    effect: Effect,
    (input, output): (Message, Message),
    watch: Watch,
) -> Result<Operation, String> {
    if verb != Verb::Get || !effect.is_read() {
        return Err("what streams is a GET and reads".to_owned());
    }
    let service = method.parent_service();
    Ok(Operation {
        name: format!("{}.{}", service.name(), method.name()),
        service: service.full_name().to_owned(),
        grpc_path: format!("/{}/{}", service.full_name(), method.name()),
        verb,
        path,
        body,
        effect,
        upstream: Action::default(),
        answer: Answer {
            shape: Shape::Object,
            wrappers: Vec::new(),
            minimum: Vec::new(),
            bare_success: false,
            proof: Vec::new(),
            implied: None,
        },
        input,
        output,
        result: None,
        trace: Trace::default(),
        local: false,
        expiring: None,
        disrupts: None,
        goals: Vec::new(),
        unless_reached: false,
        watch: Some(watch),
    })
}

/// What does not fit together in an operation that leads somewhere.
pub(super) fn wrong(operation: &Operation) -> impl Iterator<Item = &'static str> {
    let has =
        |name: &str| operation.output.field(name).is_some_and(|field| field.judged == Some(Judged::Seen));
    let waits = operation.goals.is_empty() || (operation.term(Term::Wait).is_some() && has("waited"));
    let spares = !operation.unless_reached || (operation.goals.len() == 1 && has("changed"));
    let waits = (!waits).then_some("it leads somewhere and cannot be waited for");
    let spares = (!spares).then_some("`unless_reached` needs one goal and the field `changed`");
    waits.into_iter().chain(spares)
}
