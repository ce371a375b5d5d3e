//! Workspaces and bindings that go away in unusual ways while a job runs, and come back under the same names:
//! nothing of the old ones reaches the new ones.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Scene, Team, Watcher, Worker, isc, isc::set, scene, wait};
use serde_json::{Value, json};

/// Tells which workspace asked. With `wait` in its parameters it goes on until it is stopped, and says both.
const WHO: &str = r#"
here="$ISC_SERVICE_DIR/.."
echo "$ISC_CLUSTER" >> "$here/runs"
if grep -q wait "$ISC_PARAMS"; then
  trap 'echo "$ISC_CLUSTER" >> "$here/stopped"; exit 1' TERM
  echo "$ISC_CLUSTER" >> "$here/started"
  while :; do sleep 0.1; done
fi
printf '{"cluster": "%s", "params": %s}' "$ISC_CLUSTER" "$(cat "$ISC_PARAMS")" > "$ISC_RESULT""#;

async fn start(scene: &Scene) -> Result<(Watcher, Worker)> {
    scene.service("who", WHO)?;
    Ok((scene.watcher().await?, scene.worker("worker-1").await?))
}

/// Always the same name and key.
async fn ask(team: &Team, params: &Value) -> Result<String> {
    let spec = json!({"params": params, "idempotencyKey": "same-key", "onConflict": "Attach"});
    team.ask_with("same", "who", &spec).await
}

/// Its request is answered for itself.
async fn is_served(team: &Team) -> Result<()> {
    let params = json!({"for": team.cluster});
    ask(team, &params).await?;
    let status = team.wait_end("same").await?;
    let wanted = json!({"cluster": team.cluster, "params": params});
    assert_eq!(status["result"], wanted, "{status}");
    assert!(status["attachedTo"].is_null(), "{status}");
    assert_eq!(status["attempt"], 1, "{status}");
    Ok(())
}

async fn known(watcher: &Watcher, wanted: f64) -> Result<()> {
    wait::until(&format!("{wanted} are known"), wait::USUAL, async || {
        let found = watcher.metrics().await?.sum("isc_requests", &[]);
        ensure!((found - wanted).abs() < 0.1, "there are {found}");
        Ok(())
    })
    .await
}

#[test]
fn a_cluster_that_is_deleted_past_its_workspace_stops_its_jobs_and_comes_back_as_another()
-> Result<()> {
    scene::run(async |scene| {
        let first = scene.team_b().await?;
        let (watcher, _worker) = start(scene).await?;
        ask(&first, &json!({"wait": true})).await?;
        scene.file("started").await?;
        scene.provider.delete_cluster(&first).await?;
        let stopped = scene.file("stopped").await.context("its job goes on")?;
        assert_eq!(stopped.trim(), first.cluster);
        known(&watcher, 0.0).await?;
        let second = scene.team_b().await?;
        ensure!(first.path == second.path && first.cluster != second.cluster);
        is_served(&second).await?;
        known(&watcher, 1.0).await?;
        is_served(&scene.team).await
    })
}

/// What a forced removal leaves behind is still there for kcp, and so for the watcher: its job may go on. It
/// must not be taken for one of the new workspace, nor hold that up.
#[test]
fn a_workspace_that_is_removed_by_force_leaves_nothing_to_the_one_that_is_made_again() -> Result<()>
{
    scene::run(async |scene| {
        let first = scene.team_b().await?;
        scene.service("who", WHO)?;
        let mut watcher = scene.watcher().await?;
        let mut config = scene.worker_config("worker-1");
        set(&mut config, "slots", 4);
        let mut worker = scene.start_worker(config)?;
        worker.ready().await?;
        let old = ask(&first, &json!({"wait": true})).await?;
        scene.file("started").await?;
        scene.provider.force_delete_team(&first).await?;
        let second = scene.team_b().await?;
        ensure!(first.path == second.path && first.cluster != second.cluster);
        is_served(&second).await?;
        is_served(&scene.team).await?;
        // A watcher that starts now judges by a fresh list, and tells them apart as well.
        let ended = watcher.process.terminate(Duration::from_secs(20)).await?;
        ensure!(ended.success(), "{ended}");
        let mut watcher = scene.start_watcher(scene.watcher_config())?;
        watcher.ready().await?;
        let requests = second.requests("default");
        requests
            .delete("same", &kube::api::DeleteParams::default())
            .await?;
        is_served(&second).await?;
        let runs = std::fs::read_to_string(scene.dir.join("runs"))?;
        let of = |cluster: &str| runs.lines().filter(|line| *line == cluster).count();
        assert_eq!(of(&second.cluster), 2, "{runs}");
        assert_eq!(of(&first.cluster), 1, "{old} ran again: {runs}");
        let (code, body) = isc::readiness(watcher.admin).await?;
        assert_eq!(code, 200, "{body}");
        Ok(())
    })
}

#[test]
fn a_binding_that_is_made_again_at_once_begins_with_nothing() -> Result<()> {
    scene::run(async |scene| {
        let team = scene.team_b().await?;
        let (watcher, _worker) = start(scene).await?;
        ask(&team, &json!({"wait": true})).await?;
        scene.file("started").await?;
        team.unbind().await?;
        team.bind().await?;
        // The old job may still be on its way out: the key is that of a request that is gone.
        is_served(&team).await?;
        scene.file("stopped").await.context("its job goes on")?;
        known(&watcher, 1.0).await
    })
}
