//! More work than anybody can do.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ListParams;
use serde_json::json;

use super::{Finding, LIMIT, flood, knows, make, memory, scaled, starts};
use crate::{
    Team,
    chaos::{clock, kinds::SERVICES, world::World},
    wait,
};

const TENANTS: usize = 5;
const EACH: usize = 10_000;
const LARGE: usize = 5_000;
/// With the rest of the parameters, just below 256 KiB.
const LARGE_BYTES: usize = 256 * 1024 - 400;
/// Small requests of another tenant meanwhile, and the longest time that one may wait for its turn, seconds.
const SMALL: usize = 30;
const DELAY_LIMIT: f64 = 3.0;
const STARTS_SOON: Duration = Duration::from_secs(10);

/// 50,000 requests wait while all workers are busy; then one of High priority of somebody else comes.
pub(super) async fn waits(world: &mut World, scale: f64) -> Result<Vec<Finding>> {
    let service = SERVICES[0];
    let workers = world.workers.len();
    let (each, all) = (scaled(EACH, scale), TENANTS * scaled(EACH, scale));
    for number in 0..workers {
        let spec = json!({"params": {"gate": format!("gate-{number}")}});
        make(&world.teams[0], &format!("busy-{number}"), service, &spec).await?;
    }
    started(world, workers).await?;
    let spec = json!({"params": {"millis": 20}});
    for team in &world.teams[..TENANTS] {
        flood(team, "crowd", service, each, &spec).await?;
    }
    knows(world, "Queued", all).await?;
    let mut findings = vec![memory(world, &format!("with {all} waiting requests"))?];
    let spec = json!({"params": {"millis": 20}, "priority": "High"});
    let high = make(&world.teams[TENANTS], "high", service, &spec).await?;
    knows(world, "Queued", all + 1).await?;
    std::fs::write(world.dir.join("isc/gate-0"), "")?;
    let freed = clock::now();
    started(world, workers + 1).await?;
    let first = starts(world)?.into_iter().nth(workers).context("a start")?;
    let after = Duration::from_nanos(first.at).saturating_sub(freed);
    findings.push(Finding {
        what: format!(
            "a new High request of another tenant starts next, {:.2} s after a worker is free",
            after.as_secs_f32()
        ),
        holds: first.run.uid == high && after < STARTS_SOON,
    });
    findings.push(memory(world, "at the end")?);
    Ok(findings)
}

async fn started(world: &World, count: usize) -> Result<()> {
    wait::until(&format!("{count} jobs have started"), LIMIT, async || {
        let found = starts(world)?.len();
        ensure!(found >= count, "{found} have");
        Ok(())
    })
    .await
}

/// 5,000 requests with parameters of 256 KiB of one tenant, while another one makes small ones.
pub(super) async fn weighs(world: &mut World, scale: f64) -> Result<Vec<Finding>> {
    let service = SERVICES[0];
    let large = json!({"params": {"millis": 20, "ballast": "b".repeat(LARGE_BYTES)}});
    let (one, other) = (&world.teams[0], &world.teams[1]);
    let flood = flood(one, "large", service, scaled(LARGE, scale), &large);
    let mut delays = Vec::new();
    let small = async {
        for number in 0..SMALL {
            let spec = json!({"params": {"millis": 20}});
            let uid = make(other, &format!("small-{number}"), service, &spec).await?;
            let made = clock::now();
            let at = start_of(world, &uid).await?;
            delays.push(at.saturating_sub(made));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    };
    tokio::try_join!(flood, small)?;
    delays.sort();
    let (median, worst) = (delays[SMALL / 2], delays[SMALL - 1]);
    let (seen, queued) = waits_of(other).await?;
    println!(
        "  {SMALL} small requests started {:.2} s (median), {:.2} s (at most) after they were made; \
         the watcher saw them at most {seen:.0} s after that",
        median.as_secs_f32(),
        worst.as_secs_f32(),
    );
    Ok(vec![
        Finding {
            what: format!(
                "small requests of another tenant wait at most {queued:.0} s for their turn (limit {DELAY_LIMIT:.0} s)"
            ),
            holds: queued <= DELAY_LIMIT,
        },
        memory(world, "with that many requests of 256 KiB")?,
    ])
}

/// The longest times from made to accepted and from accepted to started, whole seconds.
async fn waits_of(team: &Team) -> Result<(f64, f64)> {
    let requests = team
        .requests("default")
        .list(&ListParams::default())
        .await?;
    let (mut seen, mut queued) = (0.0_f64, 0.0_f64);
    for request in requests {
        let time = |field: &str| -> Result<Time> {
            let value = request.data["status"][field].clone();
            serde_json::from_value(value).with_context(|| format!("status.{field}"))
        };
        let made = request
            .metadata
            .creation_timestamp
            .clone()
            .context("made")?;
        let (accepted, started) = (time("queuedTime")?, time("startTime")?);
        seen = seen.max(accepted.0.duration_since(made.0).as_secs_f64());
        queued = queued.max(started.0.duration_since(accepted.0).as_secs_f64());
    }
    Ok((seen, queued))
}

async fn start_of(world: &World, uid: &str) -> Result<Duration> {
    wait::until("its job starts", LIMIT, async || {
        let line = starts(world)?.into_iter().find(|line| line.run.uid == uid);
        Ok(Duration::from_nanos(line.context("it has not")?.at))
    })
    .await
}
