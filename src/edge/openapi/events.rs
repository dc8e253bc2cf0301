//! What streams, for the document: server-sent events, which OpenAPI 3.1 has no words for beyond that each is a text.

use serde_json::{Map, Value, json};

/// The answers of a stream whose events each have one of these as JSON.
pub(super) fn responses(item: &Value, headers: &Value, responses: &mut Map<String, Value>) {
    let events = json!({
        "type": "string",
        "description": "Events of the HTML standard. `data` of one without a name is one answer as JSON, and `id` what to come back \
                        with in `Last-Event-ID`. One named `problem` has a fault, as `application/problem+json` has it, and is the \
                        last; one named `end` says that nothing will change any more.",
        "contentMediaType": "text/event-stream",
    });
    responses.insert(
        "200".into(),
        json!({"description": "The stream, until its caller leaves, nothing will change any more, or gizad stops.", "headers": headers,
               "content": {"text/event-stream": {"schema": events, "x-gizad-event": item}}}),
    );
    let description =
        "Nothing will change any more, and you have had all: do not come back. (`EventSource` does not.)";
    responses.insert("204".into(), json!({"description": description}));
}
