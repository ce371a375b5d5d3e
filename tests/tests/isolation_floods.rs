//! Hostile workers that say more than anybody can hear.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail};
use isc_proto::v1::{self, worker_message::Message as ToWatcher};
use isc_tests::{
    hostile::{Hostile, Identity},
    scene, shown,
};
use serde_json::json;

#[test]
fn floods_slow_down_whoever_sends_them_and_nobody_else() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let mut floods = tokio::task::JoinSet::new();
        let watcher_at = scene.grpc;
        for number in 0..3 {
            let claiming = Identity::new(&format!("claims-{number}"), &["echo"]);
            let beating = Identity::new(&format!("beats-{number}"), &["echo"]);
            floods.spawn(claims(Hostile::greet(watcher_at, &claiming).await?));
            floods.spawn(beats(Hostile::greet(watcher_at, &beating).await?));
        }
        floods.spawn(deaf(watcher_at));
        shown::counted(
            &watcher,
            "isc_dropped_total",
            ("reason", "session_queue_full"),
        )
        .await?;
        floods.spawn(crowd(watcher_at));
        shown::refused(&watcher, "too_fast").await?;
        shown::refused(&watcher, "too_many_streams").await?;
        for number in 0..5 {
            let name = format!("honest-{number}");
            scene.team.ask(&name, "echo", json!({"n": number})).await?;
            let status = scene.team.wait_end(&name).await?;
            assert_eq!(status["result"], json!({"n": number}), "{status}");
        }
        shown::counted(&watcher, "isc_claims_total", ("result", "unknown")).await?;
        let used = watcher.process.usage()?;
        assert!(used.peak_mb < 400.0, "{used:?}");
        watcher.process.check_alive()
    })
}

/// Claims what does not exist, as fast as it is answered.
async fn claims(mut evil: Hostile) -> Result<()> {
    loop {
        for attempt in 0..200 {
            evil.say(ToWatcher::Claim(v1::Claim {
                id: Some(v1::AttemptId {
                    uid: format!("none-{attempt}"),
                    attempt,
                }),
                service: "echo".into(),
            }))
            .await?;
        }
        for _ in 0..200 {
            evil.hear().await?;
        }
    }
}

/// Sends heartbeats without a pause.
async fn beats(mut evil: Hostile) -> Result<()> {
    let held = vec![
        v1::AttemptId {
            uid: "none".into(),
            attempt: 1,
        };
        1000
    ];
    loop {
        // Its answers come slowly, and it is held up with them.
        let sent = tokio::time::timeout(Duration::from_secs(1), evil.beat(held.clone()));
        if let Ok(Err(error)) = sent.await {
            bail!(error);
        }
    }
}

/// Claims and never reads an answer.
async fn deaf(watcher: SocketAddr) -> Result<()> {
    loop {
        let evil = Hostile::greet(watcher, &Identity::new("deaf", &["echo"])).await;
        let Ok(evil) = evil else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        for attempt in 0..5000 {
            let claim = ToWatcher::Claim(v1::Claim {
                id: Some(v1::AttemptId {
                    uid: "x".repeat(128),
                    attempt,
                }),
                service: "echo".into(),
            });
            if evil.say(claim).await.is_err() {
                break;
            }
        }
    }
}

/// Greets as somebody else all the time.
async fn crowd(watcher: SocketAddr) -> Result<()> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{watcher}"))?;
    let channel = endpoint.connect().await?;
    loop {
        if let Ok(evil) = Hostile::open_on(channel.clone()).await {
            let identity = Identity::new("crowd", &["echo"]);
            // The stream may be over before it is heard.
            let _said = evil.say(ToWatcher::Hello(identity.hello())).await;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
