//! One line a call (at the level `debug` if it was answered from memory): what was called, by whom, through which face, what became of it, how long it took.
//!
//! Names and numbers only. No request field, no response field and no word of the provider is logged except its
//! own message, which is scrubbed of credentials; bodies never are. What a line says is remembered for a while and counted, too.

mod lasting;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::Service;
use tracing::Level;

use super::recent::{Past, Recent, Source};
use super::{Answering, Inner};
use crate::ambient;
use crate::call::{Call, Caller, Deadline, Face, Memory, Reply, RequestId, Taken};
use crate::contract::{Effect, Operation};
use crate::fault::{Fault, ProviderMessage, Reason, Sent};
use crate::metrics::{Figures, Outcome, Word};
use crate::traces::Trace;

/// Logs what passes.
#[derive(Clone)]
pub(super) struct Log<S> {
    recent: Arc<Recent>,
    figures: Arc<Figures>,
    inner: S,
}

impl<S> Log<S> {
    pub(super) fn new(recent: Arc<Recent>, figures: Arc<Figures>, inner: S) -> Self {
        Self { recent, figures, inner }
    }
}

impl<S: Inner> Service<Call> for Log<S> {
    type Response = Reply;
    type Error = Fault;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let mut line = Line::of(&call, self.recent.clone(), self.figures.clone());
        let answer = self.inner.call(call);
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(Reply { news: Some(news), .. }) = &answer
                && !news.is_over()
            {
                let told = answer.clone();
                let news = news.map(|coming| lasting::until_its_end(coming, line, told));
                return answer.map(|reply| Reply { news: Some(news), ..reply });
            }
            line.finish(&answer);
            answer
        })
    }
}

/// Whether a line is written of what is answered from memory.
pub(super) fn writes_hits() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// The line of one call. If its caller hangs up, it is written all the same.
struct Line {
    operation: &'static Operation,
    effect: Effect,
    face: Face,
    caller: Option<Caller>,
    id: RequestId,
    trace: Trace,
    deadline: Deadline,
    begun: Instant,
    recent: Arc<Recent>,
    figures: Arc<Figures>,
    finished: bool,
    /// Whether it is a stream's, which lasts as long as its caller likes.
    lasts: bool,
}

impl Line {
    fn of(call: &Call, recent: Arc<Recent>, figures: Arc<Figures>) -> Self {
        // Now, because whoever waits may be answered before the call has ended.
        if let Some(caller) = call.known() {
            call.trace.note("gizad.caller", caller.as_str());
        }
        Self {
            operation: call.operation,
            effect: call.effect,
            face: call.face,
            caller: call.known().cloned(),
            id: call.id.clone(),
            trace: call.trace.clone(),
            deadline: call.deadline.clone(),
            begun: ambient::instant(),
            recent,
            figures,
            finished: false,
            lasts: call.operation.watch.is_some(),
        }
    }

    fn finish(&mut self, answer: &Result<Reply, Fault>) {
        self.finished = true;
        match answer {
            Ok(reply) => self.write(&End {
                level: if reply.noisy { Level::WARN } else { usual(reply) },
                outcome: Outcome::Ok,
                memory: reply.memory,
                // What is accepted may be under way.
                sent: if reply.standing.as_ref().is_some_and(|of| !of.done) { "maybe" } else { "answered" },
                rule: Some(reply.rule),
                cause: self
                    .told()
                    .or(reply.noisy.then_some("there was something around the provider's answer")),
                provider: None,
                source: self.source(reply),
                record: reply.standing.as_ref().map(|of| &*of.operation),
            }),
            Err(fault) => self.write(&End {
                level: level(fault),
                outcome: Outcome::Failed(fault.reason),
                memory: None,
                sent: fault.sent.as_str(),
                rule: fault.rule(),
                cause: fault.private.as_deref().or(self.told()),
                provider: fault.answer.as_ref().and_then(|a| a.message.as_ref()).map(ProviderMessage::as_str),
                source: self.reached(fault.sent != Sent::Never),
                record: fault.operation.as_deref(),
            }),
        }
    }

    /// Where an answer came from.
    fn source(&self, reply: &Reply) -> Source {
        let recalled = reply.memory.is_some_and(|memory| match memory.taken {
            Taken::Hit | Taken::Revalidating | Taken::InsteadOfError(..) => true,
            Taken::Missing | Taken::Expired | Taken::Requested | Taken::Bypassed => false,
        });
        let replayed = reply.standing.as_ref().is_some_and(|standing| standing.replayed);
        match (recalled, replayed) {
            (true, _) => Source::Memory,
            (false, true) => Source::Record,
            (false, false) => self.reached(true),
        }
    }

    /// Whom a call has reached that has left gizad, or has not.
    fn reached(&self, left: bool) -> Source {
        match (left, self.operation.local) {
            (false, _) => Source::Nobody,
            (true, true) => Source::Record,
            (true, false) => Source::Provider,
        }
    }

