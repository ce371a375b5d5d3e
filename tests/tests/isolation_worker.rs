//! A hostile worker: whoever reaches the gRPC port can speak the protocol, and say anything with it.

use anyhow::Result;
use isc_proto::v1::{
    self, watcher_message::Message as FromWatcher, worker_message::Message as ToWatcher,
};
use isc_tests::{
    Scene, Watcher,
    hostile::{self, Hostile, Identity, failure, success},
    isc::set,
    scene, shown,
    team::{message, reason},
    wait,
};
use kube::api::DeleteParams;
use serde_json::json;
use tonic::Code;

/// Just below the largest message that the watcher takes.
const ALMOST: usize = 1_000_000;

fn evil() -> Identity {
    Identity::new("evil", &["echo"])
}

/// A watcher that waits for a worker without heartbeats for as long as a slow machine takes.
async fn patient(scene: &Scene) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    set(&mut config, "lease.seconds", 120);
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok(watcher)
}

/// An attempt on its way to a status, as the hostile worker has it.
async fn won(scene: &Scene, evil: &mut Hostile, name: &str) -> Result<String> {
    let uid = scene.team.ask(name, "echo", json!({"a": 1})).await?;
    evil.win(&uid, "echo").await?;
    Ok(uid)
}

#[test]
fn words_of_a_worker_arrive_clean_and_short() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = patient(scene).await?;
        let mut evil = Hostile::greet(scene.grpc, &evil()).await?;
        let uid = won(scene, &mut evil, "noisy").await?;
        evil.progress(&uid, 1, shown::DIRTY).await?;
        let told = scene
            .team
            .wait_for("noisy", "told of", wait::USUAL, |status| {
                status["progress"]["message"].is_string()
            })
            .await?;
        shown::status_is_clean(&told, 16 << 10)?;
        let progress = &told["progress"];
        let text = progress["message"].as_str().unwrap_or_default();
        assert!(
            text.starts_with("50 % 2026") && text.ends_with("ok äö 🚀"),
            "{text}"
        );
        assert_eq!(progress["percent"], 100, "{told}");

        let endless = shown::DIRTY.repeat(ALMOST / shown::DIRTY.len());
        evil.progress(&uid, 1, &endless).await?;
        let told = scene
            .team
            .wait_for("noisy", "told of more", wait::USUAL, |status| {
                status["progress"]["message"]
                    .as_str()
                    .is_some_and(|text| text.ends_with(" ..."))
            })
            .await?;
        shown::status_is_clean(&told, 4 << 10)?;
        assert!(evil.reports(&uid, 1, failure(&endless)).await?);
        let ended = scene.team.wait_end("noisy").await?;
        assert_eq!(reason(&ended), "JobFailed", "{ended}");
        assert!(message(&ended).ends_with(" ...") && message(&ended).len() <= 4096);
        shown::status_is_clean(&ended, 16 << 10)?;
        shown::log_is_clean(&watcher.process)?;
        watcher.process.check_alive()
    })
}

