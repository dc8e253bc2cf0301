//! The REST face as an OpenAPI 3.1 document: one more reading of the contract, with its comments for words.
//!
//! It is made once, by a test that compares it with the committed `docs/openapi.json`, and served from there. Absent here: anything
//! that a setting changes.

mod about;
mod events;
mod headers;
mod reasons;
mod schema;
mod served;
mod yaml;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rest::pictures;
use crate::contract::{Body, Comments, Contract, Effect, Field, Kind, Operation, Term, Verb};
use crate::vietqr::Picture;

use schema::{Schemas, is_required};

pub(super) use served::router;

/// What was sent and answered once, by the name of the operation.
pub type Examples = BTreeMap<String, Example>;

/// What was sent and answered once.
#[derive(Clone, Debug)]
pub struct Example {
    /// The body of the request, if it had one.
    pub request: Option<Value>,
    /// The body of the answer.
    pub answer: Value,
}

/// A path, its operations by verb, and the pictures beside it.
type Path<'a> = (&'a str, Map<String, Value>, Vec<(String, Value)>);

/// The document.
#[must_use]
pub fn openapi(contract: &Contract, comments: &Comments, examples: &Examples) -> Value {
    let mut writer = Writer { comments, examples, schemas: Schemas::new(comments) };
    let mut paths: BTreeMap<usize, Path> = BTreeMap::new();
    for (place, operation) in contract.all().enumerate() {
        let path = operation.path.template();
        let place = paths.iter().find(|(_, (known, ..))| *known == path).map_or(place, |(place, _)| *place);
        let written = writer.operation(operation);
        let (_, verbs, drawn) = paths.entry(place).or_insert_with(|| (path, Map::new(), Vec::new()));
        verbs.insert(operation.verb.as_str().to_ascii_lowercase(), Value::Object(written));
        drawn.extend(pictures(operation).map(|(picture, path)| (path, writer.picture(operation, picture))));
    }
    let mut by_path: Map<String, Value> = Map::new();
    for (path, verbs, drawn) in paths.into_values() {
        by_path.insert(path.to_owned(), Value::Object(verbs));
        by_path.extend(drawn);
    }
    let tags: Vec<Value> = contract
        .services()
        .map(|service| json!({"name": tag(service), "description": comments.of(service)}))
        .collect();
    json!({
        "openapi": "3.1.1",
        "info": about::info(),
        "servers": about::servers(),
        "tags": tags,
        "paths": by_path,
        "components": {
            "securitySchemes": about::security_schemes(),
            "parameters": headers::parameters(),
            "headers": headers::headers(),
            "schemas": writer.schemas.all(),
            "responses": reasons::responses(contract),
            "examples": reasons::examples(contract),
        },
    })
}

/// The name of a service without what all services have in theirs.
fn tag(service: &str) -> &str {
    let name = service.rsplit('.').next().unwrap_or(service);
    name.strip_suffix("Service").unwrap_or(name)
}

struct Writer<'a> {
    comments: &'a Comments,
    examples: &'a Examples,
    schemas: Schemas<'a>,
}

