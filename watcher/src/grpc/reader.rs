//! Reads what one worker says, for as long as it may.

use std::{sync::Arc, time::Duration};

use isc_core::{
    engine::{Event, Hello},
    ids::SessionId,
};
use isc_proto::v1::WorkerMessage;
use isc_runtime::tls::Certificate;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{Allowed, Outgoing, pace::Beats};
use crate::{convert, engine::Input, metrics::Metrics};

/// A stream that does not greet in time is closed.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// The end of a certificate is looked at that often.
const LOOK: Duration = Duration::from_secs(30);

/// Reads one worker's stream.
pub(super) struct Reader {
    pub(super) session: SessionId,
    pub(super) allowed: watch::Receiver<Arc<Allowed>>,
    /// None where there is no TLS.
    pub(super) certificate: Option<Certificate>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) beats: mpsc::Sender<Event>,
    pub(super) metrics: Arc<Metrics>,
}

/// Why a stream is not read any further: for its worker, and the label that counts it. Without a label it
/// ended by itself.
struct Refused(Status, Option<&'static str>);

// === impl Reader ===

impl Reader {
    /// Reads until the stream, the worker's right to it or the watcher ends.
    pub(super) async fn run(
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
            biased;
            refused = self.until_refused(&said) => Err(refused),
            ended = self.hear(messages) => ended,
        }
    }

    /// Whether this worker may be what it says.
    fn judge(&self, hello: &Hello) -> Result<(), Refused> {
        // A connection outlives the certificate that it was opened with.
        let certificate = self.certificate.as_ref();
        if certificate.is_some_and(|certificate| certificate.lasts().is_zero()) {
            return Err(Refused(has_ended(), Some("certificate_ended")));
        }
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
                Some(certificate) => {
                    // In steps: the clock of sleeps stands still while the machine does.
                    while !certificate.lasts().is_zero() {
                        tokio::time::sleep(certificate.lasts().min(LOOK)).await;
                    }
                }
            }
            // Every worker whose certificate is renewed comes here, so it is not counted.
            Refused(has_ended(), None)
        };
        tokio::select! {
            refused = rules => refused,
            refused = end => refused,
        }
    }

    async fn hear(&self, mut messages: Streaming<WorkerMessage>) -> Result<(), Refused> {
        let mut beats = Beats::new(Instant::now());
        while let Some(message) = messages.message().await? {
            self.metrics.session_message("received");
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

fn has_ended() -> Status {
    Status::unauthenticated(
        "this worker's certificate has ended: it greets anew with what is in its files",
    )
}

fn shutting_down() -> Refused {
    Refused(Status::unavailable("the watcher is shutting down"), None)
}
