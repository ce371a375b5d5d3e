//! The names at the broker and their declaration, word for word the same on both sides.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::{AmqpError, CALL_TIMEOUT, within};

/// How often a ticket may come back before the broker gives it to the dead letters. Only a backstop:
/// attempts are counted by the watcher, and on old brokers every lost connection counts here too.
const DELIVERY_LIMIT: i64 = 20;
const PREFIX_MAX: usize = 100;

/// The names of all exchanges and queues of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
}

// === impl Topology ===

impl Topology {
    /// Names that start with `prefix`.
    ///
    /// # Errors
    /// A prefix that is empty, too long or has odd characters.
    pub fn new(prefix: &str) -> Result<Self, AmqpError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
        if prefix.is_empty() || prefix.len() > PREFIX_MAX || !prefix.chars().all(fits) {
            return Err(AmqpError::Prefix(prefix.to_owned()));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    /// The exchange for tickets: direct, the routing key is the service's name.
    #[must_use]
    pub fn exchange(&self) -> String {
        format!("{}.requests", self.prefix)
    }

    /// The exchange for dead letters: fanout.
    #[must_use]
    pub fn dead_exchange(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The queue of all dead letters.
    #[must_use]
    pub fn dead_queue(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The queue of one service's tickets.
    #[must_use]
    pub fn queue(&self, service: &str) -> String {
        format!("{}.requests.{service}", self.prefix)
    }
}

/// Declares exchanges, the dead-letter queue, and a bound queue per service. Doing it again is harmless.
///
/// # Errors
/// A refusal, as when a queue of that name exists with other arguments; the channel is closed then.
pub async fn declare(
    channel: &Channel,
    topology: &Topology,
    services: impl IntoIterator<Item: AsRef<str>>,
) -> Result<(), AmqpError> {
    let dead = topology.dead_exchange();
    declare_exchange(channel, &topology.exchange(), ExchangeKind::Direct).await?;
    declare_exchange(channel, &dead, ExchangeKind::Fanout).await?;
    declare_queue(channel, &topology.dead_queue(), quorum()).await?;
    bind(channel, &topology.dead_queue(), &dead, "").await?;
    for service in services {
        let queue = topology.queue(service.as_ref());
        declare_queue(channel, &queue, tickets(&dead)).await?;
        bind(channel, &queue, &topology.exchange(), service.as_ref()).await?;
    }
    Ok(())
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    arguments
}

fn tickets(dead_exchange: &str) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(DELIVERY_LIMIT),
    );
    arguments.insert(
        "x-dead-letter-exchange".into(),
        AMQPValue::LongString(dead_exchange.into()),
    );
    arguments
}

async fn declare_exchange(
    channel: &Channel,
    name: &str,
    kind: ExchangeKind,
) -> Result<(), AmqpError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let call = channel.exchange_declare(name.into(), kind, options, FieldTable::default());
    within(CALL_TIMEOUT, "declare exchange", call).await
}

async fn declare_queue(
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
) -> Result<(), AmqpError> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let call = channel.queue_declare(name.into(), options, arguments);
    within(CALL_TIMEOUT, "declare queue", call).await?;
    Ok(())
}

async fn bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    routing_key: &str,
) -> Result<(), AmqpError> {
    let call = channel.queue_bind(
        queue.into(),
        exchange.into(),
        routing_key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    within(CALL_TIMEOUT, "bind queue", call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix() {
        let topology = Topology::new("isc").unwrap();
        assert_eq!(topology.exchange(), "isc.requests");
        assert_eq!(topology.queue("sign"), "isc.requests.sign");
        assert_eq!(topology.dead_exchange(), "isc.dead");
        assert_eq!(topology.dead_queue(), "isc.dead");
    }

    #[test]
    fn an_odd_prefix_is_refused_by_name() {
        for prefix in ["", "a b", "a/b", &"x".repeat(101)] {
            let error = Topology::new(prefix).unwrap_err().to_string();
            assert!(error.contains("amqp.prefix"), "{error}");
        }
    }
}
