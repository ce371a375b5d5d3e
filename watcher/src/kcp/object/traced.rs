//! What a request's annotations say of its caller's trace.

use std::sync::Arc;

use isc_core::trace::Trace;
use isc_runtime::trace::Context;
use serde::Deserialize;

/// The annotations that may tell of a trace.
pub(super) const ANNOTATIONS: &str = "`internal.services/traceparent` or `traceparent`";

/// The annotations that are read at all.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations {
    /// The logical cluster.
    #[serde(rename = "kcp.io/cluster")]
    pub(super) cluster: Option<String>,
    #[serde(rename = "internal.services/traceparent")]
    traceparent: Option<String>,
    #[serde(rename = "internal.services/tracestate")]
    tracestate: Option<String>,
    #[serde(rename = "traceparent")]
    plain_traceparent: Option<String>,
    #[serde(rename = "tracestate")]
    plain_tracestate: Option<String>,
}

/// What they say of the trace.
#[derive(Clone, Debug, Default)]
pub(super) struct Traced {
    /// Usable.
    pub(super) trace: Option<Arc<Trace>>,
    /// There is something else than a `traceparent`.
    pub(super) wrong: bool,
}

// === impl Annotations ===

impl Annotations {
    /// Ours come first, and each `tracestate` goes with its own.
    pub(super) fn traced(&self) -> Traced {
        match &self.traceparent {
            Some(ours) => Traced::by(Some(ours), self.tracestate.as_deref()),
            None => Traced::by(
                self.plain_traceparent.as_deref(),
                self.plain_tracestate.as_deref(),
            ),
        }
    }
}

// === impl Traced ===

impl Traced {
    /// By W3C's two headers as annotations.
    fn by(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let Some(text) = traceparent else {
            return Self::default();
        };
        let context = Context::parse(text, tracestate.unwrap_or_default());
        let trace = context.map(|context| {
            let (id, span) = context.to_bytes();
            let state = Some(context.state).filter(|state| !state.is_empty());
            Arc::new(Trace {
                id,
                span,
                sampled: context.sampled,
                state,
            })
        });
        let wrong = trace.is_none();
        Self { trace, wrong }
    }
}
