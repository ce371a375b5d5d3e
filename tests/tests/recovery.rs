//! What happens to running and waiting work when a watcher or a worker goes away without a word.

use std::time::Duration;

use anyhow::{Result, ensure};
use isc_tests::{
    chaos::clock,
    scene, wait,
    work::{LONG, ends, kill, make, open_gate, prepare, running, started, starts, worker},
};
use serde_json::json;

/// The lease of a watcher of these tests.
const LEASE: Duration = Duration::from_secs(5);

#[test]
fn two_hundred_running_jobs_outlive_a_killed_watcher_and_none_runs_twice() -> Result<()> {
    const JOBS: usize = 200;
    scene::run(async |scene| {
        prepare(scene)?;
        let mut watcher = scene.eager_watcher().await?;
        let mut workers = Vec::new();
        for name in ["worker-1", "worker-2", "worker-3", "worker-4"] {
            workers.push(worker(scene, name, JOBS / 4).await?);
        }
        make(scene, JOBS, &json!({"gate": "go"})).await?;
        started(scene, JOBS).await?;
        kill(&mut watcher.process).await?;
        let next = scene.eager_watcher().await?;
        wait::until("all are attached again", LONG, async || {
            let found = running(&next).await?;
            ensure!(found > 199.5, "{found} are");
            Ok(())
        })
        .await?;
        // Over the end of its take-over, when it counts as lost what nobody holds.
        let until = clock::now() + 2 * LEASE;
        while clock::now() < until {
            let found = running(&next).await?;
            ensure!(found > 199.5, "only {found} are still running");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        open_gate(scene)?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(status["phase"], "Succeeded", "{status}");
            assert_eq!(status["attempt"], 1, "{status}");
        }
        assert_eq!(starts(scene)?.len(), JOBS);
        Ok(())
    })
}

#[test]
fn the_requests_of_a_killed_worker_run_elsewhere_soon_after_its_lease() -> Result<()> {
    const JOBS: usize = 20;
    scene::run(async |scene| {
        prepare(scene)?;
        let _watcher = scene.eager_watcher().await?;
        let mut doomed = worker(scene, "worker-1", JOBS).await?;
        make(scene, JOBS, &json!({"gate": "go"})).await?;
        started(scene, JOBS).await?;
        let _other = worker(scene, "worker-2", JOBS).await?;
        let killed = clock::now();
        kill(&mut doomed.process).await?;
        started(scene, 2 * JOBS).await?;
        let again = starts(scene)?.split_off(JOBS);
        let last = again.iter().map(|line| line.at).max().unwrap_or_default();
        let took = Duration::from_nanos(last).saturating_sub(killed);
        assert!(took <= LEASE + Duration::from_secs(5), "it took {took:?}");
        assert!(
            again
                .iter()
                .all(|line| line.run.worker.starts_with("worker-2/"))
        );
        open_gate(scene)?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(
                (&status["phase"], &status["lost"], &status["attempt"]),
                (&json!("Succeeded"), &json!(1), &json!(2)),
                "{status}"
            );
        }
        Ok(())
    })
}
