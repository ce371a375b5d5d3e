//! The whole life of a request: tried again, out of time, deleted after its end.

use std::time::Duration;

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, scene,
    team::{message, reason},
    wait,
};
use serde_json::json;

/// Fails with exit code 75 until `ISC_FAILED` has reached the parameter `failures`.
const FLAKY: &str = r#"
echo "$ISC_NAME $ISC_ATTEMPT" >> "$ISC_SERVICE_DIR/../runs"
failures=$(tr -dc 0-9 < "$ISC_PARAMS")
[ "$ISC_FAILED" -ge "$failures" ] || exit 75
echo "{\"after\": $ISC_FAILED}" > "$ISC_RESULT""#;

const SOON: &str = "retry: {backoffSeconds: 1, maxBackoffSeconds: 1}";

/// Writes its own PID, then sleeps for a minute.
const LONG: &str = r#"echo $$ > "$ISC_SERVICE_DIR/../pid"; sleep 60"#;

fn runs(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.dir.join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn is_gone(scene: &Scene) -> Result<()> {
    let pid = scene.file("pid").await?;
    wait::until("the job is gone", wait::USUAL, async || {
        let alive = std::path::Path::new("/proc").join(pid.trim()).exists();
        ensure!(!alive, "the job still runs as {}", pid.trim());
        Ok(())
    })
    .await
}

#[test]
fn a_failure_that_another_try_may_mend_is_tried_again_and_the_status_tells_of_each_try()
-> Result<()> {
    scene::run(async |scene| {
        scene.service_with("flaky", FLAKY, SOON)?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        let spec = json!({"params": {"failures": 2}, "retries": 3});
        scene.team.ask_with("a", "flaky", &spec).await?;
        let status = scene.team.wait_end("a").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(status["result"], json!({"after": 2}), "{status}");
        let counts = (
            &status["failed"],
            &status["attempt"],
            &status["effective"]["retries"],
        );
        assert_eq!(counts, (&json!(2), &json!(3), &json!(3)), "{status}");
        let past = status["previousAttempts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        assert_eq!(past.len(), 2, "{status}");
        for (number, attempt) in (1..).zip(&past) {
            assert_eq!(attempt["attempt"], number, "{status}");
            assert_eq!(attempt["reason"], "JobFailed", "{status}");
            assert_eq!(attempt["message"], "exit code 75", "{status}");
            assert_eq!(attempt["worker"], "worker-1", "{status}");
            assert!(
                attempt["startTime"].is_string() && attempt["endTime"].is_string(),
                "{status}"
            );
        }
        assert_eq!(status["firstStartTime"], past[0]["startTime"], "{status}");
        assert_eq!(runs(scene), ["a 1", "a 2", "a 3"]);
        Ok(())
    })
}

#[test]
fn no_request_is_tried_more_often_than_it_and_its_service_allow() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with(
            "flaky",
            FLAKY,
            "retry: {backoffSeconds: 1, maxBackoffSeconds: 1, maxRetries: 2}",
        )?;
        scene.service(
            "broken",
            "echo \"$ISC_NAME $ISC_ATTEMPT\" >> \"$ISC_SERVICE_DIR/../runs\"; exit 3",
        )?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        for (name, service, retries) in [
            ("once", "flaky", 0),
            ("twice", "flaky", 1),
            ("many", "flaky", 50),
            ("never", "broken", 5),
        ] {
            let spec = json!({"params": {"failures": 99}, "retries": retries});
            scene.team.ask_with(name, service, &spec).await?;
        }
        for (name, tries) in [("once", 1), ("twice", 2), ("many", 3), ("never", 1)] {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(
                (&status["phase"], reason(&status)),
                (&json!("Failed"), "JobFailed"),
                "{status}"
            );
            assert_eq!(
                (&status["failed"], &status["attempt"]),
                (&json!(tries), &json!(tries)),
                "{status}"
            );
            let made = runs(scene)
                .iter()
                .filter(|run| run.starts_with(&format!("{name} ")))
                .count();
            assert_eq!(made, tries, "{name}: {:?}", runs(scene));
        }
        Ok(())
    })
}

