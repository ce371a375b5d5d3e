//! The admin server: `/livez`, `/readyz` and `/metrics`.
//!
//! Live means that the process serves; nothing outside of it can end that. Ready means that every named
//! dependency is there; the body names those that are not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The dependencies of a process and whether each is there. Cheap to clone; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<String, String>>>>,
}

/// One dependency's switch.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    readiness: Readiness,
}

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    registry: Arc<Registry>,
}

// === impl Readiness ===

impl Readiness {
    /// Adds a dependency, not ready yet.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part {
            name,
            readiness: self.clone(),
        };
        part.not_ready("not there yet");
        part
    }

    /// Whether all is there, and a line per dependency.
    #[must_use]
    pub fn report(&self) -> (bool, String) {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(name, state): (&&str, &Result<String, String>)| match state {
            Ok(note) => format!("{name}: ok{note}\n"),
            Err(why) => format!("{name}: {why}\n"),
        };
        (
            parts.values().all(Result::is_ok),
            parts.iter().map(line).collect(),
        )
    }
}

// === impl Part ===

impl Part {
    /// It is there.
    pub fn ready(&self) {
        self.set(Ok(String::new()));
    }

    /// It is there, but something is wrong with it that is no reason to take this process out of use.
    pub fn ready_but(&self, note: &str) {
        self.set(Ok(format!(", but {note}")));
    }

    /// It is not there, and why.
    pub fn not_ready(&self, why: &str) {
        self.set(Err(why.to_owned()));
    }

    fn set(&self, state: Result<String, String>) {
        let mut parts = self
            .readiness
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        parts.insert(self.name, state);
    }
}

/// Serves until the token is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin {
            readiness,
            registry,
        });
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    let (ready, text) = admin.readiness.report();
    (
        if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        text,
    )
}

async fn metrics(
    State(admin): State<Admin>,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let mut text = String::new();
    let kind = [(
        "content-type",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )];
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => (StatusCode::OK, kind, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, kind, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing() {
        let readiness = Readiness::default();
        let (kcp, broker) = (readiness.part("kcp"), readiness.part("rabbitmq"));
        kcp.ready();
        assert_eq!(
            readiness.report(),
            (false, "kcp: ok\nrabbitmq: not there yet\n".into())
        );
        broker.ready();
        assert!(readiness.report().0);
        kcp.not_ready("403 Forbidden");
        assert_eq!(
            readiness.report(),
            (false, "kcp: 403 Forbidden\nrabbitmq: ok\n".into())
        );
        kcp.ready_but("slow");
        assert_eq!(
            readiness.report(),
            (true, "kcp: ok, but slow\nrabbitmq: ok\n".into())
        );
    }
}
