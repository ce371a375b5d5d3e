//! What `kubectl apply --dry-run=server` says of the shipped manifests: the API server reads each as if it were
//! applied, with strict validation, and keeps none.
//!
//! A workspace of kcp serves no workloads; what it does not serve is checked against schemas
//! (scripts/check-deploy.sh).

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use isc_tests::{Scene, Who, manifests, scene};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::GroupVersionKind,
    discovery::{Scope, pinned_kind},
};
use serde_json::Value;

/// Rendered from the chart; patches are not among them.
const KUSTOMIZE: [&str; 12] = [
    "base/disruption.yaml",
    "base/networkpolicies.yaml",
    "base/serviceaccounts.yaml",
    "base/watcher.yaml",
    "base/worker.yaml",
    "components/election/disruption.yaml",
    "components/election/networkpolicy.yaml",
    "components/election/rbac.yaml",
    "components/keda/networkpolicy.yaml",
    "components/keda/scaledobject.yaml",
    "components/keda/service.yaml",
    "components/keda/triggerauthentication.yaml",
];

/// Of an object: whether the server would take it, or that it serves no such kind.
#[derive(Debug, PartialEq)]
enum Answer {
    Taken,
    NotServed(String),
}

/// Whether the server has no such kind.
fn is_missing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 404,
        kube::Error::Discovery(_) => true,
        _ => false,
    }
}

/// `kubectl apply --server-side --dry-run=server` of one object.
async fn dry_run(client: &Client, document: Value) -> Result<Answer> {
    let object: DynamicObject = serde_json::from_value(document)?;
    let types = object.types.clone().context("a manifest without a kind")?;
    let gvk = GroupVersionKind::try_from(&types)?;
    let found = match pinned_kind(client, &gvk).await {
        Err(error) if is_missing(&error) => None,
        other => Some(other?),
    };
    let Some((resource, capabilities)) = found else {
        return Ok(Answer::NotServed(types.kind));
    };
    let name = object.name_any();
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (Scope::Namespaced, Some(ns)) => Api::namespaced_with(client.clone(), &ns, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
    };
    let params = PatchParams {
        dry_run: true,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("dry-run").force()
    };
    let taken = api.patch(&name, &params, &Patch::Apply(&object)).await;
    taken.with_context(|| format!("{} {name}", types.kind))?;
    Ok(Answer::Taken)
}

/// A workspace that has nothing of ours, as its admin.
async fn fresh(scene: &Scene) -> Result<Client> {
    let team = scene.provider.team("fresh", Who::Bob).await?;
    Who::Admin.client(&scene.env, &team.path).await
}

#[test]
fn kcp_would_take_what_is_shipped_for_it() -> Result<()> {
    scene::run(async |scene| {
        let client = fresh(scene).await?;
        let mut documents = manifests::provider(&scene.provider.path)?;
        documents.extend(manifests::binding(&scene.provider.path)?);
        let plain = [
            "crd/requests.yaml",
            "kubernetes/rbac-namespace.yaml",
            "kubernetes/rbac.yaml",
            "kubernetes/requester-policy.yaml",
        ];
        for file in plain {
            documents.extend(manifests::shipped(file)?);
        }
        ensure!(documents.len() > 20, "only {} objects", documents.len());
        for document in documents {
            let name = document["metadata"]["name"].to_string();
            let answer = dry_run(&client, document).await?;
            assert_eq!(answer, Answer::Taken, "{name}");
        }
        Ok(())
    })
}

#[test]
fn kcp_would_take_what_it_serves_of_the_kustomize_base() -> Result<()> {
    scene::run(async |scene| {
        let client = fresh(scene).await?;
        let (mut taken, mut not_served) = (BTreeSet::new(), BTreeSet::new());
        for file in KUSTOMIZE {
            for document in manifests::shipped(&format!("kustomize/{file}"))? {
                let kind = document["kind"].as_str().context("no kind")?.to_owned();
                match dry_run(&client, document).await.context(file)? {
                    Answer::Taken => taken.insert(kind),
                    Answer::NotServed(kind) => not_served.insert(kind),
                };
            }
        }
        assert_eq!(taken, set(["Role", "RoleBinding", "ServiceAccount"]));
        let workloads = [
            "Deployment",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "ScaledObject",
            "Service",
            "TriggerAuthentication",
        ];
        assert_eq!(not_served, set(workloads));
        Ok(())
    })
}

#[test]
fn a_dry_run_finds_what_is_misspelt() -> Result<()> {
    scene::run(async |scene| {
        let client = fresh(scene).await?;
        let mut role = manifests::shipped("kustomize/components/election/rbac.yaml")?.remove(0);
        role["rules"][0]["verb"] = role["rules"][0]["verbs"].take();
        let error = dry_run(&client, role).await.err().context("it was taken")?;
        let error = format!("{error:#}");
        ensure!(error.contains("rules[0].verb"), "{error}");
        Ok(())
    })
}

fn set<const N: usize>(kinds: [&str; N]) -> BTreeSet<String> {
    kinds.into_iter().map(str::to_owned).collect()
}
