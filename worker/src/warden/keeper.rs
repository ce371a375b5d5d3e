//! The worker's side of the warden: starts it, hands orders on, notices its end, starts another.

use std::{
    collections::VecDeque,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    process::Stdio,
    time::Duration,
};

use isc_runtime::{backoff::Backoff, clock, nag::Nag};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    WARDEN,
    handle::{Asked, Refused, Request, Warden},
    holds::Holds,
    program,
    words::{Answer, Order},
};

/// A job is added and taken back once, and a worker has at most 1024 of them.
const REQUESTS_MAX: usize = 4096;
/// How long the warden may take to start, to answer and to take a line,
const LIMIT: Duration = Duration::from_secs(5);
/// and how long to end once the socket is closed.
const END_LIMIT: Duration = Duration::from_secs(1);
/// A warden that lived this long starts the back-off over.
const STABLE: Duration = Duration::from_secs(10);

/// Keeps a warden at work.
#[derive(Debug)]
pub(crate) struct Keeper {
    requests: mpsc::Receiver<Request>,
    lease: watch::Receiver<Duration>,
}

/// Why there is no warden any more.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("it cannot be started: {0}")]
    Start(io::Error),
    #[error(
        "the program did not become a warden; one that uses this crate calls isc_worker::helper() first in main"
    )]
    Mute,
    #[error("it has ended")]
    Ended,
    #[error("it does not answer")]
    Silent,
    #[error("it said `{0}`, which is no answer")]
    Babble(String),
}

/// One warden.
struct Serving {
    child: Child,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// What was asked, oldest first; all is answered in order.
    asked: VecDeque<(Instant, Pending)>,
    holds: Holds,
    /// Cancelled with the warden's end.
    lost: CancellationToken,
}

/// What an answer is for.
enum Pending {
    Nothing,
    Add(Asked),
    Hold(Asked),
    Remove(Option<Child>, Option<oneshot::Sender<bool>>),
}

/// The handle and the task.
pub(crate) fn pair() -> (Warden, Keeper) {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let (end, lease) = watch::channel(Duration::ZERO);
    (Warden::new(sender, end), Keeper { requests, lease })
}

// === impl Keeper ===

impl Keeper {
    /// Runs until `over`; the warden ends with it.
    pub(crate) async fn run(mut self, over: CancellationToken) {
        let mut backoff = Backoff::network();
        let mut nag = Nag::new("the warden");
        while !over.is_cancelled() {
            let since = Instant::now();
            let trouble = match over.run_until_cancelled(Serving::start()).await {
                None => break,
                Some(Err(trouble)) => trouble,
                Some(Ok(mut serving)) => {
                    nag.well();
                    let served = over.run_until_cancelled(serving.serve(&mut self)).await;
                    serving.end().await;
                    let Some(Err(trouble)) = served else { break };
                    tracing::error!("the warden is lost, the jobs that it watched stop: {trouble}");
                    trouble
                }
            };
            nag.trouble(&trouble.to_string());
            if since.elapsed() >= STABLE {
                backoff.reset();
            }
            let pause = tokio::time::sleep(backoff.delay());
            over.run_until_cancelled(pause).await;
        }
    }
}

// === impl Serving ===

impl Serving {
    async fn start() -> Result<Self, Trouble> {
        let (ours, theirs) = StdStream::pair().map_err(Trouble::Start)?;
        ours.set_nonblocking(true).map_err(Trouble::Start)?;
        let (reader, writer) = UnixStream::from_std(ours)
            .map_err(Trouble::Start)?
            .into_split();
        let mut child = spawn(theirs.into()).map_err(Trouble::Start)?;
        let mut lines = BufReader::new(reader).lines();
        let first = timeout(LIMIT, lines.next_line()).await;
        let ready =
            matches!(first, Ok(Ok(Some(line))) if Answer::parse(&line) == Some(Answer::Ready));
        if !ready {
            // Whatever it is, it is none of ours.
            let _ended = child.start_kill();
            return Err(Trouble::Mute);
        }
        tracing::info!(pid = child.id(), "the warden watches");
        Ok(Self {
            child,
            lines,
            writer,
            asked: VecDeque::new(),
            holds: Holds::default(),
            lost: CancellationToken::new(),
        })
    }

