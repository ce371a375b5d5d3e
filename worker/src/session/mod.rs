//! The session: one gRPC stream to the leading watcher, greeted again for ever.
//!
//! This task only connects and carries messages; what they mean is the agent's business. All addresses
//! of all watchers' names are tried, since only the leader answers and a standby says UNAVAILABLE.

mod explained;
mod outbox;
mod watcher;

use std::time::Duration;

use isc_proto::{MESSAGE_MAX_BYTES, v1};
use isc_runtime::{admin::Part, nag::Nag};
use rand::RngExt as _;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

use explained::Why;
pub(crate) use outbox::Outbox;
use watcher::Address;
pub(crate) use watcher::{Watcher, WatcherError};

/// How long the watcher may take to answer a greeting: one that stands still accepts connections.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Bounds of the pause between two rounds. The longest: another leader must be found while the lease lasts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// A stream that lived this long ends an outage.
const STABLE: Duration = Duration::from_secs(1);

/// What the session tells the agent, in order.
#[derive(Debug)]
pub(crate) enum FromSession {
    /// A stream is about to be opened. The agent puts its greeting into the outbox; it ends the stream
    /// by cancelling the token or dropping the outbox.
    Opening {
        outbox: Outbox,
        stream: CancellationToken,
    },
    /// The watcher said something.
    Message(Box<v1::WatcherMessage>),
    /// The stream is over.
    Closed,
}

/// What a session task needs.
pub(crate) struct Session {
    pub(crate) watcher: Watcher,
    pub(crate) agent: mpsc::Sender<FromSession>,
    /// Whether the agent may greet.
    pub(crate) may_greet: watch::Receiver<bool>,
    pub(crate) part: Part,
    /// When the last stream was.
    pub(crate) welcomed: Option<Instant>,
}

/// Why a stream ended or never was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("{0}")]
    Watcher(#[from] WatcherError),
    #[error("{address}: no answer to the greeting within {} s", GREETING_TIMEOUT.as_secs())]
    Silent { address: String },
    #[error("{address}: {} ({code:?})", if message.is_empty() { "refused" } else { message })]
    Status {
        address: String,
        code: Code,
        message: String,
    },
    #[error("{address}: the stream has ended")]
    Ended { address: String },
    #[error("the agent has ended")]
    Agent,
}

// === impl Session ===

