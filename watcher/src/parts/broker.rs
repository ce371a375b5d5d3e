//! The parts that talk to the broker.

use isc_runtime::amqp::{BrokerState, Connector, Topology};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::Parts;
use crate::{
    config::WatcherConfig,
    dead::DeadLetters,
    engine::Input,
    kcp::Services,
    tickets::{Offer, Publisher},
};

// === impl Parts ===

impl Parts {
    /// Starts the publisher; returns the state of its connection.
    pub(super) fn publisher(
        &mut self,
        config: &WatcherConfig,
        (topology, services): (Topology, Services),
        inputs: &mpsc::Sender<Input>,
        offers: mpsc::Receiver<Offer>,
    ) -> watch::Receiver<BrokerState> {
        let rest = self.common.rest.clone();
        let connector = self.connector(config, "", "rabbitmq");
        let state = connector.state();
        let publisher = Publisher {
            instance: config.instance.clone(),
            topology,
            services,
            offers,
            inputs: inputs.clone(),
            metrics: self.common.metrics.clone(),
            spans: self.common.spans.clone(),
            stop: rest.clone(),
            declared: Instant::now(),
        };
        self.add("the publisher", async move {
            connector.supervise(rest, publisher).await;
            Ok(())
        });
        state
    }

    /// Starts the consumer of dead letters.
    pub(super) fn dead_letters(
        &mut self,
        config: &WatcherConfig,
        topology: Topology,
        inputs: &mpsc::Sender<Input>,
        mut publishing: watch::Receiver<BrokerState>,
    ) {
        let rest = self.common.rest.clone();
        let connector = self.connector(config, " dead letters", "rabbitmq dead letters");
        let letters = DeadLetters {
            instance: config.instance.clone(),
            topology,
            inputs: inputs.clone(),
            metrics: self.common.metrics.clone(),
            stop: rest.clone(),
        };
        self.add("the consumer of dead letters", async move {
            // One connection tries until there is a broker; two would say everything twice.
            let there = publishing.wait_for(BrokerState::is_connected);
            if rest.run_until_cancelled(there).await.is_some() {
                connector.supervise(rest, letters).await;
            }
            Ok(())
        });
    }

    fn connector(&self, config: &WatcherConfig, purpose: &str, part: &'static str) -> Connector {
        let name = format!("isc-watcher {}{purpose}", config.instance);
        let part = self.common.readiness.part(part);
        Connector::new(config.amqp.clone(), self.credentials.clone(), name, part)
    }
}
