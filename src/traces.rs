//! Traces: which calls belong together, across programs, and where the time of one went.
//!
//! A context comes in with a request (W3C Trace Context) and never goes on to the provider; spans go to a collector, if there is
//! one, in OTLP over HTTP. They are kept in a bounded queue until then, and nobody ever waits for them. Absent here: what a call
//! is, and a word of a request or an answer.

mod context;
mod export;
mod otlp;
mod queue;
mod span;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio_rustls::rustls::pki_types::CertificateDer;

pub use context::{Context, SpanId, TraceId};
pub use export::Exporter;
pub use queue::Tally;
pub use span::{Kind, Span, Trace, current, within};

use queue::Queue;

/// The settings of traces that are sent to somebody.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the collector takes them.
    pub url: String,
    /// What is sent along, such as a token of the collector.
    pub headers: HeaderMap,
    /// What the service is called there.
    pub service: String,
    /// What else is said of it.
    pub resource: Vec<(String, String)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// How long sending may take.
    pub timeout: Duration,
    /// Certificates that are trusted beside those of the browsers.
    pub extra_ca: Vec<CertificateDer<'static>>,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether a context that comes in decides for its trace.
    pub by_parent: bool,
    /// The part of the others that is recorded, from 0 to 1.
    pub ratio: f64,
}

impl Sampler {
    fn records(self, context: Option<&Context>, trace: TraceId) -> bool {
        match context {
            Some(context) if self.by_parent => context.sampled,
            _ => self.takes(trace),
        }
    }

    /// Decided by the trace's name, as everybody else who samples by ratio decides it (`TraceIdRatioBased`), so that a trace is
    /// recorded as a whole.
    fn takes(self, trace: TraceId) -> bool {
        let bound = self.ratio * (1_u64 << 63) as f64;
        ((trace.low() >> 1) as f64) < bound
    }
}

/// The hand that begins traces. Its copies share one queue.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    queue: Arc<Queue>,
    sampler: Sampler,
}

impl Tracer {
    /// One that records nothing: traces have their names all the same.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// One that records, and what sends that away.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(options: Options) -> Result<(Self, Exporter), String> {
        let queue = Arc::new(Queue::default());
        let recorder = Recorder { queue: queue.clone(), sampler: options.sampler };
        Ok((Self(Some(Arc::new(recorder))), Exporter::new(options, queue)?))
    }

    /// Whether anything is recorded of a request that brings no context.
    #[must_use]
    pub fn records_own(&self) -> bool {
        self.0.as_ref().is_some_and(|recorder| recorder.sampler.ratio > 0.0)
    }

    /// Begins what a request is in its trace: the one that it brings, or else one with this name.
    #[must_use]
    pub fn begin(&self, context: Option<Context>, own: [u8; 16]) -> (Trace, Span) {
        let trace = context.as_ref().map_or_else(|| TraceId::from_bytes(own), |context| context.trace);
        match &self.0 {
            Some(recorder) if recorder.sampler.records(context.as_ref(), trace) => {
                span::begin(&recorder.queue, trace, context)
            }
            _ => (Trace::unrecorded(trace, context.is_some()), Span::default()),
        }
    }

    /// What became of the spans; nothing if none are recorded.
    #[must_use]
    pub fn tally(&self) -> Option<&Tally> {
        self.0.as_ref().map(|recorder| recorder.queue.tally())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient;

    #[test]
    fn a_ratio_takes_its_part_and_the_context_decides_where_it_may() {
        let takes = |ratio| {
            let sampler = Sampler { by_parent: true, ratio };
            (0..10_000).filter(|_| sampler.takes(TraceId::from_bytes(ambient::unique()))).count()
        };
        assert_eq!((takes(0.0), takes(1.0)), (0, 10_000));
        let part = takes(0.25);
        assert!((2300..2700).contains(&part), "{part}");
        let context = |sampled| Context { sampled, ..Context::of([1; 16], [2; 8]) };
        for (by_parent, ratio, sampled, recorded) in [
            (true, 0.0, true, true),
            (true, 1.0, false, false),
            (false, 0.0, true, false),
            (false, 1.0, false, true),
        ] {
            let sampler = Sampler { by_parent, ratio };
            let context = context(sampled);
            assert_eq!(sampler.records(Some(&context), context.trace), recorded, "{sampler:?} {sampled}");
        }
    }
}
