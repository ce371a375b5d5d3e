//! Several exports, kinds that come late, schemas that change, workspaces that go away in the middle.
//!
//! One kcp has one shard, so several endpoints come from several exports here; each has its own URL, watch
//! and list, as the endpoints of several shards have.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Scene, Watcher, Who, exports, isc, isc::set, scene, wait};
use kube::api::DeleteParams;
use serde_json::json;

const REQUESTS: (&str, &str) = ("kind", "requests.internal.services");
const SIGNINGS: (&str, &str) = ("kind", "signingrequests.signing.example.com");

async fn both_kinds(scene: &Scene, slice: &str) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    set(&mut config, "kinds", exports::config(slice));
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok(watcher)
}

/// Waits until a kind is in that state at so many endpoints.
async fn state(watcher: &Watcher, kind: (&str, &str), state: &str, wanted: f64) -> Result<()> {
    let what = format!("{kind:?} is {state} at {wanted}");
    wait::until(&what, wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let found = metrics.sum("isc_endpoint_state", &[kind, ("state", state)]);
        ensure!(
            (found - wanted).abs() < 0.1,
            "{}",
            metrics.lines("isc_endpoint_state")
        );
        Ok(())
    })
    .await
}

#[test]
fn two_exports_have_watches_of_their_own_and_one_may_go_and_come_back() -> Result<()> {
    scene::run(async |scene| {
        exports::create(&scene.provider).await?;
        scene.team.bind_signings().await?;
        let watcher = both_kinds(scene, exports::GROUP).await?;
        let _worker = scene.worker("worker-1").await?;
        state(&watcher, SIGNINGS, "watching", 1.0).await?;
        scene.team.ask("a", "echo", json!({"a": 1})).await?;
        scene.team.ask_signing("a").await?;
        let status = scene.team.signing_end("a").await?;
        assert_eq!(status["result"], json!({"kind": exports::KIND}), "{status}");
        assert_eq!(scene.team.wait_end("a").await?["result"], json!({"a": 1}));
        // The other export loses its last workspace.
        let binding = scene.team.bindings();
        binding
            .delete(exports::GROUP, &DeleteParams::default())
            .await?;
        state(&watcher, SIGNINGS, "watching", 0.0).await?;
        state(&watcher, REQUESTS, "watching", 1.0).await?;
        scene.team.ask("b", "echo", json!({"b": 2})).await?;
        assert_eq!(scene.team.wait_end("b").await?["result"], json!({"b": 2}));
        let what = "the binding is gone";
        wait::until(what, wait::USUAL, async || {
            let found = binding.get_opt(exports::GROUP).await?;
            ensure!(found.is_none(), "it is still there");
            Ok(())
        })
        .await?;
        scene.team.bind_signings().await?;
        scene.team.ask_signing("again").await?;
        let status = scene.team.signing_end("again").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        Ok(())
    })
}

#[test]
fn a_kind_that_is_missing_is_waited_for_while_the_other_one_is_served() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = both_kinds(scene, "internal.services").await?;
        let _worker = scene.worker("worker-1").await?;
        state(&watcher, SIGNINGS, "unserved", 1.0).await?;
        let (code, body) = isc::readiness(watcher.admin).await?;
        let named = body.contains("signingrequests.signing.example.com");
        assert!(code == 200 && named, "{code}: {body}");
        scene.team.ask("a", "echo", json!({"a": 1})).await?;
        assert_eq!(scene.team.wait_end("a").await?["result"], json!({"a": 1}));
        exports::add_to_shipped(&scene.provider).await?;
        scene.team.ask_signing("a").await?;
        let status = scene.team.signing_end("a").await?;
        assert_eq!(status["result"], json!({"kind": exports::KIND}), "{status}");
        state(&watcher, SIGNINGS, "watching", 1.0).await?;
        let status = watcher.process.terminate(Duration::from_secs(20)).await?;
        assert!(status.success(), "{status}");
        Ok(())
    })
}

#[test]
fn requests_go_on_while_the_schema_of_the_export_changes() -> Result<()> {
    scene::run(async |scene| {
        scene.service(
            "patient",
            "touch \"$ISC_SERVICE_DIR/../started\"; while [ ! -e \"$ISC_SERVICE_DIR/../go\" ]; do sleep 0.1; done; \
             cp \"$ISC_PARAMS\" \"$ISC_RESULT\"",
        )?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        scene
            .team
            .ask("running", "patient", json!({"r": 1}))
            .await?;
        scene.file("started").await?;
        exports::renew_schema(&scene.provider).await?;
        let bindings = scene.team.bindings();
        wait::until("the binding has the new schema", wait::USUAL, async || {
            let binding = bindings.get("internal.services").await?;
            let schema = &binding.data["status"]["boundResources"][0]["schema"]["name"];
            ensure!(schema == "renewed.requests.internal.services", "{schema}");
            Ok(())
        })
        .await?;
        std::fs::write(scene.dir.join("go"), "")?;
        let status = scene.team.wait_end("running").await?;
        assert_eq!(status["result"], json!({"r": 1}), "{status}");
        assert_eq!(status["attempt"], 1, "{status}");
        scene.team.ask("new", "echo", json!({"n": 1})).await?;
        assert_eq!(scene.team.wait_end("new").await?["result"], json!({"n": 1}));
        Ok(())
    })
}

#[test]
fn a_workspace_that_is_made_again_under_the_same_path_is_another_one() -> Result<()> {
    scene::run(async |scene| {
        // Says that it runs, and that it was told to end.
        scene.service(
            "long",
            "trap 'touch \"$ISC_SERVICE_DIR/../stopped\"; exit 1' TERM; touch \"$ISC_SERVICE_DIR/../started\"; \
             while :; do sleep 0.1; done",
        )?;
        let first = scene.team_b().await?;
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        first.ask("same", "long", json!({})).await?;
        scene.file("started").await?;
        scene.provider.delete_team("team-b").await?;
        scene.file("stopped").await.context("its job goes on")?;
        let second = scene.team_b().await?;
        ensure!(first.path == second.path && first.cluster != second.cluster);
        second.ask("same", "echo", json!({"new": true})).await?;
        let status = second.wait_end("same").await?;
        assert_eq!(status["result"], json!({"new": true}), "{status}");
        let log = watcher.process.log();
        let told = |cluster: &str| {
            log.contains(&format!("cluster=\"{cluster}\" path=\"{}\"", second.path))
        };
        assert!(told(&first.cluster) && told(&second.cluster), "{log}");
        // The others have noticed nothing.
        scene.team.ask("a", "echo", json!({"a": 1})).await?;
        assert_eq!(scene.team.wait_end("a").await?["phase"], "Succeeded");
        Ok(())
    })
}

#[test]
fn a_workspace_that_unbinds_while_a_job_runs_stops_it() -> Result<()> {
    scene::run(async |scene| {
        scene.service(
            "long",
            "trap 'touch \"$ISC_SERVICE_DIR/../stopped\"; exit 1' TERM; touch \"$ISC_SERVICE_DIR/../started\"; \
             while :; do sleep 0.1; done",
        )?;
        let leaver = scene.provider.team("team-b", Who::Bob).await?;
        leaver.bind().await?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        leaver.ask("same", "long", json!({})).await?;
        scene.file("started").await?;
        leaver.unbind().await?;
        scene.file("stopped").await.context("its job goes on")?;
        leaver.bind().await?;
        leaver.ask("same", "echo", json!({"back": 1})).await?;
        let status = leaver.wait_end("same").await?;
        assert_eq!(status["result"], json!({"back": 1}), "{status}");
        Ok(())
    })
}
