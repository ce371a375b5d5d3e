//! What RabbitMQ may do to a worker that consumes: the worker always gets over it by itself.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Scene, Watcher, Worker, isc::set, scene, servers::RabbitMq, wait};
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use serde_json::json;

/// What "within seconds" means on a busy machine.
const SECONDS: Duration = Duration::from_secs(15);

/// Notes its start, waits until the test lets it go, and returns the attempt.
const GATED: &str = r#"echo "$ISC_ATTEMPT" >> "$ISC_SERVICE_DIR/../started"
    while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
    printf '{"attempt": %s}' "$ISC_ATTEMPT" > "$ISC_RESULT""#;

/// A broker of the test's own, with settings in Erlang, that the scene uses from now on.
async fn own_broker(scene: &mut Scene, advanced: &str) -> Result<RabbitMq> {
    let mut server = RabbitMq::start_with(&scene.dir, &scene.env.secret, advanced)?;
    server.ready().await?;
    server.broker.create_vhost(&scene.vhost).await?;
    scene.amqp = server.broker.url(&scene.vhost);
    Ok(server)
}

/// A watcher, a worker with one slot, and a job in it that runs until `let_go`.
async fn a_running_job(scene: &Scene) -> Result<(Watcher, Worker)> {
    scene.service("gated", GATED)?;
    let watcher = scene.eager_watcher().await?;
    let mut config = scene.worker_config("worker-1");
    set(&mut config, "slots", 1);
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    scene.team.ask("long", "gated", json!({})).await?;
    scene.file("started").await?;
    Ok((watcher, worker))
}

fn let_go(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("go"), "")?)
}

/// The running job was neither disturbed nor repeated.
async fn ran_once(scene: &Scene) -> Result<()> {
    let status = scene.team.wait_end("long").await?;
    assert_eq!(status["result"], json!({"attempt": 1}), "{status}");
    assert!(
        status["failed"].is_null() && status["lost"].is_null(),
        "{status}"
    );
    assert_eq!(scene.file("started").await?, "1\n", "it ran again");
    Ok(())
}

/// A new request is served.
async fn serves(scene: &Scene, name: &str, limit: Duration) -> Result<()> {
    scene.team.ask(name, "echo", json!({"for": name})).await?;
    let finished = isc_tests::team::is_finished;
    let status = scene
        .team
        .wait_for(name, "at its end", limit, finished)
        .await?;
    assert_eq!(status["result"], json!({"for": name}), "{status}");
    Ok(())
}

/// How many consumers a queue has; an error when there is no such queue.
async fn consumers(scene: &Scene, queue: &str) -> Result<u32> {
    let connection = Connection::connect(&scene.amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel.queue_declare(queue.into(), passive, FieldTable::default());
    Ok(queue.await?.consumer_count())
}

async fn delete_queue(scene: &Scene, queue: &str) -> Result<()> {
    let path = format!("/api/queues/{}/{queue}", scene.vhost);
    scene.env.broker.call("DELETE", &path).await.map(drop)
}

async fn log_says(worker: &mut Worker, text: &str) -> Result<()> {
    let what = format!("the worker's log says `{text}`");
    wait::until(&what, wait::USUAL, async || {
        worker.process.check_alive()?;
        ensure!(worker.process.log().contains(text), "not a word");
        Ok(())
    })
    .await
}

#[test]
fn a_queue_that_an_operator_deletes_is_there_and_consumed_again_within_seconds() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = scene.watcher().await?;
        let mut worker = scene.worker("worker-1").await?;
        serves(scene, "before", wait::USUAL).await?;
        let queue = "isc.requests.echo";
        for round in ["first", "second"] {
            delete_queue(scene, queue).await?;
            wait::until("the queue is consumed again", SECONDS, async || {
                worker.process.check_alive()?;
                let consumers = consumers(scene, queue).await?;
                ensure!(consumers == 1, "{consumers} consumers");
                Ok(())
            })
            .await?;
            serves(scene, round, SECONDS).await?;
        }
        Ok(())
    })
}

#[test]
fn a_queue_that_is_deleted_while_the_worker_is_busy_is_there_again_when_it_has_a_slot() -> Result<()>
{
    scene::run(async |scene| {
        let (_watcher, mut worker) = a_running_job(scene).await?;
        for queue in ["isc.requests.gated", "isc.requests.echo"] {
            delete_queue(scene, queue).await?;
        }
        let_go(scene)?;
        ran_once(scene).await?;
        serves(scene, "after", wait::USUAL).await?;
        worker.process.check_alive()
    })
}

#[test]
fn a_delivery_that_the_broker_times_out_disturbs_no_job() -> Result<()> {
    scene::run(async |scene| {
        let short = "[{rabbit, [{consumer_timeout, 2000}, {channel_tick_interval, 1000}]}].";
        let _server = own_broker(scene, short).await?;
        let (_watcher, mut worker) = a_running_job(scene).await?;
        // The ticket of a running job is held for 20 s, so the broker loses its patience first.
        log_says(&mut worker, "PRECONDITION_FAILED").await?;
        wait::until("the worker is connected again", SECONDS, async || {
            let connected = worker.metrics().await?;
            let connected = connected.sum("isc_worker_broker_connected", &[]);
            ensure!(connected > 0.5, "it is not");
            Ok(())
        })
        .await?;
        let_go(scene)?;
        ran_once(scene).await?;
        serves(scene, "after", wait::USUAL).await?;
        worker.process.check_alive()
    })
}

#[test]
fn a_broker_that_is_killed_and_comes_back_disturbs_no_job() -> Result<()> {
    scene::run(async |scene| {
        let mut server = own_broker(scene, "[].").await?;
        let (_watcher, mut worker) = a_running_job(scene).await?;
        server.process.kill();
        wait::until("the worker has noticed", wait::USUAL, async || {
            worker.process.check_alive()?;
            let connected = worker.metrics().await?;
            let connected = connected.sum("isc_worker_broker_connected", &[]);
            ensure!(connected < 0.5, "it takes itself for connected");
            Ok(())
        })
        .await?;
        let_go(scene)?;
        ran_once(scene).await?;
        server.start_again()?;
        server.ready().await?;
        serves(scene, "after", wait::USUAL).await?;
        worker.process.check_alive()
    })
}

#[test]
fn a_broker_without_memory_holds_up_new_requests_and_no_running_job() -> Result<()> {
    scene::run(async |scene| {
        let server = own_broker(scene, "[].").await?;
        let (watcher, mut worker) = a_running_job(scene).await?;
        let mut tool = server.start_limiting_memory(0.0)?;
        tool.ended(wait::USUAL).await?;
        scene.team.ask("meanwhile", "echo", json!({"a": 1})).await?;
        wait::until("the watcher shows it", wait::USUAL, async || {
            let (code, text) = isc_tests::isc::readiness(watcher.admin).await?;
            ensure!(code == 200 && text.contains("takes no messages"), "{text}");
            Ok(())
        })
        .await
        .context("a blocked connection must show")?;
        let_go(scene)?;
        ran_once(scene).await?;
        let mut tool = server.start_limiting_memory(0.6)?;
        tool.ended(wait::USUAL).await?;
        let status = scene.team.wait_end("meanwhile").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        worker.process.check_alive()
    })
}
