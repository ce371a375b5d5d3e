//! `isc-watcher check`: tries everything that a watcher needs, changes nothing of it, and prints what is missing.

mod broker;
mod report;

use std::{path::Path, sync::Arc};

use prometheus_client::registry::Registry;

use crate::{
    Prepared, WatcherError, access::Access, config::WatcherConfig, election, election::Lead, kcp,
    metrics::Metrics, ports::Ports, prepare,
};
pub use report::Report;

/// Tries it: files first, then the API server with each right, the broker, the election.
///
/// # Errors
/// What is wrong with the configuration or a file that it names; nothing is tried then.
pub async fn check(config: &WatcherConfig, file: Option<&Path>) -> Result<Report, WatcherError> {
    let metrics = Arc::new(Metrics::new(&mut Registry::default()));
    // It writes nothing, so nobody's lead is in the way.
    let lead = Lead::default();
    lead.win_for_ever();
    let access = Access::named(metrics.clone());
    let prepared = prepare(config, file, metrics.clone(), (access, lead))?;
    Ports::check(config, &metrics)?;
    let mut report = Report::default();
    files(config, &prepared, &mut report);
    kcp::probe(&prepared.clients, config, &mut report).await;
    broker::probe(config, &prepared, &mut report).await;
    if let Some(of) = &config.election {
        election::probe(of, &config.instance, metrics, &mut report).await?;
    }
    Ok(report)
}

fn files(config: &WatcherConfig, prepared: &Prepared, report: &mut Report) {
    let services = prepared.services.borrow().iter().count();
    let policy = prepared.policy.borrow().clone();
    report.fine(format!(
        "configuration: {services} services in {}, {} rules from {}",
        config.services_dir.display(),
        policy.len(),
        policy.origin()
    ));
    for warning in policy.warnings() {
        report.note(warning);
    }
    if config.grpc.plaintext {
        report.note(
            "`grpc.plaintext`: whoever reaches the port is a worker, with access to all requests"
                .into(),
        );
    }
}
