//! The same work asked for twice: idempotency keys with Attach, Replace and Reject.

use anyhow::{Result, ensure};
use isc_tests::{Scene, Watcher, Worker, scene, team::reason, wait};
use serde_json::{Value, json};

/// Tells that it started, waits until it may end, tells that it ended.
const GATED: &str = r#"
here="$ISC_SERVICE_DIR/.."
echo "start $ISC_NAME" >> "$here/runs"
trap 'echo "stop $ISC_NAME" >> "$here/runs"; exit 1' TERM
until [ -e "$here/open" ]; do sleep 0.1; done
echo "end $ISC_NAME" >> "$here/runs"
echo "{\"by\": \"$ISC_NAME\", \"key\": \"$ISC_IDEMPOTENCY_KEY\"}" > "$ISC_RESULT""#;

async fn start(scene: &Scene) -> Result<(Watcher, Worker)> {
    scene.service("gated", GATED)?;
    Ok((scene.watcher().await?, scene.worker("worker-1").await?))
}

fn open(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("open"), "")?)
}

fn runs(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.dir.join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn ask(scene: &Scene, name: &str, on_conflict: &str, version: u32) -> Result<()> {
    let spec =
        json!({"params": {"version": version}, "idempotencyKey": "k1", "onConflict": on_conflict});
    scene.team.ask_with(name, "gated", &spec).await?;
    Ok(())
}

async fn has_reason(scene: &Scene, name: &str, wanted: &str) -> Result<Value> {
    let is = |status: &Value| reason(status) == wanted;
    scene.team.wait_for(name, wanted, wait::USUAL, is).await
}

async fn starts(scene: &Scene, name: &str) -> Result<()> {
    let line = format!("start {name}");
    wait::until(
        &format!("the job of {name} starts"),
        wait::USUAL,
        async || {
            ensure!(runs(scene).contains(&line), "only {:?}", runs(scene));
            Ok(())
        },
    )
    .await
}

#[test]
fn an_attached_request_shares_state_and_result_and_nothing_runs_twice() -> Result<()> {
    scene::run(async |scene| {
        let _processes = start(scene).await?;
        ask(scene, "first", "Attach", 1).await?;
        starts(scene, "first").await?;
        ask(scene, "second", "Attach", 1).await?;
        let running =
            |status: &Value| status["phase"] == "Running" && status["attachedTo"] == "first";
        scene
            .team
            .wait_for("second", "running with the first", wait::USUAL, running)
            .await?;
        open(scene)?;
        let wanted = json!({"by": "first", "key": "k1"});
        for name in ["first", "second"] {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(
                (&status["phase"], &status["result"]),
                (&json!("Succeeded"), &wanted),
                "{status}"
            );
        }
        // Long after the end, too: its result is read from the API.
        ask(scene, "third", "Attach", 1).await?;
        let status = scene.team.wait_end("third").await?;
        assert_eq!(
            (&status["result"], &status["attachedTo"]),
            (&wanted, &json!("first")),
            "{status}"
        );
        assert_eq!(runs(scene), ["start first", "end first"]);
        Ok(())
    })
}

#[test]
fn an_attached_request_outlives_the_cancelled_one_and_runs_after_it_has_stopped() -> Result<()> {
    scene::run(async |scene| {
        let _processes = start(scene).await?;
        ask(scene, "first", "Attach", 1).await?;
        starts(scene, "first").await?;
        ask(scene, "second", "Attach", 1).await?;
        let attached = |status: &Value| status["attachedTo"] == "first";
        scene
            .team
            .wait_for("second", "attached", wait::USUAL, attached)
            .await?;
        scene.team.cancel("first").await?;
        assert_eq!(scene.team.wait_end("first").await?["phase"], "Cancelled");
        starts(scene, "second").await?;
        open(scene)?;
        let status = scene.team.wait_end("second").await?;
        assert_eq!(status["result"]["by"], "second", "{status}");
        assert!(status["attachedTo"].is_null(), "{status}");
        assert_eq!(
            runs(scene),
            ["start first", "stop first", "start second", "end second"]
        );
        Ok(())
    })
}

#[test]
fn a_replacing_request_starts_only_when_the_earlier_one_has_stopped() -> Result<()> {
    scene::run(async |scene| {
        let _processes = start(scene).await?;
        ask(scene, "old", "Attach", 1).await?;
        starts(scene, "old").await?;
        ask(scene, "new", "Replace", 1).await?;
        let status = scene.team.wait_end("old").await?;
        assert_eq!(
            (&status["phase"], reason(&status)),
            (&json!("Cancelled"), "Replaced"),
            "{status}"
        );
        starts(scene, "new").await?;
        open(scene)?;
        assert_eq!(scene.team.wait_end("new").await?["result"]["by"], "new");
        assert_eq!(
            runs(scene),
            ["start old", "stop old", "start new", "end new"]
        );
        Ok(())
    })
}

#[test]
fn a_key_in_use_or_reused_for_other_work_is_rejected_and_a_failed_one_is_free() -> Result<()> {
    scene::run(async |scene| {
        let _processes = start(scene).await?;
        scene.service("broken", "exit 3")?;
        ask(scene, "first", "Attach", 1).await?;
        starts(scene, "first").await?;
        ask(scene, "rejected", "Reject", 1).await?;
        ask(scene, "other", "Attach", 2).await?;
        assert_eq!(
            has_reason(scene, "rejected", "KeyInUse").await?["phase"],
            "Rejected"
        );
        assert_eq!(
            has_reason(scene, "other", "KeyReused").await?["phase"],
            "Rejected"
        );
        scene.team.cancel("first").await?;
        assert_eq!(scene.team.wait_end("first").await?["phase"], "Cancelled");
        ask(scene, "again", "Reject", 2).await?;
        starts(scene, "again").await?;
        open(scene)?;
        assert_eq!(scene.team.wait_end("again").await?["phase"], "Succeeded");
        Ok(())
    })
}

#[test]
fn a_watcher_that_starts_anew_finds_the_same_one_first() -> Result<()> {
    scene::run(async |scene| {
        scene.service("gated", GATED)?;
        let watcher = scene.eager_watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        ask(scene, "first", "Attach", 1).await?;
        starts(scene, "first").await?;
        ask(scene, "second", "Attach", 1).await?;
        let attached = |status: &Value| status["attachedTo"] == "first";
        scene
            .team
            .wait_for("second", "attached", wait::USUAL, attached)
            .await?;
        drop(watcher);
        ask(scene, "third", "Attach", 1).await?;
        let _watcher = scene.eager_watcher().await?;
        scene
            .team
            .wait_for("third", "attached", wait::USUAL, attached)
            .await?;
        open(scene)?;
        for name in ["first", "second", "third"] {
            assert_eq!(scene.team.wait_end(name).await?["result"]["by"], "first");
        }
        assert_eq!(runs(scene), ["start first", "end first"]);
        Ok(())
    })
}
