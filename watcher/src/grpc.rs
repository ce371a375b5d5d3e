//! The gRPC edge: one stream per worker, its messages turned into events and back.
//!
//! Whoever reaches the port is a worker, so what comes is checked, paced and counted before it is believed.

mod allowed;
mod pace;

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use isc_core::{
    engine::{Event, Hello},
    ids::SessionId,
};
use isc_proto::{
    MESSAGE_MAX_BYTES,
    v1::{
        WatcherMessage, WorkerMessage,
        workers_server::{Workers, WorkersServer},
    },
};
use isc_runtime::tls::Certificate;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::{Code, Request, Response, Status, Streaming, transport::Server};

use crate::{convert, engine::Input, metrics::Metrics, tls::Listening};
pub(crate) use allowed::Allowed;
use pace::{Beats, Door};

/// Messages that wait for a worker. A worker that is so far behind is better greeted anew.
const QUEUE: usize = 1024;
/// A stream that does not greet in time is closed.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 pings find a dead peer behind a quiet connection.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Streams of one connection: a worker has one, and a second one while it greets anew.
const STREAMS: u32 = 8;

/// What a worker's stream carries, or how it ends.
pub(crate) type Outgoing = Result<WatcherMessage, Status>;

/// Where workers' words go: everything, and heartbeats.
pub(crate) type Ears = (mpsc::Sender<Input>, mpsc::Sender<Event>);

/// The `Workers` service.
pub(crate) struct Service {
    /// Empty while another watcher leads.
    ears: Arc<OnceLock<Ears>>,
    allowed: watch::Receiver<Arc<Allowed>>,
    next: AtomicU64,
    door: Door,
    metrics: Arc<Metrics>,
    readers: TaskTracker,
    stop: CancellationToken,
}

/// The stream to a worker. The engine holds the only lasting sender: dropping it ends the stream.
pub(crate) struct SessionStream {
    messages: mpsc::Receiver<Outgoing>,
    _reader_ends_with_it: DropGuard,
}

/// Reads one worker's stream.
struct Reader {
    session: SessionId,
    allowed: watch::Receiver<Arc<Allowed>>,
    /// None where there is no TLS.
    certificate: Option<Certificate>,
    inputs: mpsc::Sender<Input>,
    beats: mpsc::Sender<Event>,
    metrics: Arc<Metrics>,
}

/// Why a stream is not read any further: for its worker, and the label that counts it. Without a label it
/// ended by itself.
struct Refused(Status, Option<&'static str>);

// === impl Service ===

impl Service {
    /// A service that feeds the engine once there is one; it ends when `stop` is cancelled.
    #[must_use]
    pub(crate) fn new(
        ears: Arc<OnceLock<Ears>>,
        allowed: watch::Receiver<Arc<Allowed>>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            ears,
            allowed,
            next: AtomicU64::new(1),
            door: Door::default(),
            metrics,
            readers: TaskTracker::new(),
            stop,
        }
    }

    /// Serves until cancelled.
    ///
    /// # Errors
    /// When the listener fails.
    pub(crate) async fn serve(self, door: Listening) -> Result<(), tonic::transport::Error> {
        let (stop, readers) = (self.stop.clone(), self.readers.clone());
        let service = WorkersServer::new(self)
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES);
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .max_concurrent_streams(Some(STREAMS))
            .add_service(service);
        let ended = door.serve(server, stop).await;
        readers.close();
        readers.wait().await;
        ended
    }
}

#[tonic::async_trait]
impl Workers for Service {
    type SessionStream = SessionStream;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let Some((inputs, beats)) = self.ears.get().cloned() else {
            return Err(Status::unavailable(
                "this watcher stands by while another one leads: try the next address",
            ));
        };
        let from = request.remote_addr().map(|address| address.ip());
        if from.is_some_and(|from| !self.door.lets_in(from, Instant::now())) {
            self.metrics.stream_refused("too_many_streams");
            return Err(Status::resource_exhausted(
                "too many streams from this address: greet again in some seconds",
            ));
        }
        let certificate = certificate(&request)?;
        let session = SessionId(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, messages) = mpsc::channel(QUEUE);
        let ended = self.stop.child_token();
        let stream = SessionStream {
            messages,
            _reader_ends_with_it: ended.clone().drop_guard(),
        };
        let reader = Reader {
            session,
            allowed: self.allowed.clone(),
            certificate,
            inputs,
            beats,
            metrics: self.metrics.clone(),
        };
        self.readers
            .spawn(reader.run(request.into_inner(), sender, ended));
        Ok(Response::new(stream))
    }
}

// === impl SessionStream ===

impl Stream for SessionStream {
    type Item = Outgoing;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        self.messages.poll_recv(cx)
    }
}

// === impl Reader ===

impl Reader {
    async fn run(
        self,
        messages: Streaming<WorkerMessage>,
        sender: mpsc::Sender<Outgoing>,
        ended: CancellationToken,
    ) {
        let weak = sender.downgrade();
        let read = ended.run_until_cancelled(self.read(messages, sender)).await;
        if let Some(Err(Refused(status, why))) = read {
            if let Some(why) = why {
                self.metrics.stream_refused(why);
            }
            tracing::warn!(
                session = self.session.0,
                "a worker's stream ended: {}",
                status.message()
            );
            if let Some(sender) = weak.upgrade() {
                // Only fails when the peer is gone or far behind.
                let _gone = sender.try_send(Err(status));
            }
        }
        // Only fails when the engine has ended.
        let _ended = self
            .inputs
            .send(Input::Event(Event::SessionClosed(self.session)))
            .await;
    }

