//! Which failures an operation can have, and how they are told: one response for each status, one example for each reason.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::columns::{code_name, columns};
use super::headers;
use crate::contract::{Contract, Effect, Operation, Term};
use crate::fault::Reason;

/// The reasons that an operation can fail for.
fn of(operation: &Operation) -> impl Iterator<Item = Reason> {
    Reason::ALL.iter().copied().filter(|reason| concerns(*reason, operation))
}

/// Those that some operation can fail for, and that of a path which is none: a method that a path does not take is told by 405 and
/// `Allow`, which belongs to no operation.
fn of_any(contract: &Contract) -> impl Iterator<Item = Reason> {
    let known = |reason: &Reason| contract.operations().iter().any(|operation| concerns(*reason, operation));
    Reason::ALL.iter().copied().filter(move |reason| *reason == Reason::RouteNotFound || known(reason))
}

/// Their names.
pub(super) fn names(operation: &Operation) -> Vec<&'static str> {
    of(operation).map(Reason::as_str).collect()
}

/// Their statuses.
pub(super) fn statuses(operation: &Operation) -> BTreeSet<StatusCode> {
    of(operation).map(|reason| columns(reason).http).collect()
}

/// Whether an operation can fail for a reason.
fn concerns(reason: Reason, operation: &Operation) -> bool {
    let (effect, local) = (operation.effect, operation.local);
    let is_kept = operation.term(Term::Key).is_some();
    match reason {
        Reason::MalformedBody
        | Reason::InvalidArgument
        | Reason::ValidationFailed
        | Reason::UnsupportedMediaType
        | Reason::BodyTooLarge
        | Reason::BodyTooSlow
        | Reason::HostNotAllowed
        | Reason::CrossSite
        | Reason::ProxyNotTrusted
        | Reason::Unauthenticated
        | Reason::DeadlineExceeded
        | Reason::ShuttingDown
        | Reason::Internal => true,
        // Of a path and not of an operation; and of gRPC alone.
        Reason::RouteNotFound | Reason::MethodNotAllowed | Reason::CompressionUnsupported => false,
        Reason::ScopeMissing | Reason::OperationNotGranted => effect != Effect::Public,
        Reason::AuditUnavailable => !effect.is_read() || effect == Effect::Secret,
        Reason::KeyRequired
        | Reason::TwinInDoubt
        | Reason::BudgetExceeded
        | Reason::PriceTooHigh
        | Reason::PriceUnknown => effect == Effect::Spend,
        Reason::KeyReused => is_kept,
        Reason::LedgerUnavailable => is_kept || local,
        Reason::OperationNotFound => local,
        Reason::OperationState | Reason::OperationGivenUp | Reason::OperationAbsent => {
            is_kept || (local && !effect.is_read())
        }
        Reason::SelfApproval => local && !effect.is_read(),
        Reason::ServerProtected => operation.disrupts.is_some(),
        Reason::HostnameMismatch => operation.term(Term::Confirm).is_some(),
        Reason::ActionNotAllowed => operation.upstream.name_from.is_some(),
        Reason::OutcomeUnknown => matches!(effect, Effect::Once | Effect::Spend),
        Reason::WaitedInVain => !operation.goals.is_empty(),
        Reason::NotCached => effect.is_read() && !local && operation.watch.is_none(),
        Reason::QuotaExceeded => !local || operation.watch.is_some(),
        Reason::InsufficientBalance
        | Reason::NotFound
        | Reason::NotOwned
        | Reason::AlreadyExists
        | Reason::OutOfStock
        | Reason::Busy
        | Reason::ServiceExpired
        | Reason::UpstreamRefused
        | Reason::UpstreamAuthFailed
        | Reason::UpstreamIpNotAllowed
        | Reason::UpstreamRateLimited
        | Reason::UpstreamMaintenance
        | Reason::UpstreamBlocked
        | Reason::UpstreamUnreachable
        | Reason::UpstreamTimeout
        | Reason::UpstreamFailed
        | Reason::UpstreamRedirected
        | Reason::UpstreamShapeUnknown
        | Reason::PaceExceeded
        | Reason::CircuitOpen => !local,
    }
}

/// A response by its status, as it is called among the components.
pub(super) fn response_name(status: StatusCode) -> String {
    let phrase = status.canonical_reason().unwrap_or("Other");
    phrase.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// One response for each status of a failure.
pub(super) fn responses(contract: &Contract) -> Value {
    let statuses: BTreeSet<StatusCode> = of_any(contract).map(|reason| columns(reason).http).collect();
    let responses = statuses.into_iter().map(|status| {
        let with: Vec<Reason> = of_any(contract).filter(|reason| columns(*reason).http == status).collect();
        let names: Vec<String> = with.iter().map(|reason| format!("`{}`", reason.as_str())).collect();
        let phrase = status.canonical_reason().unwrap_or_default();
        let description = format!("{phrase}, for one of these reasons: {}.", names.join(", "));
        let examples: Map<String, Value> = with
            .iter()
            .map(|reason| {
                let name = reason.as_str();
                (name.to_owned(), json!({"$ref": format!("#/components/examples/{name}")}))
            })
            .collect();
        let response = json!({
            "description": description,
            "headers": headers::of_failure(status),
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": examples,
            }},
        });
        (response_name(status), response)
    });
    Value::Object(responses.collect())
}

/// One example for each reason.
pub(super) fn examples(contract: &Contract) -> Value {
    let examples = of_any(contract).map(|reason| {
        let row = columns(reason);
        let sent = row.sent.first().map_or("never", |sent| sent.as_str());
        let value = json!({
            "type": format!("/errors/{}", reason.as_str()),
            "title": row.title,
            "status": row.http.as_u16(),
            "detail": row.advice,
            "code": code_name(row.grpc),
            "reason": reason.as_str(),
            "sent": sent,
            "request_id": "a967a6d936c8b4efffc32758ff910308",
        });
        (reason.as_str().to_owned(), json!({"summary": row.title, "value": value}))
    });
    Value::Object(examples.collect())
}

/// The body of every failure.
pub(super) fn problem() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| code_name(columns(*reason).grpc)).collect();
    json!({
        "type": "object",
        "description": "Why a call did not succeed (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri-reference",
                     "description": "Leads to what the reason means and what to do."},
            "title": text("The reason in a few words."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the response."},
            "detail": text("What was wrong with this call."),
            "code": {"type": "string", "enum": codes, "description": "The code that gRPC has for it."},
            "reason": {"type": "string", "enum": reasons, "description": "The constant to program against."},
            "sent": {"type": "string", "enum": ["never", "maybe", "answered"],
                     "description": "What is known of this call: `never` (call again if you like), `maybe` (look first), \
                                     `answered` (the provider refused)."},
            "request_id": text("The name of the call, in the header `X-Request-Id` and in the log, too."),
            "operation": {"type": "string", "format": "uri-reference",
                          "description": "The recorded operation that it belongs to."},
            "violations": {
                "type": "array",
                "description": "Everything that is wrong with the request.",
                "items": {
                    "type": "object",
                    "properties": {"field": text("The path of the field."), "description": text("What was expected.")},
                    "required": ["field", "description"],
                },
            },
            "upstream_rule": text("The rule that judged the provider's answer."),
            "upstream_status": {"type": "integer", "description": "The status of that answer."},
            "upstream_message": text("The provider's own words."),
            "violated-policies": {"type": "array", "items": {"type": "string"},
                                  "description": "The limit that refused it: `account`, `caller` or `upstream`."},
        },
        "required": ["type", "title", "status", "detail", "code", "reason", "sent", "request_id"],
    })
}
