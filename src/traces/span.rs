//! Spans: what is recorded of a call and of its parts. One that is dropped has ended, so that none is forgotten when its caller
//! hangs up.
//!
//! Where nothing is recorded a span is nothing, and nothing is made for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use tokio::time::Instant;

use super::context::{Context, SpanId, TraceId};
use super::queue::Queue;
use crate::ambient;

/// Which side of a question a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Neither: a part of what gizad does itself.
    Internal,
    /// Somebody asks gizad.
    Server,
    /// gizad asks somebody.
    Client,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

pub(super) type Attribute = (&'static str, Value);

/// A span that has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) parent: Option<SpanId>,
    /// Whether its parent is in another program.
    pub(super) is_remote: bool,
    pub(super) state: Option<Box<str>>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// In nanoseconds since 1970.
    pub(super) begun_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) attributes: Vec<Attribute>,
    pub(super) links: Vec<(TraceId, SpanId)>,
    pub(super) failed: bool,
}

/// Where something stands in its trace: what is done now belongs to this span.
#[derive(Clone, Debug)]
pub struct Trace {
    trace: TraceId,
    span: SpanId,
    /// Whether the trace was there before the request.
    was_there: bool,
    recorded: Option<Recorded>,
}

#[derive(Clone, Debug)]
struct Recorded {
    request: Arc<Request>,
    /// How often the provider was asked for this.
    attempts: Arc<AtomicU32>,
}

/// What all spans of one request share.
#[derive(Debug)]
struct Request {
    queue: Arc<Queue>,
    /// What is learned about the request on its way, until it is answered.
    notes: Mutex<Option<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    name: Option<String>,
    attributes: Vec<Attribute>,
    links: Vec<(TraceId, SpanId)>,
}

impl Request {
    fn noted(&self, note: impl FnOnce(&mut Notes)) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notes) = notes.as_mut() {
            note(notes);
        }
    }
}

fn new_span() -> SpanId {
    let unique = u128::from_be_bytes(ambient::unique()) as u64;
    SpanId::from_bytes(unique.to_be_bytes())
}

impl Trace {
    /// A trace of which nothing is recorded.
    #[must_use]
    pub fn unrecorded(trace: TraceId, was_there: bool) -> Self {
        Self { trace, span: new_span(), was_there, recorded: None }
    }

    /// A new one of which nothing is recorded.
    #[must_use]
    pub fn nobodys() -> Self {
        Self::unrecorded(TraceId::from_bytes(ambient::unique()), false)
    }

    /// The trace.
    #[must_use]
    pub fn id(&self) -> TraceId {
        self.trace
    }

    /// The span.
    #[must_use]
    pub fn span(&self) -> SpanId {
        self.span
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// The `traceresponse` for whoever has asked, if that says more than the request's own name: nothing is recorded, and
    /// nobody knows of the trace, otherwise.
    #[must_use]
    pub fn response(&self) -> Option<String> {
        let flags = u8::from(self.is_recorded());
        (self.was_there || self.is_recorded()).then(|| format!("00-{}-{}-{flags:02x}", self.trace, self.span))
    }

    /// How often the provider has been asked for this, this time included.
    #[must_use]
    pub fn attempt(&self) -> i64 {
        self.recorded.as_ref().map_or(0, |recorded| {
            i64::from(recorded.attempts.fetch_add(1, Ordering::Relaxed)).saturating_add(1)
        })
    }

    /// Begins a part of this.
    #[must_use]
    pub fn child(&self, name: &str, kind: Kind) -> Span {
        Span(self.recorded.as_ref().map(|recorded| {
            let parent = Some(self.span);
            Box::new(Open::new(&recorded.request, self.trace, new_span(), parent, name, kind))
        }))
    }

    /// What is done as a part of this from now on.
    #[must_use]
    pub fn beneath(&self, part: &Span) -> Self {
        let span = part.0.as_ref().map_or(self.span, |open| open.ended.span);
        let recorded = self.recorded.as_ref();
        let recorded = recorded.map(|of| Recorded { request: of.request.clone(), attempts: Arc::default() });
        Self { span, recorded, ..self.clone() }
    }

    /// Says what the request asks for.
    pub fn names(&self, name: &str) {
        if let Some(recorded) = &self.recorded {
            recorded.request.noted(|notes| notes.name = Some(name.to_owned()));
        }
    }

    /// Says that the request waits for what another has begun.
    pub fn joins(&self, other: &Self) {
        if let Some(recorded) = &self.recorded {
            recorded.request.noted(|notes| notes.links.push((other.trace, other.span)));
        }
    }

    /// Says something about the request, unless it has been answered before that was known.
    pub fn note(&self, name: &'static str, value: impl Into<Value>) {
        if let Some(recorded) = &self.recorded {
            recorded.request.noted(|notes| notes.attributes.push((name, value.into())));
        }
    }
}

/// Begins the span of a request.
pub(super) fn begin(queue: &Arc<Queue>, trace: TraceId, context: Option<Context>) -> (Trace, Span) {
    let request = Arc::new(Request { queue: queue.clone(), notes: Mutex::new(Some(Notes::default())) });
    let (was_there, span) = (context.is_some(), new_span());
    let parent = context.as_ref().map(|context| context.span);
    let mut open = Open::new(&request, trace, span, parent, "", Kind::Server);
    open.ended.is_remote = was_there;
    open.ended.state = context.and_then(|context| context.state);
    let recorded = Some(Recorded { request, attempts: Arc::default() });
    (Trace { trace, span, was_there, recorded }, Span(Some(Box::new(open))))
}

/// A span that has begun; nothing where nothing is recorded.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    request: Arc<Request>,
    begun: Instant,
    ended: Ended,
}

