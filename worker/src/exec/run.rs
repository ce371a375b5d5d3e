//! The life of one job's process.

use std::{io, process::ExitStatus, time::Duration};

use futures::FutureExt as _;
use isc_proto::v1::FailureClass;
use tokio::{
    process::Child,
    time::{sleep, timeout},
};

use super::{ExecExecutor, dir::JobDir, env, group::Group, outcome, progress::ProgressReader};
use crate::executor::{Control, End, Job, Stop};

/// How long what is left in the pipes is read after the end; a process that left the group may hold
/// them open for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Why a process ended.
enum Exit {
    /// By itself.
    Own(ExitStatus),
    /// Its time ran out.
    TimedOut,
    /// It was told to.
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

    async fn run_in(&self, job: &Job, control: Control, dir: &JobDir) -> Result<End, End> {
        let mut progress = ProgressReader::open(&dir.progress())
            .map_err(|error| start_failed("cannot open the progress pipe", &error))?;
        let mut child = env::command(&self.service, job, dir)
            .spawn()
            .map_err(|error| start_failed(&self.program(), &error))?;
        let group = Group::of(child.id());
        let exit = self
            .watch(job, control, (&mut child, &group), &mut progress)
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
            Exit::Stopped => Ok(End::Stopped),
            Exit::TimedOut => Ok(End::failed(
                FailureClass::TimedOut,
                "TimedOut",
                format!("not done within {} s", job.timeout.as_secs_f32()),
            )),
            Exit::Own(status) if status.success() => {
                let (path, max) = (dir.result(), job.result_max);
                off_runtime(move || Ok(outcome::success(&path, max)))
                    .await
                    .map_err(|error| start_failed("cannot read the result", &error))
            }
            Exit::Own(status) => Ok(outcome::failure(status)),
        }
    }

    /// Follows the process, its output and its progress to the end, and sees to it that nothing of the
    /// group is left.
    async fn watch(
        &self,
        job: &Job,
        control: Control,
        (child, group): (&mut Child, &Group),
        progress: &mut ProgressReader,
    ) -> io::Result<Exit> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut output = std::pin::pin!(futures::future::join(
            self.output.pump(job, "stdout", stdout),
            self.output.pump(job, "stderr", stderr),
        ));
        let reports = control.reports.clone();
        let grace = Duration::from_secs(self.service.file.exec.grace_seconds);
        let mut exit = std::pin::pin!(wait(child, group, control, (job.timeout, grace)));
        let mut told = std::pin::pin!(progress.run(job, &reports));
        let (exit, printed) = {
            let mut printed = false;
            loop {
                tokio::select! {
                    exit = &mut exit => break (exit?, printed),
                    _ = &mut output, if !printed => printed = true,
                    () = &mut told => {}
                }
            }
        };
        // What it reported last may still be in the pipe; the reader pends when that is empty.
        let _empty = told.as_mut().now_or_never();
        // The leader is gone; whoever is left of its group has nothing more to do.
        group.kill();
        let rest = async {
            if !printed {
                output.await;
            }
        };
        if timeout(LAST_OUTPUT, rest).await.is_err() {
            tracing::warn!(
                uid = job.uid,
                service = job.service,
                "a process that left the job's group still holds its output open; it is let go"
            );
        }
        Ok(exit)
    }

    fn program(&self) -> String {
        let program = self.service.file.exec.command.first();
        format!("cannot start `{}`", program.map_or("", String::as_str))
    }
}

/// Waits for the leader to end; a timeout or a stop makes it.
async fn wait(
    child: &mut Child,
    group: &Group,
    mut control: Control,
    (limit, grace): (Duration, Duration),
) -> io::Result<Exit> {
    let (reason, stop) = tokio::select! {
        biased;
        status = child.wait() => return Ok(Exit::Own(status?)),
        stop = control.stopped_beyond(Stop::No) => (Exit::Stopped, stop),
        () = sleep(limit) => (Exit::TimedOut, Stop::Gently),
    };
    if stop == Stop::Gently {
        group.terminate();
        tokio::select! {
            biased;
            status = child.wait() => return status.map(|_| reason),
            _ = control.stopped_beyond(Stop::Gently) => {}
            () = sleep(grace) => {}
        }
    }
    group.kill();
    child.wait().await?;
    Ok(reason)
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
        _ if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => {
            FailureClass::Permanent
        }
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
