//! What is known of a call that ended with a reason: whether it may have been sent, and whether it may be made again.

use crate::fault::{Reason, Sent};

/// Whether a call may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// As it is: nothing stands against it but time.
    AsItIs,
    /// With something else in it.
    Corrected,
    /// When somebody has changed what stands against it.
    Changed,
    /// Not before somebody has looked: it may have been carried out.
    Known,
    /// Under another idempotency key.
    NewKey,
}

impl Again {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsItIs => "as it is, under the same key",
            Self::Corrected => "once the request is corrected",
            Self::Changed => "once what stands against it has changed",
            Self::Known => "not before it is known what became of it",
            Self::NewKey => "under a new key",
        }
    }
}

/// What may be known of whether a call was sent. What is not in here is never said; the tests look at every answer.
pub(super) fn sent(reason: Reason) -> &'static [Sent] {
    match reason {
        Reason::MalformedBody
        | Reason::ValidationFailed
        | Reason::UnsupportedMediaType
        | Reason::BodyTooLarge
        | Reason::BodyTooSlow
        | Reason::RouteNotFound
        | Reason::MethodNotAllowed
        | Reason::HostNotAllowed
        | Reason::CrossSite
        | Reason::ProxyNotTrusted
        | Reason::CompressionUnsupported
        | Reason::Unauthenticated
        | Reason::ScopeMissing
        | Reason::OperationNotGranted
        | Reason::KeyRequired
        | Reason::KeyReused
        | Reason::TwinInDoubt
        | Reason::BudgetExceeded
        | Reason::PriceTooHigh
        | Reason::PriceUnknown
        | Reason::OperationNotFound
        | Reason::OperationGivenUp
        | Reason::SelfApproval
        | Reason::ServerProtected
        | Reason::HostnameMismatch
        | Reason::ActionNotAllowed
        | Reason::UpstreamUnreachable
        | Reason::QuotaExceeded
        | Reason::PaceExceeded
        | Reason::CircuitOpen
        | Reason::NotCached
        | Reason::ShuttingDown => &[Sent::Never],
        // Of the call itself nothing is sent, but one before it under the same key may have been.
        Reason::AuditUnavailable | Reason::LedgerUnavailable | Reason::DeadlineExceeded => {
            &[Sent::Never, Sent::Maybe]
        }
        Reason::OperationAbsent | Reason::WaitedInVain => &[Sent::Answered],
        Reason::InvalidArgument | Reason::OperationState => &[Sent::Never, Sent::Answered],
        // By the provider, or by gizad, which looks before it sends.
        Reason::InsufficientBalance
        | Reason::NotFound
        | Reason::NotOwned
        | Reason::AlreadyExists
        | Reason::OutOfStock
        | Reason::Busy
        | Reason::ServiceExpired
        | Reason::UpstreamRefused
        | Reason::UpstreamIpNotAllowed => &[Sent::Answered, Sent::Never],
        Reason::UpstreamBlocked
        | Reason::UpstreamTimeout
        | Reason::UpstreamFailed
        | Reason::UpstreamRedirected
        | Reason::UpstreamShapeUnknown => &[Sent::Maybe, Sent::Never],
        Reason::UpstreamAuthFailed => &[Sent::Answered, Sent::Maybe, Sent::Never],
        Reason::UpstreamRateLimited | Reason::UpstreamMaintenance => {
            &[Sent::Maybe, Sent::Answered, Sent::Never]
        }
        Reason::Internal => &[Sent::Never, Sent::Maybe, Sent::Answered],
        Reason::OutcomeUnknown => &[Sent::Maybe],
    }
}

/// Whether a call that ended with a reason may be made again.
pub(super) fn again(reason: Reason) -> Again {
    match reason {
        Reason::BodyTooSlow
        | Reason::AuditUnavailable
        | Reason::LedgerUnavailable
        | Reason::Busy
        | Reason::UpstreamRateLimited
        | Reason::UpstreamMaintenance
        | Reason::UpstreamBlocked
        | Reason::UpstreamUnreachable
        | Reason::UpstreamTimeout
        | Reason::UpstreamFailed
        | Reason::DeadlineExceeded
        | Reason::QuotaExceeded
        | Reason::PaceExceeded
        | Reason::CircuitOpen
        | Reason::ShuttingDown => Again::AsItIs,
        Reason::MalformedBody
        | Reason::InvalidArgument
        | Reason::ValidationFailed
        | Reason::UnsupportedMediaType
        | Reason::BodyTooLarge
        | Reason::RouteNotFound
        | Reason::MethodNotAllowed
        | Reason::CrossSite
        | Reason::CompressionUnsupported
        | Reason::KeyRequired
        | Reason::PriceTooHigh
        | Reason::OperationNotFound
        | Reason::HostnameMismatch
        | Reason::NotFound
        | Reason::AlreadyExists
        | Reason::OutOfStock
        | Reason::UpstreamRefused
        | Reason::NotCached => Again::Corrected,
        Reason::HostNotAllowed
        | Reason::ProxyNotTrusted
        | Reason::Unauthenticated
        | Reason::ScopeMissing
        | Reason::OperationNotGranted
        | Reason::BudgetExceeded
        | Reason::PriceUnknown
        | Reason::SelfApproval
        | Reason::ServerProtected
        | Reason::ActionNotAllowed
        | Reason::InsufficientBalance
        | Reason::NotOwned
        | Reason::ServiceExpired
        | Reason::UpstreamAuthFailed
        | Reason::UpstreamIpNotAllowed
        | Reason::UpstreamRedirected
        | Reason::UpstreamShapeUnknown
        | Reason::Internal => Again::Changed,
        Reason::TwinInDoubt | Reason::OperationState | Reason::OutcomeUnknown | Reason::WaitedInVain => {
            Again::Known
        }
        Reason::KeyReused | Reason::OperationGivenUp | Reason::OperationAbsent => Again::NewKey,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tonic::Code;

    use super::*;
    use crate::edge::columns;

    #[test]
    fn what_clients_repeat_by_themselves_may_be_repeated() {
        for reason in Reason::ALL {
            let row = columns(*reason);
            let invites = row.grpc == Code::Unavailable
                || matches!(row.http, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
            assert!(!invites || row.again == Again::AsItIs, "{}", reason.as_str());
            assert!(!invites || row.sent != [Sent::Maybe], "{}", reason.as_str());
        }
    }
}