impl Writer<'_> {
    fn operation(&mut self, operation: &Operation) -> Map<String, Value> {
        let rpc = operation.grpc_path.trim_start_matches('/').replace('/', ".");
        let comment = self.comments.of(&rpc);
        let summary = comment.split("\n\n").next().unwrap_or_default();
        let mut written = Map::new();
        written.insert("operationId".into(), json!(operation.name));
        written.insert("tags".into(), json!([tag(&operation.service)]));
        written.insert("summary".into(), json!(sentence(summary)));
        let description = format!("{comment}\n\n{} Over gRPC: `{}`.", effect(operation), operation.grpc_path);
        written.insert("description".into(), json!(description));
        let parameters = self.parameters(operation);
        written.insert("parameters".into(), Value::Array(parameters));
        if let Some(body) = self.body(operation) {
            written.insert("requestBody".into(), body);
        }
        written.insert("responses".into(), Value::Object(self.responses(operation)));
        written.insert("security".into(), json!([{}, {"token": []}]));
        written.insert("x-gizad-effect".into(), json!(operation.effect.as_str()));
        written.insert("x-gizad-reasons".into(), json!(reasons::names(operation)));
        written
    }

    /// The same answer, drawn.
    fn picture(&mut self, operation: &Operation, picture: Picture) -> Value {
        let (kind, media_type) = (picture.extension(), picture.media_type());
        let mut written = self.operation(operation);
        written.insert("operationId".into(), json!(format!("{}.{kind}", operation.name)));
        let essence = media_type.split(';').next().unwrap_or(kind);
        written.insert("summary".into(), json!(format!("Draws its VietQR code as {essence}")));
        let description = format!(
            "The `vietqr` of `{}` for a banking app to look at. Nothing is found where that is empty.",
            operation.name
        );
        written.insert("description".into(), json!(description));
        let schema = match picture {
            Picture::Png => json!({}),
            Picture::Svg | Picture::Text => json!({"type": "string"}),
        };
        let mut responses = self.responses(operation);
        responses.remove("304");
        let drawn = json!({"description": "The code.", "headers": headers::of_success(operation),
                           "content": {media_type: {"schema": schema}}});
        responses.insert("200".into(), drawn);
        written.insert("responses".into(), Value::Object(responses));
        json!({"get": written})
    }

    fn parameters(&mut self, operation: &Operation) -> Vec<Value> {
        let mut parameters = Vec::new();
        for name in operation.path.variables() {
            if let Some(field) = operation.input.field(name) {
                parameters.push(self.parameter(field, "path", true));
            }
        }
        if operation.body == Body::None {
            let simple = |field: &&Field| {
                !matches!(field.kind, Kind::Struct | Kind::Any | Kind::Amounts | Kind::Message(_))
            };
            for field in operation.free_fields().filter(simple) {
                parameters.push(self.parameter(field, "query", is_required(field)));
            }
        } else if let Some(field) = operation.term(Term::Wait) {
            parameters.push(self.parameter(field, "query", false));
        }
        let mut headers = vec!["RequestId", "RequestTimeout"];
        if operation.term(Term::Key).is_some() {
            headers.push("IdempotencyKey");
        }
        if operation.term(Term::After).is_some() {
            headers.push("LastEventId");
        }
        if is_kept(operation) {
            headers.extend(["CacheControl", "IfNoneMatch"]);
        }
        parameters
            .extend(headers.iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})));
        parameters
    }

    fn parameter(&mut self, field: &Field, place: &str, required: bool) -> Value {
        let description = self.comments.of(field.descriptor.full_name());
        json!({"name": field.name, "in": place, "required": required, "description": description,
               "schema": self.schemas.asked(field)})
    }

    fn body(&mut self, operation: &Operation) -> Option<Value> {
        let (schema, required) = match &operation.body {
            Body::None => return None,
            Body::Whole if operation.free_fields().next().is_none() => return None,
            Body::Whole => {
                let required = operation.free_fields().any(is_required);
                (self.schemas.request(operation), required)
            }
            Body::Field(name) => (self.schemas.asked(operation.input.field(name)?), false),
        };
        let mut content = Map::from_iter([("schema".to_owned(), schema)]);
        if let Some(example) = self.examples.get(&operation.name).and_then(|example| example.request.clone())
        {
            content.insert("example".into(), example);
        }
        Some(json!({"required": required, "content": {"application/json": content}}))
    }

    fn responses(&mut self, operation: &Operation) -> Map<String, Value> {
        let mut responses = Map::new();
        let mut content = Map::from_iter([("schema".to_owned(), self.schemas.answer(&operation.output))]);
        if let Some(example) = self.examples.get(&operation.name) {
            content.insert("example".into(), example.answer.clone());
        }
        let headers = headers::of_success(operation);
        if operation.watch.is_some() {
            events::responses(&self.schemas.answer(&operation.output), &headers, &mut responses);
        }
        for (status, description) in successes(operation).into_iter().filter(|_| operation.watch.is_none()) {
            let response = json!({"description": description, "headers": headers,
                                  "content": {"application/json": content}});
            responses.insert(status.to_owned(), response);
        }
        if is_kept(operation) {
            let description = "What you have by `If-None-Match` is still the answer.";
            responses.insert("304".into(), json!({"description": description, "headers": headers}));
        }
        for status in reasons::statuses(operation) {
            let name = reasons::response_name(status);
            responses.insert(
                status.as_u16().to_string(),
                json!({"$ref": format!("#/components/responses/{name}")}),
            );
        }
        responses
    }
}

/// Whether its answer has a validator, by which a caller that has it is not sent it again.
fn is_kept(operation: &Operation) -> bool {
    let reads = operation.verb == Verb::Get && operation.effect != Effect::Secret;
    reads && !operation.is_gizads() && operation.watch.is_none()
}

/// The first sentence of a comment, without its end, for a list.
fn sentence(text: &str) -> &str {
    let end = text.find(". ").unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end_matches('.')
}

/// What one call does to the world, and what may be done about it.
fn effect(operation: &Operation) -> &'static str {
    if operation.local {
        return "Answered from gizad's own record: the provider is not asked.";
    }
    match operation.effect {
        Effect::Public => "Reads the public catalog, mostly from memory; nobody needs a token for it.",
        Effect::Read => "Reads the account; needs the scope `read`.",
        Effect::Secret => "Reveals a credential; needs the scope `sensitive`, and is never kept or logged.",
        Effect::Converge => "Lands in the same state however often it runs; needs the scope `write`.",
        Effect::Once => "Must not run twice, and is never sent again by itself; needs the scope `write`.",
        Effect::Spend => {
            "Takes money from the wallet; needs the scope `spend` and an `Idempotency-Key`, under which it is carried \
             out at most once."
        }
    }
}

/// The statuses of success, and what each means.
fn successes(operation: &Operation) -> Vec<(&'static str, &'static str)> {
    let done = if operation.creates() { ("201", "It was created.") } else { ("200", "It was carried out.") };
    match (operation.result.is_some(), operation.effect.is_read()) {
        (true, _) => {
            let checked = ("200", "With `validate_only`: what it would come to. Nothing was bought.");
            let running =
                ("202", "It is under way or waits for consent; `Location` says where it is looked at.");
            if operation.creates() {
                vec![checked, ("201", "It was bought."), running]
            } else {
                vec![("200", "It was bought; or, with `validate_only`, what it would come to."), running]
            }
        }
        (false, true) => vec![("200", "The answer.")],
        (false, false) => vec![done],
    }
}
