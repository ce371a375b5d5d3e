//! Jobs that can be counted: the service `work` of the fault suite, whose jobs write a ledger and notice each
//! other.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::ListParams;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Process, Scene, Watcher, Worker,
    chaos::{
        ledger::{self, Event, Line},
        setting,
    },
    isc::{self, set},
    team::is_finished,
    wait,
};

/// Time for some hundred jobs on a busy machine.
pub const LONG: Duration = Duration::from_secs(90);

/// Adds the service.
///
/// # Errors
/// When a file cannot be written.
pub fn prepare(scene: &Scene) -> Result<()> {
    std::fs::create_dir(ledger::locks(&scene.dir))?;
    let service = serde_json::to_string(&setting::service()?)?;
    Ok(std::fs::write(scene.services().join("work.yaml"), service)?)
}

/// Starts a worker with so many slots and waits until it is ready.
///
/// # Errors
/// When it does not become ready.
pub async fn worker(scene: &Scene, name: &str, slots: usize) -> Result<Worker> {
    worker_with(scene, scene.worker_config(name), slots).await
}

/// The same with a configuration of its own.
///
/// # Errors
/// When it does not become ready.
pub async fn worker_with(scene: &Scene, config: Value, slots: usize) -> Result<Worker> {
    worker_as(scene, &isc::program("isc-worker")?, config, slots).await
}

/// The same, of a certain program.
///
/// # Errors
/// When it does not become ready.
pub async fn worker_as(
    scene: &Scene,
    program: &Path,
    mut config: Value,
    slots: usize,
) -> Result<Worker> {
    let name = config["name"].as_str().unwrap_or_default().to_owned();
    set(&mut config, "slots", slots);
    let vars = [
        (ledger::DIR_VAR, scene.dir.as_path()),
        (ledger::WORKER_VAR, Path::new(&name)),
    ];
    let mut worker = Worker::start_as(program, &scene.dir, config, &vars)?;
    worker.ready().await?;
    Ok(worker)
}

/// Makes requests `work-<number>`.
///
/// # Errors
/// When kcp refuses one.
pub async fn make(scene: &Scene, count: usize, params: &Value) -> Result<()> {
    let makes = stream::iter(0..count).map(|number| async move {
        let name = format!("work-{number}");
        scene.team.ask(&name, "work", params.clone()).await
    });
    let made = makes.buffer_unordered(16);
    made.try_for_each(|_uid| async { Ok(()) }).await
}

/// Lets the jobs with `gate: go` end.
///
/// # Errors
/// When the file cannot be written.
pub fn open_gate(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("go"), "")?)
}

/// The starts so far.
///
/// # Errors
/// When two jobs of one request ran at once.
pub fn starts(scene: &Scene) -> Result<Vec<Line>> {
    let lines = ledger::read(&scene.dir)?;
    let overlap = lines
        .iter()
        .find(|l| matches!(l.event, Event::Overlap { .. }));
    ensure!(overlap.is_none(), "two jobs at once: {overlap:?}");
    Ok(lines
        .into_iter()
        .filter(|l| l.event == Event::Start)
        .collect())
}

/// Waits until so many jobs have started.
///
/// # Errors
/// When they have not in time.
pub async fn started(scene: &Scene, count: usize) -> Result<()> {
    wait::until(&format!("{count} jobs have started"), LONG, async || {
        let found = starts(scene)?.len();
        ensure!(found >= count, "{found} have");
        Ok(())
    })
    .await
}

/// Waits until all requests have ended; returns their statuses.
///
/// # Errors
/// When they have not in time.
pub async fn ends(scene: &Scene, count: usize) -> Result<Vec<Value>> {
    let requests = scene.team.requests("default");
    wait::until(&format!("{count} requests have ended"), LONG, async || {
        let all = requests.list(&ListParams::default()).await?.items;
        let statuses: Vec<_> = all.into_iter().map(|r| r.data["status"].clone()).collect();
        let ended = statuses.iter().filter(|s| is_finished(s)).count();
        ensure!(ended == count, "{ended} have");
        Ok(statuses)
    })
    .await
}

/// Kills the process alone: what it leaves behind is the product's own task.
///
/// # Errors
/// When it does not end.
pub async fn kill(process: &mut Process) -> Result<()> {
    process.signal(Signal::SIGKILL)?;
    process.ended(wait::USUAL).await.map(|_status| ())
}

/// How many requests that watcher says are running.
///
/// # Errors
/// When it does not answer.
pub async fn running(watcher: &Watcher) -> Result<f64> {
    let metrics = watcher.metrics().await?;
    Ok(metrics.sum("isc_requests", &[("phase", "Running")]))
}

/// The longest time without a start, when each of so many jobs has started.
///
/// # Errors
/// When some did not start, or ran twice.
pub fn longest_pause(scene: &Scene, jobs: usize) -> Result<Duration> {
    let mut times: Vec<_> = starts(scene)?.iter().map(|line| line.at).collect();
    ensure!(
        times.len() == jobs,
        "some ran twice: {} starts",
        times.len()
    );
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = Duration::from_nanos(gaps.max().unwrap_or_default());
    println!("nothing started for {longest:?} at the longest");
    Ok(longest)
}
