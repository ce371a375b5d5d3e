//! What is logged, changed while the processes run.

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Process, Scene, isc, isc::set, scene, wait};
use serde_json::{Value, json};

/// Sets `log.filter` in a process's configuration file.
fn configure(scene: &Scene, name: &str, filter: &str) -> Result<()> {
    let file = scene.dir.join(format!("{name}.yaml"));
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    set(&mut config, "log.filter", filter);
    Ok(std::fs::write(file, config.to_string())?)
}

async fn says(process: &Process, words: &str) -> Result<()> {
    let what = format!("{} says {words}", process.name());
    wait::until(&what, wait::USUAL, async || {
        ensure!(process.log().contains(words), "it does not");
        Ok(())
    })
    .await
}

/// A library that has something to say of every message between worker and watcher.
const CHATTY: &str = "h2::codec";

#[test]
fn the_filter_of_the_log_changes_while_watcher_and_worker_run() -> Result<()> {
    scene::run(async |scene| {
        let mut config = scene.watcher_config();
        isc::shorten_lease(&mut config);
        set(&mut config, "log.filter", "info");
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        let mut config = scene.worker_config("worker-1");
        set(
            &mut config,
            "log",
            json!({"filter": "info", "format": "json"}),
        );
        let mut worker = scene.start_worker(config)?;
        worker.ready().await?;
        for (name, process) in [("watcher", &watcher.process), ("worker-1", &worker.process)] {
            assert!(!process.log().contains(CHATTY), "{}", process.log());
            configure(scene, name, "info,h2=debug")?;
            says(process, CHATTY).await?;

            configure(scene, name, "info,h2=loud")?;
            says(process, "the log filter `info,h2=loud` is wrong").await?;
            says(process, "`info,h2=debug` stays in force").await?;
            let told = process.log().len();
            wait::until("the filter before stays", wait::USUAL, async || {
                ensure!(process.log()[told..].contains(CHATTY), "it says nothing");
                Ok(())
            })
            .await?;

            configure(scene, name, "info")?;
            says(process, "`log.filter` is `info` now").await?;
        }
        scene.team.ask("after", "echo", json!({})).await?;
        scene.team.wait_end("after").await?;
        for process in [&watcher.process, &worker.process] {
            let log = process.log();
            let (_, after) = log
                .rsplit_once("`log.filter` is `info` now")
                .unwrap_or_default();
            assert!(!after.contains(CHATTY), "it is quiet again: {after}");
        }
        let log = watcher.process.log();
        assert!(!log.contains("takes effect at the next start"), "{log}");
        for line in worker.process.log().lines() {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            assert!(event["level"].is_string(), "{line}");
        }
        Ok(())
    })
}
