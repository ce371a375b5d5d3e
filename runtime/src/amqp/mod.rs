//! RabbitMQ: the one place that owns a broker connection.
//!
//! A [`Connector`] connects, hands a [`Link`] to a session, and rebuilds everything when the session or
//! the connection ends, for ever. lapin's own recovery stays off: after a channel error its consumers
//! stay pending for ever, and topology it replays is not ours. Every await has a timeout.
//! Knows tickets only as bytes; what is published or consumed is the caller's business.

mod config;
mod connect;
mod error;
mod link;
mod publish;
mod socket;
mod topology;

pub use config::{Address, AmqpConfig};
pub use connect::{Connector, Session};
pub use error::{AmqpError, within};
pub use link::{BrokerState, Link};
pub use publish::{ConfirmChannel, PUBLISH_TIMEOUT, Published};
pub use topology::{Topology, declare};

use std::time::Duration;

/// How long a call to a connected broker may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
