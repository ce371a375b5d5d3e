//! Where a piece of work stands in its trace: W3C Trace Context.

use std::str::FromStr as _;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// A span of a trace, as `traceparent` and `tracestate` name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// Who made the span records it.
    pub sampled: bool,
    /// What tracing systems said of the trace on the way: `tracestate`, empty when there is none.
    pub state: Box<str>,
}

/// The longest `tracestate` that is passed on, bytes: what the standard asks for at least.
const STATE_MAX: usize = 512;
/// The length of a `traceparent` of the only version that there is.
const LENGTH: usize = 55;

// === impl Context ===

impl Context {
    /// Reads a `traceparent` with the `tracestate` beside it, which may be empty. None when it is none; a
    /// `tracestate` that is none is left out.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<Self> {
        let text = traceparent.trim();
        let known = text.get(..LENGTH)?;
        let mut parts = known.split('-');
        let mut part = |digits| parts.next().filter(|part| is_hex(part, digits));
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // A later version may only add to it.
        let rest = &text[LENGTH..];
        let fits = match version {
            "00" => rest.is_empty(),
            "ff" => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let flags = u8::from_str_radix(flags, 16).ok().filter(|_| fits)?;
        let (trace, span) = (TraceId::from_hex(trace), SpanId::from_hex(span));
        Self::from_ids(trace.ok()?, span.ok()?, flags & 1 == 1, tracestate)
    }

    /// From the bytes of the two ids. None when one of them is zero, which names nothing.
    #[must_use]
    pub fn from_bytes(trace: [u8; 16], span: [u8; 8], sampled: bool, state: &str) -> Option<Self> {
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        Self::from_ids(trace, span, sampled, state)
    }

    fn from_ids(trace: TraceId, span: SpanId, sampled: bool, state: &str) -> Option<Self> {
        let named = trace != TraceId::INVALID && span != SpanId::INVALID;
        let state = state.trim();
        // The library lets any character through in a value, and it becomes a part of a job's environment.
        let plain = state.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let usable = plain && state.len() <= STATE_MAX && TraceState::from_str(state).is_ok();
        named.then(|| Self {
            trace,
            span,
            sampled,
            state: if usable { state.into() } else { "".into() },
        })
    }

    /// The bytes of the trace's id and the span's.
    #[must_use]
    pub fn to_bytes(&self) -> ([u8; 16], [u8; 8]) {
        (self.trace.to_bytes(), self.span.to_bytes())
    }

    /// As in the header of that name.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!(
            "00-{}-{}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }

    /// Another span of the same trace.
    pub(super) fn with_span(&self, span: SpanId) -> Self {
        Self {
            span,
            ..self.clone()
        }
    }

    pub(super) fn to_span_context(&self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        let state = TraceState::from_str(&self.state).unwrap_or_default();
        SpanContext::new(self.trace, self.span, flags, false, state)
    }
}

fn is_hex(part: &str, digits: usize) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    part.len() == digits && part.bytes().all(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_alike() {
        let context = Context::parse(GOOD, "a=1,b=2").unwrap();
        assert!(context.sampled);
        assert_eq!(
            (context.traceparent().as_str(), &*context.state),
            (GOOD, "a=1,b=2")
        );
        let (trace, span) = context.to_bytes();
        assert_eq!(
            Context::from_bytes(trace, span, true, "a=1,b=2"),
            Some(context)
        );
        let quiet = Context::parse(&GOOD.replace("-01", "-00"), "").unwrap();
        assert!(!quiet.sampled);
        let later = format!("cc-{}-more", &GOOD[3..]);
        assert_eq!(Context::parse(&later, "").unwrap().traceparent(), GOOD);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let wrong = [
            "",
            "hello",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-001",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e4}",
        ];
        for text in wrong {
            assert_eq!(Context::parse(text, ""), None, "{text}");
        }
    }

    #[test]
    fn a_tracestate_that_is_none_is_left_out_alone() {
        let long = format!("a={}", "x".repeat(STATE_MAX));
        for state in ["no equals sign", &long, "a=\0", "a=b\nc=d", "a=\u{e4}"] {
            let context = Context::parse(GOOD, state).unwrap();
            assert_eq!(
                (context.traceparent().as_str(), &*context.state),
                (GOOD, "")
            );
        }
    }
}