#[test]
fn a_request_that_nobody_starts_in_time_ends_and_is_never_run() -> Result<()> {
    scene::run(async |scene| {
        scene.service("seen", "echo \"$ISC_NAME\" >> \"$ISC_SERVICE_DIR/../runs\"")?;
        let _watcher = scene.watcher().await?;
        scene
            .team
            .ask_with("late", "seen", &json!({"queueTimeoutSeconds": 1}))
            .await?;
        let status = scene.team.wait_end("late").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Failed"), "QueueTimeout"),
            "{status}"
        );
        assert!(status["startTime"].is_null(), "{status}");
        let _worker = scene.worker("worker-1").await?;
        scene
            .team
            .ask_with("patient", "seen", &json!({"queueTimeoutSeconds": 60}))
            .await?;
        assert_eq!(scene.team.wait_end("patient").await?["phase"], "Succeeded");
        assert_eq!(runs(scene), ["patient"]);
        Ok(())
    })
}

#[test]
fn a_passed_deadline_stops_the_job_and_ends_the_request() -> Result<()> {
    scene::run(async |scene| {
        scene.service("long", LONG)?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        scene
            .team
            .ask_with("a", "long", &json!({"deadlineSeconds": 2, "retries": 5}))
            .await?;
        let status = scene.team.wait_end("a").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Failed"), "DeadlineExceeded"),
            "{status}"
        );
        assert_eq!(status["effective"]["deadlineSeconds"], 2, "{status}");
        is_gone(scene).await
    })
}

#[test]
fn a_deadline_holds_while_a_request_pauses_after_a_failure() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with(
            "flaky",
            FLAKY,
            "retry: {backoffSeconds: 3600, maxBackoffSeconds: 3600}",
        )?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        let spec = json!({"params": {"failures": 9}, "retries": 9, "deadlineSeconds": 6});
        scene.team.ask_with("a", "flaky", &spec).await?;
        let pausing = |status: &serde_json::Value| reason(status) == "Backoff";
        let status = scene
            .team
            .wait_for("a", "pausing", wait::USUAL, pausing)
            .await?;
        assert_eq!(status["phase"], "Queued", "{status}");
        assert!(message(&status).contains("exit code 75"), "{status}");
        let status = scene.team.wait_end("a").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Failed"), "DeadlineExceeded"),
            "{status}"
        );
        // The pause is drawn by lot, so now and then there is time for another try.
        assert!(status["failed"].as_u64() >= Some(1), "{status}");
        Ok(())
    })
}

#[test]
fn a_request_is_deleted_when_its_time_to_live_is_over_and_no_other_is() -> Result<()> {
    scene::run(async |scene| {
        let (watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        let ends = json!({"params": {}, "ttlSecondsAfterFinished": 2});
        scene.team.ask_with("brief", "echo", &ends).await?;
        scene.team.ask("lasting", "echo", json!({})).await?;
        assert_eq!(scene.team.wait_end("brief").await?["phase"], "Succeeded");
        assert_eq!(scene.team.wait_end("lasting").await?["phase"], "Succeeded");
        deleted(scene, "brief").await?;
        // One that a later watcher only finds finished is deleted too.
        scene
            .team
            .ask_with(
                "inherited",
                "echo",
                &json!({"params": {}, "ttlSecondsAfterFinished": 3}),
            )
            .await?;
        assert_eq!(
            scene.team.wait_end("inherited").await?["phase"],
            "Succeeded"
        );
        drop(watcher);
        let _watcher = scene.watcher().await?;
        deleted(scene, "inherited").await?;
        assert_eq!(scene.team.status("lasting").await?["phase"], "Succeeded");
        Ok(())
    })
}

async fn deleted(scene: &Scene, name: &str) -> Result<()> {
    let requests = scene.team.requests("default");
    wait::until(
        &format!("{name} is deleted"),
        Duration::from_secs(30),
        async || {
            ensure!(requests.get_opt(name).await?.is_none(), "{name} is there");
            Ok(())
        },
    )
    .await
}
