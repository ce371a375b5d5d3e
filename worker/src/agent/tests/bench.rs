//! A scripted watcher, jobs that do as they are told, and an agent between them.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use isc_core::{
    ids::Uid,
    worker_session::{Policy, Settlement, TicketNo},
};
use isc_proto::v1::{
    self, watcher_message::Message as ToWorker, worker_message::Message as FromWorker,
    workers_server::WorkersServer,
};
use isc_runtime::{admin::Readiness, amqp::Topology};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::super::*;
use crate::{
    executor::{Control, End, Executor, Reports},
    intake,
    jobs::Executors,
    session::{Session, Watcher},
};

pub(super) const SOON: Duration = Duration::from_secs(5);

// === the scripted watcher ===

/// Hands every stream to the test; a standby refuses all.
struct Scripted {
    streams: mpsc::Sender<Stream>,
    standby: bool,
}

/// The watcher's end of one stream.
pub(super) struct Stream {
    from: Streaming<v1::WorkerMessage>,
    to: mpsc::Sender<Result<v1::WatcherMessage, Status>>,
}

#[tonic::async_trait]
impl v1::workers_server::Workers for Scripted {
    type SessionStream = ReceiverStream<Result<v1::WatcherMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        if self.standby {
            return Err(Status::unavailable("standby"));
        }
        let (to, answers) = mpsc::channel(64);
        let from = request.into_inner();
        let stream = Stream { from, to };
        self.streams.send(stream).await.expect("the test lives");
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl Stream {
    pub(super) async fn say(&self, message: ToWorker) {
        let message = Some(message);
        let sent = self.to.send(Ok(v1::WatcherMessage { message })).await;
        sent.expect("the stream lives");
    }

    /// The next message; heartbeats are acknowledged on the way and left out.
    pub(super) async fn next(&mut self) -> FromWorker {
        loop {
            match self.next_raw().await.expect("the stream goes on") {
                FromWorker::Heartbeat(beat) => {
                    let seq = beat.seq;
                    self.say(ToWorker::HeartbeatAck(v1::HeartbeatAck { seq }))
                        .await;
                }
                other => return other,
            }
        }
    }

    pub(super) async fn next_raw(&mut self) -> Option<FromWorker> {
        let next = timeout(SOON, self.from.message()).await;
        let message = next.expect("the worker must say something").ok()??;
        message.message
    }

    pub(super) async fn hello(&mut self) -> v1::Hello {
        match self.next().await {
            FromWorker::Hello(hello) => hello,
            other => panic!("a greeting was expected, not {other:?}"),
        }
    }

    pub(super) async fn welcome(&self, lease_ms: u64) {
        self.say(ToWorker::Welcome(v1::Welcome {
            instance: "isc".into(),
            lease_ms,
            heartbeat_interval_ms: lease_ms / 3,
            limits: None,
            stop: vec![],
        }))
        .await;
    }

    pub(super) async fn outcome(&mut self) -> v1::outcome::Outcome {
        loop {
            match self.next().await {
                FromWorker::Outcome(outcome) => return outcome.outcome.unwrap(),
                FromWorker::Progress(_) => {}
                other => panic!("an outcome was expected, not {other:?}"),
            }
        }
    }

    /// Takes the claim of `uid` and grants it.
    pub(super) async fn grant(&mut self, uid: &str, service: &str) {
        match self.next().await {
            FromWorker::Claim(claim) => assert_eq!(claim.id, Some(wire_id(uid))),
            other => panic!("a claim was expected, not {other:?}"),
        }
        self.say(ToWorker::Assignment(v1::Assignment {
            id: Some(wire_id(uid)),
            service: service.into(),
            timeout_ms: 60_000,
            result_max_bytes: 1000,
            ..v1::Assignment::default()
        }))
        .await;
    }
}

pub(super) fn wire_id(uid: &str) -> v1::AttemptId {
    v1::AttemptId {
        uid: uid.into(),
        attempt: 1,
    }
}

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
            watcher: Watcher::parse(&format!("http://{address}")).unwrap(),
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
        let agent = agent(till, may_greet, part, Jobs::new(executors(), reports));
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

pub(super) async fn serve(
    tasks: &mut JoinSet<&'static str>,
    streams: mpsc::Sender<Stream>,
    standby: bool,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let workers = WorkersServer::new(Scripted { streams, standby });
    let server = tonic::transport::Server::builder().add_service(workers);
    let incoming = TcpListenerStream::new(listener);
    tasks.spawn(async move {
        server.serve_with_incoming(incoming).await.unwrap();
        "server"
    });
    address
}
