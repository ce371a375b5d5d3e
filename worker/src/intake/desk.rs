//! The consumers of one connection and the tickets that are out.

use std::{collections::HashMap, task::Poll};

use futures::{StreamExt as _, future::poll_fn};
use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::{Settlement, TicketNo},
};
use isc_proto::{Ticket, TicketKind};
use isc_runtime::amqp::{AmqpError, CALL_TIMEOUT, within};
use lapin::{
    Acker, Channel, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions,
        BasicNackOptions, BasicQosOptions, BasicRejectOptions,
    },
    types::FieldTable,
};
use tokio::sync::{mpsc, watch};

use super::{
    FromIntake,
    plan::{self, Step, plan},
};
use crate::metrics::Metrics;

/// All that hangs on one channel; gone with it.
pub(super) struct Desk {
    channel: Channel,
    queues: Vec<Queue>,
    held: HashMap<TicketNo, (Acker, usize)>,
    metrics: Metrics,
    next: TicketNo,
    /// Whose turn it is to be probed first.
    turn: usize,
}

struct Queue {
    service: String,
    name: String,
    consumer: Option<Consumer>,
    plan: plan::Queue,
}

/// What became of a delivery.
enum Taken {
    /// The agent has it.
    Handed(FromIntake),
    /// It is settled already.
    Settled,
}

// === impl Desk ===

impl Desk {
    pub(super) fn new(
        channel: Channel,
        queues: impl Iterator<Item = (String, String)>,
        metrics: Metrics,
        next: TicketNo,
    ) -> Self {
        let queue = |(service, name)| Queue {
            service,
            name,
            consumer: None,
            plan: plan::Queue::default(),
        };
        Self {
            channel,
            queues: queues.map(queue).collect(),
            held: HashMap::new(),
            metrics,
            next,
            turn: 0,
        }
    }

    /// The number of the next ticket; they are never used twice.
    pub(super) fn next(&self) -> TicketNo {
        self.next
    }

    /// Works until something fails, or until the agent ends: then all that is out is returned.
    pub(super) async fn work(
        &mut self,
        settlements: &mut mpsc::Receiver<(TicketNo, Settlement)>,
        free: &mut watch::Receiver<u32>,
        agent: &mpsc::Sender<FromIntake>,
    ) -> Result<(), AmqpError> {
        free.mark_changed();
        loop {
            tokio::select! {
                biased;
                settlement = settlements.recv() => match settlement {
                    Some((ticket, how)) => {
                        self.settle(ticket, how, agent).await?;
                        let free = *free.borrow();
                        self.arrange(free, agent).await?;
                    }
                    None => return self.close(agent).await,
                },
                Ok(()) = free.changed() => {
                    let free = *free.borrow_and_update();
                    self.arrange(free, agent).await?;
                }
                (queue, delivery) = delivered(&mut self.queues) => {
                    self.take(queue, delivery, agent).await?;
                }
            }
        }
    }

    /// Brings the consumers in line with the free slots.
    async fn arrange(
        &mut self,
        free: u32,
        agent: &mpsc::Sender<FromIntake>,
    ) -> Result<(), AmqpError> {
        let mut probed = false;
        loop {
            let queues: Vec<_> = self.queues.iter().map(|queue| queue.plan).collect();
            match plan(&queues, free, probed) {
                None => return Ok(()),
                Some(Step::Cancel(queues)) => self.cancel(queues, agent).await?,
                Some(Step::Probe) => {
                    if self.probe(agent).await? {
                        // The agent answers with what is free now.
                        return Ok(());
                    }
                    probed = true;
                }
                Some(Step::Consume(wanted)) => {
                    for (queue, prefetch) in wanted {
                        self.cancel([queue], agent).await?;
                        self.consume(queue, prefetch).await?;
                    }
                }
            }
        }
    }

