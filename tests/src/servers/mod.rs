//! The two servers that everything else needs, started for us alone on free loopback ports.

mod kcp;
mod rabbitmq;

pub use kcp::Kcp;
pub use rabbitmq::RabbitMq;

use rand::RngExt as _;

/// A random text that passwords and tokens of one run are made of.
#[must_use]
pub fn secret() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
