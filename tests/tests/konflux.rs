//! Callers of Konflux's `InternalRequest`, served as they are: they make objects with a generated name, delete
//! what an earlier attempt left, poll the first condition's reason and read results.

use anyhow::{Context as _, Result, bail, ensure};
use isc_tests::{
    Kind, Scene, Watcher,
    isc::{set, shorten_lease},
    kind::kept_state,
    scene, wait,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const PIPELINE: &str = "internal-services.appstudio.openshift.io/pipeline-name";
const PIPELINE_RUN: &str = "internal-services.appstudio.openshift.io/pipelinerun-uid";

/// What a caller makes of a poll.
#[derive(Debug, PartialEq, Eq)]
enum Poll {
    NotYet,
    Running,
    Succeeded,
    Failed(String),
}

/// A caller: exactly what the release pipelines do, and nothing that knows of ISC.
struct Caller {
    api: Api<DynamicObject>,
    kind: Kind,
    /// The UID of its own pipeline run.
    run: &'static str,
}

// === impl Caller ===

impl Caller {
    fn new(scene: &Scene, kind: &Kind, run: &'static str) -> Self {
        Self {
            api: kind.objects(&scene.team),
            kind: kind.clone(),
            run,
        }
    }

    fn payload(&self, pipeline: &str, params: &Value) -> Result<DynamicObject> {
        Ok(serde_json::from_value(json!({
            "apiVersion": self.kind.resource.api_version, "kind": self.kind.resource.kind,
            "metadata": {
                "generateName": format!("{pipeline}-"),
                "labels": {PIPELINE_RUN: self.run, PIPELINE: pipeline},
            },
            "spec": {
                "pipeline": {"pipelineRef": {"resolver": "git", "params": [
                    {"name": "url", "value": "https://nowhere.example/catalog.git"},
                    {"name": "revision", "value": "development"},
                    {"name": "pathInRepo", "value": format!("pipelines/internal/{pipeline}/{pipeline}.yaml")},
                ]}},
                "params": params,
                "timeouts": {"pipeline": "0h20m0s", "tasks": "0h15m0s", "finally": "0h5m0s"},
                "serviceAccount": "release-service-account",
            },
        }))?)
    }

    async fn make(&self, pipeline: &str, params: &Value) -> Result<String> {
        let payload = self.payload(pipeline, params)?;
        let made = self.api.create(&PostParams::default(), &payload).await?;
        Ok(made.name_any())
    }

    /// Deletes what an earlier attempt of this pipeline run left, and waits until it is gone.
    async fn clean_up(&self, pipeline: &str) -> Result<usize> {
        let selector = format!("{PIPELINE_RUN}={},{PIPELINE}={pipeline}", self.run);
        let all = ListParams::default().labels(&selector);
        let found = self.api.list(&all).await?.items;
        for object in &found {
            let name = object.name_any();
            self.api.delete(&name, &DeleteParams::default()).await?;
            wait::until(&format!("{name} is deleted"), wait::USUAL, async || {
                ensure!(
                    self.api.get_opt(&name).await?.is_none(),
                    "it is still there"
                );
                Ok(())
            })
            .await?;
        }
        Ok(found.len())
    }

    async fn status(&self, name: &str) -> Result<Value> {
        Ok(self.api.get(name).await?.data["status"].clone())
    }

    async fn poll(&self, name: &str) -> Result<Poll> {
        let status = self.status(name).await?;
        let reason = status["conditions"][0]["reason"]
            .as_str()
            .unwrap_or_default();
        Ok(match reason {
            "" => Poll::NotYet,
            "Running" => Poll::Running,
            "Succeeded" => Poll::Succeeded,
            other => Poll::Failed(other.to_owned()),
        })
    }

    async fn running(&self, name: &str) -> Result<()> {
        wait::until(
            &format!("{name} is running"),
            wait::USUAL,
            async || match self.poll(name).await? {
                Poll::Running => Ok(()),
                Poll::NotYet => bail!("no condition yet"),
                ended => Err(wait::fatal(format!("it has ended: {ended:?}"))),
            },
        )
        .await
    }

    /// Its end; a caller gives up at whatever is neither running nor good.
    async fn end(&self, name: &str) -> Result<Poll> {
        wait::until(
            &format!("{name} has ended"),
            wait::USUAL,
            async || match self.poll(name).await? {
                live @ (Poll::NotYet | Poll::Running) => bail!("it is {live:?}"),
                ended => Ok(ended),
            },
        )
        .await
    }

    async fn results(&self, name: &str) -> Result<Value> {
        Ok(self.status(name).await?["results"].clone())
    }
}

/// The kind, exported and bound in the scene's team, and a watcher that serves it as it is shipped.
async fn served(scene: &Scene) -> Result<(Kind, Watcher)> {
    let kind = Kind::shipped("konflux")?;
    kind.export(&scene.provider).await?;
    let trial = json!({"pipeline": {"pipelineRef": {"resolver": "git", "params": []}}});
    kind.bind(&scene.provider, &scene.team, &trial).await?;
    let mut watcher = start(scene, &kind)?;
    watcher.ready().await?;
    Ok((kind, watcher))
}

fn start(scene: &Scene, kind: &Kind) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    shorten_lease(&mut config);
    set(&mut config, "kinds", kind.configuration()?);
    scene.start_watcher(config)
}

