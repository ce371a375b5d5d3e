//! An API server that refuses, for a while, what it has always done: nothing is lost, nothing runs twice, and
//! whoever looks is told why.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Front, Scene, Watcher, Worker,
    front::{Answer, Call},
    isc,
    isc::set,
    scene, wait,
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// What a watch says last when what it follows is forgotten.
const TOO_OLD: &str = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}
"#;
const FOR_EVER: usize = usize::MAX;

/// Each of its jobs says that it runs, waits for `go`, and says when it is stopped.
const PATIENT: &str = "trap 'touch \"$ISC_SERVICE_DIR/../stopped\"; exit 1' TERM; \
     echo \"$ISC_UID\" >> \"$ISC_SERVICE_DIR/../runs\"; \
     while [ ! -e \"$ISC_SERVICE_DIR/../go\" ]; do sleep 0.1; done; cp \"$ISC_PARAMS\" \"$ISC_RESULT\"";

/// A scene whose watcher reaches kcp through a front only, and a worker with one slot.
async fn fronted(scene: &Scene) -> Result<(Front, Watcher, Worker)> {
    scene.service("patient", PATIENT)?;
    let front = Front::start(&scene.env).await?;
    front.lead_to(&scene.provider)?;
    let watcher = scene.watcher().await?;
    let mut config = scene.worker_config("worker-1");
    set(&mut config, "slots", 1);
    let mut worker = scene.start_worker(config)?;
    worker.ready().await?;
    Ok((front, watcher, worker))
}

/// The uids of the jobs that have started.
fn runs(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.dir.join("runs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn go(scene: &Scene) -> Result<()> {
    Ok(std::fs::write(scene.dir.join("go"), "")?)
}

fn warnings(watcher: &Watcher) -> Vec<String> {
    let log = watcher.process.log();
    let loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    log.lines().filter(loud).map(str::to_owned).collect()
}

/// Waits until so many calls of a kind were answered in kcp's place; returns them.
async fn refused(front: &Front, of: fn(&Call) -> bool, count: usize) -> Result<Vec<Call>> {
    wait::until("calls are refused", wait::USUAL, async || {
        let calls = front.calls(|call| of(call) && call.refused.is_some());
        ensure!(calls.len() >= count, "{} were", calls.len());
        Ok(calls)
    })
    .await
}

/// Waits until the requests are in that state.
async fn state(watcher: &Watcher, state: &str) -> Result<()> {
    wait::until(&format!("they are {state}"), wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let found = metrics.sum("isc_endpoint_state", &[("state", state)]);
        ensure!(found > 0.5, "{}", metrics.lines("isc_endpoint_state"));
        Ok(())
    })
    .await
}

async fn ready(watcher: &Watcher, wanted: u16, words: &str) -> Result<()> {
    let what = format!("/readyz answers {wanted}");
    wait::until(&what, Duration::from_secs(30), async || {
        let (code, body) = isc::readiness(watcher.admin).await?;
        ensure!(code == wanted && body.contains(words), "{code}: {body}");
        Ok(())
    })
    .await
}

fn pauses(calls: &[Call]) -> Vec<Duration> {
    let pairs = calls.windows(2);
    pairs.map(|pair| pair[1].at - pair[0].at).collect()
}

fn attempt(status: &Value) -> (&str, u64) {
    let phase = status["phase"].as_str().unwrap_or_default();
    (phase, status["attempt"].as_u64().unwrap_or_default())
}

fn busy(seconds: u64) -> Answer {
    Answer::plain(429, "Too many requests, please try again later.").after(seconds)
}