    /// What had been said before this end was known.
    fn told(&self) -> Option<&'static str> {
        let late = self.deadline.is_given_up() && self.deadline.has_departed();
        late.then_some("nobody waited for it any more")
    }

    fn write(&self, end: &End<'_>) {
        let took = self.begun.elapsed();
        self.recent.note(Past {
            at_ms: ambient::unix_millis(),
            operation: &self.operation.name,
            effect: self.effect,
            face: self.face,
            caller: self.caller.clone(),
            outcome: end.outcome.as_str(),
            source: end.source,
            took,
        });
        self.count(end, took);
        self.note(end);
        // To the microsecond.
        let duration_ms = (took.as_secs_f64() * 1_000_000.0).round() / 1000.0;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = self.id.as_str(),
                    trace_id = %self.trace.id(),
                    span_id = %self.trace.span(),
                    operation = self.operation.name,
                    effect = self.effect.as_str(),
                    face = self.face.as_str(),
                    caller = self.caller.as_ref().map(Caller::as_str),
                    outcome = end.outcome.as_str(),
                    operation_id = end.record,
                    source = end.source.as_str(),
                    rule = end.rule,
                    sent = end.sent,
                    duration_ms,
                    cause = end.cause,
                    provider = end.provider,
                    "call"
                )
            };
        }
        // The level of a line has to be known when it is compiled.
        match end.level {
            Level::ERROR => line!(error),
            Level::WARN => line!(warn),
            Level::INFO => line!(info),
            _ => line!(debug),
        }
    }

    /// Says the same in the trace, as far as its request has not been answered yet.
    fn note(&self, end: &End<'_>) {
        if !self.trace.is_recorded() {
            return;
        }
        self.trace.note("gizad.effect", self.effect.as_str());
        self.trace.note("gizad.outcome", end.outcome.as_str());
        self.trace.note("gizad.source", end.source.as_str());
        self.trace.note("gizad.sent", end.sent);
        for (name, said) in [("gizad.rule", end.rule), ("gizad.operation_id", end.record)] {
            if let Some(said) = said {
                self.trace.note(name, said);
            }
        }
    }

    fn count(&self, end: &End<'_>, took: Duration) {
        let operation = Word::from(self.operation);
        if let Some(memory) = end.memory {
            self.figures.cache_answers.at([operation.clone(), memory.taken.into()]).inc();
        }
        let words = [operation.clone(), self.face.into(), self.caller.as_ref().into(), end.outcome.into()];
        self.figures.requests.at(words).inc();
        if !self.lasts {
            self.figures.request_duration.at([operation]).observe(took.as_secs_f64());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.finished {
            let late = self.deadline.left().is_zero() && !self.lasts;
            let (outcome, cause) = if late {
                (Outcome::Failed(Reason::DeadlineExceeded), "its time ran out")
            } else {
                (
                    Outcome::Cancelled,
                    if self.lasts { "nobody listened any more" } else { "the caller hung up" },
                )
            };
            let sent = if self.deadline.has_departed() { "maybe" } else { "never" };
            self.write(&End {
                level: Level::INFO,
                outcome,
                memory: None,
                sent,
                rule: None,
                cause: Some(cause),
                provider: None,
                source: self.reached(self.deadline.has_departed()),
                record: None,
            });
        }
    }
}

/// What became of a call.
struct End<'a> {
    level: Level,
    outcome: Outcome,
    memory: Option<Memory>,
    sent: &'static str,
    rule: Option<&'a str>,
    cause: Option<&'a str>,
    provider: Option<&'a str>,
    source: Source,
    /// The recorded operation that it is about.
    record: Option<&'a str>,
}

/// What came from memory reached nobody and cost nothing, and a line would be most of its cost.
fn usual(reply: &Reply) -> Level {
    match reply.memory {
        Some(Memory { taken: Taken::Hit, .. }) => Level::DEBUG,
        _ => Level::INFO,
    }
}

/// Loud only where somebody has to do something about it.
fn level(fault: &Fault) -> Level {
    match fault.reason {
        // Nothing is sent: that was said loudly when it began.
        Reason::UpstreamAuthFailed | Reason::UpstreamIpNotAllowed if fault.sent == Sent::Never => Level::INFO,
        Reason::Internal => Level::ERROR,
        Reason::OutcomeUnknown
        | Reason::UpstreamAuthFailed
        | Reason::UpstreamIpNotAllowed
        | Reason::UpstreamRedirected
        | Reason::UpstreamShapeUnknown
        | Reason::UpstreamBlocked
        | Reason::UpstreamUnreachable
        | Reason::UpstreamTimeout
        | Reason::UpstreamFailed => Level::WARN,
        _ => Level::INFO,
    }
}
