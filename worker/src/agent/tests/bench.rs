//! Jobs that do as they are told, an agent, and what connects them; the test plays the broker.

use std::{future::Future, pin::Pin, sync::Arc};

use isc_core::{
    ids::Uid,
    worker_session::{Policy, Settlement, TicketNo},
};
use isc_runtime::{admin::Readiness, amqp::Topology, trace::Tracer};
use tokio::{task::JoinSet, time::timeout};

use super::{
    super::*,
    scripted::{Stream, serve},
};
use crate::{
    executor::{Control, End, Executor, Reports},
    intake,
    jobs::Executors,
    session::{Session, Watcher},
    warden::Warden,
};

pub(super) const SOON: Duration = Duration::from_secs(5);

// === the jobs ===

/// Ends at once.
struct Quick;
/// Reports a lot and runs until it is stopped.
struct Endless;

impl Executor for Quick {
    fn run<'a>(
        &'a self,
        _job: Job,
        _control: Control,
    ) -> Pin<Box<dyn Future<Output = End> + Send + 'a>> {
        Box::pin(async {
            End::Succeeded {
                result_json: r#"{"a": 1}"#.into(),
            }
        })
    }
}

impl Executor for Endless {
    fn run<'a>(
        &'a self,
        _job: Job,
        mut control: Control,
    ) -> Pin<Box<dyn Future<Output = End> + Send + 'a>> {
        Box::pin(async move {
            for percent in 0..=50 {
                report(&control.reports, percent).await;
            }
            control.stopped_beyond(Stop::No).await;
            End::Stopped
        })
    }
}

async fn report(reports: &Reports, percent: u32) {
    let message = "still".into();
    reports.send(Progress { percent, message }).await;
}

// === the bench ===

pub(super) struct Bench {
    streams: mpsc::Receiver<Stream>,
    tickets: mpsc::Sender<FromIntake>,
    orders: intake::Orders,
    settled: Vec<(TicketNo, Settlement)>,
    free: u32,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: JoinSet<&'static str>,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let (to_test, streams) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let address = serve(&mut tasks, to_test, false).await;
        let shutdown = CancellationToken::new();
        let (sender, session) = mpsc::channel(64);
        let (may_greet, greeting) = watch::channel(true);
        let part = Readiness::default().part("watcher");
        let real = Session {
            welcomed: None,
            watcher: Watcher::plain(&format!("http://{address}")),
            agent: sender,
            may_greet: greeting,
            part: part.clone(),
        };
        // The session outlives the shutdown: outcomes still have to go out.
        let never = CancellationToken::new();
        tasks.spawn(async move {
            real.run(never).await;
            "session"
        });
        let (sender, intake) = mpsc::channel(64);
        let topology = Topology::new("isc").unwrap();
        let (till, broker) = intake::pair(topology, vec![], sender, Metrics::default());
        let (orders, tickets) = broker.into_parts();
        let (reports, progress) = mpsc::channel(64);
        let agent = agent(
            till,
            may_greet,
            part,
            Jobs::new(executors(), Warden::pretended(), reports, Tracer::default()),
        );
        let inputs = Inputs {
            session,
            intake,
            progress,
        };
        let token = shutdown.clone();
        tasks.spawn(async move {
            agent.run(inputs, token).await;
            "agent"
        });
        Self {
            streams,
            tickets,
            orders,
            settled: vec![],
            free: 0,
            shutdown,
            tasks,
        }
    }

    pub(super) async fn stream(&mut self) -> Stream {
        let stream = timeout(SOON, self.streams.recv()).await;
        stream.expect("the worker must come").unwrap()
    }

    /// A stream that was greeted and welcomed with a long lease.
    pub(super) async fn welcomed(&mut self) -> Stream {
        let mut stream = self.stream().await;
        stream.hello().await;
        stream.welcome(30_000).await;
        self.wait_free(2).await;
        stream
    }

    pub(super) async fn ticket(&self, no: u64, uid: &str) {
        let ticket = FromIntake::Ticket {
            ticket: TicketNo(no),
            id: AttemptId {
                uid: Uid::new(uid),
                attempt: 1,
            },
            service: "any".into(),
            trace: None,
        };
        self.tickets.send(ticket).await.unwrap();
    }

    async fn orders(&mut self) {
        let batch = timeout(SOON, self.orders.next()).await;
        let batch = batch.expect("the agent must order something").unwrap();
        self.settled.extend(batch.settlements);
        self.free = batch.room.free(TicketNo(0));
    }

    pub(super) async fn wait_free(&mut self, wanted: u32) {
        while self.free != wanted {
            self.orders().await;
        }
    }

    pub(super) async fn settlement(&mut self) -> (TicketNo, Settlement) {
        while self.settled.is_empty() {
            self.orders().await;
        }
        self.settled.remove(0)
    }
}

fn agent(till: Till, may_greet: watch::Sender<bool>, watcher: Part, jobs: Jobs) -> Agent {
    Agent {
        worker: Worker::new(Policy {
            slots: 2,
            hold: Duration::from_secs(20),
            progress_interval: Duration::from_millis(50),
        }),
        identity: Identity {
            worker: "w".into(),
            incarnation: "i".into(),
            services: vec!["quick".into(), "endless".into()],
            slots: 2,
        },
        jobs,
        tickets: Tickets::new(Tracer::default(), Topology::new("isc").unwrap()),
        till,
        may_greet,
        watcher,
        metrics: Metrics::default(),
        drain: Duration::from_millis(200),
    }
}

fn executors() -> Executors {
    Executors::from([
        ("quick".into(), Arc::new(Quick) as Arc<dyn Executor>),
        ("endless".into(), Arc::new(Endless) as _),
    ])
}