    async fn read(
        &self,
        mut messages: Streaming<WorkerMessage>,
        sender: mpsc::Sender<Outgoing>,
    ) -> Result<(), Refused> {
        let hello = match hello(&mut messages).await {
            Ok(Some(hello)) => hello,
            Ok(None) => return Ok(()),
            Err(refused) => {
                // No engine will: it has not heard of this stream.
                let _gone = sender.try_send(Err(refused.0.clone()));
                return Err(refused);
            }
        };
        if let Err(refused) = self.judge(&hello) {
            let _gone = sender.try_send(Err(refused.0.clone()));
            return Err(refused);
        }
        tracing::info!(
            session = self.session.0, worker = %hello.holder.worker, slots = hello.slots,
            running = hello.running.len(), "a worker greeted"
        );
        let said = hello.clone();
        self.feed(Input::Open(self.session, hello, sender)).await?;
        tokio::select! {
            ended = self.hear(messages) => ended,
            refused = self.until_refused(&said) => Err(refused),
        }
    }

    /// Whether this worker may be what it says.
    fn judge(&self, hello: &Hello) -> Result<(), Refused> {
        let names = self
            .certificate
            .as_ref()
            .map_or(&[][..], Certificate::names);
        let judged = self.allowed.borrow().judge(names, hello);
        judged.map_err(|why| Refused(Status::permission_denied(why), Some("not_allowed")))
    }

    /// Waits for new rules that shut this worker out, or for the end of its certificate.
    async fn until_refused(&self, hello: &Hello) -> Refused {
        let mut allowed = self.allowed.clone();
        let rules = async {
            while allowed.changed().await.is_ok() {
                if let Err(refused) = self.judge(hello) {
                    return refused;
                }
            }
            std::future::pending().await
        };
        let end = async {
            match &self.certificate {
                None => std::future::pending().await,
                Some(certificate) => tokio::time::sleep(certificate.lasts()).await,
            }
            let ended =
                "this worker's certificate has ended: it greets anew with what is in its files";
            Refused(Status::unauthenticated(ended), Some("certificate_ended"))
        };
        tokio::select! {
            refused = rules => refused,
            refused = end => refused,
        }
    }

    async fn hear(&self, mut messages: Streaming<WorkerMessage>) -> Result<(), Refused> {
        let mut beats = Beats::new(Instant::now());
        while let Some(message) = messages.message().await? {
            let event = convert::event(self.session, message).map_err(|error| {
                let status = Status::invalid_argument(error.to_string());
                Refused(status, Some(error.reason()))
            })?;
            match event {
                Event::Heartbeat { .. } => {
                    self.hold_back(&mut beats).await;
                    self.beats.send(event).await.map_err(|_| shutting_down())?;
                }
                event => self.feed(Input::Event(event)).await?,
            }
        }
        Ok(())
    }

    /// A stream with more heartbeats than any worker has is read slowly; what it sends waits with it.
    async fn hold_back(&self, beats: &mut Beats) {
        while let Some(pause) = beats.pause(Instant::now()) {
            self.metrics.stream_refused("too_fast");
            tokio::time::sleep(pause).await;
        }
    }

    async fn feed(&self, input: Input) -> Result<(), Refused> {
        self.inputs.send(input).await.map_err(|_| shutting_down())
    }
}

/// The certificate that the peer has shown; none where there is no TLS.
fn certificate(request: &Request<Streaming<WorkerMessage>>) -> Result<Option<Certificate>, Status> {
    let shown = request.peer_certs();
    let leaf = shown.as_ref().and_then(|certificates| certificates.first());
    let read = leaf.map(Certificate::read).transpose();
    read.map_err(|why| Status::unauthenticated(format!("the file {why}")))
}

/// The first message; none when the stream ends instead.
async fn hello(messages: &mut Streaming<WorkerMessage>) -> Result<Option<Hello>, Refused> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, messages.message()).await;
    let silent = Status::deadline_exceeded("no Hello in time");
    let first = first.map_err(|_| Refused(silent, Some("no_hello")))??;
    first.map(convert::hello).transpose().map_err(|error| {
        let status = Status::failed_precondition(error.to_string());
        Refused(status, Some(error.reason()))
    })
}

// === impl Refused ===

impl From<Status> for Refused {
    /// What the transport says: a message that is too large, or that is none, is the worker's doing;
    /// anything else is a stream that broke.
    fn from(status: Status) -> Self {
        let why = match status.code() {
            Code::OutOfRange => Some("too_large"),
            Code::Internal if is_undecodable(&status) => Some("undecodable"),
            _ => None,
        };
        Self(status, why)
    }
}

/// HTTP/2's own errors are Internal too, but have a source.
fn is_undecodable(status: &Status) -> bool {
    std::error::Error::source(status).is_none()
}

fn shutting_down() -> Refused {
    Refused(Status::unavailable("the watcher is shutting down"), None)
}
