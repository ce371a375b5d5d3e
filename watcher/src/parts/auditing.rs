//! The part that writes the audit: the first that starts with the lead, and the last that is needed.

use super::{MARK, Parts};
use crate::{audit, config::WatcherConfig, kcp::Clients};

/// Its name.
const AUDIT: &str = "the audit";

// === impl Parts ===

impl Parts {
    /// From here on every decision is told.
    pub(super) fn auditor(&mut self, config: &WatcherConfig, clients: &Clients) {
        let Some(wanted) = &config.audit else {
            return;
        };
        let (paths, metrics) = (clients.paths().clone(), self.common.metrics.clone());
        let (auditor, writer) = audit::start(wanted, &config.instance, paths, metrics);
        auditor.serving();
        self.audit = auditor;
        self.add(AUDIT, writer.run(self.audited.clone()));
    }

    /// What was decided is told, however this watcher ends.
    pub(super) async fn last_lines(&mut self) {
        self.audit.stopped(false);
        self.audited.cancel();
        // Parts that were not told to end come to none.
        let written = async {
            while let Some(ended) = self.running.join_next().await {
                if matches!(ended, Ok((AUDIT, _))) {
                    break;
                }
            }
        };
        if self.audit.is_on() && tokio::time::timeout(MARK, written).await.is_err() {
            tracing::warn!("the last lines of the audit were not written in time");
        }
    }
}
