//! Services that are code of the worker's own program (`isc-handlers`).

use std::{os::unix::process::ExitStatusExt as _, path::Path};

use anyhow::Result;
use isc_tests::{
    Scene, Worker, isc, scene,
    team::{message, reason},
    wait,
};
use serde_json::{Value, json};

const SECRET: &str = "s3cr3t-v4lu3";

/// Service files for all handlers of the program; a handler that listens has no need of its grace.
fn write_services(dir: &Path) -> Result<()> {
    for (service, grace) in [
        ("noop", 10),
        ("add", 10),
        ("flaky", 10),
        ("patient", 3600),
        ("stubborn", 1),
        ("panics", 10),
        ("blocks", 1),
    ] {
        let text = format!("handler: {{graceSeconds: {grace}}}\nretry: {{backoffSeconds: 1}}\n");
        std::fs::write(dir.join(format!("{service}.yaml")), text)?;
    }
    Ok(())
}

async fn worker(scene: &Scene) -> Result<Worker> {
    let program = isc::program("isc-handlers")?;
    let config = scene.worker_config("worker-1");
    let mut worker = Worker::start_as(&program, &scene.dir, config, &[])?;
    worker.ready().await?;
    Ok(worker)
}

/// Waits until a request's job has reported something.
async fn has_begun(scene: &Scene, name: &str) -> Result<Value> {
    let begun = |status: &Value| !status["progress"]["message"].is_null();
    scene
        .team
        .wait_for(name, "that its job has begun", wait::USUAL, begun)
        .await
}

#[test]
fn a_handler_gets_typed_parameters_and_shows_progress_and_its_result() -> Result<()> {
    scene::run(async |scene| {
        write_services(&scene.services())?;
        let (_watcher, _worker) = (scene.watcher().await?, worker(scene).await?);
        let go = scene.dir.join("go");
        let params = json!({"a": 40, "b": 2, "waitFor": &go});
        scene.team.ask("sum", "add", params).await?;
        let status = has_begun(scene, "sum").await?;
        let half = json!({"percent": 50, "message": "half way"});
        assert_eq!(status["progress"], half, "{status}");
        std::fs::write(go, "")?;
        let status = scene.team.wait_end("sum").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(status["result"], json!({"sum": 42}), "{status}");

        scene.team.ask("nothing", "noop", json!({})).await?;
        let status = scene.team.wait_end("nothing").await?;
        assert_eq!(status["result"], json!({"ok": true}), "{status}");
        // The same worker runs programs, too.
        scene.succeeds("a-program").await
    })
}

#[test]
fn parameters_that_do_not_fit_fail_without_being_shown() -> Result<()> {
    scene::run(async |scene| {
        write_services(&scene.services())?;
        let (_watcher, worker) = (scene.watcher().await?, worker(scene).await?);
        let spec = json!({"params": {"a": SECRET, "b": 1}, "retries": 3});
        scene.team.ask_with("wrong", "add", &spec).await?;
        let status = scene.team.wait_end("wrong").await?;
        assert_eq!(
            (&status["phase"], reason(&status), &status["attempt"]),
            (&json!("Failed"), "InvalidParams", &json!(1)),
            "{status}"
        );
        assert!(message(&status).contains("spec.params: /a"), "{status}");
        assert!(!status.to_string().contains(SECRET), "{status}");
        assert!(!worker.process.log().contains(SECRET));

        let params = json!({"a": i64::MAX, "b": 1});
        scene.team.ask("refused", "add", params).await?;
        let status = scene.team.wait_end("refused").await?;
        assert_eq!(reason(&status), "InvalidParams", "{status}");
        assert!(
            message(&status).contains("the sum is too large"),
            "{status}"
        );
        Ok(())
    })
}

#[test]
fn a_retryable_failure_runs_again_and_a_panic_does_not() -> Result<()> {
    scene::run(async |scene| {
        write_services(&scene.services())?;
        let (_watcher, mut worker) = (scene.watcher().await?, worker(scene).await?);
        let spec = json!({"params": {"failures": 1}, "retries": 2});
        scene.team.ask_with("again", "flaky", &spec).await?;
        let status = scene.team.wait_end("again").await?;
        assert_eq!(
            status["result"],
            json!({"attempt": 2, "failed": 1}),
            "{status}"
        );
        let spec = json!({"params": {"failures": 9}, "retries": 0});
        scene.team.ask_with("never", "flaky", &spec).await?;
        let status = scene.team.wait_end("never").await?;
        assert_eq!(reason(&status), "JobFailed", "{status}");
        assert!(message(&status).contains("not this time"), "{status}");

        let spec = json!({"params": {}, "retries": 2});
        scene.team.ask_with("panic", "panics", &spec).await?;
        let status = scene.team.wait_end("panic").await?;
        assert_eq!(
            (&status["phase"], reason(&status), &status["attempt"]),
            (&json!("Failed"), "JobFailed", &json!(1)),
            "{status}"
        );
        assert!(!message(&status).contains("ordered"), "{status}");
        assert!(worker.process.log().contains("a panic that was ordered"));
        worker.process.check_alive()?;
        scene.team.ask("after", "noop", json!({})).await?;
        let status = scene.team.wait_end("after").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        Ok(())
    })
}

#[test]
fn a_cancelled_handler_stops_whether_it_listens_or_not() -> Result<()> {
    scene::run(async |scene| {
        write_services(&scene.services())?;
        let (_watcher, _worker) = (scene.watcher().await?, worker(scene).await?);
        for service in ["patient", "stubborn"] {
            scene.team.ask(service, service, json!({})).await?;
            has_begun(scene, service).await?;
            scene.team.cancel(service).await?;
            let status = scene.team.wait_end(service).await?;
            assert_eq!(
                (&status["phase"], reason(&status)),
                (&json!("Cancelled"), "Cancelled"),
                "{status}"
            );
        }
        // Their slots are free again.
        scene.team.ask("after", "noop", json!({})).await?;
        let status = scene.team.wait_end("after").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        Ok(())
    })
}

#[test]
fn a_worker_whose_handlers_block_it_is_killed_with_its_lease() -> Result<()> {
    scene::run(async |scene| {
        write_services(&scene.services())?;
        let _watcher = scene.eager_watcher().await?;
        let mut worker = worker(scene).await?;
        let mut asked = Vec::new();
        for name in ["one", "two"] {
            asked.push((name, scene.team.ask(name, "blocks", json!({})).await?));
        }
        let status = worker.process.ended(wait::USUAL).await?;
        assert_eq!(status.signal(), Some(9), "{status}");
        // The first job may have held up the claim of the second.
        let log = worker.process.log();
        asked.retain(|(_, uid)| log.contains(&format!("job starts uid={uid}")));
        assert!(!asked.is_empty(), "no job has started");
        for (name, _) in asked {
            let lost = |status: &Value| status["lost"] == 1;
            scene
                .team
                .wait_for(name, "lost with its worker", wait::USUAL, lost)
                .await?;
        }
        Ok(())
    })
}
