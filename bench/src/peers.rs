//! What one could use instead, on the same ground and with the same work.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Process, Who, environment::repository, isc, process::Launch, wait};
use serde_json::Value;

use crate::{ground::Ground, product::Job, report::number};

/// Where `scripts/celery.sh` has put Celery.
const CELERY_VAR: &str = "ISCBENCH_CELERY";
/// As bench/peers/celery/README.md says.
const CELERY: [&str; 10] = [
    "-A",
    "tasks",
    "worker",
    "--pool=threads",
    "--concurrency=64",
    "--without-gossip",
    "--without-mingle",
    "--without-heartbeat",
    "--loglevel=WARNING",
    "--hostname=bench@localhost",
];
const END: Duration = Duration::from_secs(30);

/// Somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A controller of one reconcile that does the jobs itself.
    Naive,
    /// A Celery worker, and a program between it and kcp.
    Celery,
}

/// Their processes. The first tells of each request that has ended, a line each.
pub(crate) struct Running(Vec<Process>);

// === impl Peer ===

impl Peer {
    pub(crate) async fn start(self, ground: &Ground, job: Job) -> Result<Running> {
        let dir = ground.dir.join("peer").join("home");
        std::fs::create_dir_all(&dir)?;
        match self {
            Self::Naive => naive(ground, job, &dir),
            Self::Celery => celery(ground, job, &dir).await,
        }
    }
}

fn naive(ground: &Ground, job: Job, dir: &Path) -> Result<Running> {
    let program = isc::program("isc-bench-naive")?;
    let mut launch = Launch::new("naive", &program, dir).args([
        "--kubeconfig".into(),
        ground.provider.kubeconfig.clone().into_os_string(),
        "--endpoint".into(),
        ground.endpoint.clone().into(),
    ]);
    if job == Job::Exec {
        launch = launch.args(["--program", "/bin/true"]);
    }
    fresh(&launch)?;
    Ok(Running(vec![launch.start()?]))
}

async fn celery(ground: &Ground, job: Job, dir: &Path) -> Result<Running> {
    let python = std::env::var_os(CELERY_VAR).map(PathBuf::from);
    let python = python.context("Celery is not there: run `make bench`, which sets it up")?;
    let source = repository().join("bench/peers/celery");
    // Of its own: what an earlier one left would be done, too.
    let vhost = format!("celery-{}", ground.next());
    ground.env.broker.create_vhost(&vhost).await?;
    let amqp = ground.env.broker.url(&vhost);
    let launch = |name: &str, program: &str| {
        Launch::new(name, &python.join("bin").join(program), dir)
            .env("PYTHONPATH", &source)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BENCH_AMQP", &amqp)
    };
    let worker = launch("celery", "celery").args(CELERY);
    let poller = launch("poller", "python")
        .args([source.join("poller.py")])
        .env("BENCH_ENDPOINT", &ground.endpoint)
        .env("BENCH_TOKEN", Who::Controller.token(&ground.env.secret))
        .env("BENCH_CA", &ground.env.kcp_ca)
        .env("BENCH_TASK", job.service());
    fresh(&poller)?;
    let (mut poller, mut worker) = (poller.start()?, worker.start()?);
    let queue = format!("/api/queues/{vhost}/celery");
    wait::until("Celery and its poller are ready", wait::USUAL, async || {
        poller.check_alive()?;
        worker.check_alive()?;
        ensure!(poller.log().contains("ready"), "the poller does not watch");
        let queue: Value = serde_json::from_str(&ground.env.broker.call("GET", &queue).await?)?;
        ensure!(queue["consumers"] == 1, "the worker does not consume");
        Ok(())
    })
    .await?;
    Ok(Running(vec![poller, worker]))
}

/// What an earlier one has told is of no interest.
fn fresh(launch: &Launch) -> Result<()> {
    let log = launch.dir.join(format!("{}.log", launch.name));
    if log.exists() {
        std::fs::remove_file(log)?;
    }
    Ok(())
}

// === impl Running ===

impl Running {
    /// How many ends it has told of.
    pub(crate) fn ended(&self) -> f64 {
        let log = self.0[0].log();
        number(log.lines().filter(|line| line.starts_with("end ")).count())
    }

    /// What it said last.
    pub(crate) fn tail(&self) -> String {
        self.0[0].tail(20)
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        for process in &mut self.0 {
            process.terminate(END).await?;
        }
        Ok(())
    }
}
