//! What a request's annotations say of its caller's trace.

use std::sync::Arc;

use isc_core::trace::Trace;
use isc_runtime::trace::Context;

/// The annotations that are read.
pub(super) const ANNOTATIONS: &str = "`internal.services/traceparent` or `traceparent`";

/// What the annotations say.
#[derive(Clone, Debug, Default)]
pub(super) struct Traced {
    /// Usable.
    pub(super) trace: Option<Arc<Trace>>,
    /// There is something else than a `traceparent`.
    pub(super) wrong: bool,
}

// === impl Traced ===

impl Traced {
    /// By W3C's two headers as annotations.
    pub(super) fn by(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
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
