//! `isc-watcher check`: an operator sees what is missing before anything is started.

use anyhow::{Result, ensure};
use isc_tests::{
    Scene,
    isc::{program, set},
    rights::{Right, Rights},
    scene, wait,
};
use serde_json::Value;

/// Runs it; returns its exit code and what it printed.
async fn check(scene: &Scene, config: &Value) -> Result<(Option<i32>, String)> {
    let file = scene.dir.join("check.yaml");
    std::fs::write(&file, config.to_string())?;
    let output = tokio::process::Command::new(program("isc-watcher")?)
        .args(["check", "--config"])
        .arg(&file)
        .env("KUBECONFIG", &scene.provider.kubeconfig)
        .output()
        .await?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok((output.status.code(), text))
}

#[test]
fn nothing_is_missing_where_everything_is_set_up_as_shipped() -> Result<()> {
    scene::run(async |scene| {
        let (code, text) = check(scene, &scene.watcher_config()).await?;
        ensure!(code == Some(0), "{text}");
        for part in [
            "mode Kcp",
            "requests.internal.services at",
            "11 rights are there",
            "exchanges and 1 queues declared",
            "Nothing is missing.",
        ] {
            ensure!(text.contains(part), "no `{part}`: {text}");
        }
        ensure!(!text.contains("MISSING"), "{text}");
        Ok(())
    })
}

#[test]
fn what_is_missing_is_named_with_the_remedy() -> Result<()> {
    scene::run(async |scene| {
        let config = scene.watcher_config();
        let rights = Rights::of(&scene.provider).await?;
        for (right, fails, words) in [
            (
                Right::Cluster("patch", "apiexports/content"),
                true,
                "`patch` apiexports/content.apis.kcp.io `internal.services`",
            ),
            (
                Right::Cluster("delete", "apiexports/content"),
                false,
                "finished requests are not deleted",
            ),
            (Right::Leases("create"), false, "each restart costs"),
        ] {
            rights.take(&right).await?;
            // kcp takes its time until a changed role counts.
            wait::until("the right is missed", wait::USUAL, async || {
                let (code, text) = check(scene, &config).await?;
                ensure!(text.contains(words), "no `{words}`: {text}");
                ensure!(code == Some(i32::from(fails)), "{code:?}: {text}");
                Ok(())
            })
            .await?;
            rights.restore().await?;
        }
        let mut wrong = config.clone();
        set(&mut wrong, "kcp.endpointSlice", "nobody");
        set(&mut wrong, "amqp.url", "amqp://isc:wrong@127.0.0.1:1/%2f");
        let (code, text) = check(scene, &wrong).await?;
        ensure!(code == Some(1), "{text}");
        for words in [
            "endpoint slice `nobody`",
            "127.0.0.1:1",
            "Something is missing.",
        ] {
            ensure!(text.contains(words), "no `{words}`: {text}");
        }
        ensure!(!text.contains("wrong@"), "a password is shown: {text}");
        let address = scene.env.broker.amqp;
        let stranger = format!("amqp://isc:wrong@{address}/{}", scene.vhost);
        let mut wrong = config;
        set(&mut wrong, "amqp.url", stranger);
        let (code, text) = check(scene, &wrong).await?;
        ensure!(
            code == Some(1) && text.contains("check user and password"),
            "{text}"
        );
        Ok(())
    })
}