#[test]
fn a_result_that_a_status_should_not_hold_ends_its_request_and_no_other() -> Result<()> {
    scene::run(async |scene| {
        let watcher = patient(scene).await?;
        let mut evil = Hostile::greet(scene.grpc, &evil()).await?;
        let large = json!({"text": "x".repeat(300 << 10)}).to_string();
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(9000), "]".repeat(9000));
        let artifact = v1::Artifact {
            name: "log".into(),
            size: u64::MAX,
            ..v1::Artifact::default()
        };
        let artifacts = v1::outcome::Outcome::Succeeded(v1::Succeeded {
            result_json: "{}".into(),
            artifacts: vec![artifact],
        });
        let crowd = v1::outcome::Outcome::Succeeded(v1::Succeeded {
            result_json: "{}".into(),
            artifacts: vec![v1::Artifact::default(); 10_000],
        });
        let cases = [
            ("large", success(&large), "ResultTooLarge"),
            ("text", success("\"s3cret\""), "InvalidResult"),
            (
                "surrogate",
                success("{\"s3cret\": \"\\ud800\"}"),
                "InvalidResult",
            ),
            ("deep", success(&deep), "InvalidResult"),
            ("artifact", artifacts, "InvalidResult"),
            ("crowd", crowd, "InvalidResult"),
            (
                "dirty",
                success(&json!({"a": shown::DIRTY}).to_string()),
                "Succeeded",
            ),
        ];
        for (name, outcome, wanted) in cases {
            let uid = won(scene, &mut evil, name).await?;
            assert!(evil.reports(&uid, 1, outcome).await?, "{name}");
            let status = scene.team.wait_end(name).await?;
            assert_eq!(reason(&status), wanted, "{name}: {status}");
            assert!(!message(&status).contains("s3cret"), "{status}");
            if name == "dirty" {
                // A result is data: it arrives as it was sent.
                assert_eq!(status["result"], json!({"a": shown::DIRTY}));
            } else {
                shown::status_is_clean(&status, 16 << 10)?;
                assert!(status["result"].is_null(), "{status}");
            }
        }
        shown::log_is_clean(&watcher.process)
    })
}

#[test]
fn a_stream_that_breaks_the_protocol_ends_is_counted_and_harms_nobody() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = scene.eager_watcher().await?;
        let mut silent = Hostile::open(scene.grpc).await?;
        let mut evil = Hostile::greet(scene.grpc, &evil()).await?;
        won(scene, &mut evil, "flooded").await?;
        evil.outcome("any", 1, success(&"x".repeat(10 << 20)))
            .await?;
        assert_eq!(evil.end().await?.code(), Code::OutOfRange);
        let status = hostile::junk(scene.grpc).await?;
        assert_eq!(status.code(), Code::Internal, "{status:?}");
        for (first, code) in greetings() {
            let mut stream = Hostile::open(scene.grpc).await?;
            stream.say(first).await?;
            let status = stream.end().await?;
            assert_eq!(status.code(), code, "{status:?}");
        }
        let mut twice = Hostile::greet(scene.grpc, &Identity::new("twice", &[])).await?;
        twice.say(ToWatcher::Hello(evil_hello(|_| ()))).await?;
        assert_eq!(twice.end().await?.code(), Code::InvalidArgument);

        let _worker = scene.worker("worker-1").await?;
        let status = scene.team.wait_end("flooded").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        assert_eq!(
            (&status["worker"], &status["lost"]),
            (&json!("worker-1"), &json!(1)),
            "{status}"
        );
        assert_eq!(silent.end().await?.code(), Code::DeadlineExceeded);
        for reason in [
            "too_large",
            "undecodable",
            "order",
            "protocol",
            "malformed",
            "no_hello",
        ] {
            shown::refused(&watcher, reason).await?;
        }
        shown::log_is_clean(&watcher.process)?;
        watcher.process.check_alive()
    })
}

/// First messages that are no greeting of this protocol, and how the watcher answers.
fn greetings() -> Vec<(ToWatcher, Code)> {
    let hello = |change: fn(&mut v1::Hello)| ToWatcher::Hello(evil_hello(change));
    let id = v1::AttemptId {
        uid: "x".repeat(40),
        attempt: 1,
    };
    let mut crowded = evil().hello();
    crowded.running = vec![id; 20_000];
    let refusals = [
        ToWatcher::Heartbeat(v1::Heartbeat::default()),
        hello(|hello| hello.protocol = 9),
        hello(|hello| hello.worker.clear()),
        hello(|hello| hello.worker = shown::DIRTY.into()),
        hello(|hello| hello.worker = "x".repeat(1000)),
        hello(|hello| hello.slots = u32::MAX),
        ToWatcher::Hello(crowded),
    ];
    refusals
        .into_iter()
        .map(|message| (message, Code::FailedPrecondition))
        .collect()
}

