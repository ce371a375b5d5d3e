//! Taking single rights from the watcher's user, and giving them back.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};

use crate::{Provider, Who};

/// A right of `deploy/kcp/rbac-controller.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// A verb on a resource in the `ClusterRole`.
    Cluster(&'static str, &'static str),
    /// A verb on Leases.
    Leases(&'static str),
    /// To enter the workspace.
    Enter,
}

/// The roles of the watcher's user as they were.
pub struct Rights {
    client: Client,
    role: ClusterRole,
    leases: Role,
    enter: ClusterRoleBinding,
}

const CLUSTER: &str = "internal-services-controller";
const LEASES: &str = "internal-services-controller-handover";
const ENTER: &str = "internal-services-controller-access";

// === impl Rights ===

impl Rights {
    /// Reads them.
    ///
    /// # Errors
    /// When one is missing.
    pub async fn of(provider: &Provider) -> Result<Self> {
        let client = Who::Admin.client(&provider.env, &provider.path).await?;
        Ok(Self {
            role: Api::all(client.clone()).get(CLUSTER).await?,
            leases: Api::namespaced(client.clone(), "default")
                .get(LEASES)
                .await?,
            enter: Api::all(client.clone()).get(ENTER).await?,
            client,
        })
    }

    /// Every right that the shipped file grants.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let rules = self.role.rules.iter().flatten();
        let leases = self.leases.rules.iter().flatten();
        let verbs = rules.chain(leases).flat_map(|rule| {
            let resource = rule.resources.iter().flatten().next().cloned();
            let resource = resource.unwrap_or_default();
            rule.verbs
                .iter()
                .map(move |verb| format!("{verb} {resource}"))
        });
        verbs.chain(["enter".into()]).collect()
    }

    /// Takes one away.
    ///
    /// # Errors
    /// When there is no such right, or kcp refuses.
    pub async fn take(&self, right: &Right) -> Result<()> {
        match right {
            Right::Cluster(verb, resource) => {
                let mut role = self.role.clone();
                take(role.rules.iter_mut().flatten(), verb, resource)?;
                self.put(role).await
            }
            Right::Leases(verb) => {
                let mut leases = self.leases.clone();
                take(leases.rules.iter_mut().flatten(), verb, "leases")?;
                self.put_leases(leases).await
            }
            Right::Enter => {
                let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
                bindings.delete(ENTER, &DeleteParams::default()).await?;
                Ok(())
            }
        }
    }

    /// Gives everything back.
    ///
    /// # Errors
    /// When kcp refuses.
    pub async fn restore(&self) -> Result<()> {
        self.put(self.role.clone()).await?;
        self.put_leases(self.leases.clone()).await?;
        let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        if bindings.get_opt(ENTER).await?.is_none() {
            let mut enter = self.enter.clone();
            enter.metadata.resource_version = None;
            bindings.create(&PostParams::default(), &enter).await?;
        }
        Ok(())
    }

    async fn put(&self, mut role: ClusterRole) -> Result<()> {
        role.metadata.resource_version = None;
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        roles
            .replace(CLUSTER, &PostParams::default(), &role)
            .await?;
        Ok(())
    }

    async fn put_leases(&self, mut role: Role) -> Result<()> {
        role.metadata.resource_version = None;
        let roles: Api<Role> = Api::namespaced(self.client.clone(), "default");
        roles.replace(LEASES, &PostParams::default(), &role).await?;
        Ok(())
    }
}

fn take<'a>(
    rules: impl Iterator<Item = &'a mut PolicyRule>,
    verb: &str,
    resource: &str,
) -> Result<()> {
    let of_it = |rule: &PolicyRule| {
        let resources = rule.resources.iter().flatten();
        resources.clone().any(|r| r == resource) && rule.verbs.iter().any(|v| v == verb)
    };
    let mut rules = rules;
    let rule = rules.find(|rule| of_it(rule));
    let rule = rule.with_context(|| format!("nobody grants {verb} on {resource}"))?;
    ensure!(
        rule.verbs.len() > 1 || resource == "leases",
        "the rule would be empty"
    );
    rule.verbs.retain(|v| v != verb);
    if rule.verbs.is_empty() {
        // A rule needs a verb; this one exists for nothing.
        rule.verbs.push("none".into());
    }
    Ok(())
}
