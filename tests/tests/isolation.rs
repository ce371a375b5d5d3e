//! Tenants that try to reach each other, and what they may put into a request.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use isc_tests::{
    Scene, Team, Watcher, Who, scene, shown,
    team::{message, reason, request_resource},
    wait,
};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};

async fn bound(scene: &Scene, name: &str, member: Who) -> Result<Team> {
    let team = scene.provider.team(name, member).await?;
    team.bind().await?;
    Ok(team)
}

#[test]
fn the_same_names_and_keys_in_many_workspaces_never_mix() -> Result<()> {
    scene::run(async |scene| {
        let answer = r#"printf '{"cluster": "%s", "params": %s}' "$ISC_CLUSTER" "$(cat "$ISC_PARAMS")" > "$ISC_RESULT""#;
        scene.service("who", answer)?;
        let names = ["team-c", "team-d", "team-e", "team-f"];
        let mut teams = try_join_all(names.map(|name| bound(scene, name, Who::Alice))).await?;
        teams.extend([scene.team.clone(), scene.team_b().await?]);
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let specs = teams.iter().map(|team| {
            json!({
                "params": {"for": team.name}, "idempotencyKey": "same", "onConflict": "Attach",
            })
        });
        let specs: Vec<Value> = specs.collect();
        let all = teams.iter().zip(&specs);
        try_join_all(all.map(|(team, spec)| team.ask_with("same", "who", spec))).await?;
        for team in &teams {
            let status = team.wait_end("same").await?;
            let wanted = json!({"cluster": team.cluster, "params": {"for": team.name}});
            assert_eq!(status["result"], wanted, "{}: {status}", team.name);
            assert!(status["attachedTo"].is_null(), "{}: {status}", team.name);
        }
        // Nor does a key reach into another namespace of its own workspace.
        let spec = json!({"params": {"for": "next"}, "idempotencyKey": "same"});
        namespace(&scene.team, "next").await?;
        let object = scene.team.object("same", "who", &spec)?;
        let next = scene.team.requests("next");
        next.create(&PostParams::default(), &object).await?;
        let status = ended(&next, "same").await?;
        assert_eq!(
            status["result"]["params"],
            json!({"for": "next"}),
            "{status}"
        );
        Ok(())
    })
}

#[test]
fn a_concurrency_key_of_another_tenant_costs_one_turn_and_tells_nothing() -> Result<()> {
    scene::run(async |scene| {
        let script = r#"
            here="$ISC_SERVICE_DIR/.."
            echo "$ISC_NAME" >> "$here/runs"
            until [ -e "$here/open" ]; do sleep 0.05; done"#;
        scene.service_with("gated", script, "limits:\n  key: {cel: params.repo}")?;
        let other = scene.team_b().await?;
        let _watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let params = json!({"repo": "owned-by-team-a"});
        for number in 0..4 {
            let name = format!("squatter-{number}");
            other.ask(&name, "gated", params.clone()).await?;
        }
        scene.file("runs").await?;
        scene.team.ask("owner", "gated", params).await?;
        let status = scene.team.wait_phase("owner", "Queued").await?;
        for word in ["squatter", "team-b", "bob", &other.cluster] {
            assert!(!status.to_string().contains(word), "{word}: {status}");
        }
        std::fs::write(scene.dir.join("open"), "")?;
        let status = scene.team.wait_end("owner").await?;
        assert_eq!(status["phase"], "Succeeded", "{status}");
        let runs = scene.file("runs").await?;
        let turn = runs.lines().position(|name| name == "owner");
        assert!(turn.is_some_and(|turn| turn <= 2), "{runs}");
        Ok(())
    })
}

