//! A kind of another team's making, `MyOrgSigningRequest`, served next to Request.

use anyhow::{Result, ensure};
use isc_tests::{
    Kind, Scene, Watcher,
    isc::{set, shorten_lease},
    kind::kept_state,
    scene,
    team::{is_finished, message, reason},
    wait,
};
use kube::api::{Patch, PatchParams};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn artifact(letter: char) -> Value {
    json!({"repository": "a/b", "digest": format!("sha256:{}", String::from(letter).repeat(64)), "key": "release"})
}

/// A watcher that serves the kind as it is shipped.
fn start(scene: &Scene, kind: &Kind) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    shorten_lease(&mut config);
    set(&mut config, "kinds", kind.configuration()?);
    scene.start_watcher(config)
}

/// The kind, exported and bound in the scene's team.
async fn bound(scene: &Scene) -> Result<Kind> {
    let kind = Kind::shipped("myorg")?;
    kind.export(&scene.provider).await?;
    let trial = json!({"artifact": artifact('0')});
    kind.bind(&scene.provider, &scene.team, &trial).await?;
    Ok(kind)
}

async fn wait_end(scene: &Scene, kind: &Kind, name: &str) -> Result<Value> {
    let limit = ("at its end", wait::USUAL);
    kind.wait_for(&scene.team, name, limit, is_finished).await
}

#[test]
fn a_kind_of_its_own_export_is_served_together_with_requests() -> Result<()> {
    scene::run(async |scene| {
        let kind = bound(scene).await?;
        scene.service("sign", "cp \"$ISC_PARAMS\" \"$ISC_RESULT\"")?;
        let mut watcher = start(scene, &kind)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        let spec = json!({"artifact": artifact('a'), "maxDuration": "1m30s"});
        kind.make(&scene.team, "same", &spec).await?;
        scene.team.ask("same", "echo", json!({"a": 1})).await?;
        let status = wait_end(scene, &kind, "same").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Succeeded"), "Succeeded")
        );
        assert_eq!(status["result"], artifact('a'), "{status}");
        assert!(
            status.get("attempt").is_none(),
            "the schema does not know it: {status}"
        );
        let kept = kept_state(&status);
        assert_eq!(
            (&kept["attempt"], &kept["worker"], &kept["service"]),
            (&json!(1), &json!("worker-1"), &json!("sign"))
        );
        assert_eq!(kept["effective"]["timeoutSeconds"], 90, "{kept}");
        let status = scene.team.wait_end("same").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        Ok(())
    })
}

