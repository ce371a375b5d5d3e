//! What a kubeconfig says, with everything that it refers to: certificates, keys and tokens are read with it, so
//! that what was read fits together.
//!
//! Kube's own reading takes the proxy from the environment as well, and judges `NO_PROXY` by the address of the
//! proxy instead of the server's.

use std::path::PathBuf;

use http::Uri;
use isc_runtime::tls::Certificate;
use k8s_openapi::ByteString;
use kube::{
    Config,
    config::{
        AuthInfo, Cluster, Context, ExecAuthCluster, Kubeconfig, KubeconfigError as Kube,
        LoadDataError,
    },
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    CONNECT_TIMEOUT,
    proxy::{Proxy, ProxyError},
};

/// Why a kubeconfig cannot be used. It has secrets in it, so no error repeats a part of its text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not YAML, or has another form.
    #[error("it is not a kubeconfig in YAML{0}")]
    Yaml(String),
    /// Something is missing in it, or a file that it names.
    #[error(transparent)]
    Kube(Kube),
    /// The CA is none.
    #[error("its certificate authority is not in PEM: {0}")]
    Authority(rustls::pki_types::pem::Error),
    /// Its context names a user that is not there: it may be half written.
    #[error("it has no user `{0}`, which its context names")]
    NoUser(String),
    /// A token file has none.
    #[error("its token file {path} cannot be used: {why}")]
    NoToken {
        /// The file.
        path: String,
        /// The cause.
        why: String,
    },
    /// The proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// No client can be made of it.
    #[error("no client can be built from it: {0}; check its certificates and its user")]
    Client(String),
    /// The disk does not answer.
    #[error("it cannot be read: {0}")]
    Unread(String),
    /// It leads somewhere else than at the start.
    #[error(
        "it names {now} and not {before} any more: that takes effect at the next start, and nothing of it is used \
         before"
    )]
    Elsewhere {
        /// As it was at the start.
        before: Box<Origin>,
        /// As it is now.
        now: Box<Origin>,
    },
}

/// Which kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// What KUBECONFIG names: files that are merged.
    Named,
    /// This file.
    File(PathBuf),
    /// None.
    Fixed,
}

/// Where a kubeconfig leads; a change needs another start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    server: String,
    context: String,
    namespace: String,
}

/// What was read.
pub(super) struct Found {
    pub(super) config: Config,
    /// Named by it.
    pub(super) proxy: Option<Proxy>,
    pub(super) origin: Origin,
    /// When the user's certificate ends, Unix time; none where there is none.
    pub(super) not_after: Option<i64>,
    /// Of everything that was read.
    pub(super) print: Vec<u8>,
}

// === impl Source ===

impl Source {
    /// What it is, for who reads the log.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Named => "a usable kubeconfig",
            Self::File(_) => "a usable `election.kubeconfig`",
            Self::Fixed => "the cluster around this pod",
        }
    }

    /// The use of the user's certificate, in metrics.
    pub(super) fn r#use(&self) -> Option<&'static str> {
        match self {
            Self::Named => Some("kubeconfig"),
            Self::File(_) => Some("election"),
            Self::Fixed => None,
        }
    }

    /// Reads it; none where KUBECONFIG is not set, or there is nothing to read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(super) fn read(&self) -> Result<Option<Found>, ReadError> {
        let kubeconfig = match self {
            Self::Named => Kubeconfig::from_env()?,
            Self::File(path) => Some(Kubeconfig::read_from(path)?),
            Self::Fixed => None,
        };
        kubeconfig.map(found).transpose()
    }
}

// === impl Found ===

impl Found {
    /// A configuration that was not read from a file.
    pub(super) fn fixed(config: Config) -> Self {
        let origin = Origin {
            server: config.cluster_url.to_string(),
            context: String::new(),
            namespace: config.default_namespace.clone(),
        };
        Self {
            config,
            proxy: None,
            origin,
            not_after: None,
            print: vec![],
        }
    }
}

// === impl Origin ===

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            server,
            context,
            namespace,
        } = self;
        write!(f, "{server} (context `{context}`, namespace `{namespace}`)")
    }
}

// === impl ReadError ===

impl From<Kube> for ReadError {
    fn from(error: Kube) -> Self {
        match error {
            // The text shows what is there, which may be a token.
            Kube::Parse(error) => {
                let at = error.location().map(|at| (at.line(), at.column()));
                let at = at.map(|(line, column)| format!(": line {line}, column {column}"));
                Self::Yaml(at.unwrap_or_default())
            }
            error => Self::Kube(error),
        }
    }
}

