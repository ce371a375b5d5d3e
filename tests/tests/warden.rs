//! Workers and wardens that are frozen or killed while a job runs: the job never outlives its lease.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, Watcher, Worker,
    isc::set,
    ledger::{self, BEATING},
    net, process, scene, wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// The lease of [`Scene::eager_watcher`], and what the end of a job may take on a busy machine.
const LEASE: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_secs(1);
/// Time for a lease, an offer and a run.
const LONG: Duration = Duration::from_secs(90);

/// A watcher with a short lease, a worker, and a job that notes that it lives.
async fn a_beating_job(scene: &Scene) -> Result<(Watcher, Worker)> {
    scene.service("beating", BEATING)?;
    let watcher = scene.eager_watcher().await?;
    let worker = scene.worker("worker-1").await?;
    scene.team.ask("long", "beating", json!({})).await?;
    a_run_beats(scene, 1).await?;
    scene.team.wait_phase("long", "Running").await?;
    Ok((watcher, worker))
}

/// Waits until the `number`th run has noted that it lives.
async fn a_run_beats(scene: &Scene, number: usize) -> Result<()> {
    let what = format!("run {number} of the job lives");
    wait::until(&what, LONG, async || {
        let runs = ledger::runs(&scene.dir)?;
        ensure!(
            runs.get(number - 1).is_some_and(|run| run.last > run.first),
            "the runs are {runs:?}"
        );
        Ok(())
    })
    .await
}

async fn jobs_are_gone(scene: &Scene, worker: &str, limit: Duration) -> Result<()> {
    let what = format!("the jobs of {worker} are gone");
    wait::until(&what, limit, async || ledger::no_job_of(&scene.dir, worker)).await
}

async fn a_job_has_ended(worker: &Worker) -> Result<()> {
    wait::until("the job has ended", LEASE, async || {
        let ended = worker.metrics().await?.sum("isc_worker_jobs_total", &[]);
        ensure!(ended > 0.5, "{ended} jobs have ended");
        Ok(())
    })
    .await
}

/// A worker that reaches the watcher by way of another address.
async fn worker_behind(scene: &Scene, address: SocketAddr) -> Result<Worker> {
    let mut config = scene.worker_config("worker-1");
    set(&mut config, "watcher", format!("http://{address}"));
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    Ok(worker)
}

fn let_go(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("go"), "")?)
}

async fn end(scene: &Scene, name: &str) -> Result<Value> {
    let finished = isc_tests::team::is_finished;
    scene
        .team
        .wait_for(name, "at its end", LONG, finished)
        .await
}

#[test]
fn the_jobs_of_a_frozen_worker_die_within_the_lease_and_it_works_again_when_it_thaws() -> Result<()>
{
    scene::run(async |scene| {
        let (_watcher, mut worker) = a_beating_job(scene).await?;
        worker.process.signal(Signal::SIGSTOP)?;
        jobs_are_gone(scene, "worker-1", LEASE + MARGIN).await?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.process.pid()))?;
        ensure!(stat.contains(") T "), "the worker is not frozen: {stat}");

        let mut other = scene.worker("worker-2").await?;
        a_run_beats(scene, 2).await?;
        worker.process.signal(Signal::SIGCONT)?;
        worker.ready().await?;
        let_go(scene)?;
        let status = end(scene, "long").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(
            (&status["worker"], &status["attempt"], &status["lost"]),
            (&json!("worker-2"), &json!(2), &json!(1)),
            "{status}"
        );
        let runs = ledger::runs(&scene.dir)?;
        ledger::no_overlap(&runs)?;
        assert_eq!((runs.len(), runs[0].ended), (2, false), "{runs:?}");

        other.process.terminate(LONG).await?;
        scene.team.ask("next", "echo", json!({"a": 1})).await?;
        let status = end(scene, "next").await?;
        assert_eq!(status["worker"], "worker-1", "{status}");
        Ok(())
    })
}

