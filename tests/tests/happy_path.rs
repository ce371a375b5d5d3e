//! Requests that end well.

use anyhow::{Result, ensure};
use isc_tests::{
    isc::set,
    scene,
    team::{is_finished, message, reason},
    wait,
};
use serde_json::json;

const WHERE_AM_I: &str = r#"
    printf '{"cluster": "%s", "namespace": "%s", "name": "%s", "requester": "%s", "attempt": %s}' \
        "$ISC_CLUSTER" "$ISC_NAMESPACE" "$ISC_NAME" "$ISC_REQUESTER" "$ISC_ATTEMPT" > "$ISC_RESULT""#;

#[test]
fn two_workspaces_with_the_same_namespace_and_name_get_their_own_results() -> Result<()> {
    scene::run(async |scene| {
        scene.service("where", WHERE_AM_I)?;
        let other = scene.team_b().await?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        for team in [&scene.team, &other] {
            team.ask("same", "where", json!({})).await?;
        }
        for team in [&scene.team, &other] {
            let status = team.wait_end("same").await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
            let wanted = json!({
                "cluster": team.cluster, "namespace": "default", "name": "same",
                "requester": team.member.name(), "attempt": 1,
            });
            assert_eq!(status["result"], wanted);
        }
        Ok(())
    })
}

#[test]
fn a_request_made_before_the_watcher_starts_is_served() -> Result<()> {
    scene::run(async |scene| {
        scene
            .team
            .ask("early", "echo", json!({"deep": [1, null, {"a": "ä"}]}))
            .await?;
        let _watcher = scene.eager_watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let status = scene.team.wait_end("early").await?;
        assert_eq!(
            status["result"],
            json!({"deep": [1, null, {"a": "ä"}]}),
            "{status}"
        );
        Ok(())
    })
}

#[test]
fn a_successful_end_has_all_that_people_and_pipelines_read() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("read-me", "echo", json!({"a": 1})).await?;
        let status = scene.team.wait_end("read-me").await?;
        let first = &status["conditions"][0];
        assert_eq!(
            (&first["type"], &first["status"]),
            (&json!("Succeeded"), &json!("True"))
        );
        assert_eq!(reason(&status), "Succeeded");
        assert_eq!(
            (&status["worker"], &status["attempt"]),
            (&json!("worker-1"), &json!(1))
        );
        assert_eq!(status["observedGeneration"], 1);
        let times = ["queuedTime", "startTime", "completionTime"].map(|key| status[key].as_str());
        assert!(times.iter().all(Option::is_some), "{status}");
        assert!(times.is_sorted(), "{times:?}");
        Ok(())
    })
}

#[test]
fn a_short_request_costs_exactly_one_status_write() -> Result<()> {
    scene::run(async |scene| {
        let mut config = scene.watcher_config();
        // A busy machine may be slow: what matters is that the end comes within the delay.
        set(&mut config, "status.firstWriteDelayMs", 30_000);
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        for name in ["one", "two", "three"] {
            scene.team.ask(name, "echo", json!({})).await?;
            scene.team.wait_end(name).await?;
        }
        wait::until("the writes are counted", wait::USUAL, async || {
            let metrics = watcher.metrics().await?;
            let ends = metrics.sum(
                "isc_status_writes_total",
                &[("kind", "end"), ("result", "ok")],
            );
            ensure!(
                (ends - 3.0).abs() < 0.1,
                "{}",
                metrics.lines("isc_status_writes")
            );
            Ok(())
        })
        .await?;
        let metrics = watcher.metrics().await?;
        let all = metrics.sum("isc_status_writes_total", &[]);
        assert!(
            (all - 3.0).abs() < 0.1,
            "{}",
            metrics.lines("isc_status_writes")
        );
        Ok(())
    })
}

#[test]
fn progress_moves_while_the_job_runs_and_stays_out_of_the_way_of_the_end() -> Result<()> {
    scene::run(async |scene| {
        let script = r#"exec 3>"$ISC_PROGRESS"
            echo '{"percent": 30, "message": "loading"}' >&3
            while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
            echo '{"percent": 90, "message": "nearly there"}' >&3"#;
        scene.service("slow", script)?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("long", "slow", json!({})).await?;
        let wanted = json!({"percent": 30, "message": "loading"});
        let seen = |status: &serde_json::Value| status["progress"] == wanted;
        let status = scene
            .team
            .wait_for("long", "at 30 %", wait::USUAL, seen)
            .await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Running"), "Running"),
            "{status}"
        );
        assert_eq!(status["conditions"][0]["status"], "Unknown", "{status}");
        assert!(!is_finished(&status), "{status}");
        assert!(message(&status).contains("worker-1"), "{status}");
        std::fs::write(scene.dir.join("go"), "")?;
        let status = scene.team.wait_end("long").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        Ok(())
    })
}
