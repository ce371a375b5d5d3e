//! Nothing to do: nobody may be busy with that.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{Finding, flood, knows, memory, scaled};
use crate::{
    Process,
    chaos::{
        kinds::{SERVICES, UNWANTED},
        world::World,
    },
};

const FINISHED: usize = 10_000;
const WAITING: usize = 1_000;
/// The last writes, and what follows from them.
const SETTLE: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(60);
/// The share of a processor that an idle process may need, percent.
const LIMIT_PERCENT: f64 = 1.0;

/// The processor time of everybody, with 10,000 finished and 1,000 waiting requests.
pub(super) async fn rests(world: &mut World, scale: f64) -> Result<Vec<Finding>> {
    let (many, few) = (scaled(FINISHED, scale), scaled(WAITING, scale));
    let (waiting, finished) = (json!({"params": {}}), json!({"params": {}, "cancel": true}));
    flood(&world.teams[0], "waiting", UNWANTED, few, &waiting).await?;
    for team in &world.teams[1..] {
        let count = many / (world.teams.len() - 1);
        flood(team, "finished", SERVICES[0], count, &finished).await?;
    }
    knows(world, "Finished", many / 5 * 5).await?;
    // Not a wait for something to happen: what is looked at is that nothing does.
    tokio::time::sleep(SETTLE).await;
    let before = seconds(world)?;
    tokio::time::sleep(IDLE).await;
    let after = seconds(world)?;
    let mut findings = vec![memory(
        world,
        &format!("with {many} finished and {few} waiting requests"),
    )?];
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        let percent = (after - before) / IDLE.as_secs_f64() * 100.0;
        findings.push(Finding {
            what: format!(
                "{name} needs {percent:.2} % of a processor when idle (limit {LIMIT_PERCENT} %)"
            ),
            holds: percent <= LIMIT_PERCENT,
        });
    }
    Ok(findings)
}

fn seconds(world: &World) -> Result<Vec<(String, f64)>> {
    let workers = world.workers.iter().map(|worker| &worker.process);
    let usage = |p: &Process| Ok((p.name().to_owned(), p.usage()?.cpu_seconds));
    [&world.watcher.process]
        .into_iter()
        .chain(workers)
        .map(usage)
        .collect()
}
