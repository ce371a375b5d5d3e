//! The agent and its real session against a scripted watcher; the test plays the broker.

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

use super::*;
use crate::{
    executor::{Control, End, Executor, Reports},
    intake,
    jobs::Executors,
    session::{Session, Watcher},
};

const SOON: Duration = Duration::from_secs(5);

// === the scripted watcher ===

/// Hands every stream to the test; a standby refuses all.
struct Scripted {
    streams: mpsc::Sender<Stream>,
    standby: bool,
}

/// The watcher's end of one stream.
struct Stream {
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
    async fn say(&self, message: ToWorker) {
        let message = Some(message);
        let sent = self.to.send(Ok(v1::WatcherMessage { message })).await;
        sent.expect("the stream lives");
    }

    /// The next message; heartbeats are acknowledged on the way and left out.
    async fn next(&mut self) -> FromWorker {
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

    async fn next_raw(&mut self) -> Option<FromWorker> {
        let next = timeout(SOON, self.from.message()).await;
        let message = next.expect("the worker must say something").ok()??;
        message.message
    }

    async fn hello(&mut self) -> v1::Hello {
        match self.next().await {
            FromWorker::Hello(hello) => hello,
            other => panic!("a greeting was expected, not {other:?}"),
        }
    }

    async fn welcome(&self, lease_ms: u64) {
        self.say(ToWorker::Welcome(v1::Welcome {
            instance: "isc".into(),
            lease_ms,
            heartbeat_interval_ms: lease_ms / 3,
            limits: None,
            stop: vec![],
        }))
        .await;
    }

    async fn outcome(&mut self) -> v1::outcome::Outcome {
        loop {
            match self.next().await {
                FromWorker::Outcome(outcome) => return outcome.outcome.unwrap(),
                FromWorker::Progress(_) => {}
                other => panic!("an outcome was expected, not {other:?}"),
            }
        }
    }

    /// Takes the claim of `uid` and grants it.
    async fn grant(&mut self, uid: &str, service: &str) {
        match self.next().await {
            FromWorker::Claim(claim) => assert_eq!(claim.id, wire_id(uid)),
            other => panic!("a claim was expected, not {other:?}"),
        }
        self.say(ToWorker::Assignment(v1::Assignment {
            id: wire_id(uid),
            service: service.into(),
            timeout_ms: 60_000,
            result_max_bytes: 1000,
            ..v1::Assignment::default()
        }))
        .await;
    }
}

fn wire_id(uid: &str) -> Option<v1::AttemptId> {
    Some(v1::AttemptId {
        uid: uid.into(),
        attempt: 1,
    })
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

struct Bench {
    streams: mpsc::Receiver<Stream>,
    tickets: mpsc::Sender<FromIntake>,
    settled: mpsc::Receiver<(TicketNo, Settlement)>,
    free: watch::Receiver<u32>,
    shutdown: CancellationToken,
    tasks: JoinSet<&'static str>,
}

impl Bench {
    async fn new() -> Self {
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
        let (till, broker) = intake::pair(topology, vec![], 2, sender, Metrics::default());
        let (settled, free, tickets) = broker.into_parts();
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
            settled,
            free,
            shutdown,
            tasks,
        }
    }

    async fn stream(&mut self) -> Stream {
        let stream = timeout(SOON, self.streams.recv()).await;
        stream.expect("the worker must come").unwrap()
    }

    /// A stream that was greeted and welcomed with a long lease.
    async fn welcomed(&mut self) -> Stream {
        let mut stream = self.stream().await;
        stream.hello().await;
        stream.welcome(30_000).await;
        self.wait_free(2).await;
        stream
    }

    async fn ticket(&self, no: u64, uid: &str) {
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

    async fn wait_free(&mut self, wanted: u32) {
        let free = timeout(SOON, self.free.wait_for(|free| *free == wanted)).await;
        free.expect("the free slots must change").unwrap();
    }

    async fn settlement(&mut self) -> (TicketNo, Settlement) {
        let settled = timeout(SOON, self.settled.recv()).await;
        settled.expect("the ticket must be settled").unwrap()
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

async fn serve(
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

// === the rules ===

#[tokio::test]
async fn a_ticket_becomes_a_job_and_its_slot_is_free_once_the_outcome_is_recorded() {
    let mut bench = Bench::new().await;
    let mut stream = bench.stream().await;
    let hello = stream.hello().await;
    assert_eq!((hello.worker.as_str(), hello.slots), ("w", 2));
    stream.welcome(30_000).await;
    bench.wait_free(2).await;
    bench.ticket(1, "a").await;
    stream.grant("a", "quick").await;
    match stream.outcome().await {
        v1::outcome::Outcome::Succeeded(done) => assert_eq!(done.result_json, r#"{"a": 1}"#),
        other => panic!("{other:?}"),
    }
    bench.wait_free(1).await;
    let id = wire_id("a");
    stream.say(ToWorker::Recorded(v1::Recorded { id })).await;
    bench.wait_free(2).await;
    assert_eq!(bench.settlement().await, (TicketNo(1), Settlement::Done));
}

#[tokio::test]
async fn an_outcome_that_nobody_recorded_is_sent_again_on_the_next_stream() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "quick").await;
    stream.outcome().await;
    drop(stream);
    let mut stream = bench.stream().await;
    let hello = stream.hello().await;
    assert_eq!(hello.outcomes, [wire_id("a").unwrap()]);
    stream.welcome(30_000).await;
    stream.outcome().await;
    let id = wire_id("a");
    stream.say(ToWorker::Stale(v1::Stale { id })).await;
    bench.wait_free(2).await;
}

#[tokio::test]
async fn a_cancelled_job_is_stopped_and_says_so() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    let (id, reason) = (wire_id("a"), "test".into());
    stream
        .say(ToWorker::Cancel(v1::Cancel { id, reason }))
        .await;
    let outcome = stream.outcome().await;
    assert!(matches!(outcome, v1::outcome::Outcome::Cancelled(_)));
}

#[tokio::test]
async fn a_job_goes_on_while_its_stream_is_away_and_the_bid_beside_it_does_not() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "runs").await;
    stream.grant("runs", "endless").await;
    bench.ticket(2, "bid").await;
    while !matches!(stream.next().await, FromWorker::Claim(_)) {}
    drop(stream);
    assert_eq!(bench.settlement().await, (TicketNo(2), Settlement::Return));
    let hello = bench.stream().await.hello().await;
    assert_eq!(hello.running, [wire_id("runs").unwrap()]);
    assert!(hello.outcomes.is_empty());
}

#[tokio::test]
async fn jobs_die_with_the_lease_and_the_next_greeting_does_not_know_them() {
    let mut bench = Bench::new().await;
    let mut stream = bench.stream().await;
    stream.hello().await;
    stream.welcome(600).await;
    bench.wait_free(2).await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    // No heartbeat is acknowledged from here on; the worker gives the stream up by itself.
    while stream.next_raw().await.is_some() {}
    let hello = bench.stream().await.hello().await;
    assert!(hello.running.is_empty() && hello.outcomes.is_empty());
}

#[tokio::test]
async fn only_the_newest_progress_is_told_and_the_last_one_always() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    let mut told = vec![];
    while told.last() != Some(&50) {
        if let FromWorker::Progress(progress) = stream.next().await {
            told.push(progress.percent);
        }
    }
    assert!(told.len() < 20, "{told:?}");
}

