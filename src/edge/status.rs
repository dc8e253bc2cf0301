//! A fault in gRPC: `google.rpc.Status` with details (AIP-193).

use std::collections::HashMap;
use std::time::Duration;

use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::columns::columns;
use super::{rate, standing};
use crate::call::RequestId;
use crate::fault::{Fault, Reason};

/// The domain of gizad's reasons.
const DOMAIN: &str = "gizad";

/// The whole status.
pub(super) fn status(fault: &Fault, id: &RequestId) -> Status {
    let mut metadata = HashMap::from([("sent".to_owned(), fault.sent.as_str().to_owned())]);
    if let Some(answer) = &fault.answer {
        metadata.insert("upstream_rule".to_owned(), answer.rule.to_owned());
        if let Some(status) = answer.status {
            metadata.insert("upstream_status".to_owned(), status.to_string());
        }
        if let Some(message) = &answer.message {
            metadata.insert("upstream_message".to_owned(), message.as_str().to_owned());
        }
    }
    metadata.extend(fault.operation.as_ref().map(|id| ("operation_id".to_owned(), id.to_string())));
    let mut details = ErrorDetails::with_error_info(fault.reason.as_str(), DOMAIN, metadata);
    details.set_request_info(id.as_str(), "");
    if !fault.violations.is_empty() {
        let violations = fault.violations.iter();
        details.set_bad_request(
            violations.map(|v| FieldViolation::new(&*v.field, &*v.description)).collect::<Vec<_>>(),
        );
    }
    if let Some(wait) = fault.try_again() {
        details.set_retry_info(Some(wait));
    }
    if let Some(limit) = &fault.limit {
        details.add_quota_failure_violation(limit.name, &*fault.detail);
    }
    if let Some(page) = super::pages::anywhere(fault.reason) {
        details.add_help_link(columns(fault.reason).title, page);
    }
    let mut status = Status::with_error_details(columns(fault.reason).grpc, &*fault.detail, details);
    if fault.reason == Reason::OutcomeUnknown {
        // gRPC's retry design (A6): a negative pushback means "do not retry at all".
        status
            .metadata_mut()
            .insert("grpc-retry-pushback-ms", tonic::metadata::MetadataValue::from_static("-1"));
    } else if let Some(wait) = fault.try_again().map(milliseconds) {
        status.metadata_mut().insert("grpc-retry-pushback-ms", wait.into());
    }
    let mut headers = status.metadata().clone().into_headers();
    if let Some(limit) = &fault.limit {
        rate::write(limit, &mut headers);
    }
    if let Some(operation) = &fault.operation {
        standing::write(operation, fault.replayed, &mut headers);
    }
    *status.metadata_mut() = MetadataMap::from_headers(headers);
    status
}

fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
