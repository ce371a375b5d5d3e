//! What waits to be sent on a stream: two lanes, and progress never goes ahead of the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::Stream;
use isc_core::{ids::AttemptId, worker_session::Progress};
use isc_proto::v1::WorkerMessage;
use tokio::sync::{Notify, mpsc};

use crate::wire;

/// Heartbeats come every few seconds, claims and outcomes are bounded by the slots: a stream that is
/// this far behind is dead, and greeting again costs nothing.
const CONTROL_MAX: usize = 4096;

/// The sending side of one stream. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct Outbox {
    control: mpsc::Sender<WorkerMessage>,
    progress: Arc<Lane>,
}

/// The stream does not take any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxFull;

/// The newest progress of each attempt.
#[derive(Debug, Default)]
struct Lane {
    newest: Mutex<BTreeMap<AttemptId, Progress>>,
    filled: Notify,
}

/// An outbox and the stream of what is put into it.
pub(super) fn pair() -> (Outbox, impl Stream<Item = WorkerMessage> + Send + 'static) {
    let (control, receiver) = mpsc::channel(CONTROL_MAX);
    let progress = Arc::new(Lane::default());
    let outbox = Outbox {
        control,
        progress: progress.clone(),
    };
    let stream = futures::stream::unfold((receiver, progress), async |(mut control, lane)| {
        let message = next(&mut control, &lane).await?;
        Some((message, (control, lane)))
    });
    (outbox, stream)
}

async fn next(control: &mut mpsc::Receiver<WorkerMessage>, lane: &Lane) -> Option<WorkerMessage> {
    loop {
        tokio::select! {
            biased;
            message = control.recv() => return message,
            () = lane.filled.notified() => {
                if let Some((id, progress)) = lane.pop() {
                    return Some(wire::progress(&id, progress));
                }
            }
        }
    }
}

// === impl Outbox ===

impl Outbox {
    /// Puts a message into the first lane.
    pub(crate) fn send(&self, message: WorkerMessage) -> Result<(), OutboxFull> {
        self.control.try_send(message).map_err(|_| OutboxFull)
    }

    /// Puts progress into the second lane, over an older one of the same attempt.
    pub(crate) fn progress(&self, id: AttemptId, progress: Progress) {
        self.progress.put(id, progress);
    }
}

// === impl Lane ===

impl Lane {
    fn put(&self, id: AttemptId, progress: Progress) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(id, progress);
        self.filled.notify_one();
    }

    fn pop(&self) -> Option<(AttemptId, Progress)> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let first = newest.pop_first();
        if !newest.is_empty() {
            self.filled.notify_one();
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use isc_core::{ids::Uid, worker_session::Message};
    use isc_proto::v1::worker_message::Message as Wire;

    use super::*;

    fn id(uid: &str) -> AttemptId {
        AttemptId {
            uid: Uid::new(uid),
            attempt: 1,
        }
    }

    #[tokio::test]
    async fn progress_waits_behind_everything_else_and_only_the_newest_goes() {
        let (outbox, stream) = pair();
        let progress = |percent| Progress {
            percent,
            message: String::new(),
        };
        outbox.progress(id("a"), progress(1));
        outbox.progress(id("a"), progress(2));
        outbox.progress(id("b"), progress(3));
        let identity = wire::Identity {
            worker: "w".into(),
            incarnation: "i".into(),
            services: vec![],
            slots: 1,
        };
        let claim = Message::Claim {
            id: id("c"),
            service: "sign".into(),
        };
        outbox.send(wire::message(claim, &identity)).unwrap();
        let mut stream = std::pin::pin!(stream);
        let first = stream.next().await.unwrap().message.unwrap();
        assert!(matches!(first, Wire::Claim(_)), "{first:?}");
        let mut percents = vec![];
        for _ in 0..2 {
            if let Some(Wire::Progress(progress)) = stream.next().await.unwrap().message {
                percents.push(progress.percent);
            }
        }
        assert_eq!(percents, [2, 3]);
        drop(outbox);
        assert!(stream.next().await.is_none());
    }
}