    async fn consume(&mut self, queue: usize, prefetch: u32) -> Result<(), AmqpError> {
        let count = u16::try_from(prefetch).unwrap_or(u16::MAX);
        let qos = self.channel.basic_qos(count, BasicQosOptions::default());
        within(CALL_TIMEOUT, "basic.qos", qos).await?;
        let queue = &mut self.queues[queue];
        let consume = self.channel.basic_consume(
            queue.name.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        queue.consumer = Some(within(CALL_TIMEOUT, "basic.consume", consume).await?);
        queue.plan.prefetch = Some(prefetch);
        Ok(())
    }

    /// Stops consumers; what they brought meanwhile goes to the agent, which takes or returns it.
    async fn cancel(
        &mut self,
        queues: impl IntoIterator<Item = usize>,
        agent: &mpsc::Sender<FromIntake>,
    ) -> Result<(), AmqpError> {
        for queue in queues {
            self.queues[queue].plan.prefetch = None;
            let Some(mut consumer) = self.queues[queue].consumer.take() else {
                continue;
            };
            let options = BasicCancelOptions::default();
            let cancel = self.channel.basic_cancel(consumer.tag(), options);
            within(CALL_TIMEOUT, "basic.cancel", cancel).await?;
            while let Some(delivery) = consumer.next().await {
                let delivery = delivery.map_err(|source| AmqpError::Broker {
                    op: "basic.cancel",
                    source,
                })?;
                self.hand(queue, delivery, agent).await?;
            }
        }
        Ok(())
    }

    /// Gets one ticket from the first queue in turn that has one; false when none has.
    async fn probe(&mut self, agent: &mpsc::Sender<FromIntake>) -> Result<bool, AmqpError> {
        for offset in 0..self.queues.len() {
            let queue = (self.turn + offset) % self.queues.len();
            loop {
                let name = self.queues[queue].name.as_str().into();
                let get = self.channel.basic_get(name, BasicGetOptions::default());
                let got = within(CALL_TIMEOUT, "basic.get", get).await?;
                let Some(got) = got else { break };
                if self.hand(queue, got.delivery, agent).await? {
                    self.turn = (queue + 1) % self.queues.len();
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn take(
        &mut self,
        queue: usize,
        delivery: Option<Delivered>,
        agent: &mpsc::Sender<FromIntake>,
    ) -> Result<(), AmqpError> {
        match delivery {
            Some(Ok(delivery)) => self.hand(queue, delivery, agent).await.map(drop),
            Some(Err(source)) => Err(AmqpError::Broker {
                op: "consume",
                source,
            }),
            None => Err(AmqpError::Lost(format!(
                "the broker ended the consumer of {}",
                self.queues[queue].name
            ))),
        }
    }

    /// Hands a ticket to the agent; false when it was none and is settled already.
    async fn hand(
        &mut self,
        queue: usize,
        delivery: Delivery,
        agent: &mpsc::Sender<FromIntake>,
    ) -> Result<bool, AmqpError> {
        match self.read(queue, delivery).await? {
            Taken::Settled => Ok(false),
            Taken::Handed(ticket) => {
                // When the agent has ended, the end of the settlements tells so.
                let _ended = agent.send(ticket).await;
                Ok(true)
            }
        }
    }

    async fn read(&mut self, queue: usize, delivery: Delivery) -> Result<Taken, AmqpError> {
        let Delivery { data, acker, .. } = delivery;
        let service = &self.queues[queue].service;
        let ticket = match Ticket::from_bytes(&data) {
            Ok(ticket) if ticket.service == *service => ticket,
            Ok(ticket) => {
                tracing::warn!("a ticket for {} in the queue of {service}", ticket.service);
                self.metrics.delivery("misrouted");
                reject(&acker).await?;
                return Ok(Taken::Settled);
            }
            Err(error) => {
                tracing::warn!(
                    "a message in the queue of {service} goes to the dead letters: {error}"
                );
                self.metrics.delivery("undecodable");
                reject(&acker).await?;
                return Ok(Taken::Settled);
            }
        };
        if ticket.kind == TicketKind::Stop {
            // Programs run nowhere but in their worker: there is nothing outside to stop.
            self.metrics.delivery("stop");
            ack(&acker).await?;
            return Ok(Taken::Settled);
        }
        let no = self.next;
        self.next = TicketNo(no.0 + 1);
        self.held.insert(no, (acker, queue));
        self.queues[queue].plan.held += 1;
        Ok(Taken::Handed(FromIntake::Ticket {
            ticket: no,
            id: AttemptId {
                uid: Uid::new(&ticket.uid),
                attempt: ticket.attempt,
            },
            service: ticket.service,
        }))
    }

    async fn settle(
        &mut self,
        ticket: TicketNo,
        how: Settlement,
        agent: &mpsc::Sender<FromIntake>,
    ) -> Result<(), AmqpError> {
        let Some((acker, queue)) = self.held.remove(&ticket) else {
            // Of an earlier connection: the broker has it again.
            return Ok(());
        };
        if how != Settlement::Done {
            self.cancel(0..self.queues.len(), agent).await?;
        }
        self.queues[queue].plan.held -= 1;
        let result = match how {
            Settlement::Done => "done",
            Settlement::StillRunning => "still_running",
            Settlement::Return => "returned",
        };
        self.metrics.delivery(result);
        match how {
            Settlement::Done | Settlement::StillRunning => ack(&acker).await,
            Settlement::Return => give_back(&acker).await,
        }
    }

    /// The worker leaves: stop consuming, then return what is out.
    async fn close(&mut self, agent: &mpsc::Sender<FromIntake>) -> Result<(), AmqpError> {
        self.cancel(0..self.queues.len(), agent).await?;
        for (_, (acker, _)) in self.held.drain() {
            self.metrics.delivery("returned");
            give_back(&acker).await?;
        }
        Ok(())
    }
}

type Delivered = lapin::Result<Delivery>;

/// The next delivery of any consumer. Cancellation safe.
async fn delivered(queues: &mut [Queue]) -> (usize, Option<Delivered>) {
    poll_fn(|context| {
        for (index, queue) in queues.iter_mut().enumerate() {
            if let Some(consumer) = &mut queue.consumer
                && let Poll::Ready(delivery) = consumer.poll_next_unpin(context)
            {
                return Poll::Ready((index, delivery));
            }
        }
        Poll::Pending
    })
    .await
}

async fn ack(acker: &Acker) -> Result<(), AmqpError> {
    let call = acker.ack(BasicAckOptions::default());
    owned(within(CALL_TIMEOUT, "basic.ack", call).await?)
}

async fn give_back(acker: &Acker) -> Result<(), AmqpError> {
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
