//! A job as a part of a trace: it ends when the job does, which may be long after whoever waits for it has been answered. What the
//! job asks and writes down for itself belongs to it.

use super::run::Told;
use crate::contract::Operation;
use crate::traces::{Kind, Span, Trace, within};

/// The part.
pub(super) struct Part {
    span: Span,
    trace: Trace,
}

impl Part {
    /// A part of the trace of whoever begins the job.
    pub(super) fn new(of: &Trace, operation: &Operation) -> Self {
        let mut span = of.child("purchase", Kind::Internal);
        span.set("gizad.operation", operation.name.as_str());
        Self { trace: of.beneath(&span), span }
    }

    /// What is done as a part of it.
    pub(super) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Does the whole job, and says what became of it.
    pub(super) async fn whole(self, job: impl Future<Output = Told>) -> Told {
        let Self { mut span, trace } = self;
        let told = within(trace, job).await;
        let reason = match &told {
            Told::Operation { record, .. } => {
                span.set("gizad.operation_id", record.id.as_str());
                span.set("gizad.state", record.state().as_str());
                if record.state().is_in_doubt() {
                    span.fail();
                }
                record.failure.as_ref().map(|failure| failure.reason.as_str())
            }
            Told::Refused(fault) => Some(fault.reason.as_str()),
            Told::Preview(_) => None,
        };
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            span.set("error.type", reason);
        }
        told
    }
}