#[test]
fn one_key_is_one_run_and_a_flag_cancels() -> Result<()> {
    scene::run(async |scene| {
        let kind = bound(scene).await?;
        scene.service(
            "sign",
            "echo run >> \"$ISC_SERVICE_DIR/../runs\"; while [ ! -e \"$ISC_SERVICE_DIR/../go\" ]; do sleep 0.05; done",
        )?;
        let mut watcher = start(scene, &kind)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        let spec = json!({"artifact": artifact('a'), "ticket": "REL-1"});
        kind.make(&scene.team, "first", &spec).await?;
        let running = |status: &Value| reason(status) == "Running";
        let limit = ("running", wait::USUAL);
        kind.wait_for(&scene.team, "first", limit, running).await?;
        kind.make(&scene.team, "again", &spec).await?;
        let attached = |status: &Value| kept_state(status)["attachedTo"] == "first";
        let limit = ("attached", wait::USUAL);
        kind.wait_for(&scene.team, "again", limit, attached).await?;
        kind.make(&scene.team, "other", &json!({"artifact": artifact('b')}))
            .await?;
        let limit = ("running", wait::USUAL);
        kind.wait_for(&scene.team, "other", limit, running).await?;
        let abort = Patch::Merge(json!({"spec": {"abort": true}}));
        let api = kind.objects(&scene.team);
        api.patch("other", &PatchParams::default(), &abort).await?;
        let status = wait_end(scene, &kind, "other").await?;
        assert_eq!(status["phase"], "Cancelled", "{status}");
        std::fs::write(scene.dir.join("go"), "")?;
        for name in ["first", "again"] {
            let status = wait_end(scene, &kind, name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        let runs = std::fs::read_to_string(scene.dir.join("runs"))?;
        assert_eq!(runs.lines().count(), 2, "first and other");
        Ok(())
    })
}

#[test]
fn an_object_that_cannot_be_mapped_is_rejected_with_the_field() -> Result<()> {
    scene::run(async |scene| {
        let kind = bound(scene).await?;
        let mut watcher = start(scene, &kind)?;
        watcher.ready().await?;
        let spec = json!({"artifact": artifact('a'), "maxDuration": "soon"});
        kind.make(&scene.team, "odd", &spec).await?;
        let status = wait_end(scene, &kind, "odd").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Rejected"), "InvalidRequest"),
            "{status}"
        );
        assert!(
            message(&status).contains("spec.maxDuration must be a duration"),
            "{status}"
        );
        Ok(())
    })
}

#[test]
fn a_kind_whose_export_is_missing_is_waited_for_while_requests_are_served() -> Result<()> {
    scene::run(async |scene| {
        scene.service("sign", "cp \"$ISC_PARAMS\" \"$ISC_RESULT\"")?;
        let kind = Kind::shipped("myorg")?;
        let watcher = start(scene, &kind)?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("meanwhile", "echo", json!({})).await?;
        let status = scene.team.wait_end("meanwhile").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        wait::until("the watcher says what it misses", wait::USUAL, async || {
            let log = watcher.process.log();
            let named = log.lines().any(|line| line.contains(&kind.export));
            ensure!(named, "no line names {}", kind.export);
            Ok(())
        })
        .await?;
        let kind = bound(scene).await?;
        kind.make(&scene.team, "late", &json!({"artifact": artifact('c')}))
            .await?;
        let status = wait_end(scene, &kind, "late").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        Ok(())
    })
}

#[test]
fn counts_that_the_schema_prunes_survive_a_restart_of_the_watcher() -> Result<()> {
    scene::run(async |scene| {
        let kind = bound(scene).await?;
        let script = r#"echo "$ISC_ATTEMPT" >> "$ISC_SERVICE_DIR/../attempts"
            [ "$ISC_ATTEMPT" = 1 ] && exit 75
            while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
            echo '{"signed": true}' > "$ISC_RESULT""#;
        let retry = "retry: {retries: 3, backoffSeconds: 1}";
        scene.service_with("sign", script, retry)?;
        let mut watcher = start(scene, &kind)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        kind.make(&scene.team, "again", &json!({"artifact": artifact('d')}))
            .await?;
        let second = |status: &Value| {
            let kept = kept_state(status);
            kept["attempt"] == 2 && kept["phase"] == "Running"
        };
        let limit = ("in its second attempt", wait::USUAL);
        let status = kind.wait_for(&scene.team, "again", limit, second).await?;
        assert!(
            status.get("failed").is_none(),
            "nothing was pruned: {status}"
        );
        watcher.process.signal(Signal::SIGKILL)?;
        watcher.process.ended(wait::USUAL).await?;
        let mut next = start(scene, &kind)?;
        next.ready().await?;
        wait::until("the run is attached again", wait::USUAL, async || {
            let running = next
                .metrics()
                .await?
                .sum("isc_requests", &[("phase", "Running")]);
            ensure!(running > 0.5, "{running} are running");
            Ok(())
        })
        .await?;
        std::fs::write(scene.dir.join("go"), "")?;
        let status = wait_end(scene, &kind, "again").await?;
        assert_eq!(status["result"], json!({"signed": true}), "{status}");
        let kept = kept_state(&status);
        assert_eq!(
            (&kept["failed"], &kept["lost"], &kept["attempt"]),
            (&json!(1), &Value::Null, &json!(2)),
            "{kept}"
        );
        assert_eq!(kept["previousAttempts"][0]["attempt"], 1, "{kept}");
        let attempts = std::fs::read_to_string(scene.dir.join("attempts"))?;
        assert_eq!(attempts.split_whitespace().collect::<Vec<_>>(), ["1", "2"]);
        Ok(())
    })
}
