//! Who may ask: rules, who they let in, what the others see.

use anyhow::{Context as _, Result, ensure};
use isc_tests::{
    Scene, Watcher, Who, isc,
    isc::set,
    manifests, scene,
    team::{message, reason},
    wait,
};
use kube::api::PostParams;
use serde_json::{Value, json};

/// The scene's watcher with these rules; its lease is short, for it is started twice.
async fn watcher(scene: &Scene, rules: Value) -> Result<Watcher> {
    let mut config = scene.watcher_config();
    isc::shorten_lease(&mut config);
    set(&mut config, "policy", policy(&rules));
    let mut watcher = scene.start_watcher(config)?;
    watcher.ready().await?;
    Ok(watcher)
}

fn policy(rules: &Value) -> Value {
    json!({"rules": rules, "requesterPolicyInstalled": true})
}

/// Writes the watcher's configuration anew, with other rules.
fn exchange(scene: &Scene, rules: &Value) -> Result<()> {
    let file = scene.dir.join("watcher.yaml");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    set(&mut config, "policy", policy(rules));
    Ok(std::fs::write(file, config.to_string())?)
}

async fn gauge(watcher: &Watcher, name: &str, wanted: f64) -> Result<()> {
    wait::until("the files are read again", wait::USUAL, async || {
        let metrics = watcher.metrics().await?;
        let found = metrics.sum(name, &[]);
        ensure!(
            (found - wanted).abs() < 0.5,
            "{name} is {found}, not {wanted}"
        );
        Ok(())
    })
    .await
}

/// Waits for the end of a request that is not accepted; returns what its caller reads.
async fn rejected(scene: &Scene, name: &str) -> Result<String> {
    let status = scene.team.wait_end(name).await?;
    assert_eq!(status["phase"], "Rejected", "{status}");
    assert_eq!(reason(&status), "NotAccepted", "{status}");
    println!("{name}: {}", message(&status));
    Ok(message(&status).to_owned())
}

#[test]
fn nobody_is_accepted_until_a_rule_says_so_and_no_answer_tells_of_rules() -> Result<()> {
    scene::run(async |scene| {
        let watcher = watcher(scene, json!([])).await?;
        scene.team.ask("known", "echo", json!({})).await?;
        scene.team.ask("unknown", "rocket", json!({})).await?;
        let texts = [
            rejected(scene, "known").await?,
            rejected(scene, "unknown").await?,
        ];
        assert_eq!(texts[0], texts[1], "whether a service exists is not told");
        for (part, there) in [
            ("operators", true),
            ("ask them", true),
            ("rule", false),
            ("echo", false),
        ] {
            assert_eq!(texts[0].contains(part), there, "{}", texts[0]);
        }

        let cluster = &scene.team.cluster;
        let rules = json!([
            {"name": "no-drafts", "effect": "reject", "when": "has(request.params.draft)",
             "message": "drafts are not served"},
            {"name": "alice-echoes", "effect": "accept", "requesters": ["alice"], "clusters": [cluster],
             "services": ["echo"], "namespaces": ["def*"]},
        ]);
        exchange(scene, &rules)?;
        gauge(&watcher, "isc_policy_rules", 2.0).await?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("good", "echo", json!({"a": 1})).await?;
        let status = scene.team.wait_end("good").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        scene
            .team
            .ask("draft", "echo", json!({"draft": true}))
            .await?;
        assert_eq!(rejected(scene, "draft").await?, "drafts are not served");

        let forged = scene
            .team
            .ask_with("forged", "echo", &json!({"requester": "bob"}))
            .await;
        let refused = forged.err().context("a forged requester was taken")?;
        let text = format!("{refused:#}");
        assert!(
            text.contains("spec.requester must be your own user name"),
            "{text}"
        );

        let metrics = watcher.metrics().await?;
        for (rule, result, wanted) in [
            ("none", "rejected", 2.0),
            ("no-drafts", "rejected", 1.0),
            ("alice-echoes", "accepted", 1.0),
        ] {
            let labels = [("rule", rule), ("result", result)];
            let found = metrics.sum("isc_policy_decisions_total", &labels);
            let lines = metrics.lines("isc_policy_decisions_total");
            assert!((found - wanted).abs() < 0.5, "{rule}: {lines}");
        }
        Ok(())
    })
}

