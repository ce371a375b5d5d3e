//! Handshakes over loopback, and files that change.

use std::{io, path::Path, sync::Arc, time::SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const YEAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes `<name>.crt` and `<name>.key`.
    fn issue(&self, dir: &Path, name: &str, end: SystemTime) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let uri = format!("spiffe://corp/{name}");
        params.subject_alt_names = vec![
            SanType::DnsName(name.try_into().unwrap()),
            SanType::URI(uri.as_str().try_into().unwrap()),
        ];
        params.not_before = (SystemTime::now() - YEAR).into();
        params.not_after = end.into();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.crt")), cert.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A server and a client with certificates of one authority.
struct Bench {
    dir: TempDir,
    ca: Ca,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            ca: Ca::new(),
        };
        std::fs::write(bench.path("ca"), &bench.ca.pem).unwrap();
        for name in ["server", "client"] {
            bench.ca.issue(bench.dir.path(), name, later());
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self) -> Result<ServerCredentials, TlsError> {
        let config = ServerTlsConfig {
            cert_file: self.path("server.crt"),
            key_file: self.path("server.key"),
            ca_file: self.path("ca"),
        };
        ServerCredentials::server("grpc.tls", &config, Shown::default())
    }

    fn client_config(&self) -> ClientTlsConfig {
        ClientTlsConfig {
            ca_file: Some(self.path("ca")),
            cert_file: Some(self.path("client.crt")),
            key_file: Some(self.path("client.key")),
            server_name: None,
        }
    }

    fn client(&self) -> ClientCredentials {
        ClientCredentials::client("watcherTls", &self.client_config(), Shown::default()).unwrap()
    }
}

fn later() -> SystemTime {
    SystemTime::now() + YEAR
}

/// One handshake and one byte from the server: what the client has, and the server.
async fn meet(
    server: &ServerCredentials,
    client: &ClientCredentials,
    name: &str,
) -> (Result<Vec<String>, String>, Result<(), String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(server.current());
    let (connector, name) = (
        TlsConnector::from(client.current()),
        ServerName::try_from(name.to_owned()).unwrap(),
    );
    let serving = async {
        let (stream, _) = listener.accept().await?;
        let mut stream = acceptor.accept(stream).await?;
        stream.write_all(b"x").await?;
        stream.shutdown().await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        Ok(Certificate::read(&shown[0]).unwrap().names().to_vec())
    };
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = connector.connect(name, stream).await?;
        stream.read_u8().await.map(drop)
    };
    let (inside, connected): (io::Result<Vec<String>>, io::Result<()>) =
        tokio::join!(serving, connecting);
    let words = |error: io::Error, section| explain(&error, section).unwrap_or(error.to_string());
    (
        inside.map_err(|error| words(error, "grpc.tls")),
        connected.map_err(|error| words(error, "watcherTls")),
    )
}

