//! Real programs in real directories.

use std::time::{Duration, Instant};

use isc_core::{
    ids::{AttemptId, Uid},
    worker_session::Progress,
};
use isc_proto::v1::FailureClass;
use isc_runtime::services::Service;
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::executor::{Failure, Reports, Stop};

/// A service that runs a shell script, and what is needed to run it once.
struct Bench {
    dir: TempDir,
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
        let jobs = dir.path().join("jobs");
        std::fs::create_dir(&jobs).unwrap();
        let job = Job {
            uid: "u1".into(),
            attempt: 2,
            failed: 1,
            service: service.name.clone(),
            params_json: r#"{"digest": "abc"}"#.into(),
            timeout: Duration::from_secs(30),
            result_max: 100,
            cluster: "c1".into(),
            namespace: "default".into(),
            name: "sign-1".into(),
            requester: "alice".into(),
            idempotency_key: "k1".into(),
        };
        Self {
            executor: ExecExecutor::new(service, Some(jobs), Output::Log),
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

#[tokio::test]
async fn a_result_file_is_the_result() {
    let bench = Bench::new(r#"printf '{"in": %s}\n' "$(cat $ISC_PARAMS)" > $ISC_RESULT"#);
    assert_eq!(bench.run().await, succeeded(r#"{"in": {"digest": "abc"}}"#));
    assert!(bench.is_clean(), "the job's directory is removed");
}

#[tokio::test]
async fn a_job_without_a_result_has_succeeded_too() {
    assert_eq!(Bench::new("exit 0").run().await, succeeded(""));
    assert_eq!(Bench::new(": > $ISC_RESULT").run().await, succeeded(""));
}

#[tokio::test]
async fn a_wrong_result_fails_with_its_reason() {
    let cases = [
        ("echo '[1]' > $ISC_RESULT", "InvalidResult"),
        ("echo 'signed: yes' > $ISC_RESULT", "InvalidResult"),
        ("printf '{\"a\": 1} {' > $ISC_RESULT", "InvalidResult"),
        ("printf '\\377' > $ISC_RESULT", "InvalidResult"),
        ("mkfifo $ISC_RESULT", "InvalidResult"),
        ("mkdir $ISC_RESULT", "InvalidResult"),
        ("ln -s /dev/zero $ISC_RESULT", "InvalidResult"),
        ("head -c 101 /dev/zero > $ISC_RESULT", "ResultTooLarge"),
        ("truncate -s 1T $ISC_RESULT", "ResultTooLarge"),
    ];
    for (script, reason) in cases {
        let failure = failure(Bench::new(script).run().await);
        assert_eq!(failure.reason, reason, "{script}");
        assert_eq!(failure.class, FailureClass::Permanent, "{script}");
    }
}

#[tokio::test]
async fn the_exit_decides_how_a_job_failed() {
    let cases = [
        (
            "exit 75",
            FailureClass::Retryable,
            "JobFailed",
            "exit code 75",
        ),
        (
            "exit 3",
            FailureClass::Permanent,
            "JobFailed",
            "exit code 3",
        ),
        (
            "kill -SEGV $$",
            FailureClass::Permanent,
            "JobKilled",
            "SIGSEGV",
        ),
    ];
    for (script, class, reason, message) in cases {
        let failure = failure(Bench::new(script).run().await);
        assert_eq!((failure.class, failure.reason), (class, reason), "{script}");
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_is_named() {
    for program in ["./nowhere", "isc-no-such-program", "/etc/hostname"] {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::of(dir, &format!("exec: {{command: [{program}]}}"));
        let failure = failure(bench.run().await);
        assert_eq!(failure.reason, "StartFailed", "{program}");
        assert_eq!(failure.class, FailureClass::Permanent, "{program}");
        assert!(failure.message.contains(program), "{}", failure.message);
        assert!(bench.is_clean());
    }
}

#[tokio::test]
async fn parameters_that_are_no_object_are_refused() {
    let mut bench = Bench::new("exit 0");
    bench.job.params_json = "[]".into();
    let failure = failure(bench.run().await);
    assert_eq!(failure.reason, "InvalidParams");
    assert_eq!(failure.class, FailureClass::Invalid);
}

#[tokio::test]
async fn nothing_of_the_workers_environment_leaks_into_a_job() {
    let script = "{ env | cut -d= -f1 | sort | tr '\\n' ' '; echo; } > $ISC_SERVICE_DIR/out";
    let bench = Bench::with(
        script,
        "  env: {COLOUR: red}\n  inheritEnv: [CARGO_PKG_NAME]\n",
    );
    bench.run().await;
    let names = bench.written("out").await;
    let own: Vec<_> = names
        .split(' ')
        // What the shell itself sets.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert_eq!(
        own,
        [
            "CARGO_PKG_NAME",
            "COLOUR",
            "HOME",
            "ISC_ATTEMPT",
            "ISC_CLUSTER",
            "ISC_FAILED",
            "ISC_IDEMPOTENCY_KEY",
            "ISC_NAME",
            "ISC_NAMESPACE",
            "ISC_PARAMS",
            "ISC_PROGRESS",
            "ISC_REQUESTER",
            "ISC_RESULT",
            "ISC_RESULT_MAX",
            "ISC_SERVICE",
            "ISC_SERVICE_DIR",
            "ISC_TIMEOUT_SECONDS",
            "ISC_UID",
            "LANG",
            "PATH",
            "TMPDIR"
        ]
    );
}

#[tokio::test]
async fn a_job_knows_whose_it_is_and_starts_in_an_empty_directory() {
    let script = r#"
        [ "$PWD" = "$HOME" ] && [ "$PWD" = "$TMPDIR" ] && [ -z "$(ls -A)" ] || exit 9
        printf '{"is": "%s"}' \
            "$ISC_UID $ISC_ATTEMPT $ISC_FAILED $ISC_NAME $ISC_REQUESTER $ISC_TIMEOUT_SECONDS" \
            > $ISC_RESULT"#;
    let end = Bench::new(script).run().await;
    assert_eq!(end, succeeded(r#"{"is": "u1 2 1 sign-1 alice 30"}"#));
}

#[tokio::test]
async fn progress_arrives_in_order_and_junk_harms_nobody() {
    let script = r#"
        echo '{"percent": 10, "message": "first"}' > $ISC_PROGRESS
        echo 'no json' > $ISC_PROGRESS
        head -c 100000 /dev/zero | tr '\0' x > $ISC_PROGRESS
        printf '\n{"percent": 90}\n' > $ISC_PROGRESS"#;
    let bench = Bench::new(script);
    let Running {
        task, mut progress, ..
    } = bench.start();
    assert_eq!(task.await.unwrap(), succeeded(""));
    let mut seen = vec![];
    while let Ok((id, progress)) = progress.try_recv() {
        assert_eq!(id.attempt, 2);
        seen.push((progress.percent, progress.message));
    }
    assert_eq!(seen, [(10, "first".into()), (90, String::new())]);
}

#[tokio::test]
async fn a_timeout_ends_the_job_even_when_it_ignores_sigterm() {
    let script = r"
        trap '' TERM
        sleep 300 & echo $! > $ISC_SERVICE_DIR/child
        while :; do sleep 1; done";
    let mut bench = Bench::new(script);
    bench.job.timeout = Duration::from_millis(300);
    let running = bench.start();
    let child = bench.pid("child").await;
    let failure = failure(running.end().await);
    assert_eq!(failure.reason, "TimedOut");
    assert_eq!(failure.class, FailureClass::TimedOut);
    assert_dies(child).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_does_not_hang_the_worker() {
    let script = r"sleep 300 & echo $! > $ISC_SERVICE_DIR/child; echo hi";
    let bench = Bench::new(script);
    let began = Instant::now();
    assert_eq!(bench.run().await, succeeded(""));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_dies(bench.pid("child").await).await;
}

#[tokio::test]
async fn a_grandchild_that_left_the_group_is_waited_for_two_seconds_at_most() {
    let script = r"setsid sleep 300 & echo $! > $ISC_SERVICE_DIR/child; sleep 0.1";
    let bench = Bench::new(script);
    let began = Instant::now();
    assert_eq!(bench.run().await, succeeded(""));
    assert!(began.elapsed() < Duration::from_secs(5));
    let child = bench.pid("child").await;
    kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_job_that_is_told_to_stop_may_clean_up() {
    let script = r"
        trap 'echo done > $ISC_SERVICE_DIR/cleaned; exit 0' TERM
        echo > $ISC_SERVICE_DIR/ready
        while :; do sleep 0.05; done";
    let bench = Bench::new(script);
    let running = bench.start();
    bench.written("ready").await;
    running.stop.send_replace(Stop::Gently);
    assert_eq!(running.end().await, End::Stopped);
    assert_eq!(bench.written("cleaned").await, "done");
}

#[tokio::test]
async fn a_kill_does_not_wait_for_the_grace() {
    let script = r"trap '' TERM; echo > $ISC_SERVICE_DIR/ready; while :; do sleep 1; done";
    let bench = Bench::with(script, "  env: {A: b}\n");
    let running = bench.start();
    bench.written("ready").await;
    running.stop.send_replace(Stop::Gently);
    let began = Instant::now();
    running.stop.send_replace(Stop::Now);
    assert_eq!(running.end().await, End::Stopped);
    assert!(began.elapsed() < Duration::from_millis(900));
}

#[tokio::test]
async fn a_dropped_job_leaves_no_process_behind() {
    let script = r"sleep 300 & echo $! > $ISC_SERVICE_DIR/child; wait";
    let bench = Bench::new(script);
    let running = bench.start();
    let child = bench.pid("child").await;
    running.task.abort();
    assert_dies(child).await;
}

#[tokio::test]
async fn a_million_lines_of_output_do_not_hold_a_job_up() {
    let script = "yes 2>/dev/null | head -n 1000000; yes | tr -d '\\n' | head -c 10000000";
    assert_eq!(Bench::new(script).run().await, succeeded(""));
}
