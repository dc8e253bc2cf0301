//! One line a call: what was called, through which face, what became of it, how long it took.
//!
//! Names and numbers only. No request field, no response field and no word of the provider is logged except its
//! own message, which is scrubbed of credentials; bodies never are.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower::Service;

use crate::ambient;
use crate::call::{Call, Reply};
use crate::fault::{Fault, Reason};

/// Logs what passes.
#[derive(Clone)]
pub(super) struct Log<S> {
    inner: S,
}

impl<S> Log<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Call> for Log<S>
where
    S: Service<Call, Response = Reply, Error = Fault>,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let (operation, effect, face, id) = (call.operation, call.effect, call.face, call.id.clone());
        let begun = ambient::instant();
        let answer = self.inner.call(call);
        Box::pin(async move {
            let answer = answer.await;
            let duration_ms = begun.elapsed().as_secs_f64() * 1000.0;
            let (outcome, rule, sent) = match &answer {
                Ok(reply) => ("OK", Some(reply.rule), "answered"),
                Err(fault) => (fault.reason.as_str(), fault.rule(), fault.sent.as_str()),
            };
            let fault = answer.as_ref().err();
            let provider =
                fault.and_then(|f| f.answer.as_ref()).and_then(|a| a.message.as_ref()).map(|m| m.as_str());
            macro_rules! line {
                ($level:ident) => {
                    tracing::$level!(
                        request_id = id.as_str(),
                        operation = operation.name,
                        effect = effect.as_str(),
                        face = face.as_str(),
                        outcome,
                        rule,
                        sent,
                        duration_ms,
                        cause = fault.and_then(|fault| fault.private.as_deref()),
                        provider,
                        "call"
                    )
                };
            }
            // Loud only where somebody has to do something about it.
            match fault.map(|fault| fault.reason) {
                Some(Reason::Internal) => line!(error),
                Some(
                    Reason::OutcomeUnknown
                    | Reason::UpstreamAuthFailed
                    | Reason::UpstreamIpNotAllowed
                    | Reason::UpstreamRedirected
                    | Reason::UpstreamShapeUnknown
                    | Reason::UpstreamBlocked
                    | Reason::UpstreamUnreachable
                    | Reason::UpstreamTimeout
                    | Reason::UpstreamFailed,
                ) => line!(warn),
                _ => line!(info),
            }
            answer
        })
    }
}
