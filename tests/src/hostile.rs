//! A worker that keeps to no rule but the wire's: it speaks the protocol of `docs/protocol.md` directly.

mod junk;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use isc_proto::v1::{
    self, watcher_message::Message as FromWatcher, worker_message::Message as ToWatcher,
    workers_client::WorkersClient,
};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use crate::wait;
pub use junk::junk;

/// How long the watcher may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Larger than anything that the watcher takes: its limit is what is tested.
const MESSAGE_MAX: usize = 64 << 20;

/// One stream to a watcher.
#[derive(Debug)]
pub struct Hostile {
    to: mpsc::Sender<v1::WorkerMessage>,
    from: Streaming<v1::WatcherMessage>,
    seq: u64,
}

/// What it says of itself when it greets.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The worker's name.
    pub name: String,
    /// The process.
    pub incarnation: String,
    /// What it says it runs.
    pub services: Vec<String>,
    /// How many slots it says it has.
    pub slots: u32,
    /// What it says it runs now.
    pub running: Vec<v1::AttemptId>,
}

// === impl Identity ===

impl Identity {
    /// A worker of that name with a few slots for those services.
    #[must_use]
    pub fn new(name: &str, services: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            incarnation: format!("{name}-{:08x}", rand::random::<u32>()),
            services: services.iter().map(ToString::to_string).collect(),
            slots: 4,
            running: vec![],
        }
    }

    /// Its greeting.
    #[must_use]
    pub fn hello(&self) -> v1::Hello {
        v1::Hello {
            protocol: isc_proto::PROTOCOL,
            worker: self.name.clone(),
            incarnation: self.incarnation.clone(),
            version: "hostile".into(),
            services: self.services.clone(),
            slots: self.slots,
            running: self.running.clone(),
            outcomes: vec![],
            greeting: 1,
        }
    }
}

// === impl Hostile ===

impl Hostile {
    /// Opens a stream and says nothing.
    ///
    /// # Errors
    /// When the watcher does not take it.
    pub async fn open(watcher: SocketAddr) -> Result<Self> {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{watcher}"))?;
        let channel = endpoint.connect().await?;
        Self::open_on(channel).await
    }

    /// Opens a stream on a connection that is there.
    ///
    /// # Errors
    /// When the watcher does not take it.
    pub async fn open_on(channel: tonic::transport::Channel) -> Result<Self> {
        let mut client = WorkersClient::new(channel)
            .max_encoding_message_size(MESSAGE_MAX)
            .max_decoding_message_size(MESSAGE_MAX);
        let (to, said) = mpsc::channel::<v1::WorkerMessage>(64);
        let said = futures::stream::unfold(said, async |mut said| {
            let message = said.recv().await?;
            Some((message, said))
        });
        let from = client.session(said).await?.into_inner();
        Ok(Self { to, from, seq: 0 })
    }

