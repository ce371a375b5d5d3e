//! How to reach the servers of this run, whoever started them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::ByteString;

use crate::{
    net,
    servers::{Kcp, RabbitMq},
};

/// The kcp and the RabbitMQ of this run.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `https://127.0.0.1:<port>` of kcp.
    pub kcp_url: String,
    /// The certificate that signs kcp's own.
    pub kcp_ca: PathBuf,
    /// What the tokens of [`crate::Who`] are made of.
    pub secret: String,
    /// RabbitMQ.
    pub broker: Broker,
}

/// A RabbitMQ node with its management API. Its user is `isc`.
#[derive(Clone, Debug)]
pub struct Broker {
    /// The AMQP listener.
    pub amqp: SocketAddr,
    /// The encrypted one. Its certificate is for `localhost`.
    pub amqps: SocketAddr,
    /// The folder of the authority of its certificate, and of those that it takes from clients.
    pub authority: PathBuf,
    /// The management API.
    pub http: SocketAddr,
    /// The password of `isc`.
    pub password: String,
}

// === impl Environment ===

impl Environment {
    /// How to reach these two, which `secret` was started with.
    #[must_use]
    pub fn of(kcp: &Kcp, rabbitmq: &RabbitMq, secret: &str) -> Self {
        Self {
            kcp_url: kcp.url.clone(),
            kcp_ca: kcp.ca_file.clone(),
            secret: secret.to_owned(),
            broker: rabbitmq.broker.clone(),
        }
    }

    /// The variables that hand an environment to a command.
    #[must_use]
    pub fn to_vars(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ISCDEV_KCP_URL", self.kcp_url.clone()),
            ("ISCDEV_KCP_CA", self.kcp_ca.display().to_string()),
            ("ISCDEV_SECRET", self.secret.clone()),
            ("ISCDEV_AMQP", self.broker.amqp.to_string()),
            ("ISCDEV_AMQPS", self.broker.amqps.to_string()),
            (
                "ISCDEV_AMQPS_AUTHORITY",
                self.broker.authority.display().to_string(),
            ),
            ("ISCDEV_RABBITMQ_HTTP", self.broker.http.to_string()),
        ]
    }

    /// The environment that `isc-dev test` started around this process.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_vars() -> Result<Self> {
        let var = |name: &str| {
            std::env::var(name).with_context(|| {
                format!(
                    "{name} is not set: end-to-end tests need a kcp and a RabbitMQ; run `make test`, \
                     or `isc-dev test -- cargo test -p isc-tests` for these alone"
                )
            })
        };
        let secret = var("ISCDEV_SECRET")?;
        Ok(Self {
            kcp_url: var("ISCDEV_KCP_URL")?,
            kcp_ca: var("ISCDEV_KCP_CA")?.into(),
            broker: Broker {
                amqp: var("ISCDEV_AMQP")?.parse()?,
                amqps: var("ISCDEV_AMQPS")?.parse()?,
                authority: var("ISCDEV_AMQPS_AUTHORITY")?.into(),
                http: var("ISCDEV_RABBITMQ_HTTP")?.parse()?,
                password: secret.clone(),
            },
            secret,
        })
    }
}

// === impl Broker ===

impl Broker {
    /// The URL of one vhost.
    #[must_use]
    pub fn url(&self, vhost: &str) -> String {
        self.url_at(self.amqp, vhost)
    }

    /// The URL of one vhost behind another address, such as a relay's.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr, vhost: &str) -> String {
        format!("amqp://isc:{}@{address}/{vhost}", self.password)
    }

    /// Makes an empty vhost that `isc` may use.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn create_vhost(&self, name: &str) -> Result<()> {
        self.call("PUT", &format!("/api/vhosts/{name}"))
            .await
            .map(|_body| ())
    }

    /// Removes a vhost with all that is in it.
    ///
    /// # Errors
    /// When the management API refuses.
    pub async fn delete_vhost(&self, name: &str) -> Result<()> {
        self.call("DELETE", &format!("/api/vhosts/{name}"))
            .await
            .map(|_body| ())
    }

    /// One call of the management API; returns the body.
    ///
    /// # Errors
    /// When the answer is not a success.
    pub async fn call(&self, method: &str, path: &str) -> Result<String> {
        let auth = format!(
            "Basic {}",
            base64(format!("isc:{}", self.password).as_bytes())
        );
        let (code, body) = net::http(method, self.http, path, Some(&auth)).await?;
        if !(200..300).contains(&code) {
            bail!("RabbitMQ answered {code} to {method} {path}: {body}");
        }
        Ok(body)
    }
}

/// Base64, the way Kubernetes writes bytes.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let value = serde_json::to_value(ByteString(bytes.to_vec()));
    value
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The folder of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}
