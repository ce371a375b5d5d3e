//! A reverse proxy before kcp that can answer in its place, and that remembers what it was asked.
//!
//! It speaks plain HTTP to whoever comes and TLS to kcp, and passes tokens on. The endpoint slices that pass
//! through it name it instead of kcp, so a watcher with its kubeconfig talks to nobody else.

mod server;

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use self::server::Shared;
use crate::{Environment, Provider, Who, net, provider::write_kubeconfig};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// `GET`, say.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The token that came with it.
    pub token: Option<String>,
    /// What was answered in kcp's place.
    pub refused: Option<u16>,
}

/// An answer in kcp's place.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The code.
    pub code: u16,
    /// More headers, each `Name: value` and the end of its line.
    pub headers: Vec<String>,
    /// The body; one that is empty becomes a Status with that code.
    pub body: String,
}

/// A running front. It ends when it is dropped.
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    /// The servers, kcp as it is reached through it.
    pub env: Environment,
    shared: Shared,
    _tasks: JoinSet<()>,
}

// === impl Front ===

impl Front {
    /// Begins to listen, for the kcp of these servers.
    ///
    /// # Errors
    /// When kcp's certificate cannot be read, or there is no free port.
    pub async fn start(env: &Environment) -> Result<Self> {
        let address = net::free_address()?;
        let shared = Shared::new(env, address).await?;
        let tasks = shared.serve().await?;
        Ok(Self {
            address,
            env: Environment {
                kcp_url: format!("http://{address}"),
                ..env.clone()
            },
            shared,
            _tasks: tasks,
        })
    }

    /// Makes that provider's kubeconfig for the watcher lead here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn lead_to(&self, provider: &Provider) -> Result<()> {
        let config = Who::Controller.kubeconfig(&self.env, &provider.path)?;
        write_kubeconfig(&provider.kubeconfig, &config)
    }

    /// Answers the next `times` calls that are wanted in kcp's place. Faults are looked at in order.
    pub fn answer(
        &self,
        times: usize,
        answer: Answer,
        wanted: impl Fn(&Call) -> bool + Send + 'static,
    ) {
        self.shared.add((Box::new(wanted), answer, times));
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.shared.clear();
    }

    /// Writes a last line into every open watch and ends it; an empty one only ends it.
    pub fn end_watches(&self, line: &str) {
        self.shared.end_watches(line);
    }

    /// What was asked so far, of that kind.
    #[must_use]
    pub fn calls(&self, wanted: impl Fn(&Call) -> bool) -> Vec<Call> {
        let mut calls = self.shared.calls();
        calls.retain(wanted);
        calls
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

// === impl Call ===

impl Call {
    /// Whether it watches requests through the export.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.is_of_all("requests") && self.target.contains("watch=true")
    }

    /// Whether it lists requests through the export, or a page of them.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.is_of_all("requests") && !self.target.contains("watch=true")
    }

    /// Whether it writes a status.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method == "PATCH" && self.target.contains("/status")
    }

    fn is_of_all(&self, plural: &str) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        self.method == "GET" && path.ends_with(&format!("/{plural}"))
    }
}

// === impl Answer ===

impl Answer {
    /// A Status with that code and message.
    #[must_use]
    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message,
        });
        Self {
            code,
            headers: vec![],
            body: status.to_string(),
        }
    }

    /// Plain words, as servers say that are not ready.
    #[must_use]
    pub fn plain(code: u16, words: &str) -> Self {
        Self {
            code,
            headers: vec![],
            body: words.to_owned(),
        }
    }

    /// With `Retry-After`.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.headers.push(format!("Retry-After: {seconds}\r\n"));
        self
    }

    fn text(&self) -> String {
        let more = self.headers.concat();
        let (code, body) = (self.code, &self.body);
        let kind = if body.starts_with('{') {
            "application/json"
        } else {
            "text/plain"
        };
        format!(
            "HTTP/1.1 {code} Answered\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{body}",
            body.len()
        )
    }
}
