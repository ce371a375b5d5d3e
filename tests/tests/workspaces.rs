//! Workspaces that come and go while the watcher runs.

use anyhow::{Result, ensure};
use isc_tests::{Watcher, scene, wait};
use serde_json::json;

/// Lines of the watcher's log that ask a person to look.
fn complaints(watcher: &Watcher) -> usize {
    let log = watcher.process.log();
    log.lines()
        .filter(|l| l.contains(" WARN ") || l.contains(" ERROR "))
        .count()
}

async fn endpoints(watcher: &Watcher, wanted: f64) -> Result<()> {
    wait::until(
        &format!("{wanted} endpoints are watched"),
        wait::USUAL,
        async || {
            let found = watcher.metrics().await?.sum("isc_endpoints", &[]);
            ensure!((found - wanted).abs() < 0.1, "there are {found}");
            Ok(())
        },
    )
    .await
}

#[test]
fn a_workspace_that_binds_while_the_watcher_runs_is_served_without_a_restart() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let late = scene.team_b().await?;
        late.ask("late", "echo", json!({"a": 1})).await?;
        let status = late.wait_end("late").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        Ok(())
    })
}

#[test]
fn a_workspace_that_unbinds_is_forgotten_while_the_others_go_on() -> Result<()> {
    scene::run(async |scene| {
        let leaver = scene.team_b().await?;
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        for team in [&scene.team, &leaver] {
            team.ask("first", "echo", json!({})).await?;
            team.wait_end("first").await?;
        }
        let before = complaints(&watcher);
        leaver.unbind().await?;
        wait::until(
            "the leaver's request is forgotten",
            wait::USUAL,
            async || {
                let known = watcher.metrics().await?.sum("isc_requests", &[]);
                ensure!((known - 1.0).abs() < 0.1, "{known} requests are known");
                Ok(())
            },
        )
        .await?;
        scene.team.ask("second", "echo", json!({})).await?;
        let status = scene.team.wait_end("second").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        let after = complaints(&watcher);
        assert!(after <= before + 3, "{} new complaints", after - before);
        Ok(())
    })
}

#[test]
fn the_last_workspace_may_leave_and_come_back() -> Result<()> {
    scene::run(async |scene| {
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        endpoints(&watcher, 1.0).await?;
        scene.team.unbind().await?;
        endpoints(&watcher, 0.0).await?;
        let before = complaints(&watcher);
        scene.team.bind().await?;
        scene
            .team
            .ask("again", "echo", json!({"back": true}))
            .await?;
        let status = scene.team.wait_end("again").await?;
        assert_eq!(status["result"], json!({"back": true}), "{status}");
        let after = complaints(&watcher);
        assert!(after <= before + 3, "{} new complaints", after - before);
        Ok(())
    })
}