#[test]
fn a_busy_server_is_asked_again_only_when_it_said() -> Result<()> {
    scene::run(async |scene| {
        scene.service("patient", PATIENT)?;
        let front = Front::start(&scene.env).await?;
        front.lead_to(&scene.provider)?;
        front.answer(1, busy(2), Call::is_list);
        let _watcher = scene.watcher().await?;
        let lists = front.calls(Call::is_list);
        ensure!(lists[0].refused == Some(429), "{lists:?}");
        let pause = pauses(&lists)[0];
        assert!(pause >= Duration::from_secs(2), "listed after {pause:?}");
        let _worker = scene.worker("worker-1").await?;
        front.answer(1, busy(3), Call::is_write);
        go(scene)?;
        let uid = scene.team.ask("a", "patient", json!({"a": 1})).await?;
        let status = scene.team.wait_end("a").await?;
        assert_eq!(attempt(&status), ("Succeeded", 1), "{status}");
        assert_eq!(runs(scene), [uid]);
        let writes = front.calls(Call::is_write);
        ensure!(writes[0].refused == Some(429), "{writes:?}");
        let pause = pauses(&writes)[0];
        assert!(pause >= Duration::from_secs(3), "written after {pause:?}");
        Ok(())
    })
}

#[test]
fn a_server_that_stays_busy_is_told_soon_and_once() -> Result<()> {
    scene::run(async |scene| {
        let front = Front::start(&scene.env).await?;
        front.lead_to(&scene.provider)?;
        let answer = Answer::plain(503, "the server is overloaded");
        front.answer(FOR_EVER, answer, Call::is_list);
        let watcher = scene.start_watcher(scene.watcher_config())?;
        ready(&watcher, 503, "overloaded").await?;
        let told = |line: &String| line.contains("overloaded");
        wait::until("the log tells it", wait::USUAL, async || {
            ensure!(warnings(&watcher).iter().any(told), "not yet");
            Ok(())
        })
        .await?;
        refused(&front, Call::is_list, 8).await?;
        let said = warnings(&watcher).into_iter().filter(told).count();
        assert_eq!(said, 1, "{:#?}", warnings(&watcher));
        front.heal();
        ready(&watcher, 200, "").await
    })
}

#[test]
fn a_watch_that_is_too_old_is_listed_again_and_nothing_is_lost_or_doubled() -> Result<()> {
    scene::run(async |scene| {
        let (front, watcher, _worker) = fronted(scene).await?;
        let running = scene.team.ask("running", "patient", json!({})).await?;
        scene.file("runs").await?;
        scene.team.ask("dying", "patient", json!({})).await?;
        scene.team.wait_phase("dying", "Queued").await?;
        // Blind, from the watch's last word to the next list: one request comes, one goes.
        front.answer(FOR_EVER, Answer::plain(500, "not now"), Call::is_list);
        front.end_watches(TOO_OLD);
        refused(&front, Call::is_list, 1).await?;
        let born = scene.team.ask("born", "patient", json!({})).await?;
        let requests = scene.team.requests("default");
        requests.delete("dying", &DeleteParams::default()).await?;
        front.heal();
        // The list is too old for a watch as well.
        let expired = Answer::status(410, "Expired", "too old resource version: 1 (2)");
        front.answer(1, expired, Call::is_watch);
        let again = refused(&front, Call::is_watch, 1).await?[0].at;
        go(scene)?;
        for name in ["running", "born"] {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(attempt(&status), ("Succeeded", 1), "{name}: {status}");
        }
        assert_eq!(runs(scene), [running, born]);
        wait::until("it is listed again", wait::USUAL, async || {
            let lists = front.calls(|call| call.is_list() && call.at > again);
            ensure!(!lists.is_empty(), "it is not");
            Ok(())
        })
        .await?;
        let known = watcher.metrics().await?.sum("isc_requests", &[]);
        assert!((known - 2.0).abs() < 0.1, "{known} requests are known");
        Ok(())
    })
}