async fn namespace(team: &Team, name: &str) -> Result<()> {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(team.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces
        .create(&PostParams::default(), &namespace)
        .await?;
    Ok(())
}

/// The status of a request in any namespace, once it has ended.
async fn ended(requests: &Api<DynamicObject>, name: &str) -> Result<Value> {
    wait::until(&format!("{name} ends"), wait::USUAL, async || {
        let status = requests.get(name).await?.data["status"].clone();
        ensure!(
            isc_tests::team::is_finished(&status),
            "its status is {status}"
        );
        Ok(status)
    })
    .await
}

#[test]
fn the_longest_names_and_the_strangest_words_pass_and_act_on_nothing() -> Result<()> {
    scene::run(async |scene| {
        let service = "s".repeat(63);
        let script = r#"
            printf '{"percent": 5, "message": "%s"}\n' "$ISC_IDEMPOTENCY_KEY" > "$ISC_PROGRESS"
            printf 'a\033[2Jb\000c\r\n\342\200\256 \377 %s\n' "$ISC_IDEMPOTENCY_KEY"
            printf '\nERROR forged\n' >&2
            cp "$ISC_PARAMS" "$ISC_RESULT""#;
        scene.service(&service, script)?;
        let watcher = scene.watcher().await?;
        let worker = scene.worker(&"w".repeat(200)).await?;
        let space = "n".repeat(63);
        namespace(&scene.team, &space).await?;
        let name = format!("a{}", ".a".repeat(126));
        // What comes behind a NUL cannot be handed to a process.
        let key = "k".repeat(200) + "\n\u{1b}[31m\u{202e}🚀\"\\$(reboot)`\u{0}x";
        let params = json!({"text": shown::DIRTY, shown::DIRTY: [null, {"": -1.5e300}], "kcp.io/cluster": "x"});
        let spec = json!({"params": params, "idempotencyKey": key});
        let object = scene.team.object(&name, &service, &spec)?;
        let requests = scene.team.requests(&space);
        requests.create(&PostParams::default(), &object).await?;
        let status = ended(&requests, &name).await?;
        assert_eq!(status["result"], params, "{status}");
        wait::until("the job's words are logged", wait::USUAL, async || {
            ensure!(worker.process.log().contains("ERROR forged"), "not yet");
            Ok(())
        })
        .await?;
        shown::log_is_clean(&watcher.process)?;
        shown::log_is_clean(&worker.process)
    })
}

/// Makes a request from JSON text, which may hold what no JSON library would write.
async fn ask_raw(team: &Team, name: &str, service: &str, params: &str) -> Result<()> {
    let path = "/apis/internal.services/v1alpha1/namespaces/default/requests";
    let kind = request_resource();
    let text = format!(
        r#"{{"apiVersion": "{}", "kind": "{}", "metadata": {{"name": "{name}"}},
            "spec": {{"service": "{service}", "requester": "{}", "params": {params}}}}}"#,
        kind.api_version,
        kind.kind,
        team.member.name()
    );
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(text.into_bytes())?;
    let _made: Value = team.client.request(request).await?;
    Ok(())
}

#[test]
fn parameters_that_break_parsers_harm_nobody_else() -> Result<()> {
    scene::run(async |scene| {
        scene.service_with("keyed", "true", "limits:\n  key: {cel: params.repo}")?;
        let mut watcher = scene.watcher().await?;
        let mut worker = scene.worker("worker-1").await?;
        let nested =
            |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let cases = [
            (
                "surrogate",
                r#"{"a": "\ud800", "b": "\udc00\ud800"}"#.to_owned(),
            ),
            ("nul", r#"{"a\u0000": "\u0000"}"#.to_owned()),
            (
                "number",
                r#"{"a": 123456789012345678901234567890, "b": 1E400}"#.to_owned(),
            ),
            ("twice", r#"{"a": 1, "a": 2}"#.to_owned()),
            ("nested-90", nested(90)),
            ("nested-200", nested(200)),
            ("nested-5000", nested(5000)),
            ("nested-100000", nested(100_000)),
        ];
        let mut made = vec![];
        for (name, params) in &cases {
            for service in ["echo", "keyed"] {
                let name = format!("{name}-{service}");
                // What the API server itself refuses never gets here.
                match ask_raw(&scene.team, &name, service, params).await {
                    Ok(()) => made.push(name),
                    Err(error) => eprintln!("{name}: {}", shorten(&format!("{error:#}"))),
                }
            }
        }
        assert!(made.len() > 5, "only {made:?}");
        for name in made {
            let status = scene.team.wait_end(&name).await?;
            eprintln!("{name}: {} {}", reason(&status), shorten(message(&status)));
            let wanted = match name.as_str() {
                "nested-90-echo" => "Succeeded",
                deep if deep.starts_with("nested-") && deep != "nested-90-keyed" => {
                    "InvalidRequest"
                }
                _ => continue,
            };
            assert_eq!(reason(&status), wanted, "{name}: {status}");
        }
        let other = scene.team_b().await?;
        other.ask("after", "echo", json!({"a": 1})).await?;
        let status = other.wait_end("after").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        shown::log_is_clean(&watcher.process)?;
        shown::log_is_clean(&worker.process)?;
        worker.process.check_alive()?;
        watcher.process.check_alive()
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Fails when a metric's lines change their number with what strangers say.
async fn labels(watcher: &Watcher) -> Result<usize> {
    let text = isc_tests::net::http("GET", watcher.admin, "/metrics", None).await?;
    Ok(text.1.lines().count())
}

#[test]
fn no_label_of_a_metric_is_a_strangers_word() -> Result<()> {
    scene::run(async |scene| {
        let watcher = scene.watcher().await?;
        let _worker = scene.worker("worker-1").await?;
        let round = async |number: u32| {
            let name = format!("r-{number}");
            let spec = json!({"idempotencyKey": format!("k-{number}")});
            scene.team.ask_with(&name, "echo", &spec).await?;
            scene.team.wait_end(&name).await
        };
        round(0).await?;
        // Gauges are set once a second.
        wait::until("a request is shown as finished", wait::USUAL, async || {
            let metrics = watcher.metrics().await?;
            let finished = metrics.sum("isc_requests", &[("phase", "Finished")]);
            ensure!(finished > 0.5, "{finished}");
            Ok(())
        })
        .await?;
        let before = labels(&watcher).await?;
        for number in 1..4 {
            round(number).await?;
        }
        let after = labels(&watcher).await?;
        assert_eq!(before, after, "{}", watcher.metrics().await?.lines("isc_"));
        Ok(())
    })
}
