//! Who talks to kcp: the users of the token file, their kubeconfigs and clients.

use std::path::Path;

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::environment::{Environment, base64};

/// A user of the run's kcp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// May do anything in every workspace; sets things up.
    Admin,
    /// The watcher's plain user, with nothing but what the shipped RBAC grants.
    Controller,
    /// Admin of team-a's workspace, nothing elsewhere.
    Alice,
    /// Admin of team-b's workspace, nothing elsewhere.
    Bob,
}

// === impl Who ===

impl Who {
    /// Everybody.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Controller, Self::Alice, Self::Bob];

    /// The user name that kcp sees.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "dev-admin",
            Self::Controller => "isc-controller",
            Self::Alice => "alice",
            Self::Bob => "bob",
        }
    }

    /// The last column of the token file, comma included.
    #[must_use]
    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Admin => ",\"system:kcp:admin\"",
            Self::Controller | Self::Alice | Self::Bob => "",
        }
    }

    /// The bearer token.
    #[must_use]
    pub fn token(self, secret: &str) -> String {
        format!("{}-{secret}", self.name())
    }

    /// Another token of the same user.
    #[must_use]
    pub fn other_token(self, secret: &str) -> String {
        format!("{}-other-{secret}", self.name())
    }

    /// A kubeconfig for one workspace (`root:org:team`), with the CA and the token inside.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub fn kubeconfig(self, env: &Environment, workspace: &str) -> Result<Value> {
        self.kubeconfig_at(&env.kcp_url, &env.kcp_ca, &env.secret, workspace)
    }

    /// The same for any URL of that kcp: of a virtual workspace, say.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub fn kubeconfig_of(self, env: &Environment, server: &str) -> Result<Value> {
        let mut kubeconfig = self.kubeconfig(env, "root")?;
        kubeconfig["clusters"][0]["cluster"]["server"] = server.into();
        Ok(kubeconfig)
    }

    /// A client for one workspace.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub async fn client(self, env: &Environment, workspace: &str) -> Result<Client> {
        self.client_at(&env.kcp_url, &env.kcp_ca, &env.secret, workspace)
            .await
    }

    pub(crate) async fn client_at(
        self,
        url: &str,
        ca: &Path,
        secret: &str,
        workspace: &str,
    ) -> Result<Client> {
        client(serde_json::from_value(
            self.kubeconfig_at(url, ca, secret, workspace)?,
        )?)
        .await
    }

    /// A client for any URL of that kcp: of a virtual workspace, say.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub async fn client_of(self, env: &Environment, server: &str) -> Result<Client> {
        client(serde_json::from_value(self.kubeconfig_of(env, server)?)?).await
    }

    fn kubeconfig_at(self, url: &str, ca: &Path, secret: &str, workspace: &str) -> Result<Value> {
        let pem = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kcp", "cluster": {
                "server": format!("{url}/clusters/{workspace}"),
                "certificate-authority-data": base64(&pem),
            }}],
            "users": [{"name": self.name(), "user": {"token": self.token(secret)}}],
            "contexts": [{"name": "kcp", "context": {"cluster": "kcp", "user": self.name()}}],
            "current-context": "kcp",
        }))
    }
}

/// A client as kcp's own user, whom nothing is forbidden and who alone may read kcp's metrics; `path` is that of a
/// workspace (`/clusters/<cluster>`), or empty.
///
/// # Errors
/// When kcp's own kubeconfig cannot be read.
pub async fn shard(env: &Environment, path: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(env.kcp_ca.with_file_name("admin.kubeconfig"))?;
    let options = KubeConfigOptions {
        context: Some("shard-base".into()),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.cluster_url = format!("{}{path}", env.kcp_url).parse()?;
    Ok(Client::try_from(config)?)
}

async fn client(kubeconfig: Kubeconfig) -> Result<Client> {
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}
