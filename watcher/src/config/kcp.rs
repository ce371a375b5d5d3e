//! The `kcp` section: where requests come from.

use isc_runtime::{config::ConfigError, services::is_dns_label};
use serde::Deserialize;

use crate::kcp::Served;

/// The `kcp` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KcpConfig {
    /// How requests are reached. Default: told by KUBECONFIG and the API server.
    pub mode: Option<Mode>,
    /// The name of the `APIExportEndpointSlice` in the workspace that KUBECONFIG points at. kcp gives it
    /// the export's name. Default `internal.services`.
    pub endpoint_slice: String,
    /// Only the requests in these namespaces, which needs no more rights than a Role in each; `kubernetes`
    /// mode alone. Default: all namespaces.
    pub namespaces: Vec<String>,
    /// Kinds besides `Request` that look like it: the same spec and status. Default none.
    pub resources: Vec<ResourceConfig>,
    /// How long the requests of an endpoint that vanished from the slice, or of a kind that is not served
    /// any more, are kept, seconds. Default 300.
    pub suspect_seconds: u64,
}

/// How requests are reached.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// KUBECONFIG is of a kcp workspace with the export; its endpoint slices tell where requests are.
    Kcp,
    /// KUBECONFIG is of one virtual workspace: `.../services/apiexport/<cluster>/<export>`.
    Static,
    /// KUBECONFIG is of an API server that has the CRD: a plain cluster, or one kcp workspace.
    Kubernetes,
}

/// A kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceConfig {
    /// As in `signing.example.com`.
    pub group: String,
    /// As in `v1`.
    pub version: String,
    /// The resource, as in `signingrequests`.
    pub plural: String,
    /// As in `SigningRequest`.
    pub kind: String,
    /// The endpoint slice of the export that has it. Default: that of `Request`.
    #[serde(default)]
    pub endpoint_slice: Option<String>,
}

impl Default for KcpConfig {
    fn default() -> Self {
        Self {
            mode: None,
            endpoint_slice: isc_core::api::GROUP.into(),
            namespaces: vec![],
            resources: vec![],
            suspect_seconds: 300,
        }
    }
}

// === impl KcpConfig ===

impl KcpConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rule = |text: String| Err(ConfigError::Rule(text));
        if let Some(odd) = self.namespaces.iter().find(|name| !is_dns_label(name)) {
            return rule(format!(
                "`kcp.namespaces` names `{odd}`, which is no namespace: use a-z, 0-9 and -"
            ));
        }
        if !self.namespaces.is_empty() && self.mode.is_some_and(|mode| mode != Mode::Kubernetes) {
            return rule(
                "`kcp.namespaces` works in `kcp.mode: kubernetes` only: a virtual workspace is listed as a whole"
                    .into(),
            );
        }
        for resource in &self.resources {
            let dotted = |name: &str| !name.is_empty() && name.split('.').all(is_dns_label);
            let names = [
                (
                    "group",
                    resource.group.contains('.') && dotted(&resource.group),
                ),
                ("version", is_dns_label(&resource.version)),
                ("plural", is_dns_label(&resource.plural)),
                ("kind", is_dns_label(&resource.kind.to_lowercase())),
            ];
            if let Some((key, _)) = names.iter().find(|(_, good)| !good) {
                return rule(format!(
                    "`kcp.resources` has a `{key}` that is none ({}.{}): copy group, version, plural and kind \
                     from the resource's schema",
                    resource.plural, resource.group
                ));
            }
        }
        Ok(())
    }

    /// The name of the slice of a kind that names that one, or none.
    pub(crate) fn slice<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        named.unwrap_or(&self.endpoint_slice)
    }

    /// The kinds that are served.
    pub(crate) fn served(&self) -> Vec<Served> {
        let others = self.resources.iter().map(|resource| Served {
            group: resource.group.clone(),
            version: resource.version.clone(),
            plural: resource.plural.clone(),
            kind: resource.kind.clone(),
            slice: resource.endpoint_slice.clone(),
        });
        std::iter::once(Served::request()).chain(others).collect()
    }
}
