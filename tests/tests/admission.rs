//! What the API server lets through, and from whom.

use anyhow::{Context as _, Result};
use isc_tests::{Team, scene};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const PARAMS_MAX: usize = 256 * 1024;

/// The code and the message of a refusal.
fn refusal<T>(result: Result<T>) -> Result<(u16, String)> {
    let error = result.err().context("it was accepted")?;
    match error.downcast::<kube::Error>()? {
        kube::Error::Api(status) => Ok((status.code, status.message)),
        other => Err(other.into()),
    }
}

async fn patch(team: &Team, name: &str, subresource: &str, patch: &Value) -> Result<()> {
    let (api, params, patch) = (
        team.requests("default"),
        PatchParams::default(),
        Patch::Merge(patch),
    );
    match subresource {
        "status" => api.patch_status(name, &params, &patch).await?,
        _ => api.patch(name, &params, &patch).await?,
    };
    Ok(())
}

#[test]
fn the_admin_of_a_teams_workspace_can_forge_neither_a_status_nor_a_requester() -> Result<()> {
    scene::run(async |scene| {
        let team = &scene.team;
        team.ask("mine", "echo", json!({"a": 1})).await?;

        let forged = json!({"status": {"phase": "Succeeded", "result": {"signature": "forged"}}});
        let (code, _) = refusal(patch(team, "mine", "status", &forged).await)?;
        assert_eq!(code, 403, "a forged status");
        // Under the main resource a status is not written at all.
        patch(team, "mine", "", &forged).await?;
        assert!(
            team.status("mine").await?.is_null(),
            "{}",
            team.status("mine").await?
        );

        let other = team
            .ask_with("forged", "echo", &json!({"requester": "bob"}))
            .await;
        let (code, text) = refusal(other)?;
        assert_eq!(code, 422, "{text}");
        assert!(
            text.contains("spec.requester must be your own user name"),
            "{text}"
        );
        let (code, text) = refusal(
            team.ask_with("none", "echo", &json!({"requester": null}))
                .await,
        )?;
        assert_eq!(code, 422, "{text}");
        assert!(text.contains("set it to 'alice'"), "{text}");
        let (code, text) =
            refusal(patch(team, "mine", "", &json!({"spec": {"requester": "bob"}})).await)?;
        assert_eq!(code, 422, "{text}");

        let _watcher = scene.eager_watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let status = team.wait_end("mine").await?;
        assert_eq!(
            status["result"],
            json!({"a": 1}),
            "the watcher still writes: {status}"
        );
        Ok(())
    })
}

#[test]
fn a_spec_cannot_be_changed_once_it_is_made() -> Result<()> {
    scene::run(async |scene| {
        scene.team.ask("fixed", "echo", json!({"a": 1})).await?;
        for change in [
            json!({"params": {"a": 2}}),
            json!({"service": "rocket"}),
            json!({"timeoutSeconds": 9}),
        ] {
            let (code, text) =
                refusal(patch(&scene.team, "fixed", "", &json!({"spec": change})).await)?;
            assert_eq!(code, 422, "{text}");
            assert!(text.contains("immutable"), "{text}");
        }
        Ok(())
    })
}

#[test]
fn nonsense_is_refused_before_it_is_stored() -> Result<()> {
    scene::run(async |scene| {
        let cases = [
            ("Not_a_label", json!({}), "spec.service"),
            ("echo", json!({"params": [1]}), "spec.params"),
            ("echo", json!({"timeoutSeconds": 0}), "timeoutSeconds"),
            ("echo", json!({"priority": "Urgent"}), "priority"),
        ];
        for (service, spec, part) in cases {
            let (code, text) = refusal(scene.team.ask_with("a", service, &spec).await)?;
            assert_eq!(code, 422, "{text}");
            assert!(text.contains(part), "{text}");
        }
        Ok(())
    })
}

/// Parameters of exactly that many bytes of JSON.
fn params(bytes: usize) -> Value {
    let empty = json!({"text": ""}).to_string().len();
    json!({"text": "x".repeat(bytes - empty)})
}

#[test]
fn parameters_of_256_kib_pass_and_one_byte_more_is_refused() -> Result<()> {
    scene::run(async |scene| {
        scene.service(
            "size",
            "printf '{\"bytes\": %d}' \"$(wc -c < \"$ISC_PARAMS\")\" > \"$ISC_RESULT\"",
        )?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        scene
            .team
            .ask("largest", "size", params(PARAMS_MAX))
            .await?;
        let status = scene.team.wait_end("largest").await?;
        assert_eq!(status["result"], json!({"bytes": PARAMS_MAX}), "{status}");
        let over = scene.team.ask("over", "size", params(PARAMS_MAX + 1)).await;
        let (code, text) = refusal(over)?;
        assert_eq!(code, 422, "{text}");
        assert!(
            text.contains("262145 bytes") && text.contains("256 KiB"),
            "{text}"
        );
        Ok(())
    })
}
