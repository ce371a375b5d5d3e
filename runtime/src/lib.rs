//! What watcher and worker need word for word: configuration, the catalogue of services, telemetry,
//! shutdown, the admin server, what each process tells of itself, back-off, the limits of expressions, certificates,
//! and the one place that talks to the broker's connection.

pub mod admin;
pub mod amqp;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod expression;
pub mod files;
pub mod metrics;
pub mod nag;
pub mod services;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod trace;
