//! Several instances on one export: each serves its own and leaves the rest alone.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Scene, Team, Watcher, Worker,
    isc::{self, set},
    net, scene, wait,
};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Says who ran, and waits until it may go on where that is asked for.
const SCRIPT: &str = "echo \"$ISC_NAME\" >> \"$ISC_SERVICE_DIR/../runs\"; \
    if [ \"$(jq -r .waits \"$ISC_PARAMS\")\" = true ]; then \
    until [ -e \"$ISC_SERVICE_DIR/../go\" ]; do sleep 0.1; done; fi";

/// A watcher with a short lease and its worker.
struct Instance {
    watcher: Watcher,
    worker: Worker,
}

async fn start(scene: &Scene, name: &str, keys: Value) -> Result<Instance> {
    let grpc = net::free_address()?;
    let watcher = start_watcher(scene, name, grpc, keys).await?;
    let worker = start_worker(scene, name, grpc).await?;
    Ok(Instance { watcher, worker })
}

async fn start_watcher(
    scene: &Scene,
    name: &str,
    grpc: SocketAddr,
    keys: Value,
) -> Result<Watcher> {
    let mut config = isc::watcher_config(&scene.services(), &scene.amqp, grpc);
    isc::shorten_lease(&mut config);
    set(&mut config, "instance", name);
    for (key, value) in keys.as_object().context("keys are an object")? {
        set(&mut config, key, value.clone());
    }
    let (watcher, kubeconfig) = (format!("watcher-{name}"), &scene.provider.kubeconfig);
    let mut watcher = Watcher::start(&scene.dir, &watcher, config, kubeconfig)?;
    watcher.ready().await?;
    Ok(watcher)
}

/// It hears of the queues of its instance only.
async fn start_worker(scene: &Scene, name: &str, grpc: SocketAddr) -> Result<Worker> {
    let worker = format!("worker-{name}");
    let mut config = isc::worker_config(&scene.services(), &scene.amqp, grpc, &worker);
    set(&mut config, "amqp.prefix", name);
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    Ok(worker)
}

async fn ask(team: &Team, name: &str, labels: &[(&str, &str)], params: Value) -> Result<()> {
    let mut object = team.object(name, "mark", &json!({"params": params}))?;
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    object.metadata.labels = Some(labels.iter().map(own).collect());
    let requests = team.requests("default");
    requests.create(&PostParams::default(), &object).await?;
    Ok(())
}

fn runs(scene: &Scene) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(scene.dir.join("runs"))?;
    let mut names: Vec<String> = text.lines().map(Into::into).collect();
    names.sort();
    Ok(names)
}

fn by_label(value: &str) -> Value {
    json!({"select": {"labels": {"matchLabels": {"tier": value}}}})
}

/// It ended well, served by that instance and its worker.
fn served_by(status: &Value, instance: &str) {
    assert_eq!(status["phase"], "Succeeded", "{status}");
    assert_eq!(status["controller"], instance, "{status}");
    assert_eq!(status["worker"], format!("worker-{instance}"), "{status}");
}

#[test]
fn two_instances_serve_their_own_and_leave_the_rest_alone() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mark", SCRIPT)?;
        let team = &scene.team;
        ask(team, "early-b", &[("tier", "b")], json!({})).await?;
        let _a = start(scene, "a", by_label("a")).await?;
        let _b = start(scene, "b", by_label("b")).await?;
        ask(team, "none", &[], json!({})).await?;
        for n in 0..4 {
            ask(
                team,
                &format!("a{n}"),
                &[("tier", "a"), ("n", "1")],
                json!({}),
            )
            .await?;
            ask(team, &format!("b{n}"), &[("tier", "b")], json!({})).await?;
        }
        for n in 0..4 {
            served_by(&team.wait_end(&format!("a{n}")).await?, "a");
            served_by(&team.wait_end(&format!("b{n}")).await?, "b");
        }
        served_by(&team.wait_end("early-b").await?, "b");
        let status = team.status("none").await?;
        assert!(status.is_null(), "nobody selects it: {status}");
        assert_eq!(runs(scene)?.len(), 9);

        // Whoever is selected later is served then.
        let labels = json!({"metadata": {"labels": {"tier": "a"}}});
        let requests = team.requests("default");
        requests
            .patch("none", &PatchParams::default(), &Patch::Merge(labels))
            .await?;
        served_by(&team.wait_end("none").await?, "a");
        Ok(())
    })
}

#[test]
fn workspaces_are_told_apart_by_their_paths_and_by_their_clusters() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mark", SCRIPT)?;
        let other = scene.team_b().await?;
        let (_, name) = scene.team.path.rsplit_once(':').context("a deep path")?;
        let pattern = format!("root:**:{name}");
        let _a = start(scene, "a", json!({"select": {"workspaces": [pattern]}})).await?;
        for team in [&other, &scene.team] {
            ask(team, "same", &[], json!({})).await?;
        }
        served_by(&scene.team.wait_end("same").await?, "a");
        let status = other.status("same").await?;
        assert!(status.is_null(), "nobody selects it yet: {status}");
        let _b = start(scene, "b", json!({"select": {"clusters": [other.cluster]}})).await?;
        served_by(&other.wait_end("same").await?, "b");
        Ok(())
    })
}

