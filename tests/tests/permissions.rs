//! The watcher's user has only the rights that are shipped, and each of them is missed by name.

use std::time::Duration;

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, Watcher, Who, isc,
    isc::shorten_lease,
    rights::{Right, Rights},
    scene,
    team::is_finished,
    wait,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::DeleteParams};
use serde_json::json;

const SLICES: &str = "apiexportendpointslices";
const CONTENT: &str = "apiexports/content";
/// The name of the Role for Leases is told as a whole.
const LEASES: &str = "get, create and update leases";

/// A right, and what is said where it is missing.
fn missing() -> Vec<(Right, &'static str, String)> {
    let slices = |verb| {
        (
            Right::Cluster(verb, SLICES),
            verb,
            format!("`{verb}` {SLICES}"),
        )
    };
    let content = |verb| {
        (
            Right::Cluster(verb, CONTENT),
            verb,
            format!("`{verb}` {CONTENT}"),
        )
    };
    let leases = |verb| (Right::Leases(verb), verb, LEASES.to_owned());
    vec![
        (Right::Enter, "enter", "system:kcp:workspace:access".into()),
        slices("list"),
        slices("watch"),
        content("list"),
        content("watch"),
        content("get"),
        content("patch"),
        content("delete"),
        content("create"),
        leases("get"),
        leases("update"),
        leases("create"),
    ]
}

/// Starts a watcher, gives it something to do, and waits until it says what it misses.
async fn says(scene: &Scene, n: usize, needle: &str) -> Result<()> {
    let mut config = scene.watcher_config();
    shorten_lease(&mut config);
    let name = format!("watcher-{n}");
    let kubeconfig = &scene.provider.kubeconfig;
    let mut watcher = Watcher::start(&scene.dir, &name, config, kubeconfig)?;
    // Large, so that it is read at the claim; with a time to live, so that it is deleted.
    let mut spec = json!({
        "params": {"text": "x".repeat(10_000)}, "ttlSecondsAfterFinished": 0,
    });
    if needle == LEASES {
        spec["ttlSecondsAfterFinished"] = json!(3600);
    }
    let request = format!("r{n}");
    scene.team.ask_with(&request, "echo", &spec).await?;
    let mut ended = false;
    wait::until(
        &format!("{needle} is told"),
        Duration::from_secs(40),
        async || {
            let log = watcher.process.log();
            if log.contains(needle) {
                return Ok(());
            }
            let readiness = isc::readiness(watcher.admin).await;
            let (_, body) = readiness.unwrap_or_default();
            if body.contains(needle) {
                return Ok(());
            }
            // What is missed at the end is told at the end, of a watcher that has taken everything over.
            if needle == LEASES && !ended && is_finished(&scene.team.status(&request).await?) {
                ended = true;
                watcher.process.terminate(Duration::from_secs(20)).await?;
            }
            anyhow::bail!("/readyz: {body}, and the log: {}", watcher.process.tail(20))
        },
    )
    .await?;
    if !ended {
        watcher.process.terminate(Duration::from_secs(20)).await?;
    }
    Ok(())
}

/// Only where there is no Lease yet one is created.
async fn forget_mark(scene: &Scene) -> Result<()> {
    let client = Who::Admin.client(&scene.env, &scene.provider.path).await?;
    let leases: Api<Lease> = Api::namespaced(client, "default");
    leases
        .delete("isc-isc-handover", &DeleteParams::default())
        .await?;
    Ok(())
}

#[test]
fn each_right_of_the_watcher_is_missed_by_name() -> Result<()> {
    scene::run(async |scene| {
        let rights = Rights::of(&scene.provider).await?;
        let cases = missing();
        let granted = rights.all().len();
        ensure!(cases.len() == granted, "the file grants {:?}", rights.all());
        let mut watcher = scene.eager_watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        // A mark is there: the last right of all is needed to take it.
        watcher.process.terminate(Duration::from_secs(20)).await?;
        let mut unheard = vec![];
        for (n, (right, verb, needle)) in cases.iter().enumerate() {
            if *right == Right::Leases("create") {
                forget_mark(scene).await?;
            }
            rights.take(right).await?;
            if let Err(error) = says(scene, n, needle).await {
                unheard.push(format!("{verb} {right:?}: {error:#}"));
            }
            rights.restore().await?;
        }
        ensure!(unheard.is_empty(), "{}", unheard.join("\n\n"));
        Ok(())
    })
}
