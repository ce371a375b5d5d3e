//! Traces: the spans of requests and attempts, sent to an OpenTelemetry collector.
//!
//! The ids of a request's own span are made from its UID, so that whoever leads, and whenever it was started,
//! continues the same trace without keeping anything. Without a configuration nothing is made and nothing is
//! sent; what the caller said of its trace is passed on all the same.

mod collector;
mod config;
mod context;
mod export;

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanId, Status, TraceId},
};
pub use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, SpanData, SpanEvents, SpanLinks,
};
use ring::digest::{SHA256, digest};
use tokio::sync::mpsc;

pub use self::{
    collector::Collector,
    config::TraceConfig,
    context::Context,
    export::{Counts, Exporter, TraceError},
};

/// Spans that wait for the collector; more are dropped and counted.
const QUEUE: usize = 2048;

/// Makes spans. Cheap to clone; the default one makes none.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    live: Option<Arc<Live>>,
}

#[derive(Debug)]
struct Live {
    spans: mpsc::Sender<SpanData>,
    counts: Counts,
    scope: InstrumentationScope,
    ratio: f64,
}

/// Where a span hangs in its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The span.
    pub context: Context,
    /// Its parent, and whether that is of another process; none when it begins the trace.
    parent: Option<(SpanId, bool)>,
}

/// What a span tells. No parameters and no results, ever: traces go to more people than requests do.
#[derive(Clone, Debug)]
pub struct Span {
    /// What was done, in few words of which there are few.
    pub name: Cow<'static, str>,
    /// Its part in the trace.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// The facts.
    pub attributes: Vec<KeyValue>,
    /// Why it failed, in a word.
    pub error: Option<Cow<'static, str>>,
}

// === impl Tracer ===

impl Tracer {
    /// A tracer of the process that `names` describe, and what sends its spans.
    ///
    /// # Errors
    /// A variable of the library's own that is wrong.
    pub fn new(
        collector: &Collector,
        names: impl IntoIterator<Item = KeyValue>,
    ) -> Result<(Self, Exporter), TraceError> {
        let (spans, queue) = mpsc::channel(QUEUE);
        let counts = Counts::default();
        let exporter = Exporter::new(collector, names, queue, counts.clone())?;
        let live = Live {
            spans,
            counts,
            scope: InstrumentationScope::builder("isc")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            ratio: collector.ratio,
        };
        let live = Some(Arc::new(live));
        Ok((Self { live }, exporter))
    }

    /// Where the span of a request hangs: below its caller's, or at the beginning of a trace of its own.
    /// None when there is no trace at all.
    #[must_use]
    pub fn request(&self, uid: &str, caller: Option<&Context>) -> Option<Place> {
        let Some(live) = &self.live else {
            return caller.cloned().map(Place::passed_on);
        };
        let span = SpanId::from_bytes(derived("request", uid));
        let Some(caller) = caller else {
            let trace = TraceId::from_bytes(derived("trace", uid));
            let context = Context {
                trace,
                span,
                sampled: is_chosen(trace, live.ratio),
                state: "".into(),
            };
            let parent = None;
            return Some(Place { context, parent });
        };
        Some(self.below(caller, true, || span))
    }

    /// A span below another, which may be of another process. What is not recorded has no spans of its own.
    #[must_use]
    pub fn child(&self, of: &Context, remote: bool) -> Place {
        self.below(of, remote, || RandomIdGenerator::default().new_span_id())
    }

    fn below(&self, parent: &Context, remote: bool, id: impl FnOnce() -> SpanId) -> Place {
        if !self.records(parent) {
            return Place::passed_on(parent.clone());
        }
        Place {
            context: parent.with_span(id()),
            parent: Some((parent.span, remote)),
        }
    }

    /// Whether spans of that trace are sent from here.
    #[must_use]
    pub fn records(&self, context: &Context) -> bool {
        self.live.is_some() && context.sampled
    }

    /// Hands a span that has ended to the exporter, unless it is not recorded. Never waits.
    pub fn record(&self, place: &Place, span: impl FnOnce() -> Span) {
        let Some(live) = self.live.as_ref().filter(|_| place.context.sampled) else {
            return;
        };
        let data = data(place, span(), live.scope.clone());
        if live.spans.try_send(data).is_err() {
            live.counts.add("dropped", 1);
        }
    }
}

// === impl Place ===

impl Place {
    /// Nothing is made here; who comes next is the child of whoever came before.
    fn passed_on(context: Context) -> Self {
        let parent = None;
        Self { context, parent }
    }
}

fn data(place: &Place, span: Span, scope: InstrumentationScope) -> SpanData {
    let (parent, remote) = place.parent.unwrap_or((SpanId::INVALID, false));
    SpanData {
        span_context: place.context.to_span_context(),
        parent_span_id: parent,
        parent_span_is_remote: remote,
        span_kind: span.kind,
        name: span.name,
        start_time: span.start,
        end_time: span.end.max(span.start),
        attributes: span.attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope,
    }
}

/// Bytes that are the same for everybody who knows the UID, and never all zero.
fn derived<const N: usize>(what: &str, uid: &str) -> [u8; N] {
    let hash = digest(&SHA256, format!("isc {what} {uid}").as_bytes());
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hash.as_ref()[..N]);
    bytes[N - 1] |= u8::from(bytes == [0; N]);
    bytes
}

/// Whether a trace of our own is recorded: decided by its id alone, as other tracers do it.
fn is_chosen(trace: TraceId, ratio: f64) -> bool {
    let bytes = trace.to_bytes();
    let low = bytes[8..]
        .iter()
        .fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
    // 53 bits are all that a float holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let share = (low >> 11) as f64 / (1_u64 << 53) as f64;
    share < ratio
}

#[cfg(test)]
mod tests;
