//! Half of what the system can do, for half an hour: what grows?

mod load;
mod trend;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

use super::Finding;
use crate::{Metrics, chaos::world::World, wait};
use load::Load;
use trend::{mean, per_second};

/// How long it lasts, at scale 1.
const SOAK: Duration = Duration::from_secs(30 * 60);
/// How long it is tried how much can be done.
const FULL: Duration = Duration::from_secs(60);
/// Until so much of the soak is over, caches and pools fill; what grows then is no leak yet.
const SETTLES: f64 = 0.2;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// Until a process is idle, requests are deleted and connections that nobody uses are closed.
const IDLE_LIMIT: Duration = Duration::from_secs(180);
/// What a process may grow by while the soak lasts, by the trend: the larger of these counts. Its allocator
/// keeps what it had at the busiest moment, and that comes when it comes.
const GROWTH_MB: f64 = 2.0;
const GROWTH_SHARE: f64 = 0.05;
/// Files and tasks that may be more than before: a connection that is just being exchanged.
const MORE: f64 = 2.0;
const MB: f64 = 1024.0 * 1024.0;

/// What a process has.
#[derive(Clone, Debug, Default)]
struct Taken {
    name: String,
    memory_mb: f64,
    files: f64,
    tasks: f64,
}

/// Everybody at one moment.
struct Look {
    at: Duration,
    all: Vec<Taken>,
    /// Requests that the watcher knows, ended ones too.
    known: f64,
}

/// Finds how much can be done at most, and does half of that for a long time.
pub(super) async fn lasts(world: &mut World, scale: f64) -> Result<Vec<Finding>> {
    let before = idle(world).await?;
    let load = Load::of(world);
    let most = load.at_most(FULL).await?;
    let rate = most / 2.0;
    println!("  {most:.1} requests a second at most; {rate:.1} from now on");
    let lasts = SOAK.mul_f64(scale);
    let begun = Instant::now();
    let mut looks = Vec::new();
    let look = async {
        while begun.elapsed() < lasts {
            tokio::time::sleep(PAUSE).await;
            let at = begun.elapsed();
            let (all, watcher) = taken(world).await?;
            let known = watcher.sum("isc_endpoint_requests", &[]);
            let look = Look { at, all, known };
            if looks.len() % 12 == 0 {
                tell(&look);
            }
            looks.push(look);
        }
        Ok(())
    };
    tokio::try_join!(load.at(rate, lasts), look)?;
    let mut findings = vec![load.ended(rate).await?];
    findings.extend(trends(&looks, lasts));
    findings.extend(leaks(world, &before).await?);
    Ok(findings)
}

/// Whether memory grew, by the line through all looks after everything has settled.
fn trends(looks: &[Look], lasts: Duration) -> Vec<Finding> {
    let settled = lasts.mul_f64(SETTLES);
    let names = looks.first().map_or(0, |look| look.all.len());
    let later = || looks.iter().filter(|look| look.at >= settled);
    let of = |number: usize| {
        let points: Vec<(f64, f64)> = later()
            .map(|look| (look.at.as_secs_f64(), look.all[number].memory_mb))
            .collect();
        let slope = per_second(&points);
        let mean = mean(points.iter().map(|(_, mb)| *mb));
        let grew = slope * lasts.as_secs_f64();
        let limit = GROWTH_MB.max(mean * GROWTH_SHARE);
        Finding {
            what: format!(
                "{} has {mean:.1} MB, and {:+.2} MB an hour: {grew:+.2} MB in {:.0} s (limit {limit:.1})",
                looks[0].all[number].name,
                slope * 3600.0,
                lasts.as_secs_f64()
            ),
            holds: grew <= limit,
        }
    };
    (0..names).map(of).collect()
}