fn found(kubeconfig: Kubeconfig) -> Result<Found, ReadError> {
    let name = kubeconfig.current_context.as_deref();
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or(Kube::CurrentContextNotSet)?.to_owned();
    let (context, cluster, user) = chosen(kubeconfig, &name)?;
    let namespace = context.namespace.filter(|name| !name.is_empty());
    let origin = Origin {
        server: cluster.server.clone().ok_or(Kube::MissingClusterUrl)?,
        context: name,
        namespace: namespace.unwrap_or_else(|| "default".into()),
    };
    let user = complete(user, &cluster)?;
    let url: Uri = origin.server.parse().map_err(Kube::ParseClusterUrl)?;
    let mut config = Config::new(url);
    config.default_namespace.clone_from(&origin.namespace);
    config.root_cert = authority(&cluster)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let proxy = cluster.proxy_url.as_deref().filter(|url| !url.is_empty());
    let print = print(&(
        &origin.context,
        &origin.namespace,
        &cluster,
        &user,
        &config.root_cert,
    ))?;
    let not_after = user.client_certificate_data.as_deref().and_then(end);
    config.auth_info = user;
    Ok(Found {
        config,
        not_after,
        proxy: proxy.map(Proxy::from_kubeconfig).transpose()?,
        origin,
        print,
    })
}

/// The same for the same content: maps have no order of their own.
fn print(all: &impl serde::Serialize) -> Result<Vec<u8>, ReadError> {
    let all = serde_json::to_value(all);
    let mut all = all.map_err(|error| ReadError::Client(error.to_string()))?;
    all.sort_all_objects();
    let text = all.to_string();
    Ok(digest(&SHA256, text.as_bytes()).as_ref().to_vec())
}

/// What the current context names. A context without a user is nobody's.
fn chosen(kubeconfig: Kubeconfig, name: &str) -> Result<(Context, Cluster, AuthInfo), ReadError> {
    let mut contexts = kubeconfig.contexts.into_iter();
    let context = contexts.find(|named| named.name == name);
    let context = context.and_then(|named| named.context);
    let context = context.ok_or_else(|| Kube::LoadContext(name.to_owned()))?;
    let mut clusters = kubeconfig.clusters.into_iter();
    let cluster = clusters.find(|named| named.name == context.cluster);
    let cluster = cluster.and_then(|named| named.cluster);
    let cluster = cluster.ok_or_else(|| Kube::LoadClusterOfContext(context.cluster.clone()))?;
    let mut users = kubeconfig.auth_infos.into_iter();
    let user = match context.user.as_ref().filter(|name| !name.is_empty()) {
        None => AuthInfo::default(),
        Some(name) => {
            let user = users.find(|named| named.name == *name);
            let user = user.ok_or_else(|| ReadError::NoUser(name.clone()))?;
            user.auth_info.unwrap_or_default()
        }
    };
    Ok((context, cluster, user))
}

/// The user, with the files that it names inside.
fn complete(mut user: AuthInfo, cluster: &Cluster) -> Result<AuthInfo, ReadError> {
    if let Some(path) = user.token_file.take() {
        // As for kubectl, the file's wins, as long as it has one.
        match token(path) {
            Ok(token) => user.token = Some(token.into()),
            Err(_) if user.token.is_some() => {}
            Err(error) => return Err(error),
        }
    }
    if user.client_certificate_data.is_none()
        && let Some(path) = user.client_certificate.take()
    {
        user.client_certificate_data = Some(base64(&path, Kube::LoadClientCertificate)?);
    }
    if user.client_key_data.is_none()
        && let Some(path) = user.client_key.take()
    {
        user.client_key_data = Some(base64(&path, Kube::LoadClientKey)?.into());
    }
    if let Some(exec) = &mut user.exec
        && exec.provide_cluster_info
    {
        exec.cluster = Some(ExecAuthCluster::try_from(cluster)?);
    }
    Ok(user)
}

fn token(path: String) -> Result<String, ReadError> {
    let why = match std::fs::read_to_string(&path) {
        // A file ends with a line break, which no header may have.
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => "it is empty".into(),
        Err(error) => error.to_string(),
    };
    Err(ReadError::NoToken { path, why })
}

fn base64(path: &str, what: fn(LoadDataError) -> Kube) -> Result<String, ReadError> {
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|error| what(LoadDataError::ReadFile(error, path.into())))?;
    let text = serde_json::to_value(ByteString(bytes));
    let text = text.ok().and_then(|text| text.as_str().map(str::to_owned));
    Ok(text.expect("bytes are written as a string"))
}

/// When a certificate ends, Unix time; one that cannot be read is found out when it is used.
fn end(base64: &str) -> Option<i64> {
    let ByteString(pem) = serde_json::from_value(base64.into()).ok()?;
    let first = CertificateDer::from_pem_slice(&pem).ok()?;
    Some(Certificate::read(&first).ok()?.not_after())
}

/// The certificates that servers' must be signed by; none where the system's count.
fn authority(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, ReadError> {
    let Some(pem) = ExecAuthCluster::try_from(cluster)?.certificate_authority_data else {
        return Ok(None);
    };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem)
        .map(|one| one.map(|one| one.to_vec()))
        .collect();
    match all {
        Ok(all) if all.is_empty() => Err(ReadError::Authority(
            rustls::pki_types::pem::Error::NoItemsFound,
        )),
        Ok(all) => Ok(Some(all)),
        Err(error) => Err(ReadError::Authority(error)),
    }
}

#[cfg(test)]
mod tests;
