//! More work than anybody can do.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use serde_json::json;

use super::{Finding, LIMIT, control::Control, flood, knows, make, memory, scaled, starts};
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
/// A slot that a large request has is free after so many calls to kcp: its parameters are read, its end is
/// written. While kcp itself does not answer, no slot becomes free.
const CALLS: f64 = 2.0;
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
    let (control, mut delays) = (Control::default(), Vec::new());
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
    let both = async { tokio::try_join!(flood, small) };
    tokio::select! {
        done = both => drop(done?),
        failed = control.run(&world.teams[2], &large) => failed?,
    }
    delays.sort();
    let (median, worst) = (delays[SMALL / 2], delays[SMALL - 1]);
    let (calls, usual, longest) = control.told();
    let waits = waits_of(other).await?;
    println!(
        "  {SMALL} small requests started {:.2} s (median), {:.2} s (at most) after they were made; \
         the watcher saw them at most {:.0} s after that",
        median.as_secs_f32(),
        worst.as_secs_f32(),
        most(waits.iter().map(|wait| wait.seen)),
    );
    println!(
        "  {calls} bare writes of another client to a request of 256 KiB took {usual:.2} s (median), \
         {longest:.2} s (at most)"
    );
    let beyond = |wait: &Wait| wait.queued - CALLS * control.longest(wait.accepted, wait.started);
    Ok(vec![
        Finding {
            what: format!(
                "small requests of another tenant wait at most {:.0} s for their turn: {:.1} s more than \
                 kcp took for {CALLS} such writes meanwhile (limit {DELAY_LIMIT:.0} s)",
                most(waits.iter().map(|wait| wait.queued)),
                most(waits.iter().map(beyond)).max(0.0),
            ),
            holds: most(waits.iter().map(beyond)) <= DELAY_LIMIT,
        },
        memory(world, "with that many requests of 256 KiB")?,
    ])
}

fn most(of: impl Iterator<Item = f64>) -> f64 {
    of.fold(f64::MIN, f64::max)
}

/// How a request waited; the times of a status are whole seconds.
struct Wait {
    accepted: Timestamp,
    started: Timestamp,
    /// From made to accepted, seconds.
    seen: f64,
    /// From accepted to started, seconds.
    queued: f64,
}

async fn waits_of(team: &Team) -> Result<Vec<Wait>> {
    let api = team.requests("default");
    let requests = api.list(&ListParams::default()).await?;
    let wait = |request: &DynamicObject| {
        let time = |field: &str| -> Result<Timestamp> {
            let value = request.data["status"][field].clone();
            let time: Time =
                serde_json::from_value(value).with_context(|| format!("status.{field}"))?;
            Ok(time.0)
        };
        let made = request.metadata.creation_timestamp.as_ref();
        let made = made.context("made")?.0;
        let (accepted, started) = (time("queuedTime")?, time("startTime")?);
        Ok(Wait {
            accepted,
            started,
            seen: accepted.duration_since(made).as_secs_f64(),
            queued: started.duration_since(accepted).as_secs_f64(),
        })
    };
    requests.iter().map(wait).collect()
}

async fn start_of(world: &World, uid: &str) -> Result<Duration> {
    wait::until("its job starts", LIMIT, async || {
        let line = starts(world)?.into_iter().find(|line| line.run.uid == uid);
        Ok(Duration::from_nanos(line.context("it has not")?.at))
    })
    .await
}
