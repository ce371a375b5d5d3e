//! Requests that end badly, and what their callers are told.

use anyhow::Result;
use isc_tests::{
    Scene, Team, scene,
    team::{message, reason},
};
use serde_json::{Value, json};

/// Asserts one bad end.
async fn ends(team: &Team, name: &str, phase: &str, wanted: &str, part: &str) -> Result<Value> {
    let status = team.wait_end(name).await?;
    assert_eq!(
        (&status["phase"], reason(&status)),
        (&json!(phase), wanted),
        "{name}: {status}"
    );
    assert_eq!(
        status["conditions"][0]["status"], "False",
        "{name}: {status}"
    );
    assert!(message(&status).contains(part), "{name}: {status}");
    assert!(status["result"].is_null(), "{name}: {status}");
    Ok(status)
}

async fn with_a_worker(scene: &mut Scene) -> Result<(isc_tests::Watcher, isc_tests::Worker)> {
    Ok((scene.watcher().await?, scene.worker("worker-1").await?))
}

#[test]
fn a_failed_job_tells_its_exit_code_and_counts_as_failed() -> Result<()> {
    scene::run(async |scene| {
        scene.service(
            "broken",
            "echo '{\"half\": true}' > \"$ISC_RESULT\"; exit 3",
        )?;
        let _processes = with_a_worker(scene).await?;
        scene.team.ask("a", "broken", json!({})).await?;
        let status = ends(&scene.team, "a", "Failed", "JobFailed", "exit code 3").await?;
        assert_eq!(status["failed"], 1, "{status}");
        Ok(())
    })
}

#[test]
fn a_job_that_takes_too_long_is_ended_with_all_its_children() -> Result<()> {
    scene::run(async |scene| {
        let script = "sleep 300 & echo $! > \"$ISC_SERVICE_DIR/../child\"; wait";
        scene.service_with("endless", script, "timeoutSeconds: 60")?;
        let _processes = with_a_worker(scene).await?;
        // The request's own limit is shorter than the service's.
        scene
            .team
            .ask_with("a", "endless", &json!({"timeoutSeconds": 1}))
            .await?;
        let status = ends(&scene.team, "a", "Failed", "TimedOut", "1 s").await?;
        assert_eq!(status["effective"]["timeoutSeconds"], 1, "{status}");
        let child = scene.file("child").await?;
        let gone = async || {
            let alive = std::path::Path::new("/proc")
                .join(child.trim())
                .join("exe")
                .exists();
            anyhow::ensure!(!alive, "sleep still runs as {}", child.trim());
            Ok(())
        };
        isc_tests::wait::until("the job's child is gone", isc_tests::wait::USUAL, gone).await
    })
}

#[test]
fn a_result_that_is_no_json_object_fails_the_request() -> Result<()> {
    scene::run(async |scene| {
        scene.service("chatty", "echo 'all went well!' > \"$ISC_RESULT\"")?;
        scene.service("list", "echo '[1, 2]' > \"$ISC_RESULT\"")?;
        scene.service("silent", ":")?;
        let _processes = with_a_worker(scene).await?;
        for service in ["chatty", "list", "silent"] {
            scene.team.ask(service, service, json!({})).await?;
        }
        ends(&scene.team, "chatty", "Failed", "InvalidResult", "JSON").await?;
        ends(&scene.team, "list", "Failed", "InvalidResult", "object").await?;
        let status = scene.team.wait_end("silent").await?;
        assert_eq!(status["phase"], "Succeeded", "no result is fine: {status}");
        Ok(())
    })
}

#[test]
fn a_result_over_the_limit_fails_the_request_instead_of_being_cut() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with(
            "echo-little",
            "cp \"$ISC_PARAMS\" \"$ISC_RESULT\"",
            "resultMaxBytes: 100",
        )?;
        let _processes = with_a_worker(scene).await?;
        scene
            .team
            .ask("small", "echo-little", json!({"t": "x".repeat(50)}))
            .await?;
        scene
            .team
            .ask("large", "echo-little", json!({"t": "x".repeat(100)}))
            .await?;
        ends(&scene.team, "large", "Failed", "ResultTooLarge", "100").await?;
        let status = scene.team.wait_end("small").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        Ok(())
    })
}

#[test]
fn a_job_that_dies_by_a_signal_or_cannot_start_says_so() -> Result<()> {
    scene::run(async |scene| {
        scene.service("suicide", "kill -SEGV $$")?;
        let missing = "exec:\n  command: [./no-such-program]\n";
        std::fs::write(scene.services().join("missing.yaml"), missing)?;
        let _processes = with_a_worker(scene).await?;
        scene.team.ask("killed", "suicide", json!({})).await?;
        scene.team.ask("missing", "missing", json!({})).await?;
        ends(&scene.team, "killed", "Failed", "JobKilled", "SIGSEGV").await?;
        ends(
            &scene.team,
            "missing",
            "Failed",
            "StartFailed",
            "no-such-program",
        )
        .await?;
        Ok(())
    })
}

#[test]
fn an_unknown_service_is_rejected_without_telling_which_exist() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = scene.watcher().await?;
        scene.team.ask("a", "rocket", json!({})).await?;
        let status = ends(&scene.team, "a", "Rejected", "UnknownService", "rocket").await?;
        assert!(!message(&status).contains("echo"), "{status}");
        Ok(())
    })
}
