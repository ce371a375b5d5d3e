//! The intake: consumers at the broker, open only while the agent has a free slot.
//!
//! Hands every ticket to the agent and settles it as the agent says. Over all its queues it wants no
//! more tickets than there are free slots; what comes in excess it returns, and it always stops
//! consuming before it returns anything, since a returned ticket comes straight back to a consumer.

mod desk;
mod plan;

use isc_core::{
    ids::AttemptId,
    worker_session::{Settlement, TicketNo},
};
use isc_runtime::amqp::{self, AmqpError, Link, Topology};
use tokio::sync::{mpsc, watch};

use crate::metrics::Metrics;
use desk::Desk;

/// What the intake tells the agent, in order.
#[derive(Debug)]
pub(crate) enum FromIntake {
    /// A ticket is here.
    Ticket {
        ticket: TicketNo,
        id: AttemptId,
        service: String,
    },
    /// All tickets so far are back at the broker.
    BrokerLost,
}

/// The agent's side.
#[derive(Debug)]
pub(crate) struct Till {
    settlements: mpsc::Sender<(TicketNo, Settlement)>,
    free: watch::Sender<u32>,
}

/// The broker's side.
#[derive(Debug)]
pub(crate) struct Intake {
    topology: Topology,
    services: Vec<String>,
    agent: mpsc::Sender<FromIntake>,
    settlements: mpsc::Receiver<(TicketNo, Settlement)>,
    free: watch::Receiver<u32>,
    metrics: Metrics,
    next: TicketNo,
}

/// Both sides. `slots` bounds what can be outstanding.
pub(crate) fn pair(
    topology: Topology,
    services: Vec<String>,
    slots: u32,
    agent: mpsc::Sender<FromIntake>,
    metrics: Metrics,
) -> (Till, Intake) {
    // Each queue can bring a ticket per slot before it is stopped; each ticket is settled once.
    let most = usize::try_from(slots).unwrap_or(usize::MAX) * (services.len() + 1);
    let (settle, settlements) = mpsc::channel(most);
    let (open, free) = watch::channel(0);
    let till = Till {
        settlements: settle,
        free: open,
    };
    let intake = Intake {
        topology,
        services,
        agent,
        settlements,
        free,
        metrics,
        next: TicketNo(0),
    };
    (till, intake)
}

// === impl Till ===

impl Till {
    pub(crate) fn settle(&self, ticket: TicketNo, how: Settlement) {
        // Only a ticket of a connection that is gone can find it full; the broker has that one already.
        let _gone = self.settlements.try_send((ticket, how));
    }

    pub(crate) fn open(&self, free: u32) {
        self.free.send_replace(free);
    }
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
        let mut desk = Desk::new(channel, queues, self.metrics.clone(), self.next);
        let worked = tokio::select! {
            lost = link.broken() => Err(lost),
            worked = desk.work(&mut self.settlements, &mut self.free, &self.agent) => worked,
        };
        self.next = desk.next();
        worked
    }

    async fn broker_lost(&mut self) {
        while self.settlements.try_recv().is_ok() {}
        // When the agent has ended there is nobody to tell.
        let _ended = self.agent.send(FromIntake::BrokerLost).await;
    }
}

#[cfg(test)]
impl Intake {
    /// What a test that plays the broker needs.
    pub(crate) fn into_parts(
        self,
    ) -> (
        mpsc::Receiver<(TicketNo, Settlement)>,
        watch::Receiver<u32>,
        mpsc::Sender<FromIntake>,
    ) {
        (self.settlements, self.free, self.agent)
    }
}
