//! RabbitMQ: absent, late, and with things in its queues that nobody can read.

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Scene, isc, isc::set, net, scene, wait};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions},
};
use serde_json::json;

async fn channel(scene: &Scene) -> Result<(Connection, lapin::Channel)> {
    let connection = Connection::connect(&scene.amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

#[test]
fn a_broken_ticket_goes_to_the_dead_letters_and_the_worker_lives() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = scene.watcher().await?;
        let mut worker = scene.worker("worker-1").await?;
        let (_connection, channel) = channel(scene).await?;
        let junk: [&[u8]; 3] = [b"{broken", b"", br#"{"version": 99}"#];
        for body in junk {
            let properties = BasicProperties::default().with_delivery_mode(2);
            channel
                .basic_publish(
                    "".into(),
                    "isc.requests.echo".into(),
                    BasicPublishOptions::default(),
                    body,
                    properties,
                )
                .await?
                .await?;
        }
        for _ in junk {
            wait::until("a dead letter arrives", wait::USUAL, async || {
                let options = BasicGetOptions { no_ack: true };
                let letter = channel.basic_get("isc.dead".into(), options).await?;
                let letter = letter.context("isc.dead is empty")?;
                ensure!(
                    junk.contains(&letter.delivery.data.as_slice()),
                    "another message"
                );
                Ok(())
            })
            .await?;
        }
        worker.process.check_alive()?;
        scene.team.ask("after", "echo", json!({"a": 1})).await?;
        let status = scene.team.wait_end("after").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        Ok(())
    })
}

#[test]
fn a_worker_may_start_before_the_watcher_and_both_before_the_broker() -> Result<()> {
    scene::run(async |scene| {
        let late = net::free_address()?;
        let url = scene.env.broker.url_at(late, &scene.vhost);
        let mut config = scene.worker_config("worker-1");
        set(&mut config, "amqp.url", url.as_str());
        let mut worker = scene.start_worker(config)?;
        wait::until(
            "the worker says what it waits for",
            wait::USUAL,
            async || {
                worker.process.check_alive()?;
                let (code, body) = isc::readiness(worker.admin).await?;
                ensure!(code == 503, "/readyz answers {code}: {body}");
                let log = worker.process.log();
                ensure!(
                    log.contains(&late.to_string()),
                    "no word on the broker at {late}"
                );
                ensure!(
                    log.contains(&scene.grpc.to_string()),
                    "no word on the watcher at {}",
                    scene.grpc
                );
                Ok(())
            },
        )
        .await?;
        assert!(
            !worker.process.log().contains(&scene.env.broker.password),
            "a password is in the log"
        );

        let mut config = scene.watcher_config();
        set(&mut config, "amqp.url", url.as_str());
        isc::shorten_lease(&mut config);
        let mut watcher = scene.start_watcher(config)?;
        scene.team.ask("patient", "echo", json!({"a": 1})).await?;
        wait::until(
            "the watcher says what it waits for",
            wait::USUAL,
            async || {
                watcher.process.check_alive()?;
                ensure!(
                    watcher.process.log().contains(&late.to_string()),
                    "no word on the broker"
                );
                Ok(())
            },
        )
        .await?;

        let _relay = net::Relay::start(late, scene.env.broker.amqp).await?;
        watcher.ready().await?;
        worker.ready().await?;
        let status = scene.team.wait_end("patient").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        Ok(())
    })
}

#[test]
fn a_lost_connection_to_the_broker_is_made_again() -> Result<()> {
    scene::run(async |scene| {
        let address = net::free_address()?;
        let relay = net::Relay::start(address, scene.env.broker.amqp).await?;
        let url = scene.env.broker.url_at(address, &scene.vhost);
        let (mut watcher_config, mut worker_config) =
            (scene.watcher_config(), scene.worker_config("worker-1"));
        set(&mut watcher_config, "amqp.url", url.as_str());
        set(&mut worker_config, "amqp.url", url.as_str());
        let mut watcher = scene.start_watcher(watcher_config)?;
        let mut worker = scene.start_worker(worker_config)?;
        watcher.ready().await?;
        worker.ready().await?;
        drop(relay);
        wait::until("both have noticed", wait::USUAL, async || {
            let watcher = watcher.metrics().await?.sum("isc_broker_connected", &[]);
            let worker = worker
                .metrics()
                .await?
                .sum("isc_worker_broker_connected", &[]);
            ensure!(watcher + worker < 0.5, "watcher {watcher}, worker {worker}");
            Ok(())
        })
        .await?;
        scene.team.ask("meanwhile", "echo", json!({"a": 1})).await?;
        let _relay = net::Relay::start(address, scene.env.broker.amqp).await?;
        let status = scene.team.wait_end("meanwhile").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        Ok(())
    })
}
