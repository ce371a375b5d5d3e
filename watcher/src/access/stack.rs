//! The HTTP client below all calls to an API server.
//!
//! Kube's own keeps a connection that nobody uses for 90 s, and sends nothing on one that only waits. A proxy
//! or a firewall forgets such connections, some without a word; what is sent on one of them is answered never.

use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        Builder,
        connect::{Connection, HttpConnector, proxy::Tunnel},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
};
use tower::{BoxError, Service, ServiceBuilder};

use super::proxy::Proxy;

/// A connection that nobody has used for so long is not used again, before anybody between forgets it. It is
/// closed within twice that time.
const IDLE: Duration = Duration::from_secs(10);
/// One that only waits is asked whether the other end of it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// So often, before it counts as gone.
const PROBES: u32 = 3;

/// A client of the server that the configuration names, directly or through that proxy.
///
/// # Errors
/// When the credentials cannot be used.
pub(super) fn client(config: &Config, proxy: Option<&Proxy>) -> Result<Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(PROBES));
    let Some(way) = proxy.and_then(|proxy| proxy.way_to(&config.cluster_url)) else {
        return over(tcp, config);
    };
    let auth = way.basic_auth().cloned();
    // The proxy's own certificate is judged like the server's, as kubectl does it.
    if way.uri().scheme_str() == Some("https") {
        let tls = config.rustls_https_connector_with_connector(tcp)?;
        let tunnel = Tunnel::new(way.uri().clone(), tls);
        return match auth {
            Some(auth) => over(tunnel.with_auth(auth), config),
            None => over(tunnel, config),
        };
    }
    let tunnel = Tunnel::new(way.uri().clone(), tcp);
    match auth {
        Some(auth) => over(tunnel.with_auth(auth), config),
        None => over(tunnel, config),
    }
}

fn over<C>(connector: C, config: &Config) -> Result<Client, kube::Error>
where
    C: Service<http::Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let tls = config.rustls_https_connector_with_connector(connector)?;
    let mut timed = TimeoutConnector::new(tls);
    timed.set_connect_timeout(config.connect_timeout);
    timed.set_write_timeout(config.write_timeout);
    let client = Builder::new(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build::<_, Body>(timed);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace.clone()))
}
