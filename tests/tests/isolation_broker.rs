//! A hostile user of the broker: it can read, forge and remove every message, and reaches no request by it.

use anyhow::{Result, ensure};
use isc_proto::{Ticket, TicketKind, ticket};
use isc_tests::{Scene, Watcher, Worker, scene, shown, wait};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, options::BasicPublishOptions,
};
use serde_json::json;

const QUEUE: &str = "isc.requests.gated";
const DEAD: &str = "isc.dead";

/// Notes its start and waits until it may end.
const GATED: &str = r#"
    here="$ISC_SERVICE_DIR/.."
    echo "$ISC_NAME $ISC_ATTEMPT" >> "$here/runs"
    until [ -e "$here/open" ]; do sleep 0.05; done
    printf '{"name": "%s"}' "$ISC_NAME" > "$ISC_RESULT""#;

struct Forger {
    _connection: Connection,
    channel: Channel,
}

// === impl Forger ===

impl Forger {
    async fn new(scene: &Scene) -> Result<Self> {
        let connection = Connection::connect(&scene.amqp, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok(Self {
            _connection: connection,
            channel,
        })
    }

    async fn put(&self, queue: &str, body: &[u8]) -> Result<()> {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default().with_delivery_mode(2);
        let sent = self
            .channel
            .basic_publish("".into(), queue.into(), options, body, properties);
        sent.await?.await?;
        Ok(())
    }

    async fn forge(&self, ticket: &Ticket) -> Result<()> {
        for queue in [QUEUE, DEAD] {
            self.put(queue, &serde_json::to_vec(ticket)?).await?;
        }
        Ok(())
    }
}

fn forged(uid: &str, attempt: u32) -> Ticket {
    Ticket {
        version: ticket::VERSION,
        instance: "isc".into(),
        uid: uid.into(),
        attempt,
        service: "gated".into(),
        kind: TicketKind::Run,
        address: "x".into(),
        traceparent: String::new(),
    }
}

/// A request that runs, one that waits for the only slot, and a user of the broker.
async fn start(scene: &Scene) -> Result<(Watcher, Worker, [String; 2])> {
    scene.service_with("gated", GATED, "limits:\n  concurrency: 1")?;
    let watcher = scene.watcher().await?;
    let worker = scene.worker("worker-1").await?;
    let running = scene.team.ask("running", "gated", json!({})).await?;
    scene.team.wait_phase("running", "Running").await?;
    let waiting = scene.team.ask("waiting", "gated", json!({})).await?;
    scene.team.wait_phase("waiting", "Queued").await?;
    Ok((watcher, worker, [running, waiting]))
}

/// Both requests end as if nobody had meddled.
async fn end_well(scene: &Scene) -> Result<()> {
    std::fs::write(scene.dir.join("open"), "")?;
    for name in ["running", "waiting"] {
        let status = scene.team.wait_end(name).await?;
        assert_eq!(status["result"], json!({"name": name}), "{status}");
        assert_eq!(status["attempt"], 1, "{status}");
        assert!(
            status["failed"].is_null() && status["lost"].is_null(),
            "{status}"
        );
    }
    assert_eq!(scene.file("runs").await?, "running 1\nwaiting 1\n");
    Ok(())
}

async fn dead_letters(watcher: &Watcher, wanted: f64) -> Result<()> {
    wait::until("the dead letters are counted", wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let seen = metrics.sum("isc_dead_letters_total", &[]);
        ensure!(seen > wanted - 0.5, "{}", metrics.lines("isc_dead_letters"));
        Ok(())
    })
    .await
}

#[test]
fn forged_tickets_start_end_and_repeat_nothing() -> Result<()> {
    scene::run(async |scene| {
        let (mut watcher, mut worker, [running, waiting]) = start(scene).await?;
        let forger = Forger::new(scene).await?;
        let unknown = "00000000-0000-0000-0000-000000000000";
        let mut tickets = vec![
            forged(&running, 1),
            forged(&running, 2),
            forged(&waiting, 1),
            forged(&waiting, 0),
            forged(&waiting, u32::MAX),
            forged(unknown, 1),
            forged("../../../etc/passwd", 1),
            forged("", 1),
        ];
        for uid in [&running, &waiting] {
            let ticket = forged(uid, 1);
            tickets.extend([
                Ticket {
                    instance: "other".into(),
                    ..ticket.clone()
                },
                Ticket {
                    kind: TicketKind::Stop,
                    ..ticket.clone()
                },
                Ticket {
                    service: "echo".into(),
                    ..ticket.clone()
                },
                Ticket {
                    address: shown::DIRTY.into(),
                    service: shown::DIRTY.into(),
                    ..ticket
                },
            ]);
        }
        let sent = tickets.len();
        for ticket in tickets {
            forger.forge(&ticket).await?;
        }
        dead_letters(&watcher, f64::from(u32::try_from(sent)?)).await?;
        assert_eq!(scene.file("runs").await?, "running 1\n");
        end_well(scene).await?;
        worker.process.check_alive()?;
        shown::log_is_clean(&worker.process)?;
        shown::log_is_clean(&watcher.process)?;
        watcher.process.check_alive()
    })
}

#[test]
fn messages_that_are_no_tickets_and_queues_that_vanish_hold_up_nothing() -> Result<()> {
    scene::run(async |scene| {
        let (mut watcher, mut worker, _) = start(scene).await?;
        let forger = Forger::new(scene).await?;
        let huge = vec![b'{'; 4 << 20];
        let dirty = shown::DIRTY.as_bytes().to_vec();
        let junk = [vec![], vec![0xff; 100], b"null".to_vec(), dirty, huge];
        for body in &junk {
            forger.put(DEAD, body).await?;
            forger.put(QUEUE, body).await?;
        }
        for number in 0..500_u32 {
            forger.put(DEAD, &number.to_be_bytes()).await?;
        }
        dead_letters(&watcher, 505.0).await?;
        let queues = format!("/api/queues/{}", scene.vhost);
        let broker = &scene.env.broker;
        for queue in [QUEUE, DEAD] {
            broker
                .call("DELETE", &format!("{queues}/{queue}/contents"))
                .await?;
            broker.call("DELETE", &format!("{queues}/{queue}")).await?;
        }
        end_well(scene).await?;
        for service in ["echo", "gated"] {
            let name = format!("after-{service}");
            scene.team.ask(&name, service, json!({"a": 1})).await?;
            let status = scene.team.wait_end(&name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        worker.process.check_alive()?;
        shown::log_is_clean(&worker.process)?;
        shown::log_is_clean(&watcher.process)?;
        watcher.process.check_alive()
    })
}