fn evil_hello(change: fn(&mut v1::Hello)) -> v1::Hello {
    let mut hello = evil().hello();
    change(&mut hello);
    hello
}

#[test]
fn what_a_worker_says_of_attempts_that_it_does_not_hold_changes_nothing() -> Result<()> {
    scene::run(async |scene| {
        let watcher = patient(scene).await?;
        let mut good = Hostile::greet(scene.grpc, &Identity::new("good", &["echo"])).await?;
        let uid = won(scene, &mut good, "mine").await?;
        let mut thief = Identity::new("good", &[]);
        thief.running = vec![v1::AttemptId {
            uid: uid.clone(),
            attempt: 1,
        }];
        let mut thief = Hostile::greet(scene.grpc, &thief).await?;
        let told = thief.hear().await?;
        assert!(matches!(told, FromWatcher::Cancel(_)), "{told:?}");
        for attempt in [0, 1, 2, u32::MAX] {
            let stolen = thief
                .reports(&uid, attempt, success("{\"by\": \"thief\"}"))
                .await?;
            assert!(!stolen, "attempt {attempt}");
            let answer = thief.claim(&uid, attempt, "echo").await?;
            assert!(matches!(answer, FromWatcher::Refusal(_)), "{answer:?}");
        }
        for uid in [
            "unknown",
            "../../etc/passwd",
            "00000000-0000-0000-0000-000000000000",
        ] {
            let answer = thief.claim(uid, 1, "echo").await?;
            assert!(matches!(answer, FromWatcher::Refusal(_)), "{answer:?}");
            assert!(!thief.reports(uid, 1, success("{}")).await?, "{uid}");
        }
        thief.progress(&uid, 1, "stolen").await?;
        // The name alone is no right to a service either.
        let next = scene.team.ask("next", "echo", json!({})).await?;
        let answer = thief.claim(&next, 1, "echo").await?;
        assert!(matches!(answer, FromWatcher::Refusal(_)), "{answer:?}");

        for (metric, label, value) in [
            ("isc_claims_total", "result", "unknown"),
            ("isc_ignored_total", "reason", "foreign_progress"),
            ("isc_ignored_total", "reason", "stale_outcome"),
        ] {
            shown::counted(&watcher, metric, (label, value)).await?;
        }
        assert!(good.reports(&uid, 1, success("{\"by\": \"good\"}")).await?);
        let status = scene.team.wait_end("mine").await?;
        assert_eq!(status["result"], json!({"by": "good"}), "{status}");
        assert_eq!(status["attempt"], 1, "{status}");
        Ok(())
    })
}

#[test]
fn the_outcome_of_a_deleted_request_never_reaches_a_new_one_of_the_same_name() -> Result<()> {
    scene::run(async |scene| {
        let _watcher = patient(scene).await?;
        let mut evil = Hostile::greet(scene.grpc, &evil()).await?;
        let old = won(scene, &mut evil, "twice").await?;
        let requests = scene.team.requests("default");
        requests.delete("twice", &DeleteParams::default()).await?;
        let new = scene
            .team
            .ask("twice", "echo", json!({"new": true}))
            .await?;
        assert_ne!(old, new);
        evil.progress(&old, 1, "of the old one").await?;
        // Both of these come before anybody has the new one.
        assert!(!evil.reports(&new, 1, success("{\"early\": true}")).await?);
        assert!(!evil.reports(&old, 1, success("{\"old\": true}")).await?);
        let assignment = evil.win(&new, "echo").await?;
        assert_eq!(assignment.params_json, "{\"new\":true}");
        assert!(!evil.reports(&old, 1, success("{\"old\": true}")).await?);
        assert!(evil.reports(&new, 1, success("{\"new\": true}")).await?);
        let status = scene.team.wait_end("twice").await?;
        assert_eq!(status["result"], json!({"new": true}), "{status}");
        assert!(status["progress"].is_null(), "{status}");
        Ok(())
    })
}
