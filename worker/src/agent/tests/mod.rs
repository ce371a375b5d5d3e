//! The agent and its real session against a scripted watcher; the test plays the broker.

mod bench;
mod scripted;

use isc_core::worker_session::{Settlement, TicketNo};
use isc_proto::v1::{
    self, watcher_message::Message as ToWorker, worker_message::Message as FromWorker,
};
use isc_runtime::admin::Readiness;
use tokio::{task::JoinSet, time::timeout};

use super::*;
use crate::session::{Session, Watcher};
use bench::{Bench, SOON};
use scripted::{serve, wire_id};

#[tokio::test]
async fn a_ticket_becomes_a_job_and_its_slot_is_free_once_the_outcome_is_recorded() {
    let mut bench = Bench::new().await;
    let mut stream = bench.stream().await;
    let hello = stream.hello().await;
    assert_eq!((hello.worker.as_str(), hello.slots), ("w", 2));
    stream.welcome(30_000).await;
    bench.wait_free(2).await;
    bench.ticket(1, "a").await;
    stream.grant("a", "quick").await;
    match stream.outcome().await {
        v1::outcome::Outcome::Succeeded(done) => assert_eq!(done.result_json, r#"{"a": 1}"#),
        other => panic!("{other:?}"),
    }
    bench.wait_free(1).await;
    let id = Some(wire_id("a"));
    stream.say(ToWorker::Recorded(v1::Recorded { id })).await;
    bench.wait_free(2).await;
    assert_eq!(bench.settlement().await, (TicketNo(1), Settlement::Done));
}

#[tokio::test]
async fn an_outcome_that_nobody_recorded_is_sent_again_on_the_next_stream() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "quick").await;
    stream.outcome().await;
    drop(stream);
    let mut stream = bench.stream().await;
    let hello = stream.hello().await;
    assert_eq!(hello.outcomes, [wire_id("a")]);
    stream.welcome(30_000).await;
    stream.outcome().await;
    let id = Some(wire_id("a"));
    stream.say(ToWorker::Stale(v1::Stale { id })).await;
    bench.wait_free(2).await;
}

#[tokio::test]
async fn a_cancelled_job_is_stopped_and_says_so() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    let (id, reason) = (Some(wire_id("a")), "test".into());
    stream
        .say(ToWorker::Cancel(v1::Cancel { id, reason }))
        .await;
    let outcome = stream.outcome().await;
    assert!(matches!(outcome, v1::outcome::Outcome::Cancelled(_)));
}

#[tokio::test]
async fn a_job_goes_on_while_its_stream_is_away_and_the_bid_beside_it_does_not() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "runs").await;
    stream.grant("runs", "endless").await;
    bench.ticket(2, "bid").await;
    while !matches!(stream.next().await, FromWorker::Claim(_)) {}
    drop(stream);
    assert_eq!(bench.settlement().await, (TicketNo(2), Settlement::Return));
    let hello = bench.stream().await.hello().await;
    assert_eq!(hello.running, [wire_id("runs")]);
    assert!(hello.outcomes.is_empty());
}

#[tokio::test]
async fn jobs_die_with_the_lease_and_the_next_greeting_does_not_know_them() {
    let mut bench = Bench::new().await;
    let mut stream = bench.stream().await;
    stream.hello().await;
    stream.welcome(600).await;
    bench.wait_free(2).await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    // No heartbeat is acknowledged from here on; the worker gives the stream up by itself, and every
    // other one that does not welcome it.
    while stream.next_raw().await.is_some() {}
    let hello = loop {
        let hello = bench.stream().await.hello().await;
        if hello.running.is_empty() {
            break hello;
        }
    };
    assert!(hello.outcomes.is_empty());
}

#[tokio::test]
async fn only_the_newest_progress_is_told_and_the_last_one_always() {
    let mut bench = Bench::new().await;
    let mut stream = bench.welcomed().await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    let mut told = vec![];
    while told.last() != Some(&50) {
        if let FromWorker::Progress(progress) = stream.next().await {
            told.push(progress.percent);
        }
    }
    assert!(told.len() < 20, "{told:?}");
}

#[tokio::test]
async fn a_drained_worker_reports_interrupted_jobs_and_leaves_when_they_are_recorded() {
    let mut bench = Bench::new().await;
    let mut stream = bench.stream().await;
    stream.hello().await;
    stream.welcome(3_000).await;
    bench.wait_free(2).await;
    bench.ticket(1, "a").await;
    stream.grant("a", "endless").await;
    while !matches!(stream.next().await, FromWorker::Progress(_)) {}
    bench.shutdown.cancel();
    bench.wait_free(0).await;
    assert!(stream.heartbeat().await.draining);
    let outcome = stream.outcome().await;
    assert!(matches!(outcome, v1::outcome::Outcome::Interrupted(_)));
    // It stays, and says so, until the outcome is recorded.
    stream.heartbeat().await;
    let id = Some(wire_id("a"));
    stream.say(ToWorker::Recorded(v1::Recorded { id })).await;
    let ended = timeout(SOON, bench.tasks.join_next()).await;
    assert_eq!(
        ended.expect("the agent must end").unwrap().unwrap(),
        "agent"
    );
}

#[tokio::test]
async fn a_standby_is_passed_over() {
    let (to_test, mut streams) = mpsc::channel(8);
    let mut tasks = JoinSet::new();
    let standby = serve(&mut tasks, to_test.clone(), true).await;
    let leader = serve(&mut tasks, to_test, false).await;
    let (sender, mut heard) = mpsc::channel(64);
    let (_may, may_greet) = watch::channel(true);
    let mut session = Session {
        welcomed: None,
        watcher: Watcher::plain(&format!("http://{standby}, http://{leader}")),
        agent: sender,
        may_greet,
        part: Readiness::default().part("watcher"),
    };
    let trying = tokio::spawn(async move {
        let mut nag = isc_runtime::nag::Nag::new("the watcher");
        session.round(&mut nag).await.to_string()
    });
    // The outboxes have to live: dropping one ends its stream.
    let mut outboxes = vec![];
    let stream = loop {
        tokio::select! {
            Some(stream) = streams.recv() => break stream,
            Some(FromSession::Opening { outbox, .. }) = heard.recv() => outboxes.push(outbox),
        }
    };
    stream.welcome(1000).await;
    drop(stream);
    let ended = timeout(SOON, trying)
        .await
        .expect("the round ends")
        .unwrap();
    assert!(ended.contains(&leader.to_string()), "{ended}");
}
