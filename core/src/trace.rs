//! The trace that a request is part of: carried to where spans are made, and never looked at.

/// Where the caller's own work stands, as its request says (W3C Trace Context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: [u8; 16],
    /// The caller's span.
    pub span: [u8; 8],
    /// The caller records it.
    pub sampled: bool,
    /// `tracestate`, when there is one.
    pub state: Option<Box<str>>,
}
