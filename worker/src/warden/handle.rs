//! What the worker's parts ask of the warden.

use std::{sync::Arc, time::Duration};

use tokio::{
    process::Child,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::words::GroupId;

/// A warden that is lost is replaced at once; whoever waits longer than that is told that there is none.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The way to whichever warden there is. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Warden {
    requests: mpsc::Sender<Request>,
    lease: Arc<watch::Sender<Duration>>,
}

/// Why the warden does not watch something, so that it must not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the lease has ended")]
    Late,
    #[error("there is no warden")]
    Gone,
}

/// Work in the worker's own process. The warden kills the worker when the lease ends before this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    lost: CancellationToken,
    requests: mpsc::Sender<Request>,
}

/// What the keeper hands on.
#[derive(Debug)]
pub(super) enum Request {
    Add {
        group: GroupId,
        mark: String,
        answer: Asked,
    },
    /// The corpse is reaped once the warden has forgotten the group; until then no other process can
    /// have its number.
    Remove {
        group: GroupId,
        corpse: Option<Child>,
        answer: Option<oneshot::Sender<bool>>,
    },
    Hold {
        answer: Asked,
    },
    /// Means nothing to another warden than the one that took the hold.
    Release {
        lost: CancellationToken,
    },
}

/// Answered with a token that is cancelled when the warden is lost.
pub(super) type Asked = oneshot::Sender<Result<CancellationToken, Refused>>;

// === impl Warden ===

impl Warden {
    pub(super) fn new(requests: mpsc::Sender<Request>, lease: watch::Sender<Duration>) -> Self {
        let lease = Arc::new(lease);
        Self { requests, lease }
    }

    /// Tells when the lease ends; `None` when it has. It is on its way before anything that is asked for
    /// afterwards.
    pub(crate) fn lease(&self, end: Option<Duration>) {
        let end = end.unwrap_or_default();
        self.lease.send_if_modified(|known| {
            let news = *known != end;
            *known = end;
            news
        });
    }

    /// Has a process group watched. From then on its leader must not be reaped before
    /// [`Warden::forget`] or [`Warden::bury`] has taken the group back.
    ///
    /// The token is cancelled when the warden is lost, and the job's guard with it.
    pub(crate) async fn watch(
        &self,
        group: GroupId,
        mark: String,
    ) -> Result<CancellationToken, Refused> {
        self.ask(|answer| Request::Add {
            group,
            mark,
            answer,
        })
        .await
    }

    /// Says that work begins in this very process.
    pub(crate) async fn hold(&self) -> Result<Hold, Refused> {
        let lost = self.ask(|answer| Request::Hold { answer }).await?;
        let requests = self.requests.clone();
        Ok(Hold { lost, requests })
    }

    /// Takes a group back whose processes have ended; tells whether the warden had killed it.
    pub(crate) async fn forget(&self, group: GroupId) -> Result<bool, Refused> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Remove {
            group,
            corpse: None,
            answer: Some(answer),
        };
        let asked = async {
            self.requests
                .send(request)
                .await
                .map_err(|_| Refused::Gone)?;
            answered.await.map_err(|_| Refused::Gone)
        };
        timeout(ANSWER_LIMIT, asked)
            .await
            .unwrap_or(Err(Refused::Gone))
    }

    /// The same for a job that is dropped half-way: it cannot wait, so its leader is handed over.
    pub(crate) fn bury(&self, group: GroupId, corpse: Child) {
        let request = Request::Remove {
            group,
            corpse: Some(corpse),
            answer: None,
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.requests.try_send(request) {
            // There are fewer slots than places, so the warden must have been away for very long.
            tracing::error!("a job's group could not be taken back from the warden");
        }
    }

    /// A warden that agrees to everything and kills nobody.
    #[cfg(test)]
    pub(crate) fn pretended() -> Self {
        let (sender, mut requests) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Add { answer, .. } | Request::Hold { answer } => {
                        let _gone = answer.send(Ok(CancellationToken::new()));
                    }
                    Request::Remove { answer, .. } => {
                        let _gone = answer.map(|answer| answer.send(false));
                    }
                    Request::Release { .. } => {}
                }
            }
        });
        Self::new(sender, watch::Sender::default())
    }

    async fn ask(
        &self,
        request: impl FnOnce(Asked) -> Request,
    ) -> Result<CancellationToken, Refused> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let sent = self.requests.send(request(answer)).await;
            sent.map_err(|_| Refused::Gone)?;
            answered.await.unwrap_or(Err(Refused::Gone))
        };
        timeout(ANSWER_LIMIT, asked)
            .await
            .unwrap_or(Err(Refused::Gone))
    }
}

// === impl Hold ===

impl Hold {
    /// Resolves when the warden is lost; the work has to stop then.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let lost = self.lost.clone();
        let _over = self.requests.try_send(Request::Release { lost });
    }
}
