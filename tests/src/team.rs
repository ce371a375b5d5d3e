//! A team's side: a workspace, the API bound in it, requests made and followed by its admin.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{
    Provider, Who, manifests,
    provider::{EXPORT, cluster_scoped},
    wait,
};

const NAMESPACE: &str = "default";

/// A team's workspace.
#[derive(Clone)]
pub struct Team {
    /// The workspace's last segment.
    pub name: String,
    /// `root:<org>:<name>`.
    pub path: String,
    /// Its logical cluster.
    pub cluster: String,
    /// Its admin.
    pub member: Who,
    /// A client for the workspace, as its admin.
    pub client: Client,
    provider_path: String,
}

// === impl Team ===

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team")
            .field("path", &self.path)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}

impl Team {
    pub(crate) async fn create(
        provider: &Provider,
        name: &str,
        cluster: String,
        member: Who,
    ) -> Result<Self> {
        let path = format!("{}:{name}", provider.org);
        let admin = Who::Admin.client(&provider.env, &path).await?;
        let roles = ["cluster-admin", "system:kcp:workspace:access"];
        manifests::create_all(
            &admin,
            roles.map(|role| grant(role, member.name())).to_vec(),
        )
        .await?;
        let client = member.client(&provider.env, &path).await?;
        let provider_path = provider.path.clone();
        Ok(Self {
            name: name.to_owned(),
            path,
            cluster,
            member,
            client,
            provider_path,
        })
    }

    /// Binds the API as the team's admin and waits until requests can be made.
    ///
    /// # Errors
    /// When the binding is refused or not ready within a minute.
    pub async fn bind(&self) -> Result<()> {
        manifests::create_all(&self.client, manifests::binding(&self.provider_path)?).await?;
        let bindings = self.bindings();
        wait::until(
            &format!("{} is bound", self.path),
            wait::USUAL,
            async || {
                let binding = bindings.get(EXPORT).await?;
                let status = &binding.data["status"];
                ensure!(status["phase"] == "Bound", "status: {status}");
                Ok(())
            },
        )
        .await?;
        let what = format!("{} serves requests", self.path);
        wait::until(&what, wait::USUAL, async || {
            self.requests(NAMESPACE)
                .list(&kube::api::ListParams::default())
                .await?;
            // Lists are answered a while before objects can be made.
            let trial = self.object("ready", "none", &json!({}))?;
            let dry = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            self.requests(NAMESPACE).create(&dry, &trial).await?;
            Ok(())
        })
        .await
    }

    /// Removes the binding, and all requests with it.
    ///
    /// # Errors
    /// When the binding is still there after a minute.
    pub async fn unbind(&self) -> Result<()> {
        let bindings = self.bindings();
        bindings.delete(EXPORT, &DeleteParams::default()).await?;
        wait::until(
            &format!("{} is unbound", self.path),
            wait::USUAL,
            async || {
                ensure!(
                    bindings.get_opt(EXPORT).await?.is_none(),
                    "the binding is still there"
                );
                Ok(())
            },
        )
        .await
    }

    pub(crate) fn provider_path(&self) -> &str {
        &self.provider_path
    }

    /// The requests of a namespace, as the team's admin.
    #[must_use]
    pub fn requests(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &request_resource())
    }

    /// A request as the team's admin writes it: not sent yet. `spec` may set or override any field.
    ///
    /// # Errors
    /// When `spec` is not an object.
    pub fn object(&self, name: &str, service: &str, spec: &Value) -> Result<DynamicObject> {
        let mut full = json!({"service": service, "requester": self.member.name()});
        let fields = spec.as_object().context("spec must be an object")?;
        for (key, value) in fields {
            full[key] = value.clone();
        }
        Ok(DynamicObject::new(name, &request_resource()).data(json!({"spec": full})))
    }

    /// Makes a request with parameters in the namespace `default`; returns its UID.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn ask(&self, name: &str, service: &str, params: Value) -> Result<String> {
        self.ask_with(name, service, &json!({"params": params}))
            .await
    }

    /// Makes a request with any spec in the namespace `default`; returns its UID.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn ask_with(&self, name: &str, service: &str, spec: &Value) -> Result<String> {
        let object = self.object(name, service, spec)?;
        let made = self
            .requests(NAMESPACE)
            .create(&PostParams::default(), &object)
            .await?;
        made.metadata.uid.context("a request without a UID")
    }

    /// Sets `spec.cancel` of a request in the namespace `default`.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn cancel(&self, name: &str) -> Result<()> {
        let patch = kube::api::Patch::Merge(json!({"spec": {"cancel": true}}));
        let requests = self.requests(NAMESPACE);
        requests
            .patch(name, &kube::api::PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// The status of a request in the namespace `default`; null when there is none.
    ///
    /// # Errors
    /// What the API server answers.
    pub async fn status(&self, name: &str) -> Result<Value> {
        Ok(self.requests(NAMESPACE).get(name).await?.data["status"].clone())
    }

    /// Waits until a request's status satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// After `limit`, with the last status.
    pub async fn wait_for(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let what = format!("request {}/{name} is {what}", self.name);
        wait::until(&what, limit, async || {
            let status = self.status(name).await?;
            ensure!(wanted(&status), "its status is {status}");
            Ok(status)
        })
        .await
    }

    /// Waits until a request is in `phase`, and returns its status.
    ///
    /// # Errors
    /// After a minute, with the last status.
    pub async fn wait_phase(&self, name: &str, phase: &str) -> Result<Value> {
        self.wait_for(name, phase, wait::USUAL, |status| status["phase"] == phase)
            .await
    }

    /// Waits for a request's end, whatever it is, and returns its status.
    ///
    /// # Errors
    /// After a minute, with the last status.
    pub async fn wait_end(&self, name: &str) -> Result<Value> {
        self.wait_for(name, "at its end", wait::USUAL, is_finished)
            .await
    }

    /// The bindings of its workspace, to any export.
    #[must_use]
    pub fn bindings(&self) -> Api<DynamicObject> {
        cluster_scoped(
            &self.client,
            "apis.kcp.io",
            "v1alpha2",
            "APIBinding",
            "apibindings",
        )
    }
}

/// The resource that the product serves.
#[must_use]
pub fn request_resource() -> ApiResource {
    let gvk = GroupVersionKind::gvk("internal.services", "v1alpha1", "Request");
    ApiResource::from_gvk_with_plural(&gvk, "requests")
}

/// Whether a status is an end: its second condition says so.
#[must_use]
pub fn is_finished(status: &Value) -> bool {
    let finished = &status["conditions"][1];
    finished["type"] == "Finished" && finished["status"] == "True"
}

/// The reason in a status: the first condition's.
#[must_use]
pub fn reason(status: &Value) -> &str {
    status["conditions"][0]["reason"]
        .as_str()
        .unwrap_or_default()
}

/// The message in a status: the first condition's.
#[must_use]
pub fn message(status: &Value) -> &str {
    status["conditions"][0]["message"]
        .as_str()
        .unwrap_or_default()
}

fn grant(role: &str, user: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("{user}-{}", role.replace(':', "-"))},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
}
