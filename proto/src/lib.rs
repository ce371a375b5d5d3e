//! What crosses a wire between watcher and worker: the gRPC types and the AMQP ticket. No logic.

pub mod ticket;

pub use ticket::{Ticket, TicketError, TicketKind};

/// Generated from `proto/isc/v1/workers.proto`, which documents every message.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "generated code; the .proto file carries the documentation"
)]
pub mod v1 {
    tonic::include_proto!("isc.v1");
}

/// Generated from `proto/keda/externalscaler.proto`: what KEDA asks.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "generated code; the .proto file carries the documentation"
)]
pub mod externalscaler {
    tonic::include_proto!("externalscaler");
}

/// The protocol version that both sides of this build speak.
pub const PROTOCOL: u32 = 1;

/// The largest gRPC message, bytes. Parameters (256 KiB) and results (64 KiB by default) fit several
/// times over, JSON escaping included; both ends set it as their limit and check before they send.
pub const MESSAGE_MAX_BYTES: usize = 1024 * 1024;

/// The most slots that a worker may tell.
pub const SLOTS_MAX: u32 = 1024;

/// The most attempts, and the most services, that one message may list.
pub const LISTED_MAX: usize = 4096;

/// The most artifacts of one outcome.
pub const ARTIFACTS_MAX: usize = 64;

/// The longest name, URI, digest or media type of an artifact, bytes.
pub const ARTIFACT_TEXT_MAX_BYTES: usize = 1024;