/// Whether anybody has more files and tasks than before, or the broker more of anything, once all is idle again.
async fn leaks(world: &mut World, before: &[(String, f64)]) -> Result<Vec<Finding>> {
    let more = async || {
        let now = counts(world).await?;
        let pairs = before.iter().zip(&now);
        let grown = pairs.filter(|((_, was), (_, is))| *is > *was + MORE);
        let said: Vec<String> = grown
            .map(|((what, was), (_, is))| format!("{what}: {is} instead of {was}"))
            .collect();
        ensure!(said.is_empty(), "{}", said.join("; "));
        Ok(now)
    };
    let found = wait::until("nobody has more than before", IDLE_LIMIT, more).await;
    let (holds, said) = match found {
        Ok(now) => {
            let all = now.iter().map(|(what, n)| format!("{what} {n}"));
            (true, all.collect::<Vec<_>>().join(", "))
        }
        Err(error) => (false, format!("{error:#}")),
    };
    Ok(vec![Finding {
        what: format!("files, tasks and what the broker knows are as before: {said}"),
        holds,
    }])
}

/// What there is of everything that may leak, before anything was asked for.
async fn idle(world: &World) -> Result<Vec<(String, f64)>> {
    let workers: f64 = world.workers.iter().map(|_| 1.0).sum();
    wait::until("everybody is connected", IDLE_LIMIT, async || {
        let found = counts(world).await?;
        let of = |name: &str| found.iter().find(|(what, _)| what == name).map(|(_, n)| *n);
        // Each worker has a connection, and the watcher; RabbitMQ counts every few seconds.
        let (sessions, connections) = (of("sessions"), of("connections of the broker"));
        ensure!(
            sessions >= Some(workers) && connections > Some(workers),
            "{sessions:?} sessions, {connections:?} connections of the broker"
        );
        Ok(found)
    })
    .await
}

async fn counts(world: &World) -> Result<Vec<(String, f64)>> {
    let mut all = Vec::new();
    let (taken, metrics) = taken(world).await?;
    for one in taken {
        all.push((format!("{} files", one.name), one.files));
        all.push((format!("{} tasks", one.name), one.tasks));
    }
    all.push(("sessions".into(), metrics.sum("isc_sessions", &[])));
    all.push(("requests".into(), metrics.sum("isc_requests", &[])));
    let overview = world.env.broker.call("GET", "/api/overview").await?;
    let overview: Value = serde_json::from_str(&overview)?;
    for what in ["connections", "channels", "consumers", "queues"] {
        let count = overview["object_totals"][what].as_f64();
        let count = count.with_context(|| format!("RabbitMQ tells no {what}: {overview}"))?;
        all.push((format!("{what} of the broker"), count));
    }
    Ok(all)
}

/// What each process has, and all that the watcher tells.
async fn taken(world: &World) -> Result<(Vec<Taken>, Metrics)> {
    let watcher = world.watcher.metrics().await?;
    let mut all = vec![Taken::read(world.watcher.process.name(), &watcher)];
    for worker in &world.workers {
        all.push(Taken::read(worker.process.name(), &worker.metrics().await?));
    }
    Ok((all, watcher))
}

fn tell(look: &Look) {
    let one = |taken: &Taken| {
        let Taken {
            name,
            memory_mb,
            files,
            tasks,
        } = taken;
        format!("{name} {memory_mb:.1} MB {files} files {tasks} tasks")
    };
    let all: Vec<String> = look.all.iter().map(one).collect();
    let at = look.at.as_secs_f64();
    println!(
        "  {at:>5.0} s: {} requests | {}",
        look.known,
        all.join(" | ")
    );
}

// === impl Taken ===

impl Taken {
    fn read(name: &str, metrics: &Metrics) -> Self {
        Self {
            name: name.to_owned(),
            memory_mb: metrics.sum("process_resident_memory_bytes", &[]) / MB,
            files: metrics.sum("process_open_fds", &[]),
            tasks: metrics.sum("isc_tasks", &[]),
        }
    }
}
