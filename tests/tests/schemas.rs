//! Parameters and results that are not what a service promises.

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, scene,
    team::{message, reason},
    wait,
};
use serde_json::json;

/// What must be seen nowhere.
const SECRET: &str = "s3cr3t-v4lu3";

const SIGN: &str = "
paramsSchema:
  type: object
  required: [digest]
  additionalProperties: false
  properties:
    digest: {type: string, pattern: '^sha256:'}
    gives: {}
resultSchema:
  type: object
  required: [signature]
  properties:
    signature: {type: string, minLength: 3}
";

/// Gives back what the parameter `gives` holds, and leaves a mark that it ran.
const SCRIPT: &str = "touch \"$ISC_SERVICE_DIR/../ran-$ISC_NAME\"; \
    jq -c '.gives // empty' \"$ISC_PARAMS\" > \"$ISC_RESULT\"";

/// Whether a log of the scene has the secret in it, and whose.
fn told(scene: &Scene) -> Result<Option<String>> {
    for entry in std::fs::read_dir(&scene.dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "log")
            && String::from_utf8_lossy(&std::fs::read(&path)?).contains(SECRET)
        {
            return Ok(Some(path.display().to_string()));
        }
    }
    Ok(None)
}

#[test]
fn parameters_that_break_the_schema_are_rejected_with_the_place_and_no_value() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with("sign", SCRIPT, SIGN)?;
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let team = &scene.team;
        for (name, params, wanted) in [
            ("none", json!({}), "/digest is missing"),
            (
                "odd",
                json!({"digest": SECRET}),
                "/digest: this does not match",
            ),
            (
                "more",
                json!({"digest": "sha256:0", "x": SECRET}),
                "/x is not allowed",
            ),
        ] {
            team.ask(name, "sign", params).await?;
            let status = team.wait_end(name).await?;
            assert_eq!(status["phase"], "Rejected", "{status}");
            assert_eq!(reason(&status), "InvalidParams", "{status}");
            assert!(message(&status).contains(wanted), "{status}");
            assert!(!status.to_string().contains(SECRET), "{status}");
            assert!(!scene.dir.join(format!("ran-{name}")).exists());
        }
        let params = json!({"digest": "sha256:0", "gives": {"signature": "abc"}});
        team.ask("good", "sign", params).await?;
        let status = team.wait_end("good").await?;
        assert_eq!(status["result"], json!({"signature": "abc"}), "{status}");
        assert_eq!(told(scene)?, None);
        let metrics = watcher.metrics().await?;
        assert!(!metrics.lines("isc").contains(SECRET));
        Ok(())
    })
}

#[test]
fn a_result_that_breaks_the_schema_fails_the_request_and_is_seen_nowhere() -> Result<()> {
    scene::run(async |scene| {
        let more = format!("{SIGN}retry: {{retries: 3}}\n");
        scene.service_with("sign", SCRIPT, &more)?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let team = &scene.team;
        for (name, gives, wanted) in [
            (
                "odd",
                json!({"signature": 7, "note": SECRET}),
                "/signature: this is not of type",
            ),
            ("without", json!({"sig": SECRET}), "/signature is missing"),
            ("none", json!(null), "/signature is missing"),
        ] {
            let params = json!({"digest": "sha256:0", "gives": gives});
            team.ask(name, "sign", params).await?;
            let status = team.wait_end(name).await?;
            assert_eq!(status["phase"], "Failed", "{status}");
            assert_eq!(reason(&status), "InvalidResult", "{status}");
            assert_eq!(status["attempt"], 1, "another try mends nothing: {status}");
            assert!(message(&status).contains(wanted), "{status}");
            assert!(status.get("result").is_none(), "{status}");
            assert!(!status.to_string().contains(SECRET), "{status}");
            assert!(scene.dir.join(format!("ran-{name}")).exists());
        }
        assert_eq!(told(scene)?, None);
        Ok(())
    })
}

#[test]
fn a_changed_schema_holds_from_then_on_and_a_broken_one_changes_nothing() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with("sign", SCRIPT, SIGN)?;
        let watcher = scene.watcher().await?;
        let team = &scene.team;
        let reloads = async |result: &str| {
            wait::until("the files are read again", wait::USUAL, async || {
                let metrics = watcher.metrics().await?;
                let seen = metrics.sum("isc_config_reloads_total", &[("result", result)]);
                ensure!(seen > 0.5, "{}", metrics.lines("isc_config_reloads_total"));
                Ok(())
            })
            .await
        };
        team.ask("early", "sign", json!({"digest": "sha256:0"}))
            .await?;
        team.wait_phase("early", "Queued").await?;

        let elsewhere = "paramsSchema: {$ref: 'https://example.com/schema.json'}";
        scene.service_with("sign", SCRIPT, elsewhere)?;
        reloads("failed").await?;
        let log = watcher.process.log();
        assert!(
            log.contains("sign.yaml") && log.contains("nothing is fetched"),
            "{log}"
        );
        team.ask("still", "sign", json!({})).await?;
        let status = team.wait_end("still").await?;
        assert_eq!(reason(&status), "InvalidParams", "{status}");

        scene.service_with("sign", SCRIPT, "paramsSchema: {required: [other]}")?;
        reloads("ok").await?;
        team.ask("late", "sign", json!({"digest": "sha256:0"}))
            .await?;
        let status = team.wait_end("late").await?;
        assert!(message(&status).contains("/other is missing"), "{status}");
        let status = team.status("early").await?;
        assert_eq!(
            status["phase"], "Queued",
            "what was accepted stays so: {status}"
        );
        Ok(())
    })
}