impl Session {
    /// Runs until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut outage = Instant::now();
        let mut nag = Nag::new("the watcher");
        while !shutdown.is_cancelled() {
            let round = shutdown.run_until_cancelled(self.round(&mut nag)).await;
            let Some(trouble) = round else { break };
            self.part.not_ready(&trouble.to_string());
            nag.trouble(&trouble.to_string());
            let lived = self
                .welcomed
                .take()
                .is_some_and(|at| at.elapsed() >= STABLE);
            if lived {
                outage = Instant::now();
            }
            let pause = tokio::time::sleep(pause(outage.elapsed()));
            shutdown.run_until_cancelled(pause).await;
        }
    }

    pub(crate) async fn round(&mut self, nag: &mut Nag) -> StreamError {
        match self.watcher.resolve().await {
            Ok(addresses) => self.try_all(addresses, nag).await,
            Err(error) => error.into(),
        }
    }

    /// Tries every address once; the first that answers is followed to its stream's end.
    async fn try_all(&mut self, addresses: Vec<Address>, nag: &mut Nag) -> StreamError {
        let mut trouble = None;
        for address in addresses {
            match self.stream(&address, nag).await {
                // The first trouble that is more than "I am a standby" is what people need to see.
                Err(error) if trouble.is_none() || !error.is_standby() => trouble = Some(error),
                Err(_) => {}
                Ok(ended) => return ended,
            }
        }
        trouble.unwrap_or(StreamError::Ended {
            address: self.watcher.to_string(),
        })
    }

    /// One stream. `Ok` when it was welcomed and has ended since, with the reason.
    async fn stream(
        &mut self,
        address: &Address,
        nag: &mut Nag,
    ) -> Result<StreamError, StreamError> {
        let why = Why::default();
        let mut client = address.connect(&why).await?;
        let address = address.at;
        let may_greet = self.may_greet.wait_for(|may| *may).await;
        drop(may_greet.map_err(|_| StreamError::Agent)?);
        let (outbox, requests) = outbox::pair();
        let stream = CancellationToken::new();
        self.tell(FromSession::Opening {
            outbox,
            stream: stream.clone(),
        })
        .await?;
        let opened = timeout(GREETING_TIMEOUT, async {
            let mut answers = client.session(requests).await?.into_inner();
            let first = answers.message().await?;
            Ok((answers, first))
        });
        let ended = match stream.run_until_cancelled(opened).await {
            Some(Ok(Ok((answers, Some(first))))) => {
                nag.well();
                self.welcomed = Some(Instant::now());
                Ok(self
                    .follow(&address.to_string(), answers, first, &stream)
                    .await)
            }
            Some(Ok(Err(status))) => {
                let error = status_error(&address.to_string(), &status);
                Err(error.because(why.get()))
            }
            Some(Err(_)) => Err(StreamError::Silent {
                address: address.to_string(),
            }),
            Some(Ok(Ok((_, None)))) | None => Err(StreamError::Ended {
                address: address.to_string(),
            }),
        };
        self.tell(FromSession::Closed).await?;
        ended
    }

    async fn follow(
        &self,
        address: &str,
        mut answers: Streaming<v1::WatcherMessage>,
        first: v1::WatcherMessage,
        stream: &CancellationToken,
    ) -> StreamError {
        let mut next = first;
        loop {
            if let Err(gone) = self.tell(FromSession::Message(Box::new(next))).await {
                return gone;
            }
            next = match stream.run_until_cancelled(answers.message()).await {
                Some(Ok(Some(message))) => message,
                Some(Err(status)) => return status_error(address, &status),
                Some(Ok(None)) | None => {
                    return StreamError::Ended {
                        address: address.to_owned(),
                    };
                }
            };
        }
    }

    async fn tell(&self, what: FromSession) -> Result<(), StreamError> {
        self.agent.send(what).await.map_err(|_| StreamError::Agent)
    }
}

/// A quarter of the outage so far at the most, so that a short one is hardly longer for it and a long one
/// costs few tries; any part of that, so that not all workers come at once.
fn pause(outage: Duration) -> Duration {
    let most = (outage / 4).clamp(PAUSES.0, PAUSES.1);
    // Never below a tenth, so that small draws cannot become a busy loop.
    most.mul_f64(rand::rng().random_range(0.1..=1.0))
}

// === impl StreamError ===

impl StreamError {
    /// With the words of the connection below, where it has some.
    fn because(self, why: Option<&String>) -> Self {
        match (self, why) {
            (Self::Status { address, code, .. }, Some(why)) => Self::Status {
                address,
                code,
                message: why.clone(),
            },
            (other, _) => other,
        }
    }

    fn is_standby(&self) -> bool {
        matches!(
            self,
            Self::Status {
                code: Code::Unavailable,
                ..
            }
        )
    }
}

fn status_error(address: &str, status: &tonic::Status) -> StreamError {
    StreamError::Status {
        address: address.to_owned(),
        code: status.code(),
        message: status.message().to_owned(),
    }
}

/// The client of one address, with explicit limits.
fn client(channel: tonic::transport::Channel) -> Client {
    v1::workers_client::WorkersClient::new(channel)
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES)
}

type Client = v1::workers_client::WorkersClient<tonic::transport::Channel>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_quarter_of_the_outage_at_most_within_its_bounds() {
        for (outage, most) in [(0, 200), (1_000, 250), (4_000, 1_000), (3_600_000, 3_000)] {
            let most = Duration::from_millis(most);
            for _ in 0..100 {
                let pause = pause(Duration::from_millis(outage));
                assert!(
                    pause <= most && pause >= most / 10,
                    "{outage} ms: {pause:?}"
                );
            }
        }
    }
}
