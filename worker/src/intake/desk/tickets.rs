//! From a delivery to a ticket and back to the broker.

use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::{Settlement, TicketNo},
};
use isc_proto::{Ticket, TicketKind};
use isc_runtime::{
    amqp::{AmqpError, CALL_TIMEOUT, within},
    trace::Context,
};
use lapin::{
    Acker,
    message::Delivery,
    options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions},
};

use super::{Desk, FromIntake, Held};

// === impl Desk ===

impl Desk<'_> {
    /// Hands a ticket to the agent; false when it was none and is settled already.
    pub(super) async fn hand(
        &mut self,
        queue: usize,
        delivery: Delivery,
        epoch: Option<u64>,
    ) -> Result<bool, AmqpError> {
        let Delivery { data, acker, .. } = delivery;
        let Some(ticket) = self.read(queue, &data, &acker).await? else {
            return Ok(false);
        };
        let no = *self.next;
        *self.next = TicketNo(no.0 + 1);
        let held = Held {
            acker,
            queue,
            epoch,
        };
        self.count(&held, 1);
        self.held.insert(no, held);
        let ticket = FromIntake::Ticket {
            ticket: no,
            id: AttemptId {
                uid: Uid::new(&ticket.uid),
                attempt: ticket.attempt,
            },
            service: ticket.service,
            trace: Context::parse(&ticket.traceparent, ""),
        };
        // When the agent has ended, the end of its orders tells so.
        let _ended = self.agent.send(ticket).await;
        Ok(true)
    }

    /// Reads a message; one that is no ticket to run is settled here.
    async fn read(
        &mut self,
        queue: usize,
        data: &[u8],
        acker: &Acker,
    ) -> Result<Option<Ticket>, AmqpError> {
        let service = &self.queues[queue].service;
        match Ticket::from_bytes(data) {
            // Programs run nowhere but in their worker: there is nothing outside to stop.
            Ok(ticket) if ticket.kind == TicketKind::Stop => {
                self.metrics.delivery("stop");
                ack(acker).await?;
                Ok(None)
            }
            Ok(ticket) if ticket.service == *service => Ok(Some(ticket)),
            Ok(ticket) => {
                tracing::warn!("a ticket for {} in the queue of {service}", ticket.service);
                self.metrics.delivery("misrouted");
                reject(acker).await?;
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(
                    "a message in the queue of {service} goes to the dead letters: {error}"
                );
                self.metrics.delivery("undecodable");
                reject(acker).await?;
                Ok(None)
            }
        }
    }

    pub(super) async fn settle_all(
        &mut self,
        settlements: Vec<(TicketNo, Settlement)>,
    ) -> Result<(), AmqpError> {
        for (ticket, how) in settlements {
            // One that is unknown is of an earlier connection: the broker has it again.
            if let Some(held) = self.held.remove(&ticket) {
                self.settle(held, how).await?;
            }
        }
        Ok(())
    }

    async fn settle(&mut self, held: Held, how: Settlement) -> Result<(), AmqpError> {
        if how != Settlement::Done {
            self.cancel(0..self.queues.len()).await?;
        }
        self.count(&held, -1);
        let result = match how {
            Settlement::Done => "done",
            Settlement::StillRunning => "still_running",
            Settlement::Return => "returned",
        };
        self.metrics.delivery(result);
        match how {
            Settlement::Done | Settlement::StillRunning => ack(&held.acker).await,
            Settlement::Return => give_back(&held.acker).await,
        }
    }

    /// Counts a ticket for the consumer that brought it, while that one lives.
    fn count(&mut self, held: &Held, by: i32) {
        let queue = &mut self.queues[held.queue];
        if queue.consumer.is_some() && held.epoch == Some(queue.epoch) {
            queue.plan.held = queue.plan.held.saturating_add_signed(by);
        }
    }
}

async fn ack(acker: &Acker) -> Result<(), AmqpError> {
    let call = acker.ack(BasicAckOptions::default());
    owned(within(CALL_TIMEOUT, "basic.ack", call).await?)
}

pub(super) async fn give_back(acker: &Acker) -> Result<(), AmqpError> {
    let options = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    owned(within(CALL_TIMEOUT, "basic.nack", acker.nack(options)).await?)
}

async fn reject(acker: &Acker) -> Result<(), AmqpError> {
    let call = acker.reject(BasicRejectOptions { requeue: false });
    owned(within(CALL_TIMEOUT, "basic.reject", call).await?)
}

/// The client answers `false` when the delivery belongs to a channel that is gone.
fn owned(settled: bool) -> Result<(), AmqpError> {
    if settled {
        Ok(())
    } else {
        Err(AmqpError::Lost("a ticket could not be settled".into()))
    }
}
