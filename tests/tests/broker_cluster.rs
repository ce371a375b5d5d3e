//! A cluster of three RabbitMQ nodes, of which the one that leads a queue dies under load.

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Scene,
    isc::set,
    scene,
    servers::RabbitMq,
    wait,
    work::{ends, kill, make, prepare, started, starts, worker_with},
};
use serde_json::{Value, json};

const JOBS: usize = 300;

/// Where the management API shows the queue.
const QUEUE: &str = "/api/queues/%2f/isc.requests.work";

/// The name of the node that leads a queue.
async fn leader(node: &RabbitMq) -> Result<String> {
    wait::until("the queue has a leader", wait::USUAL, async || {
        let shown = node.broker.call("GET", QUEUE).await?;
        let shown: Value = serde_json::from_str(&shown)?;
        let members = shown["members"].as_array().map_or(0, Vec::len);
        ensure!(members == 3, "{members} nodes keep it");
        let leader = shown["leader"].as_str().context("no leader")?;
        Ok(leader.to_owned())
    })
    .await
}

/// The address of each node.
fn urls(nodes: &[RabbitMq]) -> String {
    let urls: Vec<String> = nodes.iter().map(|node| node.broker.url("%2f")).collect();
    urls.join(", ")
}

async fn start(scene: &Scene, urls: &str) -> Result<Vec<isc_tests::Worker>> {
    let mut workers = vec![];
    for name in ["worker-1", "worker-2"] {
        let mut config = scene.worker_config(name);
        set(&mut config, "amqp.url", urls);
        workers.push(worker_with(scene, config, 4).await?);
    }
    Ok(workers)
}

#[test]
fn nothing_is_lost_or_runs_twice_when_the_leader_of_a_queue_dies() -> Result<()> {
    scene::run(async |scene| {
        let mut nodes = RabbitMq::cluster(&scene.dir, &scene.env.secret, 3).await?;
        let urls = urls(&nodes);
        prepare(scene)?;
        let mut config = scene.watcher_config();
        set(&mut config, "amqp.url", urls.as_str());
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        let _workers = start(scene, &urls).await?;
        let leading = leader(&nodes[0]).await?;
        make(scene, JOBS, &json!({"millis": 200})).await?;
        started(scene, 10).await?;
        // They are in the order in which they end: the last one was the first.
        let at = (1..=3).find(|number| leading == format!("isc-{number}@localhost"));
        let at = nodes.len() - at.context("a node of another name leads")?;
        let before = starts(scene)?.len();
        ensure!(before < JOBS / 2, "{before} jobs have started already");
        kill(&mut nodes[at].process).await?;
        for status in ends(scene, JOBS).await? {
            assert_eq!(status["phase"], "Succeeded", "{status}");
            assert_eq!(status["attempt"], 1, "{status}");
        }
        assert_eq!(starts(scene)?.len(), JOBS, "each ran once");
        let other = &nodes[(at + 1) % nodes.len()];
        wait::until("another node leads", wait::USUAL, async || {
            let shown = other.broker.call("GET", QUEUE).await?;
            let shown: Value = serde_json::from_str(&shown)?;
            let now = shown["leader"].as_str().unwrap_or(&leading);
            ensure!(now != leading, "{now} does");
            Ok(())
        })
        .await
    })
}
