//! What a reason means to a person: a title, and what to do about it.

use crate::fault::Reason;

/// The words of a reason.
pub(super) fn words(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::MalformedBody => {
            ("The body could not be read", "Send one JSON object; the detail says where reading stopped.")
        }
        Reason::InvalidArgument => (
            "A field is unknown or has a value it cannot take",
            "Correct the fields that are named. If a rule of the provider is named, it was the provider that \
             did not accept the value.",
        ),
        Reason::ValidationFailed => (
            "A value breaks a rule of the API",
            "Correct the fields that are named. Nothing was sent to the provider.",
        ),
        Reason::UnsupportedMediaType => (
            "The body is not labelled as JSON",
            "Send the header `Content-Type: application/json` (with curl: --json).",
        ),
        Reason::BodyTooLarge => {
            ("The body is too large", "Send less: no request of this API needs that much.")
        }
        Reason::BodyTooSlow => ("The body did not arrive in time", "Send the whole body without pausing."),
        Reason::RouteNotFound => {
            ("There is nothing here", "Compare the path or method with the output of `gizad routes`.")
        }
        Reason::MethodNotAllowed => {
            ("The path takes other methods", "Use one of the methods in the `Allow` header.")
        }
        Reason::HostNotAllowed => (
            "The Host is not known",
            "Call by loopback address or localhost, or have the name added to listen.hosts in the settings. A page \
             that reaches gizad by a name of its own is refused here.",
        ),
        Reason::CrossSite => (
            "A web page of another site sent this",
            "Call from a program. Browsers may only call from gizad's own pages.",
        ),
        Reason::ProxyNotTrusted => (
            "A proxy handed this on that is not trusted",
            "Call gizad directly, or have the proxy's address added to listen.trusted_proxies in the settings: everybody behind it \
             can then call.",
        ),
        Reason::CompressionUnsupported => {
            ("Compressed messages are not read", "Send the message uncompressed; none of this API is long.")
        }
        Reason::Unauthenticated => (
            "A caller is needed that gizad knows",
            "Send `Authorization: Bearer gzd_…` (over gRPC as metadata; its operator makes one with `gizad token new NAME`), or come \
             over the Unix socket as a user that is known, or with a certificate that is.",
        ),
        Reason::ScopeMissing => (
            "The caller may not do this",
            "Have the scope that is named added to the caller's under [callers] in the settings, if it is meant to do this.",
        ),
        Reason::OperationNotGranted => (
            "The caller may not call this operation",
            "Have it added to the caller's `operations` under [callers] in the settings, if it is meant to call it.",
        ),
        Reason::AuditUnavailable => (
            "The audit log cannot be written",
            "Nothing was sent: what has to leave a trace is not done without one. Its operator looks at [audit] in the settings, at \
             the disk, and at the log.",
        ),
        Reason::KeyRequired => (
            "A purchase needs an idempotency key",
            "Send an `Idempotency-Key` (REST) or `request_id` (gRPC) that is new for each purchase that is meant, such as a UUID, and \
             the same one when calling again for the same purchase.",
        ),
        Reason::KeyReused => (
            "The idempotency key belongs to another request",
            "Nothing was sent. Use a new key for a new request; the same key is for the very same one.",
        ),
        Reason::TwinInDoubt => (
            "The same is in doubt already",
            "Nothing was sent. Look at the operation named here: once it is known what became of it, call again or do not.",
        ),
        Reason::BudgetExceeded => (
            "It is over the caller's budget",
            "Nothing was sent. The limits are [budget] in the settings; what is in doubt counts as spent until it is resolved.",
        ),
        Reason::PriceTooHigh => (
            "It costs more than the call allows",
            "Nothing was sent. Allow more with `max_price_vnd`, or choose something else.",
        ),
        Reason::PriceUnknown => (
            "What it costs cannot be known",
            "Nothing was sent. Without `max_price_vnd` and without a budget it would be sent at whatever price.",
        ),
        Reason::LedgerUnavailable => (
            "The record of purchases cannot be used",
            "Nothing was sent: what cannot be written down first is not bought. Its operator looks at [ledger] in the settings and at \
             the log.",
        ),
        Reason::OperationNotFound => (
            "There is no such operation",
            "Compare the identifier with `GET /operations`, which lists those of the caller.",
        ),
        Reason::OperationState => (
            "The operation does not stand there",
            "Read the operation first: what has ended does not change any more.",
        ),
        Reason::OperationGivenUp => (
            "The operation was given up",
            "Nothing was sent, and under this key nothing will be. Use a new key if it is wanted after all.",
        ),
        Reason::OperationAbsent => (
            "The operation was not carried out",
            "It was in doubt, and it was found that nothing came of it. Use a new key to try again.",
        ),
        Reason::SelfApproval => {
            ("Somebody else has to consent", "Another caller, with the scope `admin`, approves it.")
        }
        Reason::ServerProtected => (
            "The settings protect this server",
            "Nothing was sent. Take it out of `vps` under [protected] in the settings, if it is really meant.",
        ),
        Reason::HostnameMismatch => (
            "The hostname is not that of the server",
            "Nothing was sent. Look at the server first, and give its present hostname in `confirm_hostname`.",
        ),
        Reason::ActionNotAllowed => (
            "The settings do not allow this action",
            "List the action with its effect under [actions] in the settings, if it is what you want.",
        ),
        Reason::InsufficientBalance => {
            ("There is not enough in the wallet", "Deposit money (POST /wallet/deposits) and call again.")
        }
        Reason::NotFound => {
            ("The provider knows no such thing", "Check the identifier against the list it comes from.")
        }
        Reason::NotOwned => (
            "It does not belong to this account",
            "Check the identifier, and whether gizad holds the key of the right account.",
        ),
        Reason::AlreadyExists => ("There is one already", "Choose another name, or use what exists."),
        Reason::OutOfStock => ("The provider has none left", "Choose another plan or product, or wait."),
        Reason::Busy => {
            ("The provider is still busy with it", "Wait until the running work is done, then call again.")
        }
        Reason::ServiceExpired => ("The service has run out or is suspended", "Renew the service first."),
        Reason::UpstreamRefused => {
            ("The provider refused", "Read the provider's message. Calling again unchanged will not help.")
        }
        Reason::UpstreamAuthFailed => (
            "The provider does not accept gizad's credentials",
            "This is about the gateway's own key, not the caller's. Its operator checks [credentials].",
        ),
        Reason::UpstreamIpNotAllowed => (
            "The provider does not accept gizad's address",
            "Its operator has the address in the provider's message allowed by the provider.",
        ),
        Reason::UpstreamRateLimited => {
            ("The provider asks to slow down", "Wait, for as long as `Retry-After` says where it is given.")
        }
        Reason::UpstreamMaintenance => ("The provider is being maintained", "Try again later."),
        Reason::UpstreamBlocked => (
            "Something in front of the provider stopped the request",
            "The request was not processed. If it lasts, the provider has to let gizad's address through.",
        ),
        Reason::UpstreamUnreachable => (
            "The provider cannot be reached",
            "Nothing was sent, so calling again is safe. If it lasts, check [upstream] url, DNS and the network.",
        ),
        Reason::UpstreamTimeout => (
            "The provider did not answer in time",
            "The call may be repeated: it reads, or lands in the same state.",
        ),
        Reason::UpstreamFailed => {
            ("The provider failed", "The call may be repeated: it reads, or lands in the same state.")
        }
        Reason::UpstreamRedirected => (
            "The provider points elsewhere",
            "gizad never follows, because it would carry the key along. Its operator corrects [upstream] url.",
        ),
        Reason::UpstreamShapeUnknown => (
            "The provider's answer fits no rule",
            "gizad does not guess. Report the operation and the rule, so that the answer can be understood.",
        ),
        Reason::OutcomeUnknown => (
            "The outcome is unknown",
            "The request may have been carried out. Look at what exists (the list, the transactions) before \
             calling again.",
        ),
        Reason::DeadlineExceeded => (
            "The time for the call ran out",
            "Allow more time (Request-Timeout, grpc-timeout), or call less at once. With `sent` \"never\" nothing was \
             sent; otherwise the call reads, or lands in the same state, and may be repeated.",
        ),
        Reason::QuotaExceeded => (
            "This caller calls too often",
            "Wait for as long as `Retry-After` says. Nothing was sent. The limit is [quota] in the settings.",
        ),
        Reason::PaceExceeded => (
            "The account is used to capacity",
            "Wait for as long as `Retry-After` says, or allow the call more time to wait for its turn. Nothing was \
             sent. The limit is [pace] in the settings.",
        ),
        Reason::CircuitOpen => (
            "The provider is down and left alone for a moment",
            "Nothing was sent, so calling again is safe, once `Retry-After` has passed.",
        ),
        Reason::WaitedInVain => (
            "What was waited for does not come any more",
            "The call itself was carried out, so do not call again for that; the detail says what was seen instead. Look at the \
             thing, and at the provider's panel.",
        ),
        Reason::NotCached => ("There is nothing in memory", "Call without `only-if-cached`."),
        Reason::ShuttingDown => ("gizad is stopping", "Nothing was sent. Call again when it is back."),
        Reason::Internal => ("A mistake in gizad", "Report it with the request identifier."),
    }
}
