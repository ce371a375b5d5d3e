//! Services and limits that change while the watcher runs.

use anyhow::{Result, ensure};
use isc_tests::{Scene, Watcher, isc::set, scene, team::reason, wait};
use serde_json::{Value, json};

/// Waits until that many reloads had that result.
async fn reloads(watcher: &Watcher, result: &str, wanted: f64) -> Result<()> {
    wait::until("the files are read again", wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let seen = metrics.sum("isc_config_reloads_total", &[("result", result)]);
        ensure!(
            seen > wanted - 0.5,
            "{}",
            metrics.lines("isc_config_reloads_total")
        );
        Ok(())
    })
    .await
}

#[test]
fn a_service_may_come_be_broken_and_go_while_the_watcher_runs() -> Result<()> {
    scene::run(async |scene| {
        let watcher = scene.watcher().await?;
        scene.team.ask("early", "late", json!({})).await?;
        let status = scene.team.wait_end("early").await?;
        assert_eq!(reason(&status), "UnknownService", "{status}");

        scene.service("late", "true")?;
        reloads(&watcher, "ok", 1.0).await?;
        scene.team.ask("waiting", "late", json!({})).await?;
        scene.team.wait_phase("waiting", "Queued").await?;

        scene.service_with("late", "true", "tiemoutSeconds: 3")?;
        reloads(&watcher, "failed", 1.0).await?;
        let log = watcher.process.log();
        assert!(
            log.contains("late.yaml") && log.contains("tiemoutSeconds"),
            "file and key are named: {log}"
        );
        scene.team.ask("meanwhile", "late", json!({})).await?;
        scene.team.wait_phase("meanwhile", "Queued").await?;

        std::fs::remove_file(scene.services().join("late.yaml"))?;
        reloads(&watcher, "ok", 2.0).await?;
        let waits = |status: &Value| reason(status) == "ServiceMissing";
        let team = &scene.team;
        team.wait_for("waiting", "told", wait::USUAL, waits).await?;

        scene.service("late", "true")?;
        reloads(&watcher, "ok", 3.0).await?;
        let _worker = scene.worker("worker-1").await?;
        for name in ["waiting", "meanwhile"] {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        Ok(())
    })
}

/// Writes the watcher's configuration anew, with one key set.
fn configure(scene: &Scene, watcher: &Watcher, key: &str, value: impl Into<Value>) -> Result<()> {
    let mut config = scene.watcher_config();
    set(&mut config, "admin.listen", watcher.admin.to_string());
    set(&mut config, key, value);
    let file = scene.dir.join("watcher.yaml");
    Ok(std::fs::write(file, config.to_string())?)
}

#[test]
fn a_pause_takes_effect_and_ends_without_a_restart() -> Result<()> {
    scene::run(async |scene| {
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let team = &scene.team;
        let pauses = [
            json!({"all": true}),
            json!({"services": ["echo"]}),
            json!({"tenants": [team.cluster]}),
        ];
        for (n, pause) in (0_u8..).zip(pauses) {
            configure(scene, &watcher, "pause", pause.clone())?;
            reloads(&watcher, "ok", f64::from(2 * n + 1)).await?;
            let name = format!("r{n}");
            team.ask(&name, "echo", json!({})).await?;
            let waits = |status: &Value| reason(status) == "Paused";
            team.wait_for(&name, "paused", wait::USUAL, waits).await?;
            configure(scene, &watcher, "pause", json!({}))?;
            let status = team.wait_end(&name).await?;
            assert_eq!(status["phase"], "Succeeded", "{pause}: {status}");
        }
        Ok(())
    })
}

#[test]
fn a_key_that_needs_another_start_is_told_in_the_log() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = scene.watcher().await?;
        configure(scene, &watcher, "window", 9)?;
        wait::until("the log tells what must wait", wait::USUAL, async || {
            watcher.process.check_alive()?;
            let log = watcher.process.log();
            let told = log.contains("takes effect at the next start: `window`");
            ensure!(told, "it does not");
            Ok(())
        })
        .await
    })
}