/// Status writes of an instance; every one went well.
async fn status_writes(watcher: &Watcher) -> Result<f64> {
    let metrics = watcher.metrics().await?;
    let of = |labels: &[(&str, &str)]| metrics.sum("isc_status_writes_total", labels);
    let (all, good) = (of(&[]), of(&[("result", "ok")]));
    ensure!(all - good < 0.1, "{}", metrics.lines("isc_status_writes"));
    Ok(all)
}

#[test]
fn the_name_of_an_instance_costs_one_write_and_nothing_more() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mark", SCRIPT)?;
        // A busy machine may be slow: what matters is that the end comes within the delay.
        let keys =
            json!({"select": {}, "status": {"firstWriteDelayMs": 30_000, "minIntervalMs": 0}});
        let a = start(scene, "a", keys).await?;
        for name in ["one", "two", "three"] {
            ask(&scene.team, name, &[], json!({})).await?;
            served_by(&scene.team.wait_end(name).await?, "a");
        }
        let writes = wait::until("all is counted", wait::USUAL, async || {
            let writes = status_writes(&a.watcher).await?;
            ensure!(writes > 5.9, "{writes} writes");
            Ok(writes)
        })
        .await?;
        assert!(
            writes < 6.1,
            "a name and an end each, and not {writes} writes"
        );
        Ok(())
    })
}

#[test]
fn what_two_instances_select_is_run_once_by_the_first() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mark", SCRIPT)?;
        let team = &scene.team;
        let all = || json!({"select": {}});
        let a = start(scene, "a", all()).await?;
        let b = start(scene, "b", json!({"select": {"services": ["m*"]}})).await?;
        let names: Vec<String> = (0..24).map(|n| format!("r{n:02}")).collect();
        for name in &names {
            ask(team, name, &[], json!({})).await?;
        }
        for name in &names {
            let status = team.wait_end(name).await?;
            let controller = status["controller"].as_str().unwrap_or_default();
            assert!(["a", "b"].contains(&controller), "{status}");
            served_by(&status, controller);
            assert_eq!(status["attempt"], 1, "{status}");
        }
        assert_eq!(runs(scene)?, names, "each ran once");
        drop((a, b));
        Ok(())
    })
}

#[test]
fn a_label_that_changes_during_a_run_changes_nothing() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mark", SCRIPT)?;
        let team = &scene.team;
        let _a = start(scene, "a", by_label("a")).await?;
        let _b = start(scene, "b", by_label("b")).await?;
        ask(team, "moves", &[("tier", "a")], json!({"waits": true})).await?;
        scene.file("runs").await?;
        let labels = json!({"metadata": {"labels": {"tier": "b"}}});
        let requests = team.requests("default");
        requests
            .patch("moves", &PatchParams::default(), &Patch::Merge(labels))
            .await?;
        // What comes after the change was served, so the change was seen.
        for (name, tier) in [("after-a", "a"), ("after-b", "b")] {
            ask(team, name, &[("tier", tier)], json!({})).await?;
            served_by(&team.wait_end(name).await?, tier);
        }
        std::fs::write(scene.dir.join("go"), "")?;
        let status = team.wait_end("moves").await?;
        served_by(&status, "a");
        assert_eq!(status["attempt"], 1, "{status}");
        assert_eq!(runs(scene)?, ["after-a", "after-b", "moves"]);
        Ok(())
    })
}

#[test]
fn an_instance_takes_over_what_another_left_behind() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mark", SCRIPT)?;
        let team = &scene.team;
        let mut old = start(scene, "old", json!({"select": {}})).await?;
        ask(team, "runs", &[], json!({"waits": true})).await?;
        ask(team, "ended", &[], json!({})).await?;
        served_by(&team.wait_end("ended").await?, "old");
        let status = team.wait_phase("runs", "Running").await?;
        assert_eq!(status["controller"], "old", "{status}");
        old.watcher.process.kill();
        old.worker.process.kill();

        let stranger = start(scene, "stranger", json!({"select": {}})).await?;
        let _new = start(scene, "new", json!({"adopts": ["old"]})).await?;
        std::fs::write(scene.dir.join("go"), "")?;
        let status = team.wait_end("runs").await?;
        served_by(&status, "new");
        assert_eq!(
            (&status["lost"], &status["attempt"]),
            (&json!(1), &json!(2))
        );
        served_by(&team.status("ended").await?, "old");
        drop(stranger);
        Ok(())
    })
}
