//! The `election` section: several watchers, of which one leads.

use std::path::PathBuf;

use isc_runtime::config::ConfigError;
use serde::Deserialize;

use super::LeaseConfig;

/// After a watcher has begun to lead, its workers find it within that time, seconds: a pause between two
/// tries (3), and the address of a watcher that stands still (5).
const RECONNECT_SECONDS: u64 = 8;

/// The `election` section. Without it this watcher is the only one, and always leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ElectionConfig {
    /// The kubeconfig of the private cluster, where the Lease `isc-<instance>-leader` is. Default: the
    /// cluster that this process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace of the Lease. Default: that of the kubeconfig, or of the pod.
    pub namespace: Option<String>,
    /// A leader that was silent for so long is followed by another one, seconds. Default 8.
    pub lease_seconds: u64,
    /// How often the leader renews its Lease and the others look at it, milliseconds. Default 1000.
    pub retry_ms: u64,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            namespace: None,
            lease_seconds: 8,
            retry_ms: 1000,
        }
    }
}

// === impl ElectionConfig ===

impl ElectionConfig {
    pub(super) fn check(&self, lease: &LeaseConfig) -> Result<(), ConfigError> {
        let rule = |text: String| Err(ConfigError::Rule(text));
        if self.retry_ms < 100 || self.lease_seconds.saturating_mul(1000) < 3 * self.retry_ms {
            return rule(
                "`election.leaseSeconds` must be at least three times `election.retryMs`, which must be at least 100"
                    .into(),
            );
        }
        let change = self.lease_seconds + self.retry_ms.div_ceil(1000) + RECONNECT_SECONDS;
        // A leader that stands still is found by a heartbeat that it does not answer.
        let silence = lease.seconds.div_ceil(4).max(2) + RECONNECT_SECONDS;
        let most = lease.seconds.saturating_sub(lease.heartbeat_seconds);
        if change.max(silence) > most {
            return rule(format!(
                "a change of the leader takes its workers up to {change} s (`election.leaseSeconds`, \
                 `election.retryMs` and {RECONNECT_SECONDS} s), or {silence} s when it only stands still; \
                 neither may be more than `lease.seconds` minus `lease.heartbeatSeconds` ({most} s), or running \
                 jobs end with it: shorten the ones or lengthen the others"
            ));
        }
        Ok(())
    }
}
