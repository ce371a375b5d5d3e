//! Other ways to requests than an endpoint slice: one virtual workspace, and an API server without any.

use anyhow::{Result, ensure};
use isc_tests::{
    Scene, Watcher, Who, isc::set, manifests, provider::write_kubeconfig, scene,
    team::request_resource, wait,
};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};

#[test]
fn a_kubeconfig_of_the_virtual_workspace_is_enough() -> Result<()> {
    scene::run(async |scene| {
        let endpoint = scene.provider.endpoint("internal.services").await?;
        let kubeconfig = scene.dir.join("static.kubeconfig");
        let server = format!("{endpoint}/clusters/*");
        let content = Who::Controller.kubeconfig_of(&scene.env, &server)?;
        write_kubeconfig(&kubeconfig, &content)?;
        let config = scene.watcher_config();
        let mut watcher = Watcher::start(&scene.dir, "watcher", config, &kubeconfig)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        scene.team.ask("a", "echo", json!({"a": 1})).await?;
        let status = scene.team.wait_end("a").await?;
        assert_eq!(status["result"], json!({"a": 1}), "{status}");
        // Workspaces that bind later come by the same endpoint, and their paths are known.
        let late = scene.team_b().await?;
        late.ask("b", "echo", json!({"b": 2})).await?;
        let status = late.wait_end("b").await?;
        assert_eq!(status["result"], json!({"b": 2}), "{status}");
        let log = watcher.process.log();
        let path = format!("path=\"{}\"", late.path);
        assert!(log.contains(&path), "no {path}: {log}");
        assert!(
            !log.contains("hand-over mark"),
            "there is no place for one: {log}"
        );
        Ok(())
    })
}

/// A workspace with the CRD and two namespaces, of which the watcher's user may work in `open` alone.
async fn plain_cluster(scene: &Scene) -> Result<Api<DynamicObject>> {
    let team = scene.provider.team("plain", Who::Bob).await?;
    let admin = Who::Admin.client(&scene.env, &team.path).await?;
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut documents = manifests::shipped("crd/requests.yaml")?;
    documents.extend([namespace("open"), namespace("closed")]);
    for mut document in manifests::shipped("kubernetes/rbac-namespace.yaml")? {
        document["metadata"]["namespace"] = "open".into();
        documents.push(document);
    }
    // Where the API server is a workspace of kcp, its door is another right.
    let enter = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "enter"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "system:kcp:workspace:access",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": Who::Controller.name(),
        }],
    });
    documents.push(enter);
    manifests::create_all(&admin, documents).await?;
    Ok(Api::namespaced_with(admin, "open", &request_resource()))
}

fn request(name: &str, params: &Value) -> DynamicObject {
    let spec = json!({"service": "echo", "requester": "me", "params": params});
    DynamicObject::new(name, &request_resource()).data(json!({"spec": spec}))
}

#[test]
fn an_api_server_with_the_crd_is_served_in_the_namespaces_that_are_named() -> Result<()> {
    scene::run(async |scene| {
        let open = plain_cluster(scene).await?;
        let closed: Api<DynamicObject> =
            Api::namespaced_with(open.clone().into_client(), "closed", &request_resource());
        let kubeconfig = scene.dir.join("plain.kubeconfig");
        let path = format!("{}:plain", scene.provider.org);
        write_kubeconfig(&kubeconfig, &Who::Controller.kubeconfig(&scene.env, &path)?)?;
        let mut config = scene.watcher_config();
        set(&mut config, "kcp.mode", "kubernetes");
        set(&mut config, "kcp.namespaces", json!(["open"]));
        let mut watcher = Watcher::start(&scene.dir, "watcher", config, &kubeconfig)?;
        watcher.ready().await?;
        let _worker = scene.worker("worker-1").await?;
        let create = PostParams::default();
        wait::until("requests can be made", wait::USUAL, async || {
            closed
                .create(&create, &request("a", &json!({"in": "closed"})))
                .await?;
            Ok(())
        })
        .await?;
        open.create(&create, &request("a", &json!({"in": "open"})))
            .await?;
        // Read at the claim.
        let large = json!({"text": "x".repeat(10_000)});
        open.create(&create, &request("large", &large)).await?;
        for name in ["a", "large"] {
            wait::until("the request ends", wait::USUAL, async || {
                let status = open.get(name).await?.data["status"].clone();
                ensure!(status["phase"] == "Succeeded", "{name}: {status}");
                Ok(())
            })
            .await?;
        }
        let found = open.get("a").await?.data["status"]["result"].clone();
        assert_eq!(found, json!({"in": "open"}));
        assert_eq!(closed.get("a").await?.data["status"], Value::Null);
        let metrics = watcher.metrics().await?;
        let watching = metrics.sum("isc_endpoint_state", &[("state", "watching")]);
        assert!(
            (watching - 1.0).abs() < 0.1,
            "{}",
            metrics.lines("isc_endpoint")
        );
        let log = watcher.process.log();
        // A kind that is just being served may be waited for.
        let forbidden =
            |line: &str| line.contains("waiting for requests") && line.contains("forbid");
        assert!(!log.lines().any(forbidden), "a right is missing: {log}");
        Ok(())
    })
}

#[test]
fn namespaces_make_no_sense_where_kubeconfig_is_of_kcp() -> Result<()> {
    scene::run(async |scene| {
        let mut config = scene.watcher_config();
        set(&mut config, "kcp.namespaces", json!(["open"]));
        let mut watcher = scene.start_watcher(config)?;
        watcher.process.ended(wait::USUAL).await?;
        let log = watcher.process.log();
        assert!(log.contains("kcp.mode: kubernetes"), "no remedy: {log}");
        Ok(())
    })
}