#[tokio::test]
async fn a_drained_worker_reports_interrupted_jobs_and_leaves_when_they_are_recorded() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    while !matches!(stream.next().await, FromWorker::Progress(_)) {}
    bench.shutdown.cancel();
    bench.wait_free(0).await;
    let draining = loop {
        if let Some(FromWorker::Heartbeat(beat)) = stream.next_raw().await {
            break beat.draining;
        }
    };
    assert!(draining);
    let outcome = stream.outcome().await;
    assert!(matches!(outcome, v1::outcome::Outcome::Interrupted(_)));
    let id = wire_id("a");
    stream.say(ToWorker::Recorded(v1::Recorded { id })).await;
    let ended = timeout(SOON, bench.tasks.join_next()).await;
    assert_eq!(
        ended.expect("the agent must end").unwrap().unwrap(),
        "agent"
    );
}

#[tokio::test]
async fn a_standby_is_passed_over() {
    let (to_test, mut streams) = mpsc::channel(8);
    let mut tasks = JoinSet::new();
    let standby = serve(&mut tasks, to_test.clone(), true).await;
    let leader = serve(&mut tasks, to_test, false).await;
    let (sender, mut heard) = mpsc::channel(64);
    let (_may, may_greet) = watch::channel(true);
    let mut session = Session {
        watcher: Watcher::parse("http://localhost:1").unwrap(),
        agent: sender,
        may_greet,
        part: Readiness::default().part("watcher"),
    };
    let trying = tokio::spawn(async move {
        let mut nag = isc_runtime::nag::Nag::new("the watcher");
        session
            .try_all(vec![standby, leader], &mut nag)
            .await
            .to_string()
    });
    // The outboxes have to live: dropping one ends its stream.
    let mut outboxes = vec![];
    let stream = loop {
        tokio::select! {
            Some(stream) = streams.recv() => break stream,
            Some(FromSession::Opening { outbox, .. }) = heard.recv() => outboxes.push(outbox),
        }
    };
    stream.welcome(1000).await;
    assert_eq!(outboxes.len(), 2);
    drop(stream);
    let ended = timeout(SOON, trying)
        .await
        .expect("the round ends")
        .unwrap();
    assert!(ended.contains(&leader.to_string()), "{ended}");
}
