//! Ends of watcher and worker, wanted and unwanted, while a job runs.

use std::time::Duration;

use anyhow::Result;
use isc_tests::{Scene, Watcher, Worker, isc::set, scene, wait};
use serde_json::{Value, json};

/// Well over both drain times.
const DRAIN: Duration = Duration::from_secs(40);

/// Notes its start, waits until the test lets it go, and returns the attempt.
const GATED: &str = r#"echo "$ISC_ATTEMPT" >> "$ISC_SERVICE_DIR/../started"
    while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
    printf '{"attempt": %s}' "$ISC_ATTEMPT" > "$ISC_RESULT""#;

/// A watcher, a worker and a job that runs until `let_go`.
async fn a_running_job(scene: &Scene) -> Result<(Watcher, Worker)> {
    scene.service("gated", GATED)?;
    let watcher = scene.watcher().await?;
    let worker = scene.worker("worker-1").await?;
    scene.team.ask("long", "gated", json!({})).await?;
    scene.file("started").await?;
    Ok((watcher, worker))
}

fn let_go(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("go"), "")?)
}

fn starts(scene: &Scene) -> String {
    std::fs::read_to_string(scene.dir.join("started")).unwrap_or_default()
}

fn assert_ran_once(scene: &Scene, status: &Value) {
    assert_eq!(status["phase"], "Succeeded", "{status}");
    assert_eq!(status["result"], json!({"attempt": 1}), "{status}");
    assert_eq!(starts(scene), "1\n", "it ran more than once");
}

#[test]
fn a_watcher_that_is_replaced_while_a_job_runs_loses_nothing() -> Result<()> {
    scene::run(async |scene| {
        let (mut watcher, _worker) = a_running_job(scene).await?;
        scene.team.wait_phase("long", "Running").await?;
        let status = watcher.process.terminate(DRAIN).await?;
        assert!(status.success(), "{status}");
        let _next = scene.watcher().await?;
        let_go(scene)?;
        let status = scene
            .team
            .wait_for(
                "long",
                "at its end",
                DRAIN * 2,
                isc_tests::team::is_finished,
            )
            .await?;
        assert_ran_once(scene, &status);
        Ok(())
    })
}

#[test]
fn a_job_that_ends_while_no_watcher_runs_is_reported_to_the_next_one() -> Result<()> {
    scene::run(async |scene| {
        let (mut watcher, worker) = a_running_job(scene).await?;
        let status = watcher.process.terminate(DRAIN).await?;
        assert!(status.success(), "{status}");
        let_go(scene)?;
        wait::until("the job has ended", wait::USUAL, async || {
            let ended = worker.metrics().await?.sum("isc_worker_jobs_total", &[]);
            anyhow::ensure!(ended > 0.5, "{ended} jobs have ended");
            Ok(())
        })
        .await?;
        let _next = scene.watcher().await?;
        let status = scene
            .team
            .wait_for(
                "long",
                "at its end",
                DRAIN * 2,
                isc_tests::team::is_finished,
            )
            .await?;
        assert_ran_once(scene, &status);
        Ok(())
    })
}

#[test]
fn a_worker_that_is_asked_to_end_finishes_its_job_first() -> Result<()> {
    scene::run(async |scene| {
        let (_watcher, mut worker) = a_running_job(scene).await?;
        worker.process.signal(nix::sys::signal::Signal::SIGTERM)?;
        wait::until("the worker has heard it", wait::USUAL, async || {
            worker.process.check_alive()?;
            let heard = worker.process.log().contains("SIGTERM");
            anyhow::ensure!(heard, "not a word in its log");
            Ok(())
        })
        .await?;
        let_go(scene)?;
        let status = worker.process.ended(DRAIN).await?;
        assert!(status.success(), "{status}");
        let status = scene.team.wait_end("long").await?;
        assert_ran_once(scene, &status);
        Ok(())
    })
}

#[test]
fn a_job_that_outlasts_the_workers_drain_runs_again_elsewhere_and_counts_neither_failed_nor_lost()
-> Result<()> {
    scene::run(async |scene| {
        scene.service("gated", GATED)?;
        let _watcher = scene.watcher().await?;
        let mut config = scene.worker_config("worker-1");
        set(&mut config, "drainSeconds", 1);
        let mut worker = scene.start_worker(config)?;
        worker.ready().await?;
        scene.team.ask("long", "gated", json!({})).await?;
        scene.file("started").await?;
        let status = worker.process.terminate(DRAIN).await?;
        assert!(status.success(), "{status}");
        let_go(scene)?;
        let _other = scene.worker("worker-2").await?;
        let status = scene.team.wait_end("long").await?;
        assert_eq!(
            (&status["phase"], &status["worker"]),
            (&json!("Succeeded"), &json!("worker-2")),
            "{status}"
        );
        assert_eq!(status["result"], json!({"attempt": 1}), "{status}");
        assert!(
            status["failed"].is_null() && status["lost"].is_null(),
            "{status}"
        );
        assert_eq!(starts(scene), "1\n1\n");
        Ok(())
    })
}

#[test]
fn requests_that_wait_when_the_watcher_ends_are_served_by_the_next_one() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = scene.eager_watcher().await?;
        for name in ["one", "two", "three"] {
            scene.team.ask(name, "echo", json!({"name": name})).await?;
        }
        scene.team.wait_phase("three", "Queued").await?;
        let status = watcher.process.terminate(DRAIN).await?;
        assert!(status.success(), "{status}");
        let _next = scene.eager_watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        for name in ["one", "two", "three"] {
            // After a restart, the watcher waits for one lease period before it grants anything old.
            let status = scene
                .team
                .wait_for(name, "at its end", DRAIN * 2, isc_tests::team::is_finished)
                .await?;
            assert_eq!(status["result"], json!({"name": name}), "{status}");
        }
        Ok(())
    })
}

#[test]
fn the_job_of_a_killed_worker_counts_as_lost_and_runs_again() -> Result<()> {
    scene::run(async |scene| {
        scene.service("gated", GATED)?;
        let _watcher = scene.eager_watcher().await?;
        let mut worker = scene.worker("worker-1").await?;
        scene.team.ask("long", "gated", json!({})).await?;
        scene.file("started").await?;
        worker.process.kill();
        isc_tests::process::sweep(&scene.dir.join("worker-1-jobs"));
        let_go(scene)?;
        let _other = scene.worker("worker-2").await?;
        let status = scene.team.wait_end("long").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(
            (&status["lost"], &status["attempt"]),
            (&json!(1), &json!(2)),
            "{status}"
        );
        assert_eq!(starts(scene), "1\n2\n");
        Ok(())
    })
}
