//! A second export of the same provider: another kind that looks like a request.

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{
    Provider, Team, Who,
    manifests::{self, create_all},
    provider::{cluster_scoped, wait_for_identity},
    team, wait,
};

/// The group of the other kind, and the name of its export.
pub const GROUP: &str = "signing.example.com";
/// Its resource.
pub const PLURAL: &str = "signingrequests";
/// Its kind.
pub const KIND: &str = "SigningRequest";
/// Its version.
pub const VERSION: &str = "v1alpha1";

/// What `kinds` says of it; `slice` is where it is exported.
#[must_use]
pub fn config(slice: &str) -> Value {
    json!([{
        "profile": "request", "group": GROUP, "version": VERSION, "plural": PLURAL, "kind": KIND, "endpointSlice": slice,
    }])
}

/// The other kind's schema: that of Request under another name.
fn schema(path: &str) -> Result<Value> {
    let shipped = manifests::provider(path)?;
    let of_kind = |document: &&Value| document["kind"] == "APIResourceSchema";
    let found = shipped.iter().find(of_kind);
    let mut schema = found.context("no schema is shipped")?.clone();
    schema["metadata"]["name"] = format!("v1.{PLURAL}.{GROUP}").into();
    schema["spec"]["group"] = GROUP.into();
    schema["spec"]["names"] = json!({
        "kind": KIND, "listKind": format!("{KIND}List"), "plural": PLURAL, "singular": "signingrequest",
    });
    Ok(schema)
}

fn resource() -> Value {
    json!({"group": GROUP, "name": PLURAL, "schema": format!("v1.{PLURAL}.{GROUP}"), "storage": {"crd": {}}})
}

/// Exports the other kind from the provider's workspace in an export of its own, which everybody may bind and
/// the watcher's user may follow.
///
/// # Errors
/// When kcp refuses a step for longer than a minute.
pub async fn create(provider: &Provider) -> Result<()> {
    let client = Who::Admin.client(&provider.env, &provider.path).await?;
    let rule = |resource: &str, verbs: &[&str]| {
        json!({
            "apiGroups": ["apis.kcp.io"], "resources": [resource], "resourceNames": [GROUP], "verbs": verbs,
        })
    };
    let export = json!({
        "apiVersion": "apis.kcp.io/v1alpha2", "kind": "APIExport", "metadata": {"name": GROUP},
        "spec": {"resources": [resource()]},
    });
    let watcher = role(
        "signing-controller",
        &[
            rule("apiexportendpointslices", &["list", "watch"]),
            rule("apiexports/content", &["get", "list", "watch", "patch"]),
        ],
        &json!({"kind": "User", "name": Who::Controller.name()}),
    );
    let bind = role(
        "signing-bind",
        &[rule("apiexports", &["bind"])],
        &json!({"kind": "Group", "name": "system:authenticated"}),
    );
    let documents = [vec![schema(&provider.path)?, export], watcher, bind].concat();
    create_all(&client, documents).await?;
    wait_for_identity(&client, GROUP).await
}

/// Adds the other kind to the shipped export.
///
/// # Errors
/// When kcp refuses a step for longer than a minute.
pub async fn add_to_shipped(provider: &Provider) -> Result<()> {
    let client = Who::Admin.client(&provider.env, &provider.path).await?;
    create_all(&client, vec![schema(&provider.path)?]).await?;
    // What anybody may do with it in a workspace: the shipped policy limits what it does not know to nothing.
    let most = role(
        "signing-most",
        &[json!({"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["*"]})],
        &json!({"kind": "Group", "name": "apis.kcp.io:binding:system:authenticated"}),
    );
    create_all(&client, most).await?;
    let patch = json!([{"op": "add", "path": "/spec/resources/-", "value": resource()}]);
    patch_export(provider, &patch).await
}

/// Exports a new version of the shipped schema: the same with another description.
///
/// # Errors
/// When kcp refuses a step for longer than a minute.
pub async fn renew_schema(provider: &Provider) -> Result<()> {
    let client = Who::Admin.client(&provider.env, &provider.path).await?;
    let shipped = manifests::provider(&provider.path)?;
    let of_kind = |document: &&Value| document["kind"] == "APIResourceSchema";
    let mut new = shipped.iter().find(of_kind).context("no schema")?.clone();
    let name = "renewed.requests.internal.services";
    new["metadata"]["name"] = name.into();
    new["spec"]["versions"][0]["schema"]["description"] = "A job, in newer words.".into();
    create_all(&client, vec![new]).await?;
    let patch = json!([{"op": "replace", "path": "/spec/resources/0/schema", "value": name}]);
    patch_export(provider, &patch).await
}

async fn patch_export(provider: &Provider, patch: &Value) -> Result<()> {
    let client = Who::Admin.client(&provider.env, &provider.path).await?;
    let exports = cluster_scoped(
        &client,
        "apis.kcp.io",
        "v1alpha2",
        "APIExport",
        "apiexports",
    );
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch.clone())?);
    exports
        .patch(crate::provider::EXPORT, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// A `ClusterRole` and its binding.
#[must_use]
pub fn role(name: &str, rules: &[Value], subject: &Value) -> Vec<Value> {
    let mut subject = subject.clone();
    subject["apiGroup"] = "rbac.authorization.k8s.io".into();
    vec![
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name}, "rules": rules,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        }),
    ]
}

// === impl Team ===

impl Team {
    /// The objects of the other kind in the namespace `default`.
    #[must_use]
    pub fn signings(&self) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, KIND);
        let resource = ApiResource::from_gvk_with_plural(&gvk, PLURAL);
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    /// Binds the other kind's own export.
    ///
    /// # Errors
    /// When the binding is refused for longer than a minute.
    pub async fn bind_signings(&self) -> Result<()> {
        let binding = json!({
            "apiVersion": "apis.kcp.io/v1alpha2", "kind": "APIBinding", "metadata": {"name": GROUP},
            "spec": {"reference": {"export": {"path": self.provider_path(), "name": GROUP}}},
        });
        create_all(&self.client, vec![binding]).await
    }

    /// Makes an object of the other kind that asks for `echo`, as soon as that is possible.
    ///
    /// # Errors
    /// When it is not possible within a minute.
    pub async fn ask_signing(&self, name: &str) -> Result<()> {
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, KIND);
        let resource = ApiResource::from_gvk_with_plural(&gvk, PLURAL);
        let spec = json!({
            "service": "echo", "requester": self.member.name(), "params": {"kind": KIND},
        });
        let object = DynamicObject::new(name, &resource).data(json!({"spec": spec}));
        wait::until(
            "an object of the other kind is made",
            wait::USUAL,
            async || {
                self.signings()
                    .create(&PostParams::default(), &object)
                    .await?;
                Ok(())
            },
        )
        .await
    }

    /// Waits for its end, and returns its status.
    ///
    /// # Errors
    /// After a minute.
    pub async fn signing_end(&self, name: &str) -> Result<Value> {
        wait::until("the other kind's object ends", wait::USUAL, async || {
            let status = self.signings().get(name).await?.data["status"].clone();
            ensure!(team::is_finished(&status), "its status is {status}");
            Ok(status)
        })
        .await
    }
}