#[test]
fn a_rule_for_one_workspace_is_none_for_another() -> Result<()> {
    scene::run(async |scene| {
        let rule =
            json!({"effect": "accept", "clusters": [scene.team.cluster], "requesters": ["*"]});
        let _watcher = watcher(scene, json!([rule])).await?;
        let other = scene.team_b().await?;
        other.ask("same", "echo", json!({})).await?;
        scene.team.ask("same", "echo", json!({})).await?;
        let status = other.wait_end("same").await?;
        assert_eq!(reason(&status), "NotAccepted", "{status}");
        assert!(!message(&status).contains(&scene.team.cluster), "{status}");
        scene.team.wait_phase("same", "Queued").await?;
        Ok(())
    })
}

#[test]
fn a_rule_for_a_path_is_for_the_workspace_of_that_path_alone() -> Result<()> {
    scene::run(async |scene| {
        let path = &scene.team.path;
        let rule = json!({"effect": "accept", "workspaces": [path], "services": ["echo"]});
        let _watcher = watcher(scene, json!([rule])).await?;
        let other = scene.team_b().await?;
        other.ask("same", "echo", json!({})).await?;
        scene.team.ask("same", "echo", json!({})).await?;
        let status = other.wait_end("same").await?;
        assert_eq!(reason(&status), "NotAccepted", "{status}");
        assert!(!message(&status).contains(path), "{status}");
        scene.team.wait_phase("same", "Queued").await?;
        Ok(())
    })
}

#[test]
fn new_rules_are_for_new_requests_and_a_mistake_keeps_the_old_ones() -> Result<()> {
    scene::run(async |scene| {
        let accept = json!([{"name": "all", "effect": "accept"}]);
        let mut first = watcher(scene, accept).await?;
        scene.team.ask("waiting", "echo", json!({})).await?;
        scene.team.wait_phase("waiting", "Queued").await?;

        exchange(
            scene,
            &json!([{"name": "typo", "effect": "accept", "servics": ["a"]}]),
        )?;
        gauge(&first, "isc_config_stale", 1.0).await?;
        let log = first.process.log();
        assert!(log.contains("`typo`") && log.contains("`servics`"), "{log}");
        scene.team.ask("meanwhile", "echo", json!({})).await?;
        scene.team.wait_phase("meanwhile", "Queued").await?;

        exchange(scene, &json!([]))?;
        gauge(&first, "isc_policy_rules", 0.0).await?;
        gauge(&first, "isc_config_stale", 0.0).await?;
        scene.team.ask("late", "echo", json!({})).await?;
        rejected(scene, "late").await?;

        // Nor does the next watcher judge again what the one before accepted.
        first.process.kill();
        let second = watcher(scene, json!([])).await?;
        let _worker = scene.worker("worker-1").await?;
        for name in ["waiting", "meanwhile"] {
            let status = scene.team.wait_end(name).await?;
            assert_eq!(status["phase"], "Succeeded", "{status}");
        }
        let lines = second.metrics().await?.lines("isc_policy_decisions_total");
        assert!(lines.ends_with(" 0"), "nothing was judged: {lines}");
        Ok(())
    })
}

#[test]
fn in_a_plain_cluster_a_forged_requester_is_refused_as_well() -> Result<()> {
    scene::run(async |scene| {
        // A workspace with the CRD is an API server like any other.
        let plain = scene.provider.team("plain", Who::Alice).await?;
        for file in ["crd/requests.yaml", "kubernetes/requester-policy.yaml"] {
            manifests::create_all(&plain.client, manifests::shipped(file)?).await?;
        }
        let requests = plain.requests("default");
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let ask = async |requester: &str| {
            let object = plain.object("a", "echo", &json!({"requester": requester}))?;
            Ok::<_, anyhow::Error>(requests.create(&dry, &object).await)
        };
        wait::until(
            "the CRD and the policy are there",
            wait::USUAL,
            async || {
                ask("alice").await??;
                let refused = ask("bob")
                    .await?
                    .err()
                    .context("bob was taken")?
                    .to_string();
                ensure!(refused.contains("set it to 'alice'"), "{refused}");
                Ok(())
            },
        )
        .await?;
        plain.ask("mine", "echo", json!({})).await?;
        Ok(())
    })
}
