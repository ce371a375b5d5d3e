//! A job's first process, the leader of its group: started under the warden's eyes, reaped last.
//!
//! As long as it is not reaped its number is no other process's, so the group can be signalled safely.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdStream, process::ExitStatusExt as _},
    },
    process::ExitStatus,
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, ChildStderr, ChildStdout, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::warden::{GroupId, Refused, Warden};

/// A program on a slow disk may take its time to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);

/// A process group whose leader was not reaped. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Leader {
    /// `None` once it was reaped or handed over to be.
    child: Option<Child>,
    group: GroupId,
    /// Comes whenever some child of this process has ended.
    news: tokio::signal::unix::Signal,
    warden: Warden,
    /// Cancelled when the warden that watched the group is lost.
    unwatched: CancellationToken,
}

/// Behind it the shim waits.
#[derive(Debug)]
pub(super) struct Gate(UnixStream);

/// Why a job did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The program's own fault, or the machine's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nobody would have watched it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// How a leader ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    pub(super) status: ExitStatus,
    /// Killed because the lease ended or the warden was lost.
    pub(super) unwanted: bool,
}

// === impl Gate ===

impl Gate {
    /// Resolves when the program has begun, or with the reason why it cannot.
    async fn open(mut self) -> io::Result<()> {
        self.0.write_all(b"!").await?;
        let mut trouble = String::new();
        self.0.read_to_string(&mut trouble).await?;
        match trouble.parse() {
            Ok(number) => Err(io::Error::from_raw_os_error(number)),
            Err(_) => Ok(()),
        }
    }
}

// === impl Leader ===

impl Leader {
    /// Starts the shim and has its group watched. The job's own program begins with [`Leader::begin`].
    ///
    /// # Cancellation
    /// Dropping the future kills what was started.
    pub(super) async fn prepare(
        mut command: Command,
        warden: &Warden,
        mark: String,
    ) -> Result<(Self, Gate), StartError> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let gate = Gate(UnixStream::from_std(ours)?);
        // Before the start, so that no end is missed.
        let news = signal(SignalKind::child())?;
        let child = command.stdin(OwnedFd::from(theirs)).spawn()?;
        // It keeps a copy of their end, and the gate must be seen to close.
        drop(command);
        let mut leader = Self::of(child, news, warden)?;
        leader.unwatched = warden.watch(leader.group, mark).await?;
        Ok((leader, gate))
    }

    /// Lets the shim become the job's program.
    pub(super) async fn begin(self, gate: Gate) -> Result<Self, StartError> {
        let begun = timeout(BEGIN_LIMIT, gate.open()).await;
        begun.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(self)
    }

    fn of(child: Child, news: tokio::signal::unix::Signal, warden: &Warden) -> io::Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = id.and_then(GroupId::new);
        let group = group.ok_or_else(|| io::Error::other("a process without a number"))?;
        Ok(Self {
            child: Some(child),
            group,
            news,
            warden: warden.clone(),
            unwatched: CancellationToken::new(),
        })
    }

    pub(super) fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        let child = self.child.as_mut();
        child.map_or((None, None), |c| (c.stdout.take(), c.stderr.take()))
    }

    pub(super) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        // An error says that nobody is left in the group.
        let _nobody = killpg(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.group.get())
    }

    /// Resolves when the leader has ended; unlike a wait it does not reap. Cancellation safe.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        while waitid(Id::Pid(self.pid()), look)? == WaitStatus::StillAlive {
            if self.news.recv().await.is_none() {
                return Err(io::Error::other("no more signals"));
            }
        }
        Ok(())
    }

    /// Cancelled when the warden that watches the group is lost.
    pub(super) fn unwatched(&self) -> CancellationToken {
        self.unwatched.clone()
    }

    /// Reaps a leader that has [`Leader::ended`], after the warden has forgotten the group.
    pub(super) async fn reap(mut self) -> io::Result<Death> {
        let killed = if self.unwatched.is_cancelled() {
            true
        } else {
            // A warden that is gone by now watches nothing any more.
            self.warden.forget(self.group).await.unwrap_or(true)
        };
        let mut child = self
            .child
            .take()
            .expect("it is taken only here and on drop");
        let status = child.wait().await?;
        let unwanted = killed && status.signal() == Some(Signal::SIGKILL as i32);
        Ok(Death { status, unwanted })
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.kill();
            self.warden.bury(self.group, child);
        }
    }
}
