//! What the broker gives up on, and what an operator takes away from it.

use anyhow::{Context as _, Result, ensure};
use isc_proto::Ticket;
use isc_tests::{Scene, Watcher, Worker, isc::set, scene, wait};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::BasicGetMessage,
    options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions},
};
use serde_json::{Value, json};

const QUEUE: &str = "isc.requests.echo";
const DEAD: &str = "isc.dead";

async fn channel(scene: &Scene) -> Result<(Connection, Channel)> {
    let connection = Connection::connect(&scene.amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// Waits for a ticket in the queue of `echo`, and takes it.
async fn ticket(channel: &Channel) -> Result<BasicGetMessage> {
    wait::until("a ticket is in the queue", wait::USUAL, async || {
        let got = channel
            .basic_get(QUEUE.into(), BasicGetOptions::default())
            .await?;
        got.context("the queue is empty")
    })
    .await
}

/// A watcher, and a worker that takes no ticket: a job holds its only slot until it is released.
async fn with_busy_worker(scene: &Scene) -> Result<(Watcher, Worker)> {
    let gate = scene.dir.join("gate");
    let script = format!("while [ ! -e {} ]; do sleep 0.1; done", gate.display());
    scene.service("hold", &script)?;
    let watcher = scene.watcher().await?;
    let mut config = scene.worker_config("worker-1");
    set(&mut config, "slots", 1);
    let worker = scene.start_worker(config)?;
    scene.team.ask("holder", "hold", json!({})).await?;
    scene.team.wait_phase("holder", "Running").await?;
    Ok((watcher, worker))
}

fn release(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("gate"), "")?)
}

async fn dead_letters(watcher: &Watcher, reason: &str, wanted: f64) -> Result<()> {
    wait::until("the dead letters are counted", wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let seen = metrics.sum("isc_dead_letters_total", &[("reason", reason)]);
        ensure!(
            seen > wanted - 0.5,
            "{}",
            metrics.lines("isc_dead_letters_total")
        );
        Ok(())
    })
    .await
}

/// How many messages the management API shows in a queue.
async fn messages(scene: &Scene, queue: &str) -> Result<u64> {
    let path = format!("/api/queues/{}/{queue}", scene.vhost);
    let answer: Value = serde_json::from_str(&scene.env.broker.call("GET", &path).await?)?;
    answer["messages"].as_u64().context("not counted yet")
}

#[test]
fn a_message_that_nobody_can_read_is_counted_and_forgotten() -> Result<()> {
    scene::run(async |scene| {
        let watcher = scene.watcher().await?;
        let mut worker = scene.worker("worker-1").await?;
        let (_connection, channel) = channel(scene).await?;
        let junk: [&[u8]; 3] = [b"{broken s3cret", b"", br#"{"version": 99}"#];
        for body in junk {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            channel
                .basic_publish("".into(), QUEUE.into(), options, body, properties)
                .await?
                .await?;
        }
        dead_letters(&watcher, "undecodable", 3.0).await?;
        wait::until("nothing is left of them", wait::USUAL, async || {
            let left = messages(scene, QUEUE).await? + messages(scene, DEAD).await?;
            ensure!(left == 0, "{left} messages");
            Ok(())
        })
        .await?;
        let log = watcher.process.log();
        assert!(log.contains("first_bytes"), "no word on them: {log}");
        assert!(!log.contains("s3cret"), "their content is in the log");
        worker.process.check_alive()?;
        scene.team.ask("after", "echo", json!({"a": 1})).await?;
        let status = scene.team.wait_end("after").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        Ok(())
    })
}

#[test]
fn a_ticket_that_died_is_offered_again_and_its_request_succeeds() -> Result<()> {
    scene::run(async |scene| {
        let (watcher, _worker) = with_busy_worker(scene).await?;
        let (_connection, channel) = channel(scene).await?;
        let uid = scene.team.ask("unlucky", "echo", json!({"a": 1})).await?;
        let first = ticket(&channel).await?;
        first
            .delivery
            .acker
            .reject(BasicRejectOptions { requeue: false })
            .await?;
        dead_letters(&watcher, "rejected", 1.0).await?;
        let second = ticket(&channel).await?;
        let read = Ticket::from_bytes(&second.delivery.data)?;
        assert_eq!(
            (read.uid, read.attempt),
            (uid, 1),
            "the same attempt is offered again"
        );
        let back = BasicRejectOptions { requeue: true };
        second.delivery.acker.reject(back).await?;
        release(scene)?;
        let status = scene.team.wait_end("unlucky").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(status["attempt"], 1, "no attempt is counted: {status}");
        Ok(())
    })
}

#[test]
fn a_queue_that_an_operator_deleted_is_made_again() -> Result<()> {
    scene::run(async |scene| {
        let (watcher, _worker) = with_busy_worker(scene).await?;
        let (_connection, channel) = channel(scene).await?;
        scene.team.ask("before", "echo", json!({"a": 1})).await?;
        let waiting = ticket(&channel).await?;
        let back = BasicRejectOptions { requeue: true };
        waiting.delivery.acker.reject(back).await?;
        // What `rabbitmqctl delete_queue` does.
        let path = format!("/api/queues/{}/{QUEUE}", scene.vhost);
        scene.env.broker.call("DELETE", &path).await?;
        scene.team.ask("after", "echo", json!({"a": 2})).await?;
        wait::until("both are offered again", wait::USUAL, async || {
            let seen = messages(scene, QUEUE).await?;
            ensure!(seen >= 2, "{seen} tickets");
            Ok(())
        })
        .await?;
        let returned = watcher.metrics().await?;
        let returned = returned.sum("isc_tickets_total", &[("result", "returned")]);
        assert!(returned > 0.5, "the publisher saw it");
        release(scene)?;
        for name in ["before", "after"] {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        Ok(())
    })
}
