//! From one watcher to the next: the mark of a clean end, taken once, missed without harm.

use std::time::Duration;

use anyhow::{Result, ensure};
use isc_tests::{Scene, Watcher, Who, scene, wait};
use k8s_openapi::api::{coordination::v1::Lease, rbac::v1::RoleBinding};
use kube::{Api, api::DeleteParams};
use serde_json::json;
use tokio::time::Instant;

/// How long a clean end may take.
const DRAIN: Duration = Duration::from_secs(20);
/// What one lease period is by default, on the watcher's own clock.
const LEASE: Duration = Duration::from_secs(35);

/// Whether the mark is there.
async fn is_marked(scene: &Scene) -> Result<bool> {
    let client = Who::Admin.client(&scene.env, &scene.provider.path).await?;
    let leases: Api<Lease> = Api::namespaced(client, "default");
    let lease = leases.get_opt("isc-isc-handover").await?;
    let spec = lease.and_then(|lease| lease.spec).unwrap_or_default();
    Ok(spec.holder_identity.is_some())
}

/// A watcher that has been there for longer than its take-over period, so that its word can be believed.
async fn settled_watcher(scene: &Scene) -> Result<Watcher> {
    scene.team.ask("early", "echo", json!({})).await?;
    let watcher = scene.eager_watcher().await?;
    let _worker = scene.worker("worker-0").await?;
    scene.team.wait_end("early").await?;
    Ok(watcher)
}

/// Starts a watcher on a kcp that has bound teams, waits until it has listed them, and says when it
/// started.
async fn next_watcher(scene: &Scene) -> Result<(Watcher, Instant)> {
    let start = Instant::now();
    let mut watcher = scene.start_watcher(scene.watcher_config())?;
    watcher.ready().await?;
    Ok((watcher, start))
}

#[test]
fn after_a_clean_restart_what_waits_starts_at_once() -> Result<()> {
    scene::run(async |scene| {
        let mut first = settled_watcher(scene).await?;
        for n in 0..5 {
            scene.team.ask(&format!("r{n}"), "echo", json!({})).await?;
        }
        scene.team.wait_phase("r4", "Queued").await?;
        assert!(first.process.terminate(DRAIN).await?.success());
        assert!(is_marked(scene).await?, "{}", first.process.log());
        let _worker = scene.start_worker(scene.worker_config("worker-1"))?;
        let (_second, start) = next_watcher(scene).await?;
        assert!(
            !is_marked(scene).await?,
            "it is taken before anything starts"
        );
        for n in 0..5 {
            scene.team.wait_end(&format!("r{n}")).await?;
        }
        let took = start.elapsed();
        ensure!(took < LEASE / 2, "dispatch paused: {took:?}");
        Ok(())
    })
}

#[test]
fn after_a_crash_nothing_is_handed_over() -> Result<()> {
    scene::run(async |scene| {
        let mut first = settled_watcher(scene).await?;
        assert!(first.process.terminate(DRAIN).await?.success());
        let (mut second, _) = next_watcher(scene).await?;
        scene.team.ask("waiting", "echo", json!({})).await?;
        scene.team.wait_phase("waiting", "Queued").await?;
        second.process.kill();
        assert!(!is_marked(scene).await?, "a mark from before the crash");
        let (third, start) = next_watcher(scene).await?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.wait_end("waiting").await?;
        let took = start.elapsed();
        ensure!(took > LEASE * 9 / 10, "granted after {took:?}");
        // The log is of all three.
        let handed_over = third.process.log().matches("going on at once").count();
        assert_eq!(handed_over, 1, "the second one's only");
        Ok(())
    })
}

#[test]
fn a_watcher_that_may_keep_no_mark_says_so_and_works() -> Result<()> {
    scene::run(async |scene| {
        let client = Who::Admin.client(&scene.env, &scene.provider.path).await?;
        let bindings: Api<RoleBinding> = Api::namespaced(client, "default");
        let name = "internal-services-controller-handover";
        bindings.delete(name, &DeleteParams::default()).await?;
        let mut watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("fine", "echo", json!({"a": 1})).await?;
        let status = scene.team.wait_end("fine").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert!(watcher.process.terminate(DRAIN).await?.success());
        let log = watcher.process.log();
        let said = log
            .lines()
            .filter(|line| line.contains("no hand-over mark"));
        assert_eq!(
            said.count(),
            1,
            "at the start; it leaves none so early: {log}"
        );
        assert!(log.contains("rbac-controller.yaml"), "the remedy: {log}");
        Ok(())
    })
}

#[test]
fn a_kcp_that_is_away_delays_neither_start_nor_end() -> Result<()> {
    scene::run(async |scene| {
        let address = isc_tests::net::free_address()?;
        let env = isc_tests::Environment {
            kcp_url: format!("https://{address}"),
            ..scene.env.clone()
        };
        let kubeconfig = scene.dir.join("away.kubeconfig");
        let content = Who::Controller.kubeconfig(&env, &scene.provider.path)?;
        isc_tests::provider::write_kubeconfig(&kubeconfig, &content)?;
        let mut watcher =
            Watcher::start(&scene.dir, "watcher", scene.watcher_config(), &kubeconfig)?;
        wait::until("it waits for kcp", wait::USUAL, async || {
            watcher.process.check_alive()?;
            let (code, body) = isc_tests::isc::readiness(watcher.admin).await?;
            ensure!(code == 503 && body.contains("kcp runs"), "{code}: {body}");
            Ok(())
        })
        .await?;
        assert!(watcher.process.terminate(DRAIN).await?.success());
        Ok(())
    })
}