impl Open {
    fn new(
        request: &Arc<Request>,
        trace: TraceId,
        span: SpanId,
        parent: Option<SpanId>,
        name: &str,
        kind: Kind,
    ) -> Self {
        let since = ambient::wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begun_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let ended = Ended {
            trace,
            span,
            parent,
            is_remote: false,
            state: None,
            name: name.to_owned(),
            kind,
            begun_ns,
            ended_ns: begun_ns,
            attributes: Vec::new(),
            links: Vec::new(),
            failed: false,
        };
        Self { request: request.clone(), begun: ambient::instant(), ended }
    }
}

impl Span {
    /// Whether anything is recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Says something about it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.ended.attributes.push((name, value.into()));
        }
    }

    /// Says what it asks for, and by which method.
    pub fn names(&mut self, method: &str, what: &str) {
        if let Some(open) = &mut self.0 {
            open.ended.name = format!("{method} {what}");
        }
    }

    /// It has failed.
    pub fn fail(&mut self) {
        if let Some(open) = &mut self.0 {
            open.ended.failed = true;
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let Open { request, begun, mut ended } = *open;
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        ended.ended_ns = ended.begun_ns.saturating_add(took);
        if ended.kind == Kind::Server {
            let notes = request.notes.lock().unwrap_or_else(PoisonError::into_inner).take();
            let notes = notes.unwrap_or_default();
            ended.name = notes.name.unwrap_or(ended.name);
            ended.attributes.extend(notes.attributes);
            ended.links = notes.links;
        }
        request.queue.push(ended);
    }
}

tokio::task_local! {
    /// What this task works at, for what is not handed a call: gizad's own questions for it, and what it writes down.
    static CURRENT: Trace;
}

/// Does something as a part of a trace.
pub async fn within<W: Future>(trace: Trace, work: W) -> W::Output {
    CURRENT.scope(trace, work).await
}

/// Where what is being done stands, if it is a part of a trace.
#[must_use]
pub fn current() -> Option<Trace> {
    CURRENT.try_with(|trace| trace.beneath(&Span::default())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> (Arc<Queue>, Trace, Span) {
        let queue = Arc::new(Queue::default());
        let context = Context::of([1; 16], [2; 8]);
        let (trace, span) = begin(&queue, context.trace, Some(context));
        (queue, trace, span)
    }

    #[test]
    fn parts_belong_to_what_they_are_a_part_of() {
        let (queue, trace, span) = recorded();
        trace.names("gizad.v1.WalletService/GetWallet");
        trace.note("gizad.caller", "ci");
        let job = trace.child("job", Kind::Internal);
        let beneath = trace.beneath(&job);
        drop(beneath.child("attempt", Kind::Client));
        drop(span);
        trace.note("gizad.caller", "too late");
        drop(job);
        let ended = queue.oldest();
        let [attempt, request, job] = ended.as_slice() else { panic!("{ended:?}") };
        assert_eq!((attempt.parent, job.parent), (Some(job.span), Some(request.span)));
        assert_eq!((request.parent, request.is_remote), (Some(SpanId::from_bytes([2; 8])), true));
        assert_eq!(request.name, "gizad.v1.WalletService/GetWallet");
        assert_eq!(request.attributes, [("gizad.caller", Value::Text("ci".into()))]);
        assert!(ended.iter().all(|span| span.trace == trace.id() && span.ended_ns >= span.begun_ns));
    }

    #[tokio::test]
    async fn attempts_are_counted_for_each_part() {
        let (_queue, trace, _span) = recorded();
        assert_eq!((trace.attempt(), trace.clone().attempt()), (1, 2));
        let look = within(trace.clone(), async { current().expect("there").attempt() }).await;
        assert_eq!((look, trace.attempt()), (1, 3));
        assert!(current().is_none());
    }

    #[test]
    fn nothing_is_made_where_nothing_is_recorded() {
        let trace = Trace::nobodys();
        assert_eq!((trace.response(), trace.is_recorded(), trace.attempt()), (None, false, 0));
        assert!(!trace.child("part", Kind::Internal).is_recorded());
        let known = Trace::unrecorded(trace.id(), true).response().expect("somebody knows of it");
        assert!(known.starts_with(&format!("00-{}-", trace.id())) && known.ends_with("-00"), "{known}");
    }
}
