//! What the end-to-end tests, the demo and the benchmark share: a real kcp and a real RabbitMQ on
//! loopback, workspaces with the API bound, real `isc-watcher` and `isc-worker` processes.
//!
//! It knows the product from outside only: its binaries, its manifests, its API and its metrics. The one
//! exception is the program `isc-handlers`, which is a worker made with the product's library.

pub mod chaos;
pub mod collector;
pub mod environment;
pub mod exports;
pub mod front;
pub mod hostile;
pub mod identity;
pub mod interrupted;
pub mod isc;
pub mod kind;
pub mod ledger;
pub mod manifests;
pub mod metrics;
pub mod net;
pub mod outlet;
pub mod pki;
pub mod process;
pub mod provider;
pub mod rights;
pub mod scene;
pub mod servers;
pub mod shown;
pub mod team;
pub mod trail;
pub mod usage;
pub mod wait;
pub mod work;

pub use collector::Collector;
pub use environment::Environment;
pub use front::Front;
pub use identity::Who;
pub use isc::{Watcher, Worker};
pub use kind::Kind;
pub use metrics::Metrics;
pub use outlet::Outlet;
pub use process::Process;
pub use provider::Provider;
pub use scene::Scene;
pub use team::Team;
