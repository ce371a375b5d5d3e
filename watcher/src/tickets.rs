//! Publishes tickets: confirmed and mandatory, one in flight per channel.
//!
//! What is in flight when the connection breaks is published again, since the engine hears that the
//! broker is there and offers all that is unclaimed anew.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use isc_core::{
    engine::Event,
    ids::{Address, AttemptId},
};
use isc_proto::{Ticket, TicketKind, ticket};
use isc_runtime::amqp::{AmqpError, ConfirmChannel, Link, Published, Session, Topology, declare};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::Input,
    metrics::{Metrics, ResultLabel},
};

/// Tickets in flight at once.
const CHANNELS: usize = 4;

/// An attempt to offer.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Which.
    pub(crate) id: AttemptId,
    /// Of which service.
    pub(crate) service: Arc<str>,
    /// For logs.
    pub(crate) address: Address,
}

/// Publishes what the engine offers.
pub(crate) struct Publisher {
    /// The ISC instance.
    pub(crate) instance: String,
    /// Names at the broker.
    pub(crate) topology: Topology,
    /// The services whose queues are declared.
    pub(crate) services: Vec<String>,
    /// What the engine offers.
    pub(crate) offers: mpsc::Receiver<Offer>,
    /// The engine.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// For counting.
    pub(crate) metrics: Arc<Metrics>,
    /// Ends the session.
    pub(crate) stop: CancellationToken,
}

type Sent = (ConfirmChannel, AttemptId, Result<Published, AmqpError>);

// === impl Publisher ===

impl Session for Publisher {
    async fn run(&mut self, link: Link) -> Result<(), AmqpError> {
        self.metrics.broker_connected.set(1);
        let ended = self.publish(&link).await;
        self.metrics.broker_connected.set(0);
        ended
    }
}

impl Publisher {
    async fn publish(&mut self, link: &Link) -> Result<(), AmqpError> {
        let mut idle = vec![ConfirmChannel::open(link).await?];
        declare(idle[0].channel(), &self.topology, &self.services).await?;
        while idle.len() < CHANNELS {
            idle.push(ConfirmChannel::open(link).await?);
        }
        // All of these are offered again now.
        while self.offers.try_recv().is_ok() {}
        self.tell(Event::BrokerUp).await;
        let mut in_flight: FuturesUnordered<BoxFuture<'static, Sent>> = FuturesUnordered::new();
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                error = link.broken() => return Err(error),
                Some((channel, id, result)) = in_flight.next() => {
                    self.count(&result);
                    if result? != Published::Confirmed {
                        self.tell(Event::Unplaced(id)).await;
                    }
                    idle.push(channel);
                }
                Some(offer) = self.offers.recv(), if !idle.is_empty() => {
                    let channel = idle.pop().expect("checked by the guard");
                    match self.ticket(&offer) {
                        Ok(body) => in_flight.push(self.send(channel, offer, body)),
                        Err(error) => {
                            tracing::error!(request = %offer.address, "no ticket can be written: {error}");
                            idle.push(channel);
                            self.tell(Event::Unplaced(offer.id)).await;
                        }
                    }
                }
                else => return Ok(()),
            }
        }
    }

    fn send(
        &self,
        channel: ConfirmChannel,
        offer: Offer,
        body: Vec<u8>,
    ) -> BoxFuture<'static, Sent> {
        let exchange = self.topology.exchange();
        async move {
            let message_id = offer.id.to_string();
            let result = channel
                .publish(&exchange, &offer.service, &body, &message_id)
                .await;
            (channel, offer.id, result)
        }
        .boxed()
    }

    fn ticket(&self, offer: &Offer) -> Result<Vec<u8>, ticket::TicketError> {
        let ticket = Ticket {
            version: ticket::VERSION,
            instance: self.instance.clone(),
            uid: offer.id.uid.to_string(),
            attempt: offer.id.attempt,
            service: offer.service.to_string(),
            kind: TicketKind::Run,
            address: offer.address.to_string(),
            traceparent: String::new(),
        };
        ticket.to_bytes()
    }

    fn count(&self, result: &Result<Published, AmqpError>) {
        let result = match result {
            Ok(published) => published.as_str(),
            Err(error) => error.reason(),
        };
        self.metrics
            .tickets
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    async fn tell(&self, event: Event) {
        // Only fails when the engine has ended.
        let _ended = self.inputs.send(Input::Event(event)).await;
    }
}
