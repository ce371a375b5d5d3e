//! The gRPC edge: one stream per worker, its messages turned into events and back.
//!
//! Whoever reaches the port is a worker, so what comes is checked, paced and counted before it is believed.

mod allowed;
mod pace;
mod reader;

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
use isc_core::{engine::Event, ids::SessionId};
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
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::{engine::Input, metrics::Metrics, tls::Listening};
pub(crate) use allowed::Allowed;
use pace::Door;
use reader::Reader;

/// Messages that wait for a worker. A worker that is so far behind is better greeted anew.
const QUEUE: usize = 1024;
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

/// The certificate that the peer has shown; none where there is no TLS.
fn certificate(request: &Request<Streaming<WorkerMessage>>) -> Result<Option<Certificate>, Status> {
    let shown = request.peer_certs();
    let leaf = shown.as_ref().and_then(|certificates| certificates.first());
    let read = leaf.map(Certificate::read).transpose();
    read.map_err(|why| Status::unauthenticated(format!("the file {why}")))
}
