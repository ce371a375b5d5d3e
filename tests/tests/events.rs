//! Kubernetes Events: where a workspace accepts them, and no harm where it does not.

use anyhow::{Result, ensure};
use isc_tests::{Team, scene, wait};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::json;

/// Accepts the export's claim to create Events in that team's workspace.
async fn accept(team: &Team) -> Result<()> {
    let gvk = GroupVersionKind::gvk("apis.kcp.io", "v1alpha2", "APIBinding");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "apibindings");
    let bindings: Api<DynamicObject> = Api::all_with(team.client.clone(), &resource);
    let patch = Patch::Merge(json!({"spec": {"permissionClaims": [{
        "group": "", "resource": "events", "verbs": ["create"],
        "state": "Accepted", "selector": {"matchAll": true},
    }]}}));
    bindings
        .patch("internal.services", &PatchParams::default(), &patch)
        .await?;
    wait::until("the claim is applied", wait::USUAL, async || {
        let binding = bindings.get("internal.services").await?;
        let applied = &binding.data["status"]["appliedPermissionClaims"];
        ensure!(
            applied.as_array().is_some_and(|claims| !claims.is_empty()),
            "status: {}",
            binding.data["status"]
        );
        Ok(())
    })
    .await
}

/// The Events on a request.
async fn events(team: &Team, name: &str) -> Result<Vec<Event>> {
    let events: Api<Event> = Api::namespaced(team.client.clone(), "default");
    let list = events.list(&ListParams::default()).await?;
    let about = |event: &Event| {
        let regarding = event.regarding.as_ref();
        regarding.is_some_and(|regarding| regarding.name.as_deref() == Some(name))
    };
    Ok(list.into_iter().filter(about).collect())
}

/// Their reasons.
async fn reasons(team: &Team, name: &str) -> Result<Vec<String>> {
    let events = events(team, name).await?;
    Ok(events
        .into_iter()
        .filter_map(|event| event.reason)
        .collect())
}

#[test]
fn a_workspace_that_accepts_events_gets_them_and_another_misses_nothing_else() -> Result<()> {
    scene::run(async |scene| {
        scene.service("fails", "exit 3")?;
        let accepting = scene.team_b().await?;
        accept(&accepting).await?;
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        for team in [&scene.team, &accepting] {
            team.ask("good", "echo", json!({})).await?;
            team.ask("bad", "fails", json!({})).await?;
            for name in ["good", "bad"] {
                team.wait_end(name).await?;
            }
        }
        wait::until("the Events are there", wait::USUAL, async || {
            for (name, reason) in [("good", "Succeeded"), ("bad", "JobFailed")] {
                let seen = reasons(&accepting, name).await?;
                ensure!(seen.iter().any(|r| r == reason), "{name}: {seen:?}");
            }
            Ok(())
        })
        .await?;
        let failed = events(&accepting, "bad").await?;
        let failed = failed
            .into_iter()
            .find(|event| event.reason.as_deref() == Some("JobFailed"))
            .expect("seen above");
        let controller = failed.reporting_controller.as_deref();
        assert_eq!(
            (failed.type_.as_deref(), controller),
            (Some("Warning"), Some("internal.services/isc"))
        );
        assert!(reasons(&scene.team, "good").await?.is_empty());
        let metrics = watcher.metrics().await?;
        let refused = metrics.sum("isc_events_total", &[("result", "not_accepted")]);
        assert!(refused > 0.5, "{}", metrics.lines("isc_events_total"));
        let log = watcher.process.log();
        let said = log.matches("accept the permission claim").count();
        assert_eq!(said, 1, "said once: {log}");
        Ok(())
    })
}
