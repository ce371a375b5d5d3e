//! The audit: what is told of each request and each file, and what is not.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Scene, Watcher, isc,
    isc::set,
    scene,
    trail::{digest, lines_of, trail},
    wait,
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// In every secret; nothing else has it.
const SECRET: &str = "s3cr3t-hunter2";

fn file(scene: &Scene) -> PathBuf {
    scene.dir.join("audit.jsonl")
}

/// The scene's watcher with an audit in that file; its lease is short, for some start it twice.
async fn watcher(scene: &Scene, file: &Path) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    isc::shorten_lease(&mut config);
    set(&mut config, "audit.file", file.display().to_string());
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok(watcher)
}

/// Waits until exactly that is told of a request.
async fn told(file: &Path, uid: &str, wanted: &[&str]) -> Result<Vec<Value>> {
    let what = format!("the audit tells {wanted:?}");
    wait::until(&what, wait::USUAL, async || {
        let lines = lines_of(file)?;
        let found = trail(&lines, uid);
        ensure!(found == wanted, "it tells {found:?}");
        Ok(lines)
    })
    .await
}

fn line<'a>(lines: &'a [Value], uid: &str, event: &str) -> Result<&'a Value> {
    let mut of = lines.iter().filter(|line| line["uid"] == uid);
    let found = of.find(|line| line["event"] == event);
    found.with_context(|| format!("no {event} of {uid}"))
}

const ACCEPTED: &str = "accepted everybody";
const STARTED: &str = "started 1 worker-1";
const SUCCESS: &str = "attemptEnded 1 worker-1 succeeded";
const STOPPED: &str = "attemptEnded 1 worker-1 cancelled";
const ENDED: &str = "ended 1 worker-1 Succeeded Succeeded";

/// The requests of a test, by their UIDs.
struct Asked {
    good: String,
    unknown: String,
    again: String,
    cancelled: String,
    deleted: String,
}

impl Asked {
    /// Asks for something of everything; two are stopped while they run.
    async fn all(scene: &Scene, params: &Value) -> Result<Self> {
        let retries = json!({"retries": 1});
        let asked = Self {
            good: scene.team.ask("good", "echo", params.clone()).await?,
            unknown: scene.team.ask("unknown", "rocket", json!({})).await?,
            again: scene.team.ask_with("again", "moody", &retries).await?,
            cancelled: scene.team.ask("cancelled", "slow", json!({})).await?,
            deleted: scene.team.ask("deleted", "slow", json!({})).await?,
        };
        for name in ["cancelled", "deleted"] {
            scene.team.wait_phase(name, "Running").await?;
        }
        scene.team.cancel("cancelled").await?;
        let requests = scene.team.requests("default");
        requests.delete("deleted", &DeleteParams::default()).await?;
        Ok(asked)
    }

    fn uids(&self) -> [&str; 5] {
        let Self {
            good,
            unknown,
            again,
            cancelled,
            deleted,
        } = self;
        [good, unknown, again, cancelled, deleted]
    }

    /// Waits until the whole life of each is told.
    async fn are_told(&self, file: &Path) -> Result<()> {
        told(file, &self.good, &[ACCEPTED, STARTED, SUCCESS, ENDED]).await?;
        told(file, &self.unknown, &["rejected everybody UnknownService"]).await?;
        let wanted = [
            ACCEPTED,
            STARTED,
            "attemptEnded 1 worker-1 failed JobFailed",
            "started 2 worker-1",
            "attemptEnded 2 worker-1 succeeded",
            "ended 2 worker-1 Succeeded Succeeded",
        ];
        told(file, &self.again, &wanted).await?;
        let end = "ended 1 worker-1 Cancelled Cancelled";
        let wanted = [ACCEPTED, STARTED, "cancelled request", STOPPED, end];
        told(file, &self.cancelled, &wanted).await?;
        let wanted = [ACCEPTED, STARTED, "cancelled deletion", STOPPED];
        told(file, &self.deleted, &wanted).await.map(drop)
    }
}

