//! Consumes the dead letters: tickets that the broker or a worker gave up on. Each is counted, logged and
//! told to the engine, which offers its attempt again; none ends a request.

use std::{fmt::Write as _, sync::Arc};

use futures::StreamExt as _;
use isc_core::{
    engine::Event,
    ids::{AttemptId, Uid},
};
use isc_proto::{Ticket, TicketKind};
use isc_runtime::amqp::{AmqpError, CALL_TIMEOUT, Link, Session, Topology, declare, within};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{engine::Input, metrics::Metrics};

/// Dead letters on their way at once.
const PREFETCH: u16 = 32;
/// So much of a message that is no ticket is shown, bytes.
const SHOWN: usize = 8;
/// Why a broker gives up on a message; anything else is `other`.
const REASONS: [&str; 4] = ["rejected", "expired", "maxlen", "delivery_limit"];

/// The consumer of the dead letters, on a connection of its own: on one that publishes, a broker that is
/// short of memory would not take an acknowledgement either.
pub(crate) struct DeadLetters {
    /// The ISC instance.
    pub(crate) instance: String,
    /// Names at the broker.
    pub(crate) topology: Topology,
    /// The engine.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// For counting.
    pub(crate) metrics: Arc<Metrics>,
    /// Ends the session.
    pub(crate) stop: CancellationToken,
}

// === impl DeadLetters ===

impl Session for DeadLetters {
    async fn run(&mut self, link: Link) -> Result<(), AmqpError> {
        let channel = link.channel().await?;
        let queue = self.topology.dead_queue();
        let mut letters = self.consume(&channel, &queue).await?;
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                error = link.broken() => return Err(error),
                letter = letters.next() => match letter {
                    Some(Ok(letter)) => self.handle(letter).await?,
                    Some(Err(source)) => return Err(AmqpError::Broker { op: "consume", source }),
                    None => return Err(AmqpError::Lost(format!("the broker ended the consumer of {queue}"))),
                }
            }
        }
    }
}

impl DeadLetters {
    async fn consume(&self, channel: &Channel, queue: &str) -> Result<Consumer, AmqpError> {
        declare(channel, &self.topology, std::iter::empty::<&str>()).await?;
        let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        within(CALL_TIMEOUT, "basic.qos", qos).await?;
        let consume = channel.basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        within(CALL_TIMEOUT, "basic.consume", consume).await
    }

    async fn handle(&self, letter: Delivery) -> Result<(), AmqpError> {
        let reason = reason(letter.properties.headers().as_ref());
        if let Some(id) = self.read(&letter.data, reason) {
            let event = Input::Event(Event::DeadLettered(id));
            // Fails when the engine has ended; the next one offers everything anyway.
            let _ended = self.inputs.send(event).await;
        }
        let ack = letter.acker.ack(BasicAckOptions::default());
        if within(CALL_TIMEOUT, "basic.ack", ack).await? {
            Ok(())
        } else {
            Err(AmqpError::Lost("a dead letter could not be settled".into()))
        }
    }

    /// Reads, counts and logs a letter; returns the attempt that it offered.
    fn read(&self, data: &[u8], reason: &'static str) -> Option<AttemptId> {
        let ticket = match Ticket::from_bytes(data) {
            Ok(ticket) => ticket,
            Err(error) => {
                self.metrics.dead_letter("undecodable");
                tracing::warn!(
                    reason,
                    bytes = data.len(),
                    first_bytes = hex(data),
                    "a dead letter that is no ticket is dropped: {error}"
                );
                return None;
            }
        };
        self.metrics.dead_letter(reason);
        tracing::warn!(
            reason,
            uid = ticket.uid,
            attempt = ticket.attempt,
            service = ticket.service,
            address = ticket.address,
            "a ticket came back as a dead letter"
        );
        let ours = ticket.instance == self.instance && ticket.kind == TicketKind::Run;
        ours.then(|| AttemptId {
            uid: Uid::new(&ticket.uid),
            attempt: ticket.attempt,
        })
    }
}

/// Why it is dead: the newest of its deaths.
fn reason(headers: Option<&FieldTable>) -> &'static str {
    let told = headers.and_then(|headers| {
        let deaths = match headers.inner().get("x-death") {
            Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice(),
            _ => &[],
        };
        match deaths.first() {
            Some(AMQPValue::FieldTable(death)) => death.inner().get("reason"),
            _ => headers.inner().get("x-first-death-reason"),
        }
    });
    let Some(AMQPValue::LongString(told)) = told else {
        return "other";
    };
    let known = REASONS
        .into_iter()
        .find(|known| known.as_bytes() == told.as_bytes());
    known.unwrap_or("other")
}

fn hex(data: &[u8]) -> String {
    let mut text = String::new();
    for byte in &data[..data.len().min(SHOWN)] {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    #[test]
    fn the_reason_of_a_death_is_one_of_a_closed_list() {
        let headers = |reason: &str| {
            let mut death = FieldTable::default();
            death.insert("reason".into(), AMQPValue::LongString(reason.into()));
            let mut headers = FieldTable::default();
            let deaths = FieldArray::from(vec![AMQPValue::FieldTable(death)]);
            headers.insert("x-death".into(), AMQPValue::FieldArray(deaths));
            headers
        };
        assert_eq!(reason(Some(&headers("delivery_limit"))), "delivery_limit");
        assert_eq!(reason(Some(&headers("boredom"))), "other");
        assert_eq!(reason(None), "other");
    }

    #[test]
    fn of_a_message_that_is_no_ticket_a_few_bytes_are_shown() {
        assert_eq!(hex(b"{\"password\": 1}"), "7b2270617373776f");
        assert_eq!(hex(b"\xff"), "ff");
    }
}
