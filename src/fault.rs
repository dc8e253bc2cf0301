//! Why a call did not succeed, in a closed list of reasons, and whether the provider may have acted on it.
//!
//! Absent here: a status code of any wire. What HTTP and gRPC make of a reason is said once, in `edge`.

mod heard;
mod lacking;
mod message;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::Limit;
use crate::contract::{Effect, Violation};

pub use heard::Heard;
pub use lacking::Lacking;
pub use message::ProviderMessage;

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Why, as a constant.
    pub reason: Reason,
    /// Whether the provider may have acted.
    pub sent: Sent,
    /// Why, for the caller to read.
    pub detail: String,
    /// What only the log reads.
    pub private: Option<String>,
    /// What is wrong with each field.
    pub violations: Vec<Violation>,
    /// When it makes sense to try again, if somebody knows.
    pub retry_after: Option<Duration>,
    /// What the provider answered, if it did.
    pub answer: Option<Judged>,
    /// The limit that was reached, if it was one of ours.
    pub limit: Option<Limit>,
    /// What is known to have happened where the outcome is not.
    pub beneath: Option<Reason>,
    /// The recorded operation that it is about.
    pub operation: Option<Arc<str>>,
    /// Whether this was known before the call.
    pub replayed: bool,
    /// What its caller lacks, if that is why.
    pub lacks: Option<Lacking>,
}

/// How the provider's answer was judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The rule that decided.
    pub rule: &'static str,
    /// The HTTP status it came with, if it came.
    pub status: Option<u16>,
    /// The provider's own words, if it had any.
    pub message: Option<ProviderMessage>,
}

impl Judged {
    /// A rule by its name, as it was written down once. There are only so many.
    #[must_use]
    pub fn known(rule: &str) -> &'static str {
        static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rule) = known.get(rule) {
            return rule;
        }
        let rule: &'static str = rule.to_owned().leak();
        known.insert(rule);
        rule
    }
}

impl Fault {
    /// A fault that gizad found before anything was sent.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            sent: Sent::Never,
            detail: detail.into(),
            private: None,
            violations: Vec::new(),
            retry_after: None,
            answer: None,
            limit: None,
            beneath: None,
            operation: None,
            replayed: false,
            lacks: None,
        }
    }

    /// A request with something wrong in its fields.
    #[must_use]
    pub fn violated(reason: Reason, violations: Vec<Violation>) -> Self {
        let listed: Vec<String> = violations
            .iter()
            .map(|v| {
                if v.field.is_empty() {
                    v.description.clone()
                } else {
                    format!("{}: {}", v.field, v.description)
                }
            })
            .collect();
        Self { violations, ..Self::new(reason, listed.join("; ")) }
    }

    /// The same fault with what the provider may have done.
    #[must_use]
    pub fn sent(self, sent: Sent) -> Self {
        Self { sent, ..self }
    }

    /// The same fault with words for the log alone.
    #[must_use]
    pub fn with_private(self, private: impl Into<String>) -> Self {
        Self { private: Some(private.into()), ..self }
    }

    /// A call whose time ran out. What must not run twice may still be running.
    #[must_use]
    pub fn late(effect: Effect, departed: bool) -> Self {
        let detail = match (departed, effect.is_repeatable()) {
            (false, _) => "the time for this call ran out before it was sent; nothing will be",
            (true, true) => "the time for this call ran out before the provider answered",
            (true, false) => {
                "the time for this call ran out while it was under way; it runs on, and its outcome is unknown here"
            }
        };
        let reason = Reason::DeadlineExceeded;
        match (departed, effect.is_repeatable()) {
            (false, _) => Self::new(reason, detail),
            (true, true) => Self::new(reason, detail).sent(Sent::Maybe),
            (true, false) => {
                let fault = Self::new(Reason::OutcomeUnknown, detail).sent(Sent::Maybe);
                Self { beneath: Some(reason), ..fault }
            }
        }
    }

    /// What happened, also where it leaves the outcome unknown.
    #[must_use]
    pub fn happened(&self) -> Reason {
        self.beneath.unwrap_or(self.reason)
    }

    /// When the caller may try again, if it may at all.
    #[must_use]
    pub fn try_again(&self) -> Option<Duration> {
        self.retry_after.filter(|_| self.reason != Reason::OutcomeUnknown)
    }

    /// The rule that judged the provider's answer, if there was one.
    #[must_use]
    pub fn rule(&self) -> Option<&'static str> {
        self.answer.as_ref().map(|answer| answer.rule)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl std::error::Error for Fault {}

/// Whether the provider may have acted on a call. Whatever is not proven to be `Never` is `Maybe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Proven: no byte of the request reached the provider's application.
    Never,
    /// It may have, and nobody knows.
    Maybe,
    /// It has answered, and the answer was understood.
    Answered,
}

impl Sent {
    /// The word used in errors and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Maybe => "maybe",
            Self::Answered => "answered",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// Why a call did not succeed. Closed: a new reason must be decided everywhere it is answered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// A reason by its constant.
            #[must_use]
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
            }

            /// The constant used in errors, logs and documentation.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