/// What is told of who asked, for what, and what came of it.
fn says_whose(scene: &Scene, lines: &[Value], good: &str, params: &Value) -> Result<()> {
    let whose = line(lines, good, "accepted")?;
    for (field, wanted) in [
        ("version", json!(1)),
        ("instance", json!("isc")),
        ("requester", json!("alice")),
        ("workspace", json!(scene.team.path)),
        ("cluster", json!(scene.team.cluster)),
        ("namespace", json!("default")),
        ("name", json!("good")),
        ("kind", json!("requests.internal.services")),
        ("service", json!("echo")),
    ] {
        assert_eq!(whose[field], wanted, "{whose}");
    }
    let wanted = digest(params)?;
    for (event, field) in [
        ("accepted", "paramsDigest"),
        ("started", "paramsDigest"),
        ("ended", "resultDigest"),
    ] {
        assert_eq!(line(lines, good, event)?[field], wanted, "{event}");
    }
    Ok(())
}

#[test]
fn every_decision_on_a_request_is_told_once_across_restarts() -> Result<()> {
    scene::run(async |scene| {
        let file = file(scene);
        scene.service_with(
            "moody",
            "test \"$ISC_ATTEMPT\" = 2 || exit 75",
            "retry: {maxRetries: 1, backoffSeconds: 1}",
        )?;
        scene.service("slow", "sleep 60")?;
        let mut first = watcher(scene, &file).await?;
        let _worker = scene.worker("worker-1").await?;
        let params = json!({"z": [1, {"b": "ü", "a": null}], "a": "x"});
        let asked = Asked::all(scene, &params).await?;
        asked.are_told(&file).await?;
        says_whose(scene, &lines_of(&file)?, &asked.good, &params)?;

        let status = first.process.terminate(wait::USUAL).await?;
        assert!(status.success(), "{status}");
        let before = lines_of(&file)?;
        let last = before.last().context("no line")?;
        assert_eq!(last["event"], "stopped", "{last}");
        let _next = watcher(scene, &file).await?;
        let fresh = scene.team.ask("fresh", "echo", json!({})).await?;
        let lines = told(&file, &fresh, &[ACCEPTED, STARTED, SUCCESS, ENDED]).await?;
        for uid in asked.uids() {
            assert_eq!(trail(&lines, uid), trail(&before, uid), "told again");
        }
        Ok(())
    })
}

#[test]
fn a_changed_file_is_told_with_its_digest_and_whether_it_is_in_force() -> Result<()> {
    scene::run(async |scene| {
        let file = file(scene);
        let policy = scene.dir.join("policy.yaml");
        // One that stays: a folder without any is a mistake.
        scene.service("other", "true")?;
        std::fs::write(&policy, "rules: [{name: first, effect: accept}]\n")?;
        let mut config = scene.watcher_config();
        set(&mut config, "policy", json!({"file": policy}));
        set(&mut config, "audit.file", file.display().to_string());
        let mut watcher = scene.start_watcher(config)?;
        watcher.ready().await?;
        let files = async |path: &Path, wanted: &[&str]| {
            wait::until("the audit tells of the file", wait::USUAL, async || {
                let lines = lines_of(&file)?;
                let of = lines.iter().filter(|line| line["file"] == json!(path));
                let told: Vec<_> = of.map(|line| line["result"].clone()).collect();
                ensure!(told == wanted, "it tells {told:?}");
                let last = lines.iter().rfind(|line| line["file"] == json!(path));
                last.cloned().context("no line")
            })
            .await
        };
        files(&policy, &["ok"]).await?;
        let echo = scene.services().join("echo.yaml");
        files(&echo, &["ok"]).await?;
        std::fs::write(&policy, "rules: [{name: second, efect: accept}]\n")?;
        files(&policy, &["ok", "failed"]).await?;
        std::fs::write(&policy, "rules: [{name: second, effect: accept}]\n")?;
        let line = files(&policy, &["ok", "failed", "ok"]).await?;
        let sum = Command::new("sha256sum").arg(&policy).output()?;
        let digits = String::from_utf8(sum.stdout)?[..64].to_owned();
        assert_eq!(line["digest"], format!("sha256:{digits}"));
        files(&echo, &["ok"]).await?;
        std::fs::remove_file(&echo)?;
        files(&echo, &["ok", "gone"]).await?;
        Ok(())
    })
}

