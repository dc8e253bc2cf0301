//! What a failure says of the provider: the one place where that is decided for every reason.

use super::Reason;

/// What was heard of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: it was not asked, or nobody knows what it did.
    Nothing,
    /// An answer, also one that is not understood.
    Answer,
    /// That it wants to be asked later.
    Later,
    /// That it does not answer, or fails, which may be over in a moment.
    Failure,
    /// That something in front of it does not let the request pass. Asking again is what that is about.
    Barrier,
}

impl Reason {
    /// What it says of the provider.
    #[must_use]
    pub fn heard(self) -> Heard {
        match self {
            Self::UpstreamUnreachable
            | Self::UpstreamTimeout
            | Self::UpstreamFailed
            | Self::UpstreamMaintenance => Heard::Failure,
            Self::UpstreamBlocked => Heard::Barrier,
            Self::UpstreamRateLimited => Heard::Later,
            Self::InsufficientBalance
            | Self::NotFound
            | Self::NotOwned
            | Self::AlreadyExists
            | Self::OutOfStock
            | Self::Busy
            | Self::ServiceExpired
            | Self::UpstreamRefused
            | Self::UpstreamAuthFailed
            | Self::UpstreamIpNotAllowed
            | Self::UpstreamRedirected
            | Self::UpstreamShapeUnknown
            | Self::InvalidArgument => Heard::Answer,
            Self::OutcomeUnknown
            | Self::MalformedBody
            | Self::ValidationFailed
            | Self::UnsupportedMediaType
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::HostNotAllowed
            | Self::CrossSite
            | Self::ProxyNotTrusted
            | Self::CompressionUnsupported
            | Self::Unauthenticated
            | Self::ScopeMissing
            | Self::OperationNotGranted
            | Self::AuditUnavailable
            | Self::KeyRequired
            | Self::KeyReused
            | Self::TwinInDoubt
            | Self::BudgetExceeded
            | Self::PriceTooHigh
            | Self::PriceUnknown
            | Self::LedgerUnavailable
            | Self::OperationNotFound
            | Self::OperationState
            | Self::OperationGivenUp
            | Self::OperationAbsent
            | Self::SelfApproval
            | Self::ServerProtected
            | Self::HostnameMismatch
            | Self::ActionNotAllowed
            | Self::DeadlineExceeded
            | Self::QuotaExceeded
            | Self::PaceExceeded
            | Self::CircuitOpen
            | Self::WaitedInVain
            | Self::NotCached
            | Self::ShuttingDown
            | Self::Internal => Heard::Nothing,
        }
    }
}
