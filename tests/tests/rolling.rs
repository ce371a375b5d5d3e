//! A new version of the workers is rolled out while they are busy.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use isc_tests::{
    Scene, Worker,
    isc::set,
    ledger::{self, SLEEPING},
    scene, wait,
};
use serde_json::json;

const REQUESTS: u32 = 60;
const WORKERS: u32 = 3;
const LONG: Duration = Duration::from_secs(120);

/// Two jobs at once. The first worker gives its jobs no time to finish, the others a little.
async fn worker(scene: &Scene, number: u32) -> Result<Worker> {
    let mut config = scene.worker_config(&format!("worker-{number}"));
    set(&mut config, "slots", 2);
    set(&mut config, "drainSeconds", number.min(1));
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    Ok(worker)
}

#[test]
fn a_rolling_restart_of_all_workers_under_load_costs_no_request_an_attempt() -> Result<()> {
    scene::run(async |scene| {
        scene.service("sleeping", SLEEPING)?;
        let _watcher = scene.watcher().await?;
        let mut workers = try_join_all((0..WORKERS).map(|n| worker(scene, n))).await?;
        let names: Vec<_> = (0..REQUESTS).map(|n| format!("r{n}")).collect();
        let team = &scene.team;
        try_join_all(names.iter().zip(0..).map(async |(name, n)| {
            let seconds = f64::from(1500 - n * 1200 / REQUESTS) / 1000.0;
            team.ask(name, "sleeping", json!({"seconds": seconds}))
                .await
        }))
        .await?;
        for number in 0..WORKERS {
            let index = usize::try_from(number)?;
            wait::until("the worker is busy", LONG, async || {
                let busy = workers[index].metrics().await?.sum("isc_worker_busy", &[]);
                ensure!(busy > 0.5, "it is not");
                Ok(())
            })
            .await?;
            let status = workers[index].process.terminate(LONG).await?;
            assert!(status.success(), "worker {number} ended with {status}");
            workers[index] = worker(scene, number).await?;
        }
        for name in &names {
            let finished = isc_tests::team::is_finished;
            let status = team.wait_for(name, "at its end", LONG, finished).await?;
            assert_eq!(status["phase"], "Succeeded", "{name}: {status}");
            assert!(
                status["failed"].is_null() && status["lost"].is_null(),
                "{name}: {status}"
            );
        }
        let runs = ledger::runs(&scene.dir)?;
        ledger::no_overlap(&runs)?;
        let ended = runs.iter().filter(|run| run.ended).count();
        assert_eq!(ended, names.len(), "{runs:?}");
        assert!(runs.len() > ended, "no job was interrupted");
        Ok(())
    })
}