#[test]
fn a_file_that_is_rotated_away_is_followed_by_a_new_one() -> Result<()> {
    scene::run(async |scene| {
        let (file, old) = (file(scene), scene.dir.join("audit.jsonl.1"));
        let _watcher = watcher(scene, &file).await?;
        let _worker = scene.worker("worker-1").await?;
        let before = scene.team.ask("before", "echo", json!({})).await?;
        let wanted = [
            "accepted everybody",
            "started 1 worker-1",
            "attemptEnded 1 worker-1 succeeded",
            "ended 1 worker-1 Succeeded Succeeded",
        ];
        told(&file, &before, &wanted).await?;
        std::fs::rename(&file, &old)?;
        let after = scene.team.ask("after", "echo", json!({})).await?;
        told(&file, &after, &wanted).await?;
        let there = lines_of(&old)?;
        assert_eq!(trail(&there, &before), wanted);
        assert_eq!(trail(&there, &after), Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn a_full_disk_is_told_and_holds_up_nothing_else() -> Result<()> {
    scene::run(async |scene| {
        let mut watcher = watcher(scene, Path::new("/dev/full")).await?;
        let _worker = scene.worker("worker-1").await?;
        for name in ["a", "b"] {
            scene.team.ask(name, "echo", json!({})).await?;
            let status = scene.team.wait_end(name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        let metrics = watcher.metrics().await?;
        let blocked = metrics.sum("isc_audit_blocked", &[]);
        assert!(blocked > 0.5, "{}", metrics.lines("isc_audit"));
        let (code, body) = isc::readiness(watcher.admin).await?;
        assert_eq!(code, 200, "{body}");
        let status = watcher.process.terminate(wait::USUAL).await?;
        assert!(status.success(), "{status}");
        let log = watcher.process.log();
        for said in ["/dev/full", "lines of the audit were not written"] {
            assert!(log.contains(said), "{said}: {log}");
        }
        Ok(())
    })
}

#[test]
fn no_secret_of_params_or_results_is_in_the_audit() -> Result<()> {
    scene::run(async |scene| {
        let file = file(scene);
        scene.service("bad", "cat \"$ISC_PARAMS\" >&2; exit 3")?;
        scene.service("junk", "printf '[1' > \"$ISC_RESULT\"")?;
        scene.service_with(
            "keyed",
            "true",
            "limits:\n  key: {cel: \"params.token + 1\"}",
        )?;
        let _watcher = watcher(scene, &file).await?;
        let _worker = scene.worker("worker-1").await?;
        for (size, padding) in [("small", 0), ("large", 8000)] {
            let params = json!({
                "token": SECRET,
                SECRET: {"deep": [SECRET, {"x": format!("Bearer {SECRET}")}]},
                "padding": "p".repeat(padding),
            });
            for service in ["echo", "bad", "junk", "keyed", "rocket"] {
                let name = format!("{service}-{size}");
                let uid = scene.team.ask(&name, service, params.clone()).await?;
                let status = scene.team.wait_end(&name).await?;
                let lines = wait::until("the end is told", wait::USUAL, async || {
                    let lines = lines_of(&file)?;
                    let trail = trail(&lines, &uid);
                    let last = trail.last().context("nothing is told")?;
                    let rejected = status["phase"] == "Rejected";
                    let wanted = if rejected { "rejected" } else { "ended" };
                    ensure!(last.starts_with(wanted), "{trail:?}");
                    Ok(lines)
                })
                .await?;
                let first = lines.iter().find(|line| line["uid"] == json!(uid));
                let told = &first.context("a line")?["paramsDigest"];
                assert_eq!(*told, json!(digest(&params)?), "{name}");
            }
        }
        let text = std::fs::read_to_string(&file)?;
        for word in [SECRET, "hunter2", "Bearer", "ppp", "exit code"] {
            assert!(!text.contains(word), "{word} is in {text}");
        }
        let longest = text.lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 4096, "{longest}");
        Ok(())
    })
}
