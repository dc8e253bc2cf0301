//! Messages as JSON Schema (2020-12): what a request may say, and what an answer says.

use serde_json::{Map, Value, json};

use crate::contract::{Comments, Field, Kind, Message, Operation, Rules, Term};

/// The schemas that something refers to, by their names.
pub(super) struct Schemas<'a> {
    comments: &'a Comments,
    all: Map<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Self {
        Self { comments, all: Map::new() }
    }

    /// All of them, by name.
    pub(super) fn all(mut self) -> Value {
        self.all.insert("Problem".to_owned(), super::reasons::problem());
        self.all.sort_keys();
        Value::Object(self.all)
    }

    fn refer(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.all.contains_key(name) {
            // A place first, for what refers to itself.
            self.all.insert(name.to_owned(), Value::Null);
            let made = make(self);
            self.all.insert(name.to_owned(), made);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    /// The body of a request: what the path does not say.
    pub(super) fn request(&mut self, operation: &Operation) -> Value {
        let descriptor = &operation.input.descriptor;
        let (name, comment) =
            (descriptor.name().to_owned(), self.comments.of(descriptor.full_name()).to_owned());
        self.refer(&name, |schemas| {
            let mut properties = Map::new();
            let mut required = Vec::new();
            // How long to wait stands in the query.
            for field in operation.free_fields().filter(|field| field.term != Some(Term::Wait)) {
                properties.insert(field.name.clone(), schemas.told(field, schemas.asked(field)));
                if is_required(field) {
                    required.push(field.name.as_str());
                }
            }
            let mut schema = json!({"type": "object", "description": comment, "properties": properties,
                                    "additionalProperties": false});
            if !required.is_empty()
                && let Some(schema) = schema.as_object_mut()
            {
                schema.insert("required".into(), json!(required));
            }
            schema
        })
    }

    /// What a field of a request may be.
    pub(super) fn asked(&self, field: &Field) -> Value {
        let schema = self.value(field, &field.kind, |states| states.iter().skip(1).cloned().collect());
        let rules = if field.repeated { field.rules.items() } else { Some(&field.rules) };
        let mut bound = bounded(schema, rules);
        // What a key may be is the edge's to say (`key.rs`).
        if let (Some(Term::Key), Some(key)) = (field.term, bound.as_object_mut()) {
            key.insert("pattern".into(), json!("^[!-~]*$"));
        }
        if field.repeated {
            let mut list = json!({"type": "array", "items": bound});
            if let (Some(list), Some(most)) = (list.as_object_mut(), field.rules.bounds().max_items) {
                list.insert("maxItems".into(), json!(most));
            }
            return list;
        }
        bound
    }

    /// A message of an answer: every field is shown, and what the provider did not say is null.
    pub(super) fn answer(&mut self, message: &Message) -> Value {
        let descriptor = &message.descriptor;
        let (name, comment) =
            (descriptor.name().to_owned(), self.comments.of(descriptor.full_name()).to_owned());
        self.refer(&name, |schemas| {
            let mut properties = Map::new();
            for field in &message.fields {
                let shown = schemas.shown(field);
                properties.insert(field.name.clone(), schemas.told(field, shown));
            }
            let required: Vec<&str> = message.fields.iter().map(|field| field.name.as_str()).collect();
            json!({"type": "object", "description": comment, "properties": properties, "required": required})
        })
    }

    fn shown(&mut self, field: &Field) -> Value {
        let schema = match &field.kind {
            Kind::Message(inner) => self.answer(inner),
            other => self.value(field, other, <[String]>::to_vec),
        };
        if field.repeated {
            return json!({"type": "array", "items": schema});
        }
        if field.optional && !field.is_extra() { nullable(schema) } else { schema }
    }

    fn value(&self, field: &Field, kind: &Kind, named: impl FnOnce(&[String]) -> Vec<String>) -> Value {
        match kind {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Int32 => json!({"type": "integer", "format": "int32"}),
            Kind::Int64 => json!({"type": "integer", "format": "int64"}),
            Kind::Text => json!({"type": "string"}),
            Kind::Timestamp => json!({"type": "string", "format": "date-time"}),
            Kind::Struct => json!({"type": "object", "additionalProperties": true}),
            Kind::Amounts => {
                json!({"type": "object", "additionalProperties": {"type": "integer", "format": "int64"}})
            }
            Kind::Enum(states) => {
                let names: Vec<String> = states.values.iter().map(|value| value.name.clone()).collect();
                let names = named(&names);
                let words = self.words(field, &names);
                json!({"type": "string", "enum": names, "description": words})
            }
            // Requests of this contract have none; a message that is asked for is described like one that is shown.
            Kind::Any | Kind::Message(_) => json!({}),
        }
    }

    /// What each value of an enum means.
    fn words(&self, field: &Field, names: &[String]) -> String {
        let Some(states) = field.descriptor.kind().as_enum().cloned() else { return String::new() };
        let line = |name: &String| {
            format!("- `{name}`: {}", self.comments.of(&format!("{}.{name}", states.full_name())))
        };
        names.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// A schema with what the protos say of the field.
    fn told(&self, field: &Field, schema: Value) -> Value {
        let comment = self.comments.of(field.descriptor.full_name());
        let redacted = field.descriptor.options();
        let redacted =
            redacted.get_field_by_name("debug_redact").and_then(|flag| flag.as_bool()).unwrap_or_default();
        let mut told = match schema {
            // In 3.1 a reference may have a description of its own beside it.
            Value::Object(told) => told,
            other => return other,
        };
        let own = told.get("description").and_then(Value::as_str).map(str::to_owned);
        let both = own.map_or_else(|| comment.to_owned(), |own| format!("{comment}\n\n{own}"));
        told.insert("description".into(), json!(both));
        if redacted && told.get("type") == Some(&json!("string")) {
            told.insert("format".into(), json!("password"));
        }
        Value::Object(told)
    }
}

/// Whether a request without it is refused.
pub(super) fn is_required(field: &Field) -> bool {
    field.rules.require() && !field.optional && !field.repeated
}

fn nullable(schema: Value) -> Value {
    match schema {
        Value::Object(mut members) if members.contains_key("type") => {
            if let Some(kind) = members.get("type").cloned() {
                members.insert("type".into(), json!([kind, "null"]));
            }
            // An enum is a list of all that may be.
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.push(Value::Null);
            }
            Value::Object(members)
        }
        other => json!({"oneOf": [other, {"type": "null"}]}),
    }
}

fn bounded(schema: Value, rules: Option<&Rules>) -> Value {
    let (Value::Object(mut members), Some(rules)) = (schema.clone(), rules) else { return schema };
    let bounds = rules.bounds();
    let numbers = [
        ("exclusiveMinimum", bounds.gt),
        ("minimum", bounds.gte),
        ("maximum", bounds.lte),
        ("minLength", bounds.min_len.and_then(|length| i64::try_from(length).ok())),
        ("maxLength", bounds.max_len.and_then(|length| i64::try_from(length).ok())),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            members.insert(name.into(), json!(value));
        }
    }
    if let Some(pattern) = bounds.pattern {
        members.insert("pattern".into(), json!(pattern));
    }
    Value::Object(members)
}
