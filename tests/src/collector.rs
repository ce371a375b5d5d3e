//! A collector of traces, as far as OTLP over gRPC goes: it keeps what it is sent, or refuses it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use crate::{
    pki::{Authority, Issued},
    wait,
};

/// A running collector; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    /// For `tracing.endpoint`.
    pub url: String,
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
struct Kept {
    spans: Arc<Mutex<Vec<Seen>>>,
    /// Why nothing is kept.
    refusal: Option<&'static str>,
}

// === impl Collector ===

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        Self::serve(Server::builder(), "http://127.0.0.1", Kept::default()).await
    }

    /// Starts one that takes no span and says these words.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn refusing(words: &'static str) -> Result<Self> {
        let kept = Kept {
            refusal: Some(words),
            ..Kept::default()
        };
        Self::serve(Server::builder(), "http://127.0.0.1", kept).await
    }

    /// Starts one as `localhost` that takes spans only from whom the authority has given a certificate.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn encrypted(own: &Issued, clients: &Authority) -> Result<Self> {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&own.cert, &own.key))
            .client_ca_root(Certificate::from_pem(&clients.pem));
        let server = Server::builder().tls_config(tls)?;
        Self::serve(server, "https://localhost", Kept::default()).await
    }

    async fn serve(mut server: Server, name: &str, kept: Kept) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let serving = server
            .add_service(TraceServiceServer::new(kept.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        let mut server = JoinSet::new();
        server.spawn(async {
            if let Err(error) = serving.await {
                eprintln!("the collector ended: {error}");
            }
        });
        Ok(Self {
            url: format!("{name}:{port}"),
            kept,
            _server: server,
        })
    }

    /// What was sent so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        self.kept.spans().clone()
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

impl Kept {
    fn spans(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if let Some(words) = self.refusal {
            return Err(Status::permission_denied(words));
        }
        let mut kept = self.spans();
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
