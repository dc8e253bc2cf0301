//! What a caller adds under names of its own, and which names it cannot take.

use prost_reflect::{DynamicMessage, Value};
use serde_json::Value as Json;

use super::{Body, Field, Operation, Violation, any, fold};

/// Parameters that only gizad sets, folded.
const RESERVED: [&str; 4] = ["action", "identifier", "secret", "frontendsource"];

impl Operation {
    /// What a request adds beside the fields of the contract, in its order, with the field it is in.
    pub fn added<'a>(&'a self, request: &'a DynamicMessage) -> impl Iterator<Item = (&'a str, String, Json)> {
        let free = self.input.fields.iter().filter(|field| self.is_free(field));
        free.flat_map(|field| {
            let members = match &*request.get_field(&field.descriptor) {
                Value::Message(held) => any::json(held),
                _ => Json::Null,
            };
            let members = match members {
                Json::Object(members) => members,
                _ => serde_json::Map::new(),
            };
            members.into_iter().map(|(name, json)| (field.name.as_str(), name, json))
        })
    }

    /// What of that has a name that is gizad's own, or has a field or a value already.
    #[must_use]
    pub fn taken(&self, request: &DynamicMessage) -> Vec<Violation> {
        let taken = self.added(request).filter(|(_, name, _)| {
            let folded = fold(name);
            RESERVED.contains(&folded.as_str()) || self.is_own(&folded)
        });
        taken
            .map(|(field, name, _)| Violation::new(format!("{field}.{name}"), "is set by gizad itself"))
            .collect()
    }

    /// Whether a parameter, given or not, has a field or a value of its own.
    fn is_own(&self, folded: &str) -> bool {
        let spelled = self.input.fields.iter().filter_map(|field| field.sent_as.as_deref());
        let constants = self.upstream.constants.iter().map(|(name, _)| name.as_str());
        spelled.chain(constants).any(|name| fold(name) == folded)
    }

    /// A field whose members are sent as they are.
    fn is_free(&self, field: &Field) -> bool {
        field.is_extra() || self.body == Body::Field(field.name.clone())
    }
}
