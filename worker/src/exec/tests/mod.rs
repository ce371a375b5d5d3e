//! Real programs in real directories.

mod processes;
mod results;

use std::time::{Duration, Instant};

use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::Progress,
};
use isc_proto::v1::FailureClass;
use isc_runtime::services::{Runs, Service};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::executor::{Failure, Reports, Stop};

/// A service that runs a shell script, and what is needed to run it once.
struct Bench {
    dir: TempDir,
    warden: Warden,
    executor: ExecExecutor,
    job: Job,
}

struct Running {
    task: tokio::task::JoinHandle<End>,
    stop: watch::Sender<Stop>,
    progress: mpsc::Receiver<(AttemptId, Progress)>,
}

// === impl Bench ===

impl Bench {
    fn new(script: &str) -> Self {
        Self::with(script, "")
    }

    /// `extra` is more of the `exec` section.
    fn with(script: &str, extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("job.sh");
        std::fs::write(&path, script).unwrap();
        // The interpreter is named, so that no file that was just written has to be executable.
        let file = format!(
            "exec:\n  command: [/bin/sh, {}]\n  graceSeconds: 1\n{extra}",
            path.display()
        );
        Self::of(dir, &file)
    }

    fn of(dir: TempDir, file: &str) -> Self {
        let path = dir.path().join("test.yaml");
        std::fs::write(&path, file).unwrap();
        let service = Service::load(&path).unwrap();
        let Runs::Exec(exec) = service.runs else {
            panic!("it runs a program");
        };
        let jobs = dir.path().join("jobs");
        std::fs::create_dir(&jobs).unwrap();
        let job = Job {
            uid: "u1".into(),
            attempt: 2,
            failed: 1,
            service: service.name.clone(),
            params_json: r#"{"digest": "abc"}"#.into(),
            timeout: Duration::from_secs(30),
            left: None,
            result_max: 100,
            cluster: "c1".into(),
            namespace: "default".into(),
            name: "sign-1".into(),
            requester: "alice".into(),
            idempotency_key: "k1".into(),
            trace: None,
        };
        let (warden, keeper) = crate::warden::pair();
        warden.lease(Some(Duration::MAX));
        // It ends with the last handle.
        tokio::spawn(keeper.run(CancellationToken::new()));
        Self {
            executor: ExecExecutor::new(
                (exec, service.dir),
                Some(jobs),
                Output::Log,
                warden.clone(),
            ),
            warden,
            dir,
            job,
        }
    }

    fn start(&self) -> Running {
        let (stop, stopped) = watch::channel(Stop::No);
        let (to, progress) = mpsc::channel(64);
        let id = AttemptId {
            uid: Uid::new(&self.job.uid),
            attempt: self.job.attempt,
        };
        let control = Control {
            stop: stopped,
            reports: Reports::new(id, to),
        };
        let (executor, job) = (self.executor.clone(), self.job.clone());
        Running {
            task: tokio::spawn(async move { executor.run(job, control).await }),
            stop,
            progress,
        }
    }

    async fn run(&self) -> End {
        self.start().end().await
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// What a job wrote beside its script, once it is there and whole.
    async fn written(&self, name: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match std::fs::read_to_string(self.file(name)) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => assert!(Instant::now() < deadline, "the job never wrote {name}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn pid(&self, name: &str) -> Pid {
        Pid::from_raw(self.written(name).await.parse().unwrap())
    }

    fn is_clean(&self) -> bool {
        std::fs::read_dir(self.file("jobs"))
            .unwrap()
            .next()
            .is_none()
    }
}

impl Running {
    async fn end(self) -> End {
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("the job must end")
            .unwrap()
    }
}

/// Waits until a process is gone; a zombie that waits for its parent counts as gone.
async fn assert_dies(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let zombie = stat.rsplit(") ").next().is_some_and(|s| s.starts_with('Z'));
        if kill(pid, None) == Err(Errno::ESRCH) || zombie {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} is still alive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn failure(end: End) -> Failure {
    match end {
        End::Failed(failure) => failure,
        other => panic!("a failure was expected, not {other:?}"),
    }
}

fn succeeded(result_json: &str) -> End {
    End::Succeeded {
        result_json: result_json.into(),
    }
}
