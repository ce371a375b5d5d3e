//! A kind besides Request, as it is shipped in deploy/kinds: exported, bound, its objects made and followed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{
    Provider, Team, Who, manifests,
    provider::{cluster_scoped, wait_for_identity},
    wait,
};

const NAMESPACE: &str = "default";

/// A shipped kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its folder in deploy/kinds.
    name: &'static str,
    /// Its resource.
    pub resource: ApiResource,
    /// The name of its export, and so of its endpoint slice and its bindings.
    pub export: String,
}

// === impl Kind ===

impl Kind {
    /// The one in that folder of deploy/kinds.
    ///
    /// # Errors
    /// When its files are not what they should be.
    pub fn shipped(name: &'static str) -> Result<Self> {
        let crd = one(name, "crd.yaml")?;
        let export = one(name, "apiexport.yaml")?;
        let text = |pointer: &str| {
            let text = crd.pointer(pointer).and_then(Value::as_str);
            text.with_context(|| format!("deploy/kinds/{name}/crd.yaml has no {pointer}"))
        };
        let gvk = GroupVersionKind::gvk(
            text("/spec/group")?,
            text("/spec/versions/0/name")?,
            text("/spec/names/kind")?,
        );
        let export = export["metadata"]["name"].as_str();
        Ok(Self {
            name,
            resource: ApiResource::from_gvk_with_plural(&gvk, text("/spec/names/plural")?),
            export: export.context("an export without a name")?.to_owned(),
        })
    }

    /// What the watcher's configuration says of it: its part of the `kinds` section.
    ///
    /// # Errors
    /// When its file is not what it should be.
    pub fn configuration(&self) -> Result<Vec<Value>> {
        let section = one(self.name, "watcher.yaml")?["kinds"].take();
        let kinds = section.as_array().cloned();
        kinds.context("no `kinds` in the shipped configuration")
    }

    /// Exports it from the provider's workspace.
    ///
    /// # Errors
    /// When kcp refuses a step for longer than a minute.
    pub async fn export(&self, provider: &Provider) -> Result<()> {
        let client = Who::Admin.client(&provider.env, &provider.path).await?;
        for file in ["rbac.yaml", "apiresourceschema.yaml", "apiexport.yaml"] {
            let documents = manifests::of_kind(self.name, file, &provider.path)?;
            manifests::create_all(&client, documents).await?;
        }
        wait_for_identity(&client, &self.export).await
    }

    /// Binds it in a team's workspace, as the team's admin, and waits until an object with the spec of `trial`
    /// could be made.
    ///
    /// # Errors
    /// When the binding is refused or not ready within a minute.
    pub async fn bind(&self, provider: &Provider, team: &Team, trial: &Value) -> Result<()> {
        let binding = manifests::of_kind(self.name, "apibinding.yaml", &provider.path)?;
        manifests::create_all(&team.client, binding).await?;
        let group = "apis.kcp.io";
        let bindings = cluster_scoped(&team.client, group, "v1alpha2", "APIBinding", "apibindings");
        let what = format!("{} has bound {}", team.path, self.export);
        wait::until(&what, wait::USUAL, async || {
            let binding = bindings.get(&self.export).await?;
            let status = &binding.data["status"];
            ensure!(status["phase"] == "Bound", "status: {status}");
            Ok(())
        })
        .await?;
        let (api, trial) = (self.objects(team), self.object("ready", trial));
        let what = format!("{} serves {}", team.path, self.resource.plural);
        wait::until(&what, wait::USUAL, async || {
            api.list(&ListParams::default()).await?;
            let dry = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            api.create(&dry, &trial).await?;
            Ok(())
        })
        .await
    }

    /// The objects in a team's namespace `default`, as its admin.
    #[must_use]
    pub fn objects(&self, team: &Team) -> Api<DynamicObject> {
        Api::namespaced_with(team.client.clone(), NAMESPACE, &self.resource)
    }

    /// An object: not sent yet.
    #[must_use]
    pub fn object(&self, name: &str, spec: &Value) -> DynamicObject {
        DynamicObject::new(name, &self.resource).data(json!({"spec": spec}))
    }

    /// Makes an object in a team's workspace; returns its name.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn make(&self, team: &Team, name: &str, spec: &Value) -> Result<String> {
        let (api, object) = (self.objects(team), self.object(name, spec));
        let made = api.create(&PostParams::default(), &object).await?;
        Ok(made.name_any())
    }

    /// Waits until an object's status satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// After `limit`, with the last status.
    pub async fn wait_for(
        &self,
        team: &Team,
        name: &str,
        (what, limit): (&str, Duration),
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let what = format!("{} {}/{name} is {what}", self.resource.kind, team.name);
        let api = self.objects(team);
        wait::until(&what, limit, async || {
            let status = api.get(name).await?.data["status"].clone();
            ensure!(wanted(&status), "its status is {status}");
            Ok(status)
        })
        .await
    }
}

/// What recovery needs of an object, as its status keeps it in a condition.
#[must_use]
pub fn kept_state(status: &Value) -> Value {
    let conditions = status["conditions"].as_array();
    let kept = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "ISCState");
    let text = kept.and_then(|condition| condition["message"].as_str());
    serde_json::from_str(text.unwrap_or("null")).unwrap_or_default()
}

fn one(name: &str, file: &str) -> Result<Value> {
    let documents = manifests::of_kind(name, file, "root:org:provider")?;
    let document = documents.into_iter().next();
    document.with_context(|| format!("deploy/kinds/{name}/{file} is empty"))
}
