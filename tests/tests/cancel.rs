//! Requests that are not wanted any more.

use anyhow::{Result, ensure};
use isc_tests::{Scene, scene, team::reason, wait};
use serde_json::{Value, json};

/// Writes its own PID and a child's, then waits for a minute; when told to stop, it ends.
const LONG: &str = r#"
sleep 60 & echo "$$ $!" > "$ISC_SERVICE_DIR/../pids"; wait"#;

/// Does not stop when told to, and succeeds.
const STUBBORN: &str = r#"
trap '' TERM
echo "$$" > "$ISC_SERVICE_DIR/../pids"
until [ -e "$ISC_SERVICE_DIR/../open" ]; do sleep 0.05; done
echo '{"done": true}' > "$ISC_RESULT""#;

async fn is_gone(scene: &Scene) -> Result<()> {
    let pids = scene.file("pids").await?;
    wait::until("the job and its child are gone", wait::USUAL, async || {
        for pid in pids.split_whitespace() {
            let alive = std::path::Path::new("/proc").join(pid).join("exe").exists();
            ensure!(!alive, "{pid} still runs");
        }
        Ok(())
    })
    .await
}

#[test]
fn a_cancelled_request_stops_with_all_its_processes_and_ends_as_cancelled() -> Result<()> {
    scene::run(async |scene| {
        scene.service("long", LONG)?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        scene
            .team
            .ask_with("a", "long", &json!({"retries": 3}))
            .await?;
        scene.file("pids").await?;
        scene.team.cancel("a").await?;
        let status = scene.team.wait_end("a").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Cancelled"), "Cancelled"),
            "{status}"
        );
        is_gone(scene).await
    })
}

#[test]
fn a_cancelled_request_that_waits_ends_at_once_and_is_never_run() -> Result<()> {
    scene::run(async |scene| {
        scene.service("seen", "echo \"$ISC_NAME\" >> \"$ISC_SERVICE_DIR/../runs\"")?;
        let _watcher = scene.watcher().await?;
        scene.team.ask("a", "seen", json!({})).await?;
        scene.team.wait_phase("a", "Queued").await?;
        scene.team.cancel("a").await?;
        assert_eq!(scene.team.wait_end("a").await?["phase"], "Cancelled");
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("b", "seen", json!({})).await?;
        assert_eq!(scene.team.wait_end("b").await?["phase"], "Succeeded");
        assert_eq!(scene.file("runs").await?, "b\n");
        Ok(())
    })
}

#[test]
fn a_deleted_request_stops_its_job() -> Result<()> {
    scene::run(async |scene| {
        scene.service("long", LONG)?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        scene.team.ask("a", "long", json!({})).await?;
        scene.file("pids").await?;
        let requests = scene.team.requests("default");
        requests
            .delete("a", &kube::api::DeleteParams::default())
            .await?;
        is_gone(scene).await
    })
}

#[test]
fn work_that_was_done_all_the_same_is_told_as_done() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with("stubborn", STUBBORN, "")?;
        // A grace that outlasts the test: the job ends by itself.
        let path = scene.services().join("stubborn.yaml");
        let text = std::fs::read_to_string(&path)?.replace("graceSeconds: 1", "graceSeconds: 60");
        std::fs::write(&path, text)?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        scene.team.ask("a", "stubborn", json!({})).await?;
        scene.file("pids").await?;
        scene.team.cancel("a").await?;
        let cancelling = |status: &Value| reason(status) == "Cancelling";
        scene
            .team
            .wait_for("a", "cancelling", wait::USUAL, cancelling)
            .await?;
        std::fs::write(scene.dir.join("open"), "")?;
        let status = scene.team.wait_end("a").await?;
        assert_eq!(
            (&status["phase"], &status["result"]),
            (&json!("Succeeded"), &json!({"done": true})),
            "{status}"
        );
        Ok(())
    })
}