    /// Serves until something is wrong, or until nobody can ask any more.
    async fn serve(&mut self, keeper: &mut Keeper) -> Result<(), Trouble> {
        let _lost = self.lost.clone().drop_guard();
        keeper.lease.mark_changed();
        loop {
            let overdue = self.asked.front().map(|(since, _)| *since + LIMIT);
            tokio::select! {
                biased;
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => self.answered(&line).await?,
                    Ok(None) | Err(_) => return Err(Trouble::Ended),
                },
                () = until(overdue) => return Err(Trouble::Silent),
                // Ahead of the requests: what is asked for may depend on a lease that was just renewed.
                Ok(()) = keeper.lease.changed() => {
                    let end = *keeper.lease.borrow_and_update();
                    self.say(&Order::Until(end), Pending::Nothing).await?;
                }
                request = keeper.requests.recv() => match request {
                    Some(request) => {
                        let lease = *keeper.lease.borrow();
                        self.hand_on(request, lease).await?;
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    async fn hand_on(&mut self, request: Request, lease: Duration) -> Result<(), Trouble> {
        let (order, pending) = match request {
            Request::Add {
                group,
                mark,
                answer,
            } => (Order::Add { group, mark }, Pending::Add(answer)),
            Request::Remove {
                group,
                corpse,
                answer,
            } => (Order::Remove { group }, Pending::Remove(corpse, answer)),
            Request::Hold { answer } => return self.hold(answer, lease).await,
            Request::Release { lost } if lost.is_cancelled() => return Ok(()),
            Request::Release { .. } => return self.release().await,
        };
        self.say(&order, pending).await
    }

    /// One hold at the warden is enough for all jobs of this process: it is asked for the first alone, which
    /// saves two ways to another process for each of many short jobs. Once the lease has ended, the warden says so.
    async fn hold(&mut self, answer: Asked, lease: Duration) -> Result<(), Trouble> {
        if clock::now() >= lease || !self.holds.are_there() {
            return self.say(&Order::Hold, Pending::Hold(answer)).await;
        }
        if answer.send(Ok(self.lost.clone())).is_ok() {
            self.holds.add_here();
        }
        Ok(())
    }

    async fn release(&mut self) -> Result<(), Trouble> {
        if self.holds.remove() {
            self.say(&Order::Release, Pending::Nothing).await?;
        }
        Ok(())
    }

    async fn say(&mut self, order: &Order, pending: Pending) -> Result<(), Trouble> {
        self.asked.push_back((Instant::now(), pending));
        let line = order.to_line();
        match timeout(LIMIT, self.writer.write_all(line.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Trouble::Ended),
            Err(_) => Err(Trouble::Silent),
        }
    }

    async fn answered(&mut self, line: &str) -> Result<(), Trouble> {
        let babble = || Trouble::Babble(line.to_owned());
        let answer = Answer::parse(line).ok_or_else(babble)?;
        let (_, pending) = self.asked.pop_front().ok_or_else(babble)?;
        // Whoever does not wait any more has given the job up; its group is taken back next.
        match pending {
            Pending::Nothing => {}
            Pending::Add(asked) => {
                let _gone = asked.send(match answer {
                    Answer::Ok => Ok(self.lost.clone()),
                    _ => Err(Refused::Late),
                });
            }
            Pending::Hold(asked) if answer == Answer::Ok => {
                self.holds.add_there();
                if asked.send(Ok(self.lost.clone())).is_err() {
                    self.release().await?;
                }
            }
            Pending::Hold(asked) => drop(asked.send(Err(Refused::Late))),
            Pending::Remove(corpse, asked) => {
                drop(corpse);
                let _gone = asked.map(|asked| asked.send(answer == Answer::Killed));
            }
        }
        Ok(())
    }

    /// Ends the warden, which notices by itself, and is killed when it does not.
    async fn end(self) {
        let Self {
            mut child,
            lines,
            writer,
            ..
        } = self;
        drop((lines, writer));
        if timeout(END_LIMIT, child.wait()).await.is_err() {
            let _ended = child.kill().await;
        }
    }
}

/// Its end of the socket is the standard input. It is not killed with its handle: when the worker goes, it
/// has work to do.
fn spawn(socket: OwnedFd) -> io::Result<Child> {
    Command::new(program())
        .arg0("isc-worker")
        .arg(WARDEN)
        .env_clear()
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
