//! The life of one job's process.

use std::{io, process::ExitStatus, time::Duration};

use isc_proto::v1::FailureClass;
use tokio::time::{sleep, timeout};

use super::{
    ExecExecutor,
    dir::JobDir,
    env,
    leader::{Death, Leader, StartError},
    outcome,
    progress::ProgressReader,
};
use crate::{
    executor::{Control, End, Job, Stop},
    warden::strays,
};

/// How long what is left in the pipes is read after the end; a process that got away may hold them open
/// for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Why a process ended.
enum Exit {
    /// By itself.
    Own,
    /// Its time ran out.
    TimedOut,
    /// It was told to, or its lease ended.
    Stopped,
}

// === impl ExecExecutor ===

impl ExecExecutor {
    /// Both sides of the result are the job's end; the error side only shortens the way there.
    pub(super) async fn run_job(&self, job: &Job, control: Control) -> Result<End, End> {
        let params = params(job)?;
        let parent = self.work_dir.clone();
        let dir = off_runtime(move || JobDir::create(parent.as_deref(), &params))
            .await
            .map_err(|error| start_failed("cannot make the job's directory", &error))?;
        let end = self.run_in(job, control, &dir).await;
        dir.remove().await;
        end
    }

    async fn run_in(&self, job: &Job, mut control: Control, dir: &JobDir) -> Result<End, End> {
        let mut progress = ProgressReader::open(&dir.progress())
            .map_err(|error| start_failed("cannot open the progress pipe", &error))?;
        let command = env::command((&self.exec, &self.home), job, dir);
        let preparing = Leader::prepare(command, &self.warden, dir.mark());
        let prepared = tokio::select! {
            prepared = preparing => prepared,
            _ = control.stopped_beyond(Stop::No) => return Ok(End::Stopped),
        };
        // Not given up half-way: a job that has begun is told to stop before it is killed.
        let begun = match prepared {
            Ok((leader, gate)) => leader.begin(gate).await,
            Err(error) => Err(error),
        };
        let leader = begun.map_err(|error| self.not_started(error))?;
        let (exit, status) = self
            .watch(job, control, (leader, dir), &mut progress)
            .await
            .map_err(|error| start_failed("cannot wait for the job", &error))?;
        if progress.junk_lines() > 0 {
            let lines = progress.junk_lines();
            tracing::warn!(
                uid = job.uid,
                lines,
                "lines on ISC_PROGRESS were no progress"
            );
        }
        match exit {
            // Done all the same, which only a result proves: many a program exits with 0 when it is told
            // to stop.
            Exit::Stopped if status.success() => match result(job, dir).await {
                Ok(End::Succeeded { result_json }) if !result_json.is_empty() => {
                    Ok(End::Succeeded { result_json })
                }
                _ => Ok(End::Stopped),
            },
            Exit::Stopped => Ok(End::Stopped),
            Exit::TimedOut => Ok(job.out_of_time()),
            Exit::Own if status.success() => result(job, dir).await,
            Exit::Own => Ok(outcome::failure(&self.exec, status)),
        }
    }

    /// Follows the process, its output and its progress to the end, and sees to it that nothing of the
    /// job is left.
    async fn watch(
        &self,
        job: &Job,
        control: Control,
        (mut leader, dir): (Leader, &JobDir),
        progress: &mut ProgressReader,
    ) -> io::Result<(Exit, ExitStatus)> {
        let (stdout, stderr) = leader.output();
        let mut output = std::pin::pin!(futures::future::join(
            self.output.pump(job, "stdout", stdout),
            self.output.pump(job, "stderr", stderr),
        ));
        let reports = control.reports.clone();
        let grace = Duration::from_secs(self.exec.grace_seconds);
        let mut printed = false;
        let exit = {
            let mut told = std::pin::pin!(progress.run(job, &reports));
            let mut exit = std::pin::pin!(wait(&mut leader, control, (job.limit(), grace)));
            loop {
                tokio::select! {
                    exit = &mut exit => break exit?,
                    _ = &mut output, if !printed => printed = true,
                    () = &mut told => {}
                }
            }
        };
        let Death { status, unwanted } = bury(leader, dir.mark()).await?;
        progress.finish(&dir.progress(), job, &reports).await;
        let rest = async {
            if !printed {
                output.await;
            }
        };
        if timeout(LAST_OUTPUT, rest).await.is_err() {
            tracing::warn!(
                uid = job.uid,
                service = job.service,
                "a process that left the job still holds its output open; it is let go"
            );
        }
        Ok((if unwanted { Exit::Stopped } else { exit }, status))
    }

    fn not_started(&self, error: StartError) -> End {
        match error {
            StartError::Io(error) => start_failed(&self.program(), &error),
            // Nobody would end it with its lease: some other worker may run it.
            StartError::Refused(why) => {
                tracing::warn!("a job was not started: {why}");
                End::Stopped
            }
        }
    }

    fn program(&self) -> String {
        let program = self.exec.command.first();
        format!("cannot start `{}`", program.map_or("", String::as_str))
    }
}

/// Waits for the leader to end, unreaped; a timeout, a stop or the loss of its warden makes it.
async fn wait(
    leader: &mut Leader,
    mut control: Control,
    (limit, grace): (Duration, Duration),
) -> io::Result<Exit> {
    let unwatched = leader.unwatched();
    let (reason, stop) = tokio::select! {
        biased;
        ended = leader.ended() => return ended.map(|()| Exit::Own),
        stop = control.stopped_beyond(Stop::No) => (Exit::Stopped, stop),
        () = unwatched.cancelled() => (Exit::Stopped, Stop::Now),
        () = sleep(limit) => (Exit::TimedOut, Stop::Gently),
    };
    if stop == Stop::Gently {
        leader.terminate();
        tokio::select! {
            biased;
            ended = leader.ended() => return ended.map(|()| reason),
            _ = control.stopped_beyond(Stop::Gently) => {}
            () = unwatched.cancelled() => {}
            () = sleep(grace) => {}
        }
    }
    leader.kill();
    leader.ended().await?;
    Ok(reason)
}

/// The leader has ended; whoever is left of the job has nothing more to do.
async fn bury(leader: Leader, mark: String) -> io::Result<Death> {
    leader.kill();
    let death = leader.reap().await?;
    off_runtime(move || {
        strays::kill(&[mark]);
        Ok(())
    })
    .await?;
    Ok(death)
}

async fn result(job: &Job, dir: &JobDir) -> Result<End, End> {
    let (path, max) = (dir.result(), job.result_max);
    off_runtime(move || Ok(outcome::success(&path, max)))
        .await
        .map_err(|error| start_failed("cannot read the result", &error))
}

fn params(job: &Job) -> Result<String, End> {
    let text = if job.params_json.is_empty() {
        "{}"
    } else {
        job.params_json.as_str()
    };
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(End::failed(
            FailureClass::Invalid,
            "InvalidParams",
            "the parameters are not a JSON object",
        )),
    }
}

/// What the machine lacks at the moment may be there at the next try.
fn start_failed(what: &str, error: &io::Error) -> End {
    let class = match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::NotADirectory => FailureClass::Permanent,
        _ => FailureClass::Retryable,
    };
    End::failed(class, "StartFailed", format!("{what}: {error}"))
}

async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
