//! A collector of traces, as far as OTLP over gRPC goes: it keeps what it is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::wait;

/// A running collector; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    kept: Kept,
    _server: JoinSet<()>,
}

/// A span that was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `service.name` of the process.
    pub process: String,
    /// All of it.
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<Seen>>>);

// === impl Collector ===

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let kept = Kept::default();
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        let mut server = JoinSet::new();
        server.spawn(async {
            if let Err(error) = serving.await {
                eprintln!("the collector ended: {error}");
            }
        });
        Ok(Self {
            address,
            kept,
            _server: server,
        })
    }

    /// For `tracing.endpoint`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was sent so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        let kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    /// Waits until spans with all these names were sent that are part of the trace of a request, and returns all
    /// spans of that trace.
    ///
    /// # Errors
    /// After a minute, with the names that there are.
    pub async fn trace_of(&self, uid: &str, names: &[&str]) -> Result<Vec<Seen>> {
        let what = format!("the spans {names:?} are there");
        wait::until(&what, wait::USUAL, async || {
            let all = self.spans();
            let of_request = |seen: &&Seen| seen.attribute("isc.request.uid") == Some(uid.into());
            let one = all.iter().find(of_request).context("none of the request")?;
            let trace: Vec<_> = all
                .iter()
                .filter(|seen| seen.span.trace_id == one.span.trace_id)
                .cloned()
                .collect();
            for name in names {
                let there = trace.iter().map(|seen| &*seen.span.name);
                let there: Vec<_> = there.collect();
                anyhow::ensure!(there.contains(name), "there are {there:?}");
            }
            Ok(trace)
        })
        .await
    }
}

// === impl Seen ===

impl Seen {
    /// The trace's id.
    #[must_use]
    pub fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// Its own id.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// Its parent's id, empty when it has none.
    #[must_use]
    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        self.span.kind()
    }

    /// An attribute that is a text.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<String> {
        text(&self.span.attributes, key)
    }
}

// === impl Kept ===

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_process in request.into_inner().resource_spans {
            let resource = of_process.resource.unwrap_or_default();
            let process = text(&resource.attributes, "service.name").unwrap_or_default();
            let scopes = of_process.scope_spans.into_iter();
            kept.extend(scopes.flat_map(|scope| scope.spans).map(|span| Seen {
                process: process.clone(),
                span,
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()? {
        AnyValue {
            value: Some(Value::StringValue(text)),
            ..
        } => Some(text.clone()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