reasons! {
    /// The body is no JSON object, or the message no protobuf.
    MalformedBody = "MALFORMED_BODY",
    /// A field is unknown, or has a value of the wrong type; or the provider found an argument wrong.
    InvalidArgument = "INVALID_ARGUMENT",
    /// Every field could be read, but a value breaks a rule of the contract.
    ValidationFailed = "VALIDATION_FAILED",
    /// The body is not labelled as JSON.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    /// The body is larger than gizad reads.
    BodyTooLarge = "BODY_TOO_LARGE",
    /// The body did not arrive in time.
    BodyTooSlow = "BODY_TOO_SLOW",
    /// There is nothing at this path.
    RouteNotFound = "ROUTE_NOT_FOUND",
    /// There is something at this path, under another method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// The request does not name a host that gizad knows itself by.
    HostNotAllowed = "HOST_NOT_ALLOWED",
    /// A web page of another site sent it.
    CrossSite = "CROSS_SITE",
    /// A proxy handed it on that nobody said may do so.
    ProxyNotTrusted = "PROXY_NOT_TRUSTED",
    /// The message is compressed.
    CompressionUnsupported = "COMPRESSION_UNSUPPORTED",
    /// There is no token where one is needed, or it is none that is known.
    Unauthenticated = "UNAUTHENTICATED",
    /// The caller was not granted the scope that the call needs.
    ScopeMissing = "SCOPE_MISSING",
    /// The operation is none of those that the caller may call.
    OperationNotGranted = "OPERATION_NOT_GRANTED",
    /// What is about to be done cannot be written to the audit log.
    AuditUnavailable = "AUDIT_UNAVAILABLE",
    /// A purchase is asked for without an idempotency key.
    KeyRequired = "IDEMPOTENCY_KEY_REQUIRED",
    /// The idempotency key belongs to another request.
    KeyReused = "IDEMPOTENCY_KEY_REUSED",
    /// The same is in doubt already, under another key.
    TwinInDoubt = "TWIN_IN_DOUBT",
    /// It costs more than the caller may spend.
    BudgetExceeded = "BUDGET_EXCEEDED",
    /// It costs more than the call allows.
    PriceTooHigh = "PRICE_TOO_HIGH",
    /// What it costs cannot be known, and the call or a budget depends on it.
    PriceUnknown = "PRICE_UNKNOWN",
    /// The record of purchases cannot be used.
    LedgerUnavailable = "LEDGER_UNAVAILABLE",
    /// There is no such operation, or it belongs to another caller.
    OperationNotFound = "OPERATION_NOT_FOUND",
    /// The operation is not in a state in which this can be done to it.
    OperationState = "OPERATION_STATE",
    /// The operation was given up before anything was sent.
    OperationGivenUp = "OPERATION_GIVEN_UP",
    /// The operation was in doubt, and was not carried out.
    OperationAbsent = "OPERATION_ABSENT",
    /// Whoever asked for an operation cannot consent to it.
    SelfApproval = "SELF_APPROVAL",
    /// The settings protect this server.
    ServerProtected = "SERVER_PROTECTED",
    /// The hostname that was given to confirm is not that of the server.
    HostnameMismatch = "HOSTNAME_MISMATCH",
    /// The settings do not allow this action.
    ActionNotAllowed = "ACTION_NOT_ALLOWED",
    /// There is not enough in the wallet.
    InsufficientBalance = "INSUFFICIENT_BALANCE",
    /// The provider knows no such thing.
    NotFound = "NOT_FOUND",
    /// It belongs to another account.
    NotOwned = "NOT_OWNED",
    /// There is one already.
    AlreadyExists = "ALREADY_EXISTS",
    /// The provider has none left.
    OutOfStock = "OUT_OF_STOCK",
    /// The provider is still busy with it.
    Busy = "BUSY",
    /// The service has run out or is suspended.
    ServiceExpired = "SERVICE_EXPIRED",
    /// The provider refused for a reason that has no name here.
    UpstreamRefused = "UPSTREAM_REFUSED",
    /// The provider does not accept gizad's own credentials.
    UpstreamAuthFailed = "UPSTREAM_AUTH_FAILED",
    /// The provider does not accept gizad's address.
    UpstreamIpNotAllowed = "UPSTREAM_IP_NOT_ALLOWED",
    /// The provider asks to slow down.
    UpstreamRateLimited = "UPSTREAM_RATE_LIMITED",
    /// The provider is being maintained.
    UpstreamMaintenance = "UPSTREAM_MAINTENANCE",
    /// Something in front of the provider stopped the request.
    UpstreamBlocked = "UPSTREAM_BLOCKED",
    /// No connection to the provider could be made.
    UpstreamUnreachable = "UPSTREAM_UNREACHABLE",
    /// The provider did not answer in time.
    UpstreamTimeout = "UPSTREAM_TIMEOUT",
    /// The provider answered that it failed, or its answer did not arrive whole.
    UpstreamFailed = "UPSTREAM_FAILED",
    /// The provider points elsewhere. gizad never follows.
    UpstreamRedirected = "UPSTREAM_REDIRECTED",
    /// The provider's answer fits no rule.
    UpstreamShapeUnknown = "UPSTREAM_SHAPE_UNKNOWN",
    /// The request may have been carried out, and nobody knows.
    OutcomeUnknown = "OUTCOME_UNKNOWN",
    /// The time for the call ran out.
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    /// The caller calls more often than it may.
    QuotaExceeded = "QUOTA_EXCEEDED",
    /// The account is called as often as is good for it, and no turn comes in time.
    PaceExceeded = "PACE_EXCEEDED",
    /// The provider has failed too often; it is left alone for a moment.
    CircuitOpen = "CIRCUIT_OPEN",
    /// It was carried out, and what was waited for cannot come of it any more.
    WaitedInVain = "WAITED_IN_VAIN",
    /// The caller wanted an answer from memory, and there is none.
    NotCached = "NOT_CACHED",
    /// gizad is stopping.
    ShuttingDown = "SHUTTING_DOWN",
    /// A mistake in gizad.
    Internal = "INTERNAL",
}
