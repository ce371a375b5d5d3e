//! Requests for a service that is not there, or not there yet.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, Watcher,
    isc::{set, shorten_lease},
    scene,
    team::{is_finished, reason},
    wait,
};
use serde_json::{Value, json};

async fn patient_watcher(scene: &Scene, seconds: u64) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    shorten_lease(&mut config);
    set(&mut config, "unknownServiceSeconds", seconds);
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok(watcher)
}

#[test]
fn a_request_may_come_before_its_service() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = patient_watcher(scene, 300).await?;
        let team = &scene.team;
        team.ask("good", "late", json!({"n": 1})).await?;
        team.ask("bad", "late", json!({"n": "x"})).await?;
        for name in ["good", "bad"] {
            let status = team
                .wait_for(name, "waiting", wait::USUAL, misses_service)
                .await?;
            assert_eq!(status["phase"], "Queued", "{status}");
            ensure!(status["effective"].is_null(), "undecided: {status}");
        }
        let strict = "paramsSchema: {properties: {n: {type: integer}}}";
        scene.service_with("late", "cp \"$ISC_PARAMS\" \"$ISC_RESULT\"", strict)?;
        let status = team.wait_end("bad").await?;
        assert_eq!(reason(&status), "InvalidParams", "{status}");
        let accepted = |status: &Value| !status["effective"].is_null();
        team.wait_for("good", "accepted", wait::USUAL, accepted)
            .await?;
        // A worker reads the services when it starts.
        let _worker = scene.worker("worker-1").await?;
        let status = team.wait_end("good").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(status["result"], json!({"n": 1}), "{status}");
        Ok(())
    })
}

fn misses_service(status: &Value) -> bool {
    reason(status) == "ServiceMissing"
}

#[test]
fn a_service_that_does_not_come_is_unknown_after_the_time() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = patient_watcher(scene, 4).await?;
        let team = &scene.team;
        let asked = Instant::now();
        team.ask("a", "never", json!({})).await?;
        team.wait_for("a", "waiting", wait::USUAL, misses_service)
            .await?;
        let status = team.wait_end("a").await?;
        assert_eq!(status["phase"], "Rejected", "{status}");
        assert_eq!(reason(&status), "UnknownService", "{status}");
        ensure!(status["effective"].is_null(), "{status}");
        // Creation is told in whole seconds.
        let waited = asked.elapsed();
        assert!(waited >= Duration::from_secs(3), "{waited:?}: {status}");
        Ok(())
    })
}

#[test]
fn the_wait_for_a_service_goes_on_while_no_watcher_is_there() -> Result<()> {
    scene::run(async |scene| {
        let limit = Duration::from_secs(24);
        let mut watcher = patient_watcher(scene, limit.as_secs()).await?;
        let team = &scene.team;
        team.ask("a", "never", json!({})).await?;
        let asked = Instant::now();
        team.wait_for("a", "waiting", wait::USUAL, misses_service)
            .await?;
        watcher.process.kill();
        wait::until("half of the time is over", limit, async || {
            ensure!(asked.elapsed() > limit / 2, "{:?}", asked.elapsed());
            Ok(())
        })
        .await?;
        let restarted = Instant::now();
        let _watcher = patient_watcher(scene, limit.as_secs()).await?;
        let status = team.wait_for("a", "rejected", limit, is_finished).await?;
        assert_eq!(reason(&status), "UnknownService", "{status}");
        let (waited, since) = (asked.elapsed(), restarted.elapsed());
        assert!(
            waited + Duration::from_secs(2) > limit,
            "too soon: {waited:?}"
        );
        assert!(since < limit, "it began anew: {since:?} after the restart");
        Ok(())
    })
}
