//! Who goes first, and how much may run at once.

use anyhow::{Result, ensure};
use isc_tests::{Scene, scene, team::reason, wait};
use serde_json::{Value, json};

/// Tells that it started and, when the gate of its service is open, that it ended.
const GATED: &str = r#"
here="$ISC_SERVICE_DIR/.."
echo "start $ISC_NAME" >> "$here/runs"
until [ -e "$here/open" ]; do sleep 0.05; done
sleep 0.2
echo "end $ISC_NAME" >> "$here/runs""#;

fn runs(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.dir.join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn starts(scene: &Scene) -> Vec<String> {
    let starts = runs(scene).into_iter();
    starts
        .filter_map(|line| line.strip_prefix("start ").map(str::to_owned))
        .collect()
}

/// The most jobs that ran at once among those whose name starts so.
fn most_at_once(scene: &Scene, prefix: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in runs(scene) {
        match line.split_once(' ') {
            Some(("start", name)) if name.starts_with(prefix) => now += 1,
            Some(("end", name)) if name.starts_with(prefix) => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

fn open(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("open"), "")?)
}

async fn one_slot(scene: &Scene) -> Result<isc_tests::Worker> {
    let mut config = scene.worker_config("worker-1");
    config["slots"] = json!(1);
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    Ok(worker)
}

async fn started(scene: &Scene, count: usize) -> Result<()> {
    wait::until("jobs have started", wait::USUAL, async || {
        ensure!(starts(scene).len() >= count, "only {:?}", starts(scene));
        Ok(())
    })
    .await
}

async fn is_known(scene: &Scene, name: &str) -> Result<()> {
    let known = |status: &Value| status["phase"] == "Queued";
    scene
        .team
        .wait_for(name, "queued", wait::USUAL, known)
        .await?;
    Ok(())
}

#[test]
fn a_high_request_goes_before_the_waiting_ones_of_its_own_team() -> Result<()> {
    scene::run(async |scene| {
        scene.service("gated", GATED)?;
        let (_watcher, _worker) = (scene.watcher().await?, one_slot(scene).await?);
        scene.team.ask("busy", "gated", json!({})).await?;
        started(scene, 1).await?;
        let waiting: Vec<String> = (0..20).map(|n| format!("low-{n}")).collect();
        for name in &waiting {
            scene
                .team
                .ask_with(name, "gated", &json!({"priority": "Low"}))
                .await?;
        }
        scene
            .team
            .ask_with("high", "gated", &json!({"priority": "High"}))
            .await?;
        is_known(scene, "high").await?;
        open(scene)?;
        scene.team.wait_end("high").await?;
        let order = starts(scene);
        let place = order.iter().position(|name| name == "high");
        // What has a ticket already may go first: as many as the window holds.
        assert!(place.is_some_and(|place| place <= 5), "{order:?}");
        Ok(())
    })
}

#[test]
fn a_high_request_of_another_team_starts_next_whatever_waits() -> Result<()> {
    scene::run(async |scene| {
        scene.service("gated", GATED)?;
        let other = scene.team_b().await?;
        let (_watcher, _worker) = (scene.watcher().await?, one_slot(scene).await?);
        scene.team.ask("busy", "gated", json!({})).await?;
        started(scene, 1).await?;
        for n in 0..30 {
            scene
                .team
                .ask(&format!("flood-{n}"), "gated", json!({}))
                .await?;
        }
        is_known(scene, "flood-29").await?;
        other
            .ask_with("urgent", "gated", &json!({"priority": "High"}))
            .await?;
        let known = |status: &Value| status["phase"] == "Queued";
        other
            .wait_for("urgent", "queued", wait::USUAL, known)
            .await?;
        open(scene)?;
        assert_eq!(other.wait_end("urgent").await?["phase"], "Succeeded");
        assert_eq!(
            starts(scene)[..2],
            ["busy", "urgent"],
            "{:?}",
            starts(scene)
        );
        Ok(())
    })
}

#[test]
fn a_service_runs_no_more_at_once_than_it_allows() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with("gated", GATED, "limits: {concurrency: 2}")?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        open(scene)?;
        for n in 0..8 {
            scene
                .team
                .ask(&format!("r-{n}"), "gated", json!({}))
                .await?;
        }
        for n in 0..8 {
            assert_eq!(
                scene.team.wait_end(&format!("r-{n}")).await?["phase"],
                "Succeeded"
            );
        }
        assert_eq!(most_at_once(scene, "r-"), 2, "{:?}", runs(scene));
        Ok(())
    })
}

#[test]
fn requests_with_one_concurrency_key_run_one_after_the_other_and_others_beside_them() -> Result<()>
{
    scene::run(async |scene| {
        scene.service_with(
            "gated",
            GATED,
            "limits: {key: {cel: \"params.repo\", max: 1}}",
        )?;
        let (_watcher, _worker) = (scene.watcher().await?, scene.worker("worker-1").await?);
        for n in 0..4 {
            scene
                .team
                .ask(&format!("a-{n}"), "gated", json!({"repo": "a"}))
                .await?;
        }
        scene.team.ask("b-0", "gated", json!({"repo": "b"})).await?;
        started(scene, 2).await?;
        assert!(
            starts(scene).contains(&"b-0".to_owned()),
            "{:?}",
            starts(scene)
        );
        scene.team.ask("none", "gated", json!({})).await?;
        let status = scene.team.wait_end("none").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Rejected"), "InvalidParams"),
            "{status}"
        );
        open(scene)?;
        for n in 0..4 {
            assert_eq!(
                scene.team.wait_end(&format!("a-{n}")).await?["phase"],
                "Succeeded"
            );
        }
        assert_eq!(most_at_once(scene, "a-"), 1, "{:?}", runs(scene));
        Ok(())
    })
}

#[test]
fn a_team_with_too_many_waiting_requests_is_told_so_and_no_other_team_is() -> Result<()> {
    scene::run(async |scene| {
        let other = scene.team_b().await?;
        let mut config = scene.watcher_config();
        config["tenants"] = json!({"waiting": 2, "waitingBytes": 1000});
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        // No worker: everything waits.
        for name in ["a", "b"] {
            scene.team.ask(name, "echo", json!({})).await?;
            is_known(scene, name).await?;
        }
        scene.team.ask("d", "echo", json!({})).await?;
        let status = scene.team.wait_end("d").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Rejected"), "TooManyWaiting"),
            "{status}"
        );
        other
            .ask("large", "echo", json!({"t": "x".repeat(1000)}))
            .await?;
        let status = other.wait_end("large").await?;
        assert_eq!(reason(&status), "TooManyWaiting", "{status}");
        other.ask("a", "echo", json!({})).await?;
        let known = |status: &Value| status["phase"] == "Queued";
        other.wait_for("a", "queued", wait::USUAL, known).await?;
        // What waited ends: there is room again.
        scene.team.cancel("b").await?;
        scene.team.wait_end("b").await?;
        scene.team.ask("e", "echo", json!({})).await?;
        is_known(scene, "e").await
    })
}