/// A job that waits for the file `go` and leaves a line in `runs`.
const GATED: &str = r#"echo "start $ISC_NAME" >> "$ISC_SERVICE_DIR/../runs"
    trap 'echo "stop $ISC_NAME" >> "$ISC_SERVICE_DIR/../runs"; exit 1' TERM
    while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
    echo "end $ISC_NAME" >> "$ISC_SERVICE_DIR/../runs"
    echo '{"done": "yes"}' > "$ISC_RESULT""#;

fn runs(scene: &Scene) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(scene.dir.join("runs"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
fn a_caller_polls_until_succeeded_and_reads_strings() -> Result<()> {
    scene::run(async |scene| {
        let script = r#"while [ ! -e "$ISC_SERVICE_DIR/../go" ]; do sleep 0.05; done
            printf '{"url": "https://x", "count": 3, "none": null, "deep": {"a": [1]}, "params": %s}' \
                "$(cat "$ISC_PARAMS")" > "$ISC_RESULT""#;
        scene.service("advisory", script)?;
        let (kind, _watcher) = served(scene).await?;
        let caller = Caller::new(scene, &kind, "run-1");
        let params = json!({"advisory": "{\"a\": 1}"});
        let name = caller.make("create-advisory", &params).await?;
        let worker = scene.worker("worker-1").await?;
        caller.running(&name).await?;
        let started = |status: &Value| status["startTime"].is_string();
        let limit = ("started", wait::USUAL);
        let status = kind.wait_for(&scene.team, &name, limit, started).await?;
        let first = &status["conditions"][0];
        assert_eq!(
            (&first["type"], &first["status"]),
            (&json!("Succeeded"), &json!("False"))
        );
        std::fs::write(scene.dir.join("go"), "")?;
        assert_eq!(caller.end(&name).await?, Poll::Succeeded);
        let wanted = json!({
            "url": "https://x", "count": "3", "none": "null", "deep": "{\"a\":[1]}",
            "params": "{\"advisory\":\"{\\\"a\\\": 1}\"}",
        });
        assert_eq!(caller.results(&name).await?, wanted);
        let status = caller.status(&name).await?;
        assert!(status["completionTime"].is_string(), "{status}");
        assert_eq!(
            kept_state(&status)["effective"]["timeoutSeconds"],
            1200,
            "{status}"
        );
        drop(worker);
        Ok(())
    })
}

#[test]
fn whatever_went_wrong_is_a_failure_to_a_caller() -> Result<()> {
    scene::run(async |scene| {
        scene.service("advisory", "exit 3")?;
        let (kind, watcher) = served(scene).await?;
        let _worker = scene.worker("worker-1").await?;
        let caller = Caller::new(scene, &kind, "run-1");
        let name = caller.make("create-advisory", &json!({})).await?;
        assert_eq!(caller.end(&name).await?, Poll::Failed("JobFailed".into()));
        let name = caller.make("delete-everything", &json!({})).await?;
        assert_eq!(
            caller.end(&name).await?,
            Poll::Failed("InvalidRequest".into())
        );
        let status = caller.status(&name).await?;
        let text = status["conditions"][0]["message"]
            .as_str()
            .context("no message")?;
        assert!(
            text.contains("delete-everything") && !text.contains("advisory"),
            "{text}"
        );
        let mut odd = caller.payload("push-to-mirror", &json!({}))?;
        odd.data["spec"]["timeouts"]["pipeline"] = json!("one hour");
        let made = caller.api.create(&PostParams::default(), &odd).await?;
        let name = made.name_any();
        assert_eq!(
            caller.end(&name).await?,
            Poll::Failed("InvalidRequest".into())
        );
        let status = caller.status(&name).await?;
        let text = status["conditions"][0]["message"]
            .as_str()
            .context("no message")?;
        assert!(
            text.contains("spec.timeouts.pipeline must be a duration"),
            "{text}"
        );
        let log = watcher.process.log();
        assert!(
            log.contains("spec.serviceAccount is ignored"),
            "nobody said so"
        );
        Ok(())
    })
}

#[test]
fn a_caller_that_tries_again_never_has_two_runs_at_once() -> Result<()> {
    scene::run(async |scene| {
        scene.service("mirror", GATED)?;
        let (kind, _watcher) = served(scene).await?;
        let _worker = scene.worker("worker-1").await?;
        let caller = Caller::new(scene, &kind, "run-1");
        let first = caller.make("push-to-mirror", &json!({"try": "1"})).await?;
        caller.running(&first).await?;
        wait::until("the first job runs", wait::USUAL, async || runs(scene)).await?;
        // The caller's pod was lost before it could delete anything: the newer one replaces the earlier.
        let second = caller.make("push-to-mirror", &json!({"try": "2"})).await?;
        assert_eq!(caller.end(&first).await?, Poll::Failed("Replaced".into()));
        let started = format!("start {second}");
        wait::until("the second job runs", wait::USUAL, async || {
            ensure!(runs(scene)?.contains(&started), "{:?}", runs(scene)?);
            Ok(())
        })
        .await?;
        // And as it should be: it deletes its predecessors first.
        assert_eq!(caller.clean_up("push-to-mirror").await?, 2);
        let third = caller.make("push-to-mirror", &json!({"try": "3"})).await?;
        caller.running(&third).await?;
        let other = Caller::new(scene, &kind, "run-2");
        let fourth = other.make("push-to-mirror", &json!({"try": "1"})).await?;
        std::fs::write(scene.dir.join("go"), "")?;
        for (caller, name) in [(&caller, &third), (&other, &fourth)] {
            assert_eq!(caller.end(name).await?, Poll::Succeeded, "{name}");
            assert_eq!(caller.results(name).await?, json!({"done": "yes"}));
        }
        let runs = runs(scene)?;
        let of = |what: &str, name: &str| {
            let line = format!("{what} {name}");
            runs.iter().position(|run| *run == line).context(line)
        };
        assert!(of("stop", &first)? < of("start", &second)?, "{runs:?}");
        assert!(of("stop", &second)? < of("start", &third)?, "{runs:?}");
        of("end", &third)?;
        of("end", &fourth)?;
        Ok(())
    })
}

#[test]
fn a_restart_of_the_watcher_is_nothing_to_a_caller() -> Result<()> {
    scene::run(async |scene| {
        let script = format!("[ \"$ISC_ATTEMPT\" = 1 ] && exit 75\n{GATED}");
        scene.service_with("mirror", &script, "retry: {retries: 2, backoffSeconds: 1}")?;
        let (kind, mut watcher) = served(scene).await?;
        let _worker = scene.worker("worker-1").await?;
        let caller = Caller::new(scene, &kind, "run-1");
        let name = caller.make("push-to-mirror", &json!({})).await?;
        let second = |status: &Value| {
            let kept = kept_state(status);
            kept["attempt"] == 2 && kept["phase"] == "Running"
        };
        let limit = ("in its second attempt", wait::USUAL);
        kind.wait_for(&scene.team, &name, limit, second).await?;
        watcher.process.signal(Signal::SIGKILL)?;
        watcher.process.ended(wait::USUAL).await?;
        assert_eq!(caller.poll(&name).await?, Poll::Running);
        let mut next = start(scene, &kind)?;
        next.ready().await?;
        wait::until("the run is attached again", wait::USUAL, async || {
            let running = next
                .metrics()
                .await?
                .sum("isc_requests", &[("phase", "Running")]);
            ensure!(running > 0.5, "{running} are running");
            Ok(())
        })
        .await?;
        assert_eq!(caller.poll(&name).await?, Poll::Running);
        std::fs::write(scene.dir.join("go"), "")?;
        assert_eq!(caller.end(&name).await?, Poll::Succeeded);
        assert_eq!(caller.results(&name).await?, json!({"done": "yes"}));
        let kept = kept_state(&caller.status(&name).await?);
        assert_eq!(
            (&kept["failed"], &kept["attempt"]),
            (&json!(1), &json!(2)),
            "{kept}"
        );
        let wanted = [format!("start {name}"), format!("end {name}")];
        assert_eq!(runs(scene)?, wanted);
        Ok(())
    })
}
