//! Publishes tickets: confirmed and mandatory, one in flight per channel.
//!
//! What is in flight when the connection breaks is published again, since the engine hears that the
//! broker is there and offers all that is unclaimed anew. A ticket that finds no queue (an operator has
//! deleted it, or the service is new) has the queues declared again.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use isc_core::{
    engine::Event,
    ids::{Address, AttemptId},
};
use isc_proto::{Ticket, TicketKind, ticket};
use isc_runtime::{
    amqp::{AmqpError, BrokerState, ConfirmChannel, Link, Published, Session, Topology, declare},
    trace::Context,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::Input,
    kcp::Services,
    metrics::{Metrics, ResultLabel},
    spans::{Sending, Spans},
};

/// Tickets in flight at once.
const CHANNELS: usize = 4;

/// Tickets that come back so soon after a declaration were sent before it.
const RETURNS: Duration = Duration::from_secs(1);
/// What the broker refuses is offered again after so long.
const NACKED: Duration = Duration::from_millis(500);

/// An attempt to offer.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Which.
    pub(crate) id: AttemptId,
    /// Of which service.
    pub(crate) service: Arc<str>,
    /// For logs.
    pub(crate) address: Address,
    /// Of the request's span.
    pub(crate) trace: Option<Context>,
}

/// Publishes what the engine offers.
pub(crate) struct Publisher {
    /// The ISC instance.
    pub(crate) instance: String,
    /// Names at the broker.
    pub(crate) topology: Topology,
    /// The services whose queues are declared.
    pub(crate) services: Services,
    /// What the engine offers.
    pub(crate) offers: mpsc::Receiver<Offer>,
    /// The engine.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// For counting.
    pub(crate) metrics: Arc<Metrics>,
    /// For tracing.
    pub(crate) spans: Spans,
    /// Ends the session.
    pub(crate) stop: CancellationToken,
    /// When the queues were declared last.
    pub(crate) declared: Instant,
}

type Sent = (ConfirmChannel, AttemptId, Result<Published, AmqpError>);

// === impl Publisher ===

impl Session for Publisher {
    async fn run(&mut self, link: Link) -> Result<(), AmqpError> {
        self.metrics.broker_connected.set(1);
        self.metrics.broker_blocked.set(0);
        let ended = self.publish(&link).await;
        self.metrics.broker_connected.set(0);
        ended
    }
}

impl Publisher {
    async fn publish(&mut self, link: &Link) -> Result<(), AmqpError> {
        let mut idle = vec![ConfirmChannel::open(link).await?];
        self.declare(&idle[0]).await?;
        for _ in 1..CHANNELS {
            idle.push(ConfirmChannel::open(link).await?);
        }
        // All of these are offered again now.
        while self.offers.try_recv().is_ok() {}
        self.tell(Event::BrokerUp).await;
        let mut in_flight: FuturesUnordered<BoxFuture<'static, Sent>> = FuturesUnordered::new();
        let (stop, mut state) = (self.stop.clone(), link.state());
        let mut blocked = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                error = link.broken() => return Err(error),
                Ok(()) = state.changed() => {
                    blocked = matches!(*state.borrow_and_update(), BrokerState::Blocked(_));
                    self.metrics.broker_blocked.set(blocked.into());
                }
                Some((channel, id, result)) = in_flight.next() => {
                    self.count(&result);
                    self.settle(&channel, id, result?).await?;
                    idle.push(channel);
                }
                // What the broker does not take now, waits better here.
                Some(offer) = self.offers.recv(), if !idle.is_empty() && !blocked => {
                    let sending = offer.trace.as_ref().map(|trace| self.spans.sending(trace));
                    match self.ticket(&offer, sending.as_ref()) {
                        Ok(body) => {
                            let channel = idle.pop().expect("checked by the guard");
                            let sending = (body, sending);
                            in_flight.push(self.send((link.clone(), channel), offer, sending));
                        }
                        Err(error) => {
                            tracing::error!(request = %offer.address, "no ticket can be written: {error}");
                            self.tell(Event::Unplaced(offer.id)).await;
                        }
                    }
                }
                else => return Ok(()),
            }
        }
    }

    async fn settle(
        &mut self,
        channel: &ConfirmChannel,
        id: AttemptId,
        published: Published,
    ) -> Result<(), AmqpError> {
        let told = match published {
            Published::Confirmed => return Ok(()),
            Published::Returned if self.declared.elapsed() > RETURNS => {
                tracing::warn!(%id, "a ticket found no queue: declaring them again");
                self.declare(channel).await?;
                // The queue took all its tickets with it.
                Event::BrokerUp
            }
            Published::Returned | Published::Nacked => Event::Unplaced(id),
        };
        self.tell(told).await;
        Ok(())
    }

    async fn declare(&mut self, channel: &ConfirmChannel) -> Result<(), AmqpError> {
        self.declared = Instant::now();
        let services = self.services.borrow().clone();
        let names: Vec<_> = services.iter().map(|s| s.name.as_str()).collect();
        declare(channel.channel(), &self.topology, names).await
    }

    fn send(
        &self,
        (link, channel): (Link, ConfirmChannel),
        offer: Offer,
        (body, sending): (Vec<u8>, Option<Sending>),
    ) -> BoxFuture<'static, Sent> {
        let (topology, spans) = (self.topology.clone(), self.spans.clone());
        async move {
            let message_id = offer.id.to_string();
            let result = channel
                .publish(&topology.exchange(), &offer.service, &body, &message_id)
                .await;
            if let Some(sending) = sending {
                let error = match &result {
                    Ok(Published::Confirmed) => None,
                    Ok(published) => Some(published.as_str()),
                    Err(error) => Some(error.reason()),
                };
                spans.sent(sending, (&offer.id, &offer.service), &topology, error);
            }
            match result {
                Ok(Published::Nacked) => {
                    let (channel, result) = after_nack(&link, channel).await;
                    (channel, offer.id, result)
                }
                result => (channel, offer.id, result),
            }
        }
        .boxed()
    }

    fn ticket(
        &self,
        offer: &Offer,
        sending: Option<&Sending>,
    ) -> Result<Vec<u8>, ticket::TicketError> {
        let ticket = Ticket {
            version: ticket::VERSION,
            instance: self.instance.clone(),
            uid: offer.id.uid.to_string(),
            attempt: offer.id.attempt,
            service: offer.service.to_string(),
            kind: TicketKind::Run,
            address: offer.address.to_string(),
            traceparent: sending.map(Sending::traceparent).unwrap_or_default(),
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

/// Another channel, after a pause. A broker's channel remembers which node led a queue: where that one has died, it
/// may refuse every message from then on, while a new channel works. And what is refused is offered again at once.
async fn after_nack(
    link: &Link,
    refused: ConfirmChannel,
) -> (ConfirmChannel, Result<Published, AmqpError>) {
    tokio::time::sleep(NACKED).await;
    let fresh = match ConfirmChannel::open(link).await {
        Ok(fresh) => fresh,
        Err(error) => return (refused, Err(error)),
    };
    match refused.close().await {
        Ok(()) => (fresh, Ok(Published::Nacked)),
        Err(error) => (fresh, Err(error)),
    }
}
