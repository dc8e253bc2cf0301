//! What each reason means on the wire: exhaustive matches whose columns are the HTTP status and the gRPC code,
//! and beside them a title and what the reader should do. The two faces cannot drift.

mod again;
mod words;

use http::StatusCode;
use tonic::Code;

use crate::fault::{Reason, Sent};

pub use again::Again;
use words::words;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// The status of REST.
    pub http: StatusCode,
    /// The code of gRPC.
    pub grpc: Code,
    /// The reason in a few words.
    pub title: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// What may be known of whether the call was sent, the usual first.
    pub sent: &'static [Sent],
    /// Whether it may be made again.
    pub again: Again,
}

/// The row of a reason. A status is chosen by what it makes somebody do: clients repeat 503 and
/// `UNAVAILABLE` by themselves, so no unknown outcome is ever either.
#[must_use]
pub fn columns(reason: Reason) -> Columns {
    let (http, grpc) = match reason {
        Reason::MalformedBody => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Reason::InvalidArgument => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Reason::ValidationFailed => (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidArgument),
        Reason::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument),
        Reason::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
        Reason::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
        Reason::RouteNotFound => (StatusCode::NOT_FOUND, Code::Unimplemented),
        Reason::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented),
        Reason::HostNotAllowed => (StatusCode::MISDIRECTED_REQUEST, Code::PermissionDenied),
        Reason::CrossSite => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::ProxyNotTrusted => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::CompressionUnsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented),
        Reason::Unauthenticated => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        Reason::ScopeMissing => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::OperationNotGranted => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::AuditUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::KeyRequired => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Reason::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidArgument),
        Reason::TwinInDoubt => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::BudgetExceeded => (StatusCode::PAYMENT_REQUIRED, Code::FailedPrecondition),
        Reason::PriceTooHigh => (StatusCode::PAYMENT_REQUIRED, Code::FailedPrecondition),
        Reason::PriceUnknown => (StatusCode::PAYMENT_REQUIRED, Code::FailedPrecondition),
        Reason::LedgerUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::OperationNotFound => (StatusCode::NOT_FOUND, Code::NotFound),
        Reason::OperationState => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::OperationGivenUp => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::OperationAbsent => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::SelfApproval => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::ServerProtected => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::HostnameMismatch => (StatusCode::UNPROCESSABLE_ENTITY, Code::FailedPrecondition),
        Reason::ActionNotAllowed => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::InsufficientBalance => (StatusCode::PAYMENT_REQUIRED, Code::FailedPrecondition),
        Reason::NotFound => (StatusCode::NOT_FOUND, Code::NotFound),
        Reason::NotOwned => (StatusCode::FORBIDDEN, Code::PermissionDenied),
        Reason::AlreadyExists => (StatusCode::CONFLICT, Code::AlreadyExists),
        Reason::OutOfStock => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::Busy => (StatusCode::CONFLICT, Code::Aborted),
        Reason::ServiceExpired => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::UpstreamRefused => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::UpstreamAuthFailed => (StatusCode::BAD_GATEWAY, Code::FailedPrecondition),
        Reason::UpstreamIpNotAllowed => (StatusCode::BAD_GATEWAY, Code::FailedPrecondition),
        Reason::UpstreamRateLimited => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        Reason::UpstreamMaintenance => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::UpstreamBlocked => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::UpstreamUnreachable => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded),
        Reason::UpstreamFailed => (StatusCode::BAD_GATEWAY, Code::Unavailable),
        Reason::UpstreamRedirected => (StatusCode::BAD_GATEWAY, Code::FailedPrecondition),
        Reason::UpstreamShapeUnknown => (StatusCode::BAD_GATEWAY, Code::Unknown),
        Reason::OutcomeUnknown => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded),
        Reason::QuotaExceeded => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        Reason::PaceExceeded => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        Reason::CircuitOpen => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::WaitedInVain => (StatusCode::CONFLICT, Code::FailedPrecondition),
        Reason::NotCached => (StatusCode::GATEWAY_TIMEOUT, Code::FailedPrecondition),
        Reason::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        Reason::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
    };
    let (title, advice) = words(reason);
    Columns { http, grpc, title, advice, sent: again::sent(reason), again: again::again(reason) }
}

/// The name of a gRPC code as the documentation of gRPC spells it.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
