//! A rolling upgrade of watcher and workers under load, and the way back. `make upgrade-test` runs it with the
//! programs of an earlier commit as the old version; in `make test` both versions are this one. In a file of its own,
//! since it measures: nothing else runs beside it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, Watcher, Worker,
    isc::{old_program, program, shorten_lease},
    scene, wait,
    work::{ends, longest_pause, make, prepare, started, worker_as},
};
use kube::api::DeleteParams;
use serde_json::json;

const JOBS: usize = 500;
/// The longest time without a start.
const PAUSE: Duration = Duration::from_secs(5);

/// The programs of one version.
struct Version {
    watcher: PathBuf,
    worker: PathBuf,
}

impl Version {
    fn old() -> Result<Self> {
        Ok(Self {
            watcher: old_program("isc-watcher")?,
            worker: old_program("isc-worker")?,
        })
    }

    fn new() -> Result<Self> {
        Ok(Self {
            watcher: program("isc-watcher")?,
            worker: program("isc-worker")?,
        })
    }

    async fn watcher(&self, scene: &Scene, name: &str) -> Result<Watcher> {
        let mut config = scene.watcher_config();
        shorten_lease(&mut config);
        let kubeconfig = &scene.provider.kubeconfig;
        let mut watcher = Watcher::start_as(&self.watcher, (&scene.dir, name), config, kubeconfig)?;
        watcher.ready().await?;
        Ok(watcher)
    }

    async fn worker(&self, scene: &Scene, name: &str) -> Result<Worker> {
        worker_as(scene, &self.worker, scene.worker_config(name), 2).await
    }
}

/// Ends a process as an orchestrator does.
async fn end(process: &mut isc_tests::Process) -> Result<()> {
    let status = process.terminate(wait::USUAL).await?;
    ensure!(status.success(), "{} ended with {status}", process.name());
    Ok(())
}

/// Waits until so many more jobs have started, by whoever is there.
async fn goes_on(scene: &Scene) -> Result<()> {
    let before = isc_tests::work::starts(scene)?.len();
    started(scene, JOBS.min(before + JOBS / 12)).await
}

#[test]
fn an_upgrade_and_the_way_back_fail_no_request_and_pause_nothing() -> Result<()> {
    scene::run(async |scene| {
        let (old, new) = (Version::old()?, Version::new()?);
        prepare(scene)?;
        // Its word counts only after its own take-over period.
        scene.team.ask("early", "echo", json!({})).await?;
        let mut watcher = old.watcher(scene, "watcher-old").await?;
        let mut first = old.worker(scene, "worker-1").await?;
        let mut second = old.worker(scene, "worker-2").await?;
        scene.team.wait_end("early").await?;
        let requests = scene.team.requests("default");
        requests.delete("early", &DeleteParams::default()).await?;
        make(scene, JOBS, &json!({"millis": 150})).await?;
        started(scene, JOBS / 12).await?;

        // Workers first: an old watcher with workers of both versions.
        let _third = new.worker(scene, "worker-3").await?;
        end(&mut first.process).await?;
        goes_on(scene).await?;
        // The watcher: workers of both versions with a new one.
        end(&mut watcher.process).await?;
        let mut watcher = new.watcher(scene, "watcher-new").await?;
        goes_on(scene).await?;
        let _fourth = new.worker(scene, "worker-4").await?;
        end(&mut second.process).await?;
        goes_on(scene).await?;
        // And back: the new version's statuses and mark are the old one's to read.
        end(&mut watcher.process).await?;
        let _watcher = old.watcher(scene, "watcher-again").await?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(status["phase"], "Succeeded", "{status}");
            assert_eq!(status["attempt"], 1, "{status}");
        }
        let longest = longest_pause(scene, JOBS)?;
        assert!(longest <= PAUSE, "nothing started for {longest:?}");
        Ok(())
    })
}
