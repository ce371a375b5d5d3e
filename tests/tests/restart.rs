//! A clean restart of the watcher. In a file of its own, since it measures: nothing else runs beside it.

use std::time::Duration;

use anyhow::Result;
use isc_tests::{
    scene, wait,
    work::{ends, longest_pause, make, prepare, started, worker},
};
use kube::api::DeleteParams;
use serde_json::json;

#[test]
fn a_clean_restart_of_the_watcher_does_not_pause_the_work() -> Result<()> {
    const JOBS: usize = 400;
    /// The longest time without a start.
    const PAUSE: Duration = Duration::from_secs(2);
    scene::run(async |scene| {
        prepare(scene)?;
        // Its word counts only after its own take-over period.
        scene.team.ask("early", "echo", json!({})).await?;
        let mut watcher = scene.eager_watcher().await?;
        let _workers = [
            worker(scene, "worker-1", 2).await?,
            worker(scene, "worker-2", 2).await?,
        ];
        scene.team.wait_end("early").await?;
        let requests = scene.team.requests("default");
        requests.delete("early", &DeleteParams::default()).await?;
        make(scene, JOBS, &json!({"millis": 150})).await?;
        started(scene, JOBS / 8).await?;
        let status = watcher.process.terminate(wait::USUAL).await?;
        assert!(status.success(), "{status}");
        let _next = scene.eager_watcher().await?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        let longest = longest_pause(scene, JOBS)?;
        assert!(longest <= PAUSE, "nothing started for {longest:?}");
        Ok(())
    })
}
