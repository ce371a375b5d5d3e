//! A kubeconfig that changes while the watcher runs: another token, a mistake, another server.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use anyhow::{Result, ensure};
use isc_tests::{
    Front, Scene, Watcher, Who,
    front::{Answer, Call},
    isc::set,
    scene, wait,
};
use serde_json::json;

/// Waits until that many reloads had that result, and for what `isc_config_stale` says then.
async fn reloads(watcher: &Watcher, result: &str, wanted: f64, stale: f64) -> Result<()> {
    wait::until("the kubeconfig is read again", wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let seen = metrics.sum("isc_config_reloads_total", &[("result", result)]);
        let is_stale = metrics.sum("isc_config_stale", &[]);
        ensure!(
            seen > wanted - 0.5 && (is_stale - stale).abs() < 0.5,
            "{}stale: {is_stale}",
            metrics.lines("isc_config_reloads_total")
        );
        Ok(())
    })
    .await
}

/// The same, put in place at once.
fn replace(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(new, file)?)
}

/// From now on kcp does not know that token.
fn revoke(front: &Front, token: &str) {
    let token = token.to_owned();
    let unknown = Answer::status(401, "Unauthorized", "Unauthorized");
    let has_it = move |call: &Call| call.token.as_ref() == Some(&token);
    front.answer(usize::MAX, unknown, has_it);
}

/// A watcher behind a front, whose watches are not asked for anew meanwhile.
async fn watcher_behind(scene: &Scene) -> Result<(Front, Watcher)> {
    let front = Front::start(&scene.env).await?;
    front.lead_to(&scene.provider)?;
    let mut config = scene.watcher_config();
    set(&mut config, "kcp.watchSeconds", 290);
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok((front, watcher))
}

#[test]
fn a_token_is_replaced_while_the_watcher_runs() -> Result<()> {
    scene::run(async |scene| {
        let (front, mut watcher) = watcher_behind(scene).await?;
        let _worker = scene.worker("worker-1").await?;
        scene.succeeds("before").await?;
        let secret = &scene.env.secret;
        let [old, new] = [
            Who::Controller.token(secret),
            Who::Controller.other_token(secret),
        ];
        let file = scene.provider.kubeconfig.clone();
        let text = fs::read_to_string(&file)?.replace(&old, &new);
        let begun = front.calls(Call::is_watch).len();

        // Half of it, up to the middle of the token.
        fs::write(&file, &text[..text.find(&new).unwrap_or_default() + 10])?;
        reloads(&watcher, "failed", 1.0, 1.0).await?;
        scene.succeeds("half").await?;

        replace(&file, &text)?;
        reloads(&watcher, "ok", 1.0, 0.0).await?;
        assert_eq!(
            front.calls(Call::is_watch).len(),
            begun,
            "a watch that runs goes on"
        );
        revoke(&front, &old);
        // Watches that run are asked for anew.
        front.end_watches("");
        scene.succeeds("after").await?;
        let refused = front.calls(|call| call.refused.is_some());
        assert!(refused.is_empty(), "{refused:?}");
        watcher.process.check_alive()?;
        let log = watcher.process.log();
        assert!(log.contains("reloaded: a usable kubeconfig"), "{log}");
        assert!(!log.contains(secret), "the tokens are not in it: {log}");
        Ok(())
    })
}

#[test]
fn a_token_that_is_revoked_first_is_followed_by_the_next_one_in_a_secret_volume() -> Result<()> {
    scene::run(async |scene| {
        let secret = &scene.env.secret;
        let [old, new] = [
            Who::Controller.token(secret),
            Who::Controller.other_token(secret),
        ];
        // As the kubelet does it: the files are links into a folder that is exchanged as a whole.
        let volume = scene.dir.join("volume");
        for (folder, token) in [("..1", &old), ("..2", &new)] {
            fs::create_dir_all(volume.join(folder))?;
            fs::write(volume.join(folder).join("token"), format!("{token}\n"))?;
        }
        symlink("..1", volume.join("..data"))?;
        symlink("..data/token", volume.join("token"))?;
        let front = Front::start(&scene.env).await?;
        let mut kubeconfig = Who::Controller.kubeconfig(&front.env, &scene.provider.path)?;
        kubeconfig["users"][0]["user"] = json!({"tokenFile": "token"});
        let file = volume.join("kubeconfig");
        fs::write(&file, kubeconfig.to_string())?;
        let config = scene.watcher_config();
        let mut watcher = Watcher::start(&scene.dir, "watcher", config, &file)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.succeeds("before").await?;

        revoke(&front, &old);
        front.end_watches("");
        wait::until("the watcher is turned away", wait::USUAL, async || {
            ensure!(
                !front.calls(|call| call.refused == Some(401)).is_empty(),
                "not yet"
            );
            Ok(())
        })
        .await?;
        scene.team.ask("meanwhile", "echo", json!({})).await?;
        symlink("..2", volume.join("..data_tmp"))?;
        fs::rename(volume.join("..data_tmp"), volume.join("..data"))?;
        let status = scene.team.wait_end("meanwhile").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        reloads(&watcher, "ok", 1.0, 0.0).await?;
        watcher.process.check_alive()
    })
}

#[test]
fn another_server_takes_effect_at_the_next_start_and_gets_no_token_before() -> Result<()> {
    scene::run(async |scene| {
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let front = Front::start(&scene.env).await?;
        let file = &scene.provider.kubeconfig;
        let text = fs::read_to_string(file)?;
        front.lead_to(&scene.provider)?;
        reloads(&watcher, "failed", 1.0, 1.0).await?;
        let log = watcher.process.log();
        assert!(log.contains("takes effect at the next start"), "{log}");
        scene.succeeds("a").await?;
        let calls = front.calls(|_| true);
        assert!(calls.is_empty(), "{calls:?}");
        replace(file, &text)?;
        wait::until("all is well again", Duration::from_secs(30), async || {
            let metrics = watcher.metrics().await?;
            let stale = metrics.sum("isc_config_stale", &[]);
            ensure!(stale < 0.5, "it is stale");
            Ok(())
        })
        .await
    })
}
