//! The provider's side: a fresh organization with the workspace that exports the API.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{Environment, Team, Who, identity, manifests, wait};

/// The name of the shipped export, and so of its endpoint slice and its bindings.
pub const EXPORT: &str = "internal.services";
/// The name of every `LogicalCluster`.
const CLUSTER: &str = "cluster";

/// An organization `root:<org>` with the workspace `provider`, the API exported from it, and a kubeconfig
/// for the watcher.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The servers.
    pub env: Environment,
    /// `root:<org>`.
    pub org: String,
    /// `root:<org>:provider`.
    pub path: String,
    /// The kubeconfig of the plain user `isc-controller` for that workspace.
    pub kubeconfig: PathBuf,
}

// === impl Provider ===

impl Provider {
    /// Makes the workspaces, applies the shipped manifests and writes `controller.kubeconfig` into `dir`.
    ///
    /// # Errors
    /// When kcp refuses a step for longer than a minute.
    pub async fn create(env: &Environment, dir: &Path, org: &str) -> Result<Self> {
        let root = Who::Admin.client(env, "root").await?;
        create_workspace(&root, org, "organization").await?;
        let org = format!("root:{org}");
        let client = Who::Admin.client(env, &org).await?;
        create_workspace(&client, "provider", "universal").await?;
        let path = format!("{org}:provider");
        let provider = Who::Admin.client(env, &path).await?;
        manifests::create_all(&provider, manifests::provider(&path)?).await?;
        wait_for_identity(&provider, EXPORT).await?;
        let kubeconfig = dir.join("controller.kubeconfig");
        write_kubeconfig(&kubeconfig, &Who::Controller.kubeconfig(env, &path)?)?;
        Ok(Self {
            env: env.clone(),
            org,
            path,
            kubeconfig,
        })
    }

    /// The first endpoint of an export's slice, once there is one.
    ///
    /// # Errors
    /// When there is none after a minute.
    pub async fn endpoint(&self, export: &str) -> Result<String> {
        let client = Who::Admin.client(&self.env, &self.path).await?;
        let (group, kind) = ("apis.kcp.io", "APIExportEndpointSlice");
        let slices = cluster_scoped(&client, group, "v1alpha1", kind, "apiexportendpointslices");
        wait::until("the slice has an endpoint", wait::USUAL, async || {
            let slice = slices.get(export).await?;
            let url = slice.data["status"]["endpoints"][0]["url"].as_str();
            Ok(url.context("it has none")?.to_owned())
        })
        .await
    }

    /// Deletes a team's workspace and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after a minute.
    pub async fn delete_team(&self, name: &str) -> Result<()> {
        let org = Who::Admin.client(&self.env, &self.org).await?;
        let (group, kind) = ("tenancy.kcp.io", "Workspace");
        let workspaces = cluster_scoped(&org, group, "v1alpha1", kind, "workspaces");
        workspaces.delete(name, &DeleteParams::default()).await?;
        wait::until("the workspace is gone", wait::USUAL, async || {
            let found = workspaces.get_opt(name).await?;
            anyhow::ensure!(found.is_none(), "it is still there");
            Ok(())
        })
        .await
    }

    /// Deletes a team's logical cluster directly, past its workspace, and then what is left of the workspace.
    ///
    /// # Errors
    /// When something is still there after a minute.
    pub async fn delete_cluster(&self, team: &Team) -> Result<()> {
        let clusters = self.clusters(team).await?;
        clusters.delete(CLUSTER, &DeleteParams::default()).await?;
        let what = "the logical cluster is gone";
        wait::until(what, wait::USUAL, async || {
            // Without it, nobody may look any more.
            let found = clusters.get(CLUSTER).await;
            anyhow::ensure!(found.is_err(), "it is still there");
            Ok(())
        })
        .await?;
        self.delete_team(&team.name).await
    }

    /// Removes a team's workspace by force: it and its logical cluster lose their finalizers, so that nobody
    /// removes what is in it.
    ///
    /// # Errors
    /// When something is still there after a minute.
    pub async fn force_delete_team(&self, team: &Team) -> Result<()> {
        let org = Who::Admin.client(&self.env, &self.org).await?;
        let (group, kind) = ("tenancy.kcp.io", "Workspace");
        let workspaces = cluster_scoped(&org, group, "v1alpha1", kind, "workspaces");
        force(&workspaces, &team.name).await?;
        force(&self.clusters(team).await?, CLUSTER).await
    }

    /// As the only user that kcp lets do that.
    async fn clusters(&self, team: &Team) -> Result<Api<DynamicObject>> {
        let path = format!("/clusters/{}", team.cluster);
        let client = identity::shard(&self.env, &path).await?;
        let (group, kind) = ("core.kcp.io", "LogicalCluster");
        Ok(cluster_scoped(
            &client,
            group,
            "v1alpha1",
            kind,
            "logicalclusters",
        ))
    }

    /// Makes a team's workspace, with `member` as its admin. The API is not bound yet.
    ///
    /// # Errors
    /// When kcp refuses a step for longer than a minute.
    pub async fn team(&self, name: &str, member: Who) -> Result<Team> {
        let org = Who::Admin.client(&self.env, &self.org).await?;
        let cluster = create_workspace(&org, name, "universal").await?;
        Team::create(self, name, cluster, member).await
    }
}

/// Deletes an object and takes its finalizers until it is gone.
async fn force(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    api.delete(name, &DeleteParams::default()).await?;
    let none: Patch<Value> = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    wait::until(&format!("{name} is gone"), wait::USUAL, async || {
        // Somebody may put one back.
        let _gone = api.patch(name, &PatchParams::default(), &none).await;
        let found = api.get_opt(name).await;
        anyhow::ensure!(!matches!(found, Ok(Some(_))), "it is still there");
        Ok(())
    })
    .await
}

/// Writes a kubeconfig that only its owner can read.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(file: &Path, kubeconfig: &Value) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};

    let mut options = std::fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file);
    let text = serde_json::to_string_pretty(kubeconfig)?;
    opened?
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Makes a workspace and waits until its content can be used; returns its logical cluster.
async fn create_workspace(parent: &Client, name: &str, kind: &str) -> Result<String> {
    let api = cluster_scoped(
        parent,
        "tenancy.kcp.io",
        "v1alpha1",
        "Workspace",
        "workspaces",
    );
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "spec": {"type": {"name": kind, "path": "root"}},
    }))?;
    let what = format!("workspace {name} is made");
    wait::until(&what, wait::USUAL, async || {
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            other => Ok(other.map(|_created| ())?),
        }
    })
    .await?;
    wait::until(
        &format!("workspace {name} is ready"),
        wait::USUAL,
        async || {
            let workspace = api.get(name).await?;
            let phase = workspace.data["status"]["phase"]
                .as_str()
                .unwrap_or_default();
            anyhow::ensure!(phase == "Ready", "its phase is {phase}");
            let cluster = workspace.data["spec"]["cluster"].as_str();
            Ok(cluster.context("it has no cluster yet")?.to_owned())
        },
    )
    .await
}

pub(crate) async fn wait_for_identity(provider: &Client, export: &str) -> Result<()> {
    let api = cluster_scoped(
        provider,
        "apis.kcp.io",
        "v1alpha2",
        "APIExport",
        "apiexports",
    );
    wait::until("the APIExport has an identity", wait::USUAL, async || {
        let found = api.get(export).await?;
        found.data["status"]["identityHash"]
            .as_str()
            .context("none yet")?;
        Ok(())
    })
    .await
}

/// An API of objects without a namespace.
pub(crate) fn cluster_scoped(
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
