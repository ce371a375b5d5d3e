//! The consumers of one connection and the tickets that are out.

mod tickets;

use std::{collections::HashMap, task::Poll};

use futures::{FutureExt as _, StreamExt as _, future::poll_fn};
use isc_core::worker_session::TicketNo;
use isc_runtime::amqp::{AmqpError, CALL_TIMEOUT, within};
use lapin::{
    Acker, Channel, Consumer,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::sync::mpsc;

use super::{
    FromIntake,
    orders::{Orders, Room},
    plan::{self, Step, plan},
};
use crate::metrics::Metrics;

/// All that hangs on one channel; gone with it.
pub(super) struct Desk<'a> {
    channel: Channel,
    queues: Vec<Queue>,
    held: HashMap<TicketNo, Held>,
    room: Room,
    /// Whose turn it is to be probed first.
    turn: usize,
    metrics: &'a Metrics,
    next: &'a mut TicketNo,
    agent: &'a mpsc::Sender<FromIntake>,
}

struct Queue {
    service: String,
    name: String,
    consumer: Option<Consumer>,
    /// How many consumers there were.
    epoch: u64,
    plan: plan::Queue,
}

/// A ticket that is out.
struct Held {
    acker: Acker,
    queue: usize,
    /// The consumer that brought it; `None` when it was got singly.
    epoch: Option<u64>,
}

// === impl Desk ===

impl<'a> Desk<'a> {
    pub(super) fn new(
        channel: Channel,
        queues: impl Iterator<Item = (String, String)>,
        metrics: &'a Metrics,
        next: &'a mut TicketNo,
        agent: &'a mpsc::Sender<FromIntake>,
    ) -> Self {
        let queue = |(service, name)| Queue {
            service,
            name,
            consumer: None,
            epoch: 0,
            plan: plan::Queue::default(),
        };
        Self {
            channel,
            queues: queues.map(queue).collect(),
            held: HashMap::new(),
            room: Room::default(),
            turn: 0,
            metrics,
            next,
            agent,
        }
    }

    /// Works until something fails, or until the agent ends: then all that is out is returned.
    pub(super) async fn work(&mut self, orders: &mut Orders) -> Result<(), AmqpError> {
        orders.again();
        loop {
            tokio::select! {
                biased;
                batch = orders.next() => match batch {
                    Some(batch) => {
                        self.room = batch.room;
                        self.settle_all(batch.settlements).await?;
                        self.arrange().await?;
                    }
                    None => return self.close().await,
                },
                (queue, delivery) = delivered(&mut self.queues) => {
                    self.take(queue, delivery).await?;
                }
            }
        }
    }

    /// Brings the consumers in line with the free slots.
    async fn arrange(&mut self) -> Result<(), AmqpError> {
        let mut probed = false;
        loop {
            let queues: Vec<_> = self.queues.iter().map(|queue| queue.plan).collect();
            let free = self.room.free(*self.next);
            match plan(&queues, free, probed) {
                None => return Ok(()),
                Some(Step::Cancel(queues)) => self.cancel(queues).await?,
                Some(Step::Probe) => probed = !self.probe().await?,
                Some(Step::Consume(wanted)) => {
                    for queue in wanted {
                        self.cancel([queue]).await?;
                        self.consume(queue, free).await?;
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
        queue.epoch += 1;
        queue.plan = plan::Queue {
            prefetch: Some(prefetch),
            held: 0,
        };
        Ok(())
    }

    /// Stops consumers; what they brought meanwhile goes to the agent, which takes or returns it.
    async fn cancel(&mut self, queues: impl IntoIterator<Item = usize>) -> Result<(), AmqpError> {
        for queue in queues {
            self.queues[queue].plan = plan::Queue::default();
            let Some(mut consumer) = self.queues[queue].consumer.take() else {
                continue;
            };
            let options = BasicCancelOptions::default();
            let cancel = self.channel.basic_cancel(consumer.tag(), options);
            within(CALL_TIMEOUT, "basic.cancel", cancel).await?;
            // What it had brought by then comes first, then its end.
            while let Some(delivery) = within(
                CALL_TIMEOUT,
                "basic.cancel",
                consumer.next().map(Option::transpose),
            )
            .await?
            {
                self.hand(queue, delivery, None).await?;
            }
        }
        Ok(())
    }

    /// Gets one ticket from the first queue in turn that has one; false when none has.
    async fn probe(&mut self) -> Result<bool, AmqpError> {
        for offset in 0..self.queues.len() {
            let queue = (self.turn + offset) % self.queues.len();
            loop {
                let name = self.queues[queue].name.as_str().into();
                let get = self.channel.basic_get(name, BasicGetOptions::default());
                let got = within(CALL_TIMEOUT, "basic.get", get).await?;
                let Some(got) = got else { break };
                if self.hand(queue, got.delivery, None).await? {
                    self.turn = (queue + 1) % self.queues.len();
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn take(&mut self, queue: usize, delivery: Option<Delivered>) -> Result<(), AmqpError> {
        match delivery {
            Some(Ok(delivery)) => {
                let epoch = self.queues[queue].epoch;
                self.hand(queue, delivery, Some(epoch)).await.map(drop)
            }
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

    /// The worker leaves: stop consuming, then return what is out.
    async fn close(&mut self) -> Result<(), AmqpError> {
        self.cancel(0..self.queues.len()).await?;
        for (_, held) in self.held.drain() {
            self.metrics.delivery("returned");
            tickets::give_back(&held.acker).await?;
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
