//! RabbitMQ: absent, late, and short of memory.

use anyhow::{Result, ensure};
use isc_tests::{isc, isc::set, net, scene, servers::RabbitMq, wait};
use serde_json::json;

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

/// Has a node take no more messages (0), or take them again.
async fn limit_memory(broker: &RabbitMq, share: f32) -> Result<()> {
    let mut tool = broker.start_limiting_memory(share)?;
    let status = tool.ended(wait::USUAL).await?;
    ensure!(status.success(), "{}", tool.tail(10));
    Ok(())
}

#[test]
fn a_broker_that_takes_no_messages_shows_in_metrics_and_readiness_and_is_waited_for() -> Result<()>
{
    scene::run(async |scene| {
        let mut broker = RabbitMq::start(&scene.dir, &scene.env.secret)?;
        broker.ready().await?;
        let url = broker.broker.url("%2f");
        let (mut watcher, mut worker) = (scene.watcher_config(), scene.worker_config("worker-1"));
        set(&mut watcher, "amqp.url", url.as_str());
        set(&mut worker, "amqp.url", url.as_str());
        let (mut watcher, mut worker) =
            (scene.start_watcher(watcher)?, scene.start_worker(worker)?);
        watcher.ready().await?;
        worker.ready().await?;
        limit_memory(&broker, 0.0).await?;
        scene.team.ask("patient", "echo", json!({"a": 1})).await?;
        wait::until("the watcher says so", wait::USUAL, async || {
            let blocked = watcher.metrics().await?.sum("isc_broker_blocked", &[]);
            let (code, body) = isc::readiness(watcher.admin).await?;
            let told = code == 200 && body.contains("takes no messages");
            ensure!(told && blocked > 0.5, "{blocked}, {code}: {body}");
            Ok(())
        })
        .await?;
        limit_memory(&broker, 0.4).await?;
        let status = scene.team.wait_end("patient").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        wait::until("all is well again", wait::USUAL, async || {
            let blocked = watcher.metrics().await?.sum("isc_broker_blocked", &[]);
            ensure!(blocked < 0.5, "still {blocked}");
            Ok(())
        })
        .await
    })
}
