//! The `kcp` section: where requests come from.

use isc_runtime::{config::ConfigError, services::is_dns_label};
use serde::Deserialize;

/// How long a watch may last, seconds. kube asks for no longer.
const WATCH: (u32, u32) = (5, 290);

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
    /// How long the requests of an endpoint that vanished from the slice, or of a kind that is not served
    /// any more, are kept, seconds. Default 300.
    pub suspect_seconds: u64,
    /// A watch is asked for anew after so long, so that one that a proxy has forgotten is noticed, and its
    /// connection is never idle for longer. Default 50.
    pub watch_seconds: u32,
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

impl Default for KcpConfig {
    fn default() -> Self {
        Self {
            mode: None,
            endpoint_slice: isc_core::api::GROUP.into(),
            namespaces: vec![],
            suspect_seconds: 300,
            watch_seconds: 50,
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
        if !(WATCH.0..=WATCH.1).contains(&self.watch_seconds) {
            return rule(format!(
                "`kcp.watchSeconds` is {}: use {} to {}",
                self.watch_seconds, WATCH.0, WATCH.1
            ));
        }
        Ok(())
    }

    /// The name of the slice of a kind that names that one, or none.
    pub(crate) fn slice<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        named.unwrap_or(&self.endpoint_slice)
    }
}