#[tokio::test]
async fn both_sides_know_each_other_by_their_certificates() {
    let bench = Bench::new();
    let (inside, connected) = meet(&bench.server().unwrap(), &bench.client(), "server").await;
    assert_eq!(connected, Ok(()));
    assert_eq!(inside.unwrap(), ["client", "spiffe://corp/client"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_peer_is_said_with_the_remedy() {
    let bench = Bench::new();
    let server = bench.server().unwrap();
    let (_, wrong_name) = meet(&server, &bench.client(), "other").await;
    let error = wrong_name.unwrap_err();
    assert!(error.contains("watcherTls.serverName"), "{error}");

    let nobody = ClientTlsConfig {
        cert_file: None,
        key_file: None,
        ..bench.client_config()
    };
    let nobody = ClientCredentials::client("watcherTls", &nobody, Shown::default()).unwrap();
    let (inside, connected) = meet(&server, &nobody, "server").await;
    assert!(inside.unwrap_err().contains("shows no certificate"));
    let error = connected.unwrap_err();
    assert!(
        error.contains("is missing: check `watcherTls.certFile`"),
        "{error}"
    );

    let stranger = Bench::new();
    let (_, connected) = meet(&server, &stranger.client(), "server").await;
    let error = connected.unwrap_err();
    assert!(error.contains("not in `watcherTls.caFile`"), "{error}");

    // Trusts this server, but comes from elsewhere.
    std::fs::write(stranger.path("ca"), &bench.ca.pem).unwrap();
    let (inside, connected) = meet(&server, &stranger.client(), "server").await;
    let error = inside.unwrap_err();
    assert!(error.contains("not in `grpc.tls.caFile`"), "{error}");
    let error = connected.unwrap_err();
    assert!(
        error.contains("an authority that it does not trust"),
        "{error}"
    );
}

#[tokio::test]
async fn new_files_are_taken_when_they_are_whole() {
    let bench = Bench::new();
    let (server, client) = (bench.server().unwrap(), bench.client());
    let next = Ca::new();
    next.issue(bench.dir.path(), "server", later());
    // The key is the new one, the certificate half of it.
    let cert = std::fs::read(bench.path("server.crt")).unwrap();
    std::fs::write(bench.path("server.crt"), &cert[..cert.len() / 2]).unwrap();
    let (_, connected) = meet(&server, &client, "server").await;
    assert_eq!(connected, Ok(()), "the last good one stays");
    assert_eq!(server.shown.stale.get(), 1);

    std::fs::write(bench.path("server.crt"), &cert).unwrap();
    let (_, connected) = meet(&server, &client, "server").await;
    let error = connected.unwrap_err();
    assert!(
        error.contains("watcherTls.caFile"),
        "the new one is shown: {error}"
    );
    assert_eq!(server.shown.stale.get(), 0);

    let both = format!("{}{}", bench.ca.pem, next.pem);
    std::fs::write(bench.path("ca"), both).unwrap();
    let (_, connected) = meet(&server, &client, "server").await;
    assert_eq!(connected, Ok(()), "the client trusts both now");
}

#[tokio::test]
async fn an_authority_that_was_taken_away_lets_nobody_in() {
    let bench = Bench::new();
    let (server, client) = (bench.server().unwrap(), bench.client());
    assert_eq!(meet(&server, &client, "server").await.1, Ok(()));
    // The client still trusts the server; the server trusts others now.
    let config = Arc::new(bench.path("ca-of-the-client"));
    std::fs::write(&*config, &bench.ca.pem).unwrap();
    let trusting = ClientTlsConfig {
        ca_file: Some(config.to_path_buf()),
        ..bench.client_config()
    };
    let client = ClientCredentials::client("watcherTls", &trusting, Shown::default()).unwrap();
    assert_eq!(meet(&server, &client, "server").await.1, Ok(()));
    std::fs::write(bench.path("ca"), Ca::new().pem).unwrap();
    assert!(meet(&server, &client, "server").await.0.is_err());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let bench = Bench::new();
    let good = std::fs::read(bench.path("server.crt")).unwrap();
    let key = std::fs::read(bench.path("client.key")).unwrap();
    let cases: [(&str, &[u8], &str); 5] = [
        ("server.crt", b"", "holds no certificate"),
        ("server.crt", &good[..good.len() / 2], "is not whole"),
        ("server.key", b"junk", "holds no private key"),
        ("server.key", &key, "`grpc.tls` cannot be used"),
        ("ca", b"junk", "holds no certificate"),
    ];
    for (name, content, wanted) in cases {
        let path = bench.path(name);
        let before = std::fs::read(&path).unwrap();
        std::fs::write(&path, content).unwrap();
        let error = bench.server().unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("grpc.tls"),
            "{name}: {error}"
        );
        std::fs::write(&path, before).unwrap();
    }
    std::fs::remove_file(bench.path("ca")).unwrap();
    let error = bench.server().unwrap_err().to_string();
    assert!(error.contains("cannot read `grpc.tls.caFile`"), "{error}");
}

#[test]
fn a_certificate_that_has_ended_is_refused_with_its_end() {
    let bench = Bench::new();
    let past = SystemTime::now() - YEAR / 2;
    bench.ca.issue(bench.dir.path(), "server", past);
    let error = bench.server().unwrap_err().to_string();
    assert!(
        error.contains("ended at 20") && error.contains("renew"),
        "{error}"
    );
}

#[test]
fn half_a_pair_is_refused() {
    let bench = Bench::new();
    let half = ClientTlsConfig {
        key_file: None,
        ..bench.client_config()
    };
    let error = ClientCredentials::client("amqp.tls", &half, Shown::default()).unwrap_err();
    assert!(error.to_string().contains("`amqp.tls.keyFile` is missing"));
    let none = ClientTlsConfig::default();
    let error = ClientCredentials::client("amqp.tls", &none, Shown::default()).unwrap_err();
    assert!(error.to_string().contains("`amqp.tls.caFile` is missing"));
}