    /// Opens a stream, greets and is welcomed.
    ///
    /// # Errors
    /// When it is not welcomed.
    pub async fn greet(watcher: SocketAddr, identity: &Identity) -> Result<Self> {
        let mut hostile = Self::open(watcher).await?;
        hostile.say(ToWatcher::Hello(identity.hello())).await?;
        let answer = hostile.hear().await?;
        ensure!(
            matches!(answer, FromWatcher::Welcome(_)),
            "not welcomed: {answer:?}"
        );
        Ok(hostile)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the stream is over.
    pub async fn say(&self, message: ToWatcher) -> Result<()> {
        let message = v1::WorkerMessage {
            message: Some(message),
        };
        let sent = tokio::time::timeout(ANSWER_LIMIT, self.to.send(message));
        sent.await?.ok().context("the stream is over")
    }

    /// The watcher's next message.
    ///
    /// # Errors
    /// When the stream ends instead, or nothing comes.
    pub async fn hear(&mut self) -> Result<FromWatcher> {
        let next = tokio::time::timeout(ANSWER_LIMIT, self.from.message());
        let message = next.await.context("the watcher says nothing")??;
        message
            .and_then(|message| message.message)
            .context("the stream has ended")
    }

    /// How the stream ends; what comes before is passed over.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn end(&mut self) -> Result<Status> {
        let ended = tokio::time::timeout(ANSWER_LIMIT, async {
            loop {
                match self.from.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::new(Code::Ok, "ended"),
                    Err(status) => return status,
                }
            }
        });
        ended.await.context("the stream does not end")
    }

    /// Claims an attempt; the answer is an Assignment or a Refusal.
    ///
    /// # Errors
    /// When none comes.
    pub async fn claim(&mut self, uid: &str, attempt: u32, service: &str) -> Result<FromWatcher> {
        self.say(ToWatcher::Claim(v1::Claim {
            id: Some(id(uid, attempt)),
            service: service.into(),
        }))
        .await?;
        loop {
            let heard = self.hear().await?;
            if matches!(heard, FromWatcher::Assignment(_) | FromWatcher::Refusal(_)) {
                return Ok(heard);
            }
        }
    }

    /// Claims the first attempt until it has it.
    ///
    /// # Errors
    /// When it is not granted within a minute.
    pub async fn win(&mut self, uid: &str, service: &str) -> Result<v1::Assignment> {
        wait::until("a claim is granted", wait::USUAL, async || {
            match self.claim(uid, 1, service).await? {
                FromWatcher::Assignment(assignment) => Ok(assignment),
                other => bail!("{other:?}"),
            }
        })
        .await
    }

    /// Tells how far an attempt is.
    ///
    /// # Errors
    /// When the stream is over.
    pub async fn progress(&self, uid: &str, attempt: u32, message: &str) -> Result<()> {
        self.say(ToWatcher::Progress(v1::Progress {
            id: Some(id(uid, attempt)),
            percent: 4_000_000_000,
            message: message.into(),
        }))
        .await
    }

    /// Tells how an attempt ended.
    ///
    /// # Errors
    /// When the stream is over.
    pub async fn outcome(
        &self,
        uid: &str,
        attempt: u32,
        outcome: v1::outcome::Outcome,
    ) -> Result<()> {
        self.say(ToWatcher::Outcome(v1::Outcome {
            id: Some(id(uid, attempt)),
            outcome: Some(outcome),
        }))
        .await
    }

    /// Tells how an attempt ended, and waits for the answer: whether that was recorded.
    ///
    /// # Errors
    /// When none comes.
    pub async fn reports(
        &mut self,
        uid: &str,
        attempt: u32,
        outcome: v1::outcome::Outcome,
    ) -> Result<bool> {
        self.outcome(uid, attempt, outcome).await?;
        loop {
            match self.hear().await? {
                FromWatcher::Recorded(_) => return Ok(true),
                FromWatcher::Stale(_) => return Ok(false),
                _ => {}
            }
        }
    }

    /// Sends a heartbeat.
    ///
    /// # Errors
    /// When the stream is over.
    pub async fn beat(&mut self, held: Vec<v1::AttemptId>) -> Result<()> {
        self.seq += 1;
        self.say(ToWatcher::Heartbeat(v1::Heartbeat {
            seq: self.seq,
            held,
            free: u32::MAX,
            draining: false,
        }))
        .await
    }
}

/// A success with that result, JSON text.
#[must_use]
pub fn success(result_json: &str) -> v1::outcome::Outcome {
    v1::outcome::Outcome::Succeeded(v1::Succeeded {
        result_json: result_json.into(),
        artifacts: vec![],
    })
}

/// A failure that no other try mends, with that message.
#[must_use]
pub fn failure(message: &str) -> v1::outcome::Outcome {
    v1::outcome::Outcome::Failed(v1::Failed {
        class: v1::FailureClass::Permanent.into(),
        reason: "JobFailed".into(),
        message: message.into(),
    })
}

fn id(uid: &str, attempt: u32) -> v1::AttemptId {
    v1::AttemptId {
        uid: uid.into(),
        attempt,
    }
}