#[test]
fn an_outcome_that_comes_after_the_lease_is_refused() -> Result<()> {
    scene::run(async |scene| {
        scene.service("beating", BEATING)?;
        let watcher = scene.eager_watcher().await?;
        let between = net::free_address()?;
        let relay = net::Relay::start(between, scene.grpc).await?;
        let mut worker = worker_behind(scene, between).await?;
        scene.team.ask("long", "beating", json!({})).await?;
        a_run_beats(scene, 1).await?;

        drop(relay);
        let_go(scene)?;
        a_job_has_ended(&worker).await?;
        worker.process.signal(Signal::SIGSTOP)?;
        let _other = scene.worker("worker-2").await?;
        let ended = end(scene, "long").await?;
        assert_eq!(
            (&ended["phase"], &ended["worker"], &ended["attempt"]),
            (&json!("Succeeded"), &json!("worker-2"), &json!(2)),
            "{ended}"
        );

        let _relay = net::Relay::start(between, scene.grpc).await?;
        worker.process.signal(Signal::SIGCONT)?;
        wait::until("the worker is told that it is too late", LONG, async || {
            let refused = [("reason", "stale_outcome")];
            let refused = watcher.metrics().await?.sum("isc_ignored_total", &refused);
            let busy = worker.metrics().await?.sum("isc_worker_busy", &[]);
            ensure!(
                refused > 0.5 && busy < 0.5,
                "{refused} refused, {busy} busy"
            );
            Ok(())
        })
        .await?;
        let status = scene.team.status("long").await?;
        assert_eq!(status, ended, "the late outcome changed something");
        Ok(())
    })
}

#[test]
fn the_jobs_of_a_killed_worker_are_gone_within_a_second_and_so_is_its_warden() -> Result<()> {
    scene::run(async |scene| {
        let (_watcher, mut worker) = a_beating_job(scene).await?;
        let warden = ledger::warden_of(worker.process.pid())?;
        // With its whole process group, as a terminal or a supervisor may do it.
        worker.process.kill();
        jobs_are_gone(scene, "worker-1", MARGIN).await?;
        process_is_gone("the warden", warden).await?;
        let_go(scene)?;
        let _other = scene.worker("worker-2").await?;
        let status = end(scene, "long").await?;
        assert_eq!(
            (&status["phase"], &status["lost"]),
            (&json!("Succeeded"), &json!(1)),
            "{status}"
        );
        ledger::no_overlap(&ledger::runs(&scene.dir)?)
    })
}

#[test]
fn a_worker_whose_warden_is_killed_stops_its_jobs_and_runs_them_again_under_a_new_one() -> Result<()>
{
    scene::run(async |scene| {
        let (_watcher, mut worker) = a_beating_job(scene).await?;
        let first = ledger::warden_of(worker.process.pid())?;
        let before = process::within(&scene.dir.join("worker-1-jobs"));
        kill(first, Signal::SIGKILL)?;
        wait::until("the first run is gone", MARGIN, async || {
            let now = process::within(&scene.dir.join("worker-1-jobs"));
            let left: Vec<_> = before.iter().filter(|pid| now.contains(pid)).collect();
            ensure!(left.is_empty(), "still alive: {left:?}");
            Ok(())
        })
        .await?;
        a_run_beats(scene, 2).await?;
        worker.process.check_alive()?;
        let second = ledger::warden_of(worker.process.pid())?;
        assert_ne!(first, second);

        let_go(scene)?;
        let status = end(scene, "long").await?;
        assert_eq!(status["result"], json!({"attempt": 1}), "{status}");
        assert!(
            status["failed"].is_null() && status["lost"].is_null(),
            "{status}"
        );
        let runs = ledger::runs(&scene.dir)?;
        assert_eq!(runs.len(), 2, "{runs:?}");
        ledger::no_overlap(&runs)?;
        jobs_are_gone(scene, "worker-1", MARGIN).await?;

        let status = worker.process.terminate(LONG).await?;
        assert!(status.success(), "{status}");
        process_is_gone("the second warden", second).await
    })
}

async fn process_is_gone(what: &str, pid: Pid) -> Result<()> {
    wait::until(&format!("{what} is gone"), MARGIN, async || {
        let there = std::path::Path::new("/proc").join(pid.to_string());
        let stat = std::fs::read_to_string(there.join("stat")).unwrap_or_default();
        ensure!(stat.is_empty() || stat.contains(") Z "), "{stat}");
        Ok(())
    })
    .await
}
