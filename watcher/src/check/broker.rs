//! Whether the broker lets the watcher in and has what it needs.

use isc_runtime::{
    admin::Readiness,
    amqp::{AmqpError, Connector},
};

use super::Report;
use crate::{Prepared, config::WatcherConfig};

/// Connects, and declares what a watcher declares at its start, which changes nothing where it is there.
pub(super) async fn probe(config: &WatcherConfig, prepared: &Prepared, report: &mut Report) {
    let part = Readiness::default().part("rabbitmq");
    let name = format!("isc-watcher {} check", config.instance);
    let connector = Connector::new(
        config.amqp.clone(),
        prepared.credentials.clone(),
        name,
        part,
    );
    let names: Vec<String> = {
        let services = prepared.services.borrow();
        services
            .iter()
            .map(|service| service.name.clone())
            .collect()
    };
    match connector.probe(&prepared.topology, &names).await {
        Ok(address) => report.fine(format!(
            "RabbitMQ {address}: connected, exchanges and {} queues declared",
            names.len()
        )),
        Err(error) => report.missing(format!("RabbitMQ: {error}{}", remedy(&error))),
    }
}

fn remedy(error: &AmqpError) -> &'static str {
    let text = error.to_string();
    if text.contains("ACCESS_REFUSED") || text.contains("ACCESS-REFUSED") {
        "; check user and password, and let the user configure, write and read what starts with `amqp.prefix`"
    } else if text.contains("PRECONDITION_FAILED") || text.contains("PRECONDITION-FAILED") {
        "; a queue or exchange of that name has other arguments: delete it, or choose another `amqp.prefix`"
    } else {
        ""
    }
}
