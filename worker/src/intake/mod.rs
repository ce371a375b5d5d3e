//! The intake: consumers at the broker, open only while the agent has a free slot.
//!
//! Hands every ticket to the agent and settles it as the agent says. Over all its queues it wants no
//! more tickets than there are free slots; what comes in excess it returns, and it always stops
//! consuming before it returns anything, since a returned ticket comes straight back to a consumer.

mod desk;
mod orders;
mod plan;

use isc_core::{ids::AttemptId, worker_session::TicketNo};
use isc_runtime::{
    amqp::{self, AmqpError, Link, Topology},
    trace::Context,
};
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use desk::Desk;
pub(crate) use orders::{Orders, Till};

/// What the intake tells the agent, in order.
#[derive(Debug)]
pub(crate) enum FromIntake {
    /// A ticket is here.
    Ticket {
        ticket: TicketNo,
        id: AttemptId,
        service: String,
        /// Of its way to the broker.
        trace: Option<Context>,
    },
    /// All tickets so far are back at the broker.
    BrokerLost,
}

/// The broker's side.
#[derive(Debug)]
pub(crate) struct Intake {
    topology: Topology,
    services: Vec<String>,
    agent: mpsc::Sender<FromIntake>,
    orders: Orders,
    metrics: Metrics,
    /// The number of the next ticket; they are never used twice.
    next: TicketNo,
}

/// Both sides: the agent gives its orders at the till.
pub(crate) fn pair(
    topology: Topology,
    services: Vec<String>,
    agent: mpsc::Sender<FromIntake>,
    metrics: Metrics,
) -> (Till, Intake) {
    let (till, orders) = orders::pair();
    let intake = Intake {
        topology,
        services,
        agent,
        orders,
        metrics,
        next: TicketNo(0),
    };
    (till, intake)
}

// === impl Intake ===

impl amqp::Session for Intake {
    async fn run(&mut self, link: Link) -> Result<(), AmqpError> {
        // Also when the last run was dropped half-way.
        self.broker_lost().await;
        let ended = self.work(&link).await;
        self.broker_lost().await;
        ended
    }
}

impl Intake {
    async fn work(&mut self, link: &Link) -> Result<(), AmqpError> {
        let channel = link.channel().await?;
        amqp::declare(&channel, &self.topology, &self.services).await?;
        let queues = self.services.iter().map(|service| {
            let queue = self.topology.queue(service);
            (service.clone(), queue)
        });
        let mut desk = Desk::new(channel, queues, &self.metrics, &mut self.next, &self.agent);
        tokio::select! {
            lost = link.broken() => Err(lost),
            worked = desk.work(&mut self.orders) => worked,
        }
    }

    async fn broker_lost(&mut self) {
        // When the agent has ended there is nobody to tell.
        let _ended = self.agent.send(FromIntake::BrokerLost).await;
    }
}

#[cfg(test)]
impl Intake {
    /// What a test that plays the broker needs.
    pub(crate) fn into_parts(self) -> (Orders, mpsc::Sender<FromIntake>) {
        (self.orders, self.agent)
    }
}
