//! Who pretends to be somebody else, and what a stolen kubeconfig of the watcher is good for.

use anyhow::{Context as _, Result};
use isc_tests::{
    Team, Who, scene,
    team::{reason, request_resource},
    wait,
};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::KubeConfigOptions,
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// The code and the message of a refusal.
fn refusal<T>(result: kube::Result<T>) -> Result<(u16, String)> {
    match result.err().context("it was accepted")? {
        kube::Error::Api(status) => Ok((status.code, status.message)),
        other => Err(other.into()),
    }
}

async fn client(kubeconfig: Value) -> Result<Client> {
    let kubeconfig = serde_json::from_value(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}

fn any(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(group, version, kind);
    Api::all_with(
        client.clone(),
        &ApiResource::from_gvk_with_plural(&gvk, plural),
    )
}

#[test]
fn an_admin_who_impersonates_somebody_in_his_workspace_makes_no_request_as_him() -> Result<()> {
    scene::run(async |scene| {
        let team = &scene.team;
        let mut kubeconfig = team.member.kubeconfig(&scene.env, &team.path)?;
        kubeconfig["users"][0]["user"]["as"] = json!("bob");
        let requests: Api<DynamicObject> =
            Api::namespaced_with(client(kubeconfig).await?, "default", &request_resource());
        // Inside of the workspace he may be anybody: bob may even read there.
        let spec = json!({"requester": "bob", "params": {}});
        let object = team.object("forged", "echo", &spec)?;
        let (code, text) = refusal(requests.create(&PostParams::default(), &object).await)?;
        assert_eq!(code, 403, "{text}");
        Ok(())
    })
}

/// The URL of the virtual workspace, as its user finds it in the provider's workspace.
async fn endpoint(thief: &Client) -> Result<String> {
    let slices = any(
        thief,
        "apis.kcp.io",
        "v1alpha1",
        "APIExportEndpointSlice",
        "apiexportendpointslices",
    );
    wait::until("the export has an endpoint", wait::USUAL, async || {
        let one = ListParams::default().fields("metadata.name=internal.services");
        let listed = slices.list(&one).await?;
        let slice = listed.items.first().context("no slice yet")?;
        let url = slice.data["status"]["endpoints"][0]["url"].as_str();
        Ok(url.context("none yet")?.to_owned())
    })
    .await
}

/// What the thief tries in a workspace that is not for him.
async fn tries_elsewhere(thief: &Client, team: &Team) -> Result<()> {
    let requests: Api<DynamicObject> =
        Api::namespaced_with(thief.clone(), "default", &request_resource());
    let object = team.object("stolen", "echo", &json!({}))?;
    let (code, _) = refusal(requests.list(&ListParams::default()).await)?;
    assert_eq!(code, 403, "a list of {}", team.path);
    let (code, _) = refusal(requests.create(&PostParams::default(), &object).await)?;
    assert_eq!(code, 403, "a request in {}", team.path);
    let secrets = any(thief, "", "v1", "Secret", "secrets");
    let (code, _) = refusal(secrets.list(&ListParams::default()).await)?;
    assert_eq!(code, 403, "the secrets of {}", team.path);
    Ok(())
}

/// In the provider's workspace it can weaken nothing.
async fn tries_at_home(thief: &Client) -> Result<()> {
    let gone = DeleteParams::default();
    let exports = any(thief, "apis.kcp.io", "v1alpha2", "APIExport", "apiexports");
    let (code, _) = refusal(exports.delete("internal.services", &gone).await)?;
    assert_eq!(code, 403, "the export");
    let policies = any(
        thief,
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
    );
    let (code, _) = refusal(policies.delete("internal-services-requester", &gone).await)?;
    assert_eq!(code, 403, "the requester policy");
    let roles = any(
        thief,
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
    );
    let (code, _) = refusal(roles.list(&ListParams::default()).await)?;
    assert_eq!(code, 403, "the roles");
    Ok(())
}

#[test]
fn a_stolen_kubeconfig_of_the_watcher_reads_requests_writes_statuses_and_no_more() -> Result<()> {
    scene::run(async |scene| {
        let (env, team) = (&scene.env, &scene.team);
        team.ask("mine", "echo", json!({"a": 1})).await?;
        let thief = Who::Controller.client(env, &scene.provider.path).await?;
        let elsewhere = Who::Controller.client(env, &team.path).await?;
        tries_elsewhere(&elsewhere, team).await?;

        tries_at_home(&thief).await?;

        // Through the virtual workspace it sees requests, and nothing else of anybody.
        let mut kubeconfig = Who::Controller.kubeconfig(env, &scene.provider.path)?;
        let url = endpoint(&thief).await?;
        kubeconfig["clusters"][0]["cluster"]["server"] =
            json!(format!("{url}/clusters/{}", team.cluster));
        let inside = client(kubeconfig).await?;
        let requests: Api<DynamicObject> =
            Api::namespaced_with(inside.clone(), "default", &request_resource());
        let names = async || anyhow::Ok(requests.list(&ListParams::default()).await?.items.len());
        let seen = wait::until("it sees the requests", wait::USUAL, names).await?;
        assert_eq!(seen, 1);
        // The right to create Events is one to create requests: in nobody's name but its own.
        let object = team.object("stolen", "echo", &json!({}))?;
        let (code, text) = refusal(requests.create(&PostParams::default(), &object).await)?;
        assert_eq!(code, 422, "{text}");
        assert!(text.contains("your own user name"), "{text}");
        let change = Patch::Merge(json!({"spec": {"params": {"a": 2}}}));
        let (code, text) = refusal(
            requests
                .patch("mine", &PatchParams::default(), &change)
                .await,
        )?;
        assert_eq!(code, 422, "{text}");
        for (kind, plural) in [("Secret", "secrets"), ("ConfigMap", "configmaps")] {
            let others = any(&inside, "", "v1", kind, plural);
            let (code, _) = refusal(others.list(&ListParams::default()).await)?;
            assert!([403, 404].contains(&code), "{plural}: {code}");
        }
        // What it can: say that the work was done. So it is kept as the most secret thing there is.
        let forged = Patch::Merge(json!({"status": {"phase": "Failed", "conditions": [
            {"type": "Succeeded", "status": "False", "reason": "JobFailed"},
            {"type": "Finished", "status": "True", "reason": "JobFailed"},
        ]}}));
        let params = PatchParams::default();
        requests.patch_status("mine", &params, &forged).await?;
        assert_eq!(reason(&team.wait_end("mine").await?), "JobFailed");
        Ok(())
    })
}