#[test]
fn failing_writes_are_repeated_with_growing_pauses_until_the_end_is_told() -> Result<()> {
    scene::run(async |scene| {
        let (front, watcher, _worker) = fronted(scene).await?;
        let uid = scene.team.ask("a", "patient", json!({"a": 1})).await?;
        scene.team.wait_phase("a", "Running").await?;
        let broken = Answer::status(500, "InternalError", "etcdserver: request timed out");
        front.answer(FOR_EVER, broken, Call::is_write);
        go(scene)?;
        let writes = refused(&front, Call::is_write, 5).await?;
        let pauses = pauses(&writes);
        let (first, last) = (pauses[0], pauses[3]);
        assert!(last > first * 2, "{pauses:?}");
        let (code, body) = isc::readiness(watcher.admin).await?;
        assert_eq!(code, 200, "{body}");
        front.heal();
        let status = scene.team.wait_end("a").await?;
        assert_eq!(attempt(&status), ("Succeeded", 1), "{status}");
        assert_eq!(status["result"], json!({"a": 1}));
        assert_eq!(runs(scene), [uid]);
        Ok(())
    })
}

/// Everything is answered like that while one job runs and another request waits.
async fn blackout(scene: &Scene, answer: Answer, shown: &str, told: &str) -> Result<()> {
    let (front, watcher, worker) = fronted(scene).await?;
    let running = scene.team.ask("running", "patient", json!({})).await?;
    scene.team.wait_phase("running", "Running").await?;
    let waiting = scene.team.ask("waiting", "patient", json!({})).await?;
    scene.team.wait_phase("waiting", "Queued").await?;
    front.answer(FOR_EVER, answer, |_| true);
    front.end_watches(TOO_OLD);
    state(&watcher, shown).await?;
    refused(&front, Call::is_list, 3).await?;
    let said = warnings(&watcher);
    let line = said.iter().find(|line| line.contains(told));
    line.with_context(|| format!("`{told}` is not told: {said:#?}"))?;
    go(scene)?;
    wait::until("the job has ended", wait::USUAL, async || {
        ensure!(worker.process.log().contains("job succeeded"), "it has not");
        Ok(())
    })
    .await?;
    // Where nothing seems to be served, nothing is written; anywhere else it is tried.
    if shown == "unserved" {
        let before = front.calls(Call::is_list).len();
        refused(&front, Call::is_list, before + 1).await?;
        assert_eq!(
            front
                .calls(|call| call.is_write() && call.refused.is_some())
                .len(),
            0
        );
    } else {
        refused(&front, Call::is_write, 2).await?;
    }
    let unseen = scene.team.status("running").await?;
    assert_eq!(unseen["phase"], "Running", "{unseen}");
    front.heal();
    for name in ["running", "waiting"] {
        let status = scene.team.wait_end(name).await?;
        assert_eq!(attempt(&status), ("Succeeded", 1), "{name}: {status}");
    }
    assert_eq!(runs(scene), [running, waiting]);
    assert!(!scene.dir.join("stopped").exists(), "a job was stopped");
    state(&watcher, "watching").await?;
    ready(&watcher, 200, "").await?;
    // Told, not shouted: once for each thing that is followed, and what became of single calls.
    let said = warnings(&watcher);
    assert!(said.len() <= 12, "a flood: {said:#?}");
    scene.team.ask("new", "echo", json!({"n": 1})).await?;
    let status = scene.team.wait_end("new").await?;
    assert_eq!(status["result"], json!({"n": 1}), "{status}");
    Ok(())
}

#[test]
fn rights_that_are_gone_for_a_while_are_told_and_stop_no_job() -> Result<()> {
    scene::run(async |scene| {
        let words = "requests.internal.services is forbidden: User \"isc-controller\" cannot list resource \
             \"requests\" in API group \"internal.services\" at the cluster scope";
        let answer = Answer::status(403, "Forbidden", words);
        blackout(scene, answer, "forbidden", "`list` apiexports/content").await
    })
}

#[test]
fn a_server_that_knows_nothing_for_a_while_takes_nothing_away() -> Result<()> {
    scene::run(async |scene| {
        let answer = Answer::plain(404, "404 page not found");
        blackout(scene, answer, "unserved", "404 page not found").await
    })
}

#[test]
fn a_server_that_has_lost_its_export_for_a_while_takes_nothing_away() -> Result<()> {
    scene::run(async |scene| {
        let answer = Answer::status(500, "InternalError", "API export not found");
        blackout(scene, answer, "failing", "API export not found").await
    })
}
