//! Files of one use of TLS, kept fresh.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rustls::{
    ClientConfig, ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use tokio_util::sync::CancellationToken;

use super::{
    ClientTlsConfig, ServerTlsConfig, Shown, TlsError,
    material::{Identity, Named, Read},
};
use crate::nag::Nag;

/// How often files are looked at even where nobody connects.
const LOOK: Duration = Duration::from_secs(30);

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What the files of one section say, as a configuration of the TLS library. Read again when they change;
/// what cannot be used is told, and the last good state stays.
pub struct Credentials<T> {
    section: String,
    files: Vec<Named>,
    make: fn(&str, &[Read]) -> Result<Built<T>, TlsError>,
    pub(super) shown: Shown,
    state: Mutex<State<T>>,
}

/// Those of a server.
pub type ServerCredentials = Credentials<ServerConfig>;
/// Those of a client.
pub type ClientCredentials = Credentials<ClientConfig>;

struct Built<T> {
    config: T,
    not_after: Option<i64>,
}

struct State<T> {
    /// What the files held when they were last taken.
    seen: Vec<Vec<u8>>,
    good: Arc<T>,
    not_after: Option<i64>,
    nag: Nag,
}

// === impl Credentials ===

impl ServerCredentials {
    /// Reads a server's files. `section` names them in messages, as in `grpc.tls`.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn server(section: &str, config: &ServerTlsConfig, shown: Shown) -> Result<Self, TlsError> {
        let files = vec![
            Named::new(section, "certFile", &config.cert_file),
            Named::new(section, "keyFile", &config.key_file),
            Named::new(section, "caFile", &config.ca_file),
        ];
        Self::new(section, files, server, shown)
    }
}

impl ClientCredentials {
    /// Reads a client's files. `section` names them in messages, as in `amqp.tls`.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn client(section: &str, config: &ClientTlsConfig, shown: Shown) -> Result<Self, TlsError> {
        let missing = |key: &str, remedy| TlsError::Missing {
            key: format!("{section}.{key}"),
            remedy,
        };
        let ca = config.ca_file.as_ref().ok_or_else(|| {
            missing(
                "caFile",
                "name a PEM file with the authorities that the server's certificate may come from",
            )
        })?;
        let mut files = vec![Named::new(section, "caFile", ca)];
        match (&config.cert_file, &config.key_file) {
            (Some(cert), Some(key)) => files.extend([
                Named::new(section, "certFile", cert),
                Named::new(section, "keyFile", key),
            ]),
            (Some(_), None) => return Err(missing("keyFile", "`certFile` needs its private key")),
            (None, Some(_)) => return Err(missing("certFile", "`keyFile` needs its certificate")),
            (None, None) => {}
        }
        Self::new(section, files, client, shown)
    }
}

impl<T> Credentials<T> {
    fn new(
        section: &str,
        files: Vec<Named>,
        make: fn(&str, &[Read]) -> Result<Built<T>, TlsError>,
        shown: Shown,
    ) -> Result<Self, TlsError> {
        let read: Vec<Read> = files.iter().map(Named::read).collect::<Result<_, _>>()?;
        let built = make(section, &read)?;
        shown.stale.set(0);
        shown.not_after.set(built.not_after.unwrap_or(0));
        Ok(Self {
            section: section.to_owned(),
            files,
            make,
            shown,
            state: Mutex::new(State {
                seen: contents(&read),
                good: Arc::new(built.config),
                not_after: built.not_after,
                nag: Nag::new("usable certificates"),
            }),
        })
    }

    /// What is in force now. Looks at the files, which are small, and takes what they say when it is whole.
    pub fn current(&self) -> Arc<T> {
        let mut state = self.state();
        let read: Result<Vec<Read>, _> = self.files.iter().map(Named::read).collect();
        let taken = read.and_then(|read| self.take(&mut state, &read));
        match taken {
            Ok(()) => {
                self.shown.stale.set(0);
                state.nag.well();
            }
            Err(error) => {
                self.shown.stale.set(1);
                state
                    .nag
                    .trouble(&format!("{error}; the last good ones stay in force"));
            }
        }
        state.good.clone()
    }

    fn take(&self, state: &mut State<T>, read: &[Read]) -> Result<(), TlsError> {
        if read
            .iter()
            .map(Read::bytes)
            .eq(state.seen.iter().map(Vec::as_slice))
        {
            let second = Timestamp::now().as_second();
            return match state.not_after {
                Some(end) if end < second => {
                    Err(unusable(&self.section, "the certificate has ended"))
                }
                _ => Ok(()),
            };
        }
        let built = (self.make)(&self.section, read)?;
        state.seen = contents(read);
        state.good = Arc::new(built.config);
        state.not_after = built.not_after;
        self.shown.not_after.set(built.not_after.unwrap_or(0));
        tracing::info!("new certificates are in force: `{}`", self.section);
        Ok(())
    }

    /// Looks at the files twice a minute until cancelled, so that metrics and the log tell of them in time.
    pub async fn keep_fresh(&self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK))
            .await
            .is_some()
        {
            self.current();
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Credentials<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("section", &self.section)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn contents(read: &[Read]) -> Vec<Vec<u8>> {
    read.iter().map(|read| read.bytes().to_vec()).collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn server(section: &str, read: &[Read]) -> Result<Built<ServerConfig>, TlsError> {
    let [cert, key, ca] = read else {
        return Err(unusable(section, "three files are needed"));
    };
    let Identity { chain, key, leaf } = cert.identity(key)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()?), provider()).build();
    let verifier = verifier.map_err(|error| unusable(section, error))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)
        .map_err(|error| unusable(section, error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| unusable(section, error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would not look at the client's certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Built {
        config,
        not_after: Some(leaf.not_after()),
    })
}

fn client(section: &str, read: &[Read]) -> Result<Built<ClientConfig>, TlsError> {
    let (ca, own) = read
        .split_first()
        .ok_or_else(|| unusable(section, "no files"))?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)
        .map_err(|error| unusable(section, error))?
        .with_root_certificates(ca.roots()?);
    let (config, not_after) = match own {
        [cert, key] => {
            let Identity { chain, key, leaf } = cert.identity(key)?;
            let config = builder.with_client_auth_cert(chain, key);
            (
                config.map_err(|error| unusable(section, error))?,
                Some(leaf.not_after()),
            )
        }
        _ => (builder.with_no_client_auth(), None),
    };
    Ok(Built { config, not_after })
}

fn unusable(section: &str, why: impl fmt::Display) -> TlsError {
    TlsError::Unusable {
        section: section.to_owned(),
        why: why.to_string(),
    }
}
