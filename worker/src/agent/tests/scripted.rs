//! A scripted watcher: it hands every stream to the test, which says what the watcher says.

use std::net::SocketAddr;

use isc_proto::v1::{
    self, watcher_message::Message as ToWorker, worker_message::Message as FromWorker,
    workers_server::WorkersServer,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet, time::timeout};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::bench::SOON;

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
                FromWorker::Heartbeat(beat) => self.acknowledge(&beat).await,
                other => return other,
            }
        }
    }

    /// The next heartbeat, acknowledged; everything else is left out.
    pub(super) async fn heartbeat(&mut self) -> v1::Heartbeat {
        loop {
            let next = self.next_raw().await;
            if let FromWorker::Heartbeat(beat) = next.expect("the worker is still there") {
                self.acknowledge(&beat).await;
                return beat;
            }
        }
    }

    async fn acknowledge(&self, beat: &v1::Heartbeat) {
        let seq = beat.seq;
        self.say(ToWorker::HeartbeatAck(v1::HeartbeatAck { seq }))
            .await;
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
