//! Certificates of test authorities, made as an operator's tool would: short-lived, with names.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use crate::{environment::Broker, isc::set};

/// How long certificates last.
const USUAL: Duration = Duration::from_secs(24 * 3600);

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub pem: String,
    key: String,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, PEM.
    pub cert: String,
    /// Its private key, PEM.
    pub key: String,
}

/// Files of a certificate, its key and the authority of the other side.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of the other side.
    pub ca: PathBuf,
}

// === impl Authority ===

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?;
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            key: key_pem,
        })
    }

    /// Writes it into a folder, for [`Authority::open`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("ca.crt"), &self.pem)?;
        Ok(std::fs::write(folder.join("ca.key"), &self.key)?)
    }

    /// The one that a folder keeps.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let (pem, key) = (read("ca.crt")?, read("ca.key")?);
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key)?)?,
            pem,
            key,
        })
    }

    /// A certificate with these names for a day: those with `://` are URIs, numbers with dots are addresses.
    /// The first one is its common name as well.
    ///
    /// # Errors
    /// When a name is none.
    pub fn issue(&self, names: &[&str]) -> Result<Issued> {
        self.issue_until(names, SystemTime::now() + USUAL)
    }

    /// The same, with another end.
    ///
    /// # Errors
    /// When a name is none.
    pub fn issue_until(&self, names: &[&str], end: SystemTime) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        let first = names.first().copied().unwrap_or("nobody");
        params.distinguished_name.push(DnType::CommonName, first);
        params.subject_alt_names = names.iter().map(|&name| san(name)).collect::<Result<_>>()?;
        params.not_before = (SystemTime::now() - 30 * USUAL).into();
        params.not_after = end.into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            cert: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn san(name: &str) -> Result<SanType> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    Ok(if name.contains("://") {
        SanType::URI(name.try_into()?)
    } else {
        SanType::DnsName(name.try_into()?)
    })
}

// === impl Issued ===

impl Issued {
    /// Writes it beside the authority of the other side, as `<name>.crt`, `<name>.key` and `<name>.ca`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, name: &str, others: &Authority) -> Result<Files> {
        std::fs::create_dir_all(folder)?;
        let files = Files {
            cert: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
            ca: folder.join(format!("{name}.ca")),
        };
        std::fs::write(&files.cert, &self.cert)?;
        std::fs::write(&files.key, &self.key)?;
        std::fs::write(&files.ca, &others.pem)?;
        Ok(files)
    }
}

// === impl Files ===

impl Files {
    /// As a section of a configuration.
    #[must_use]
    pub fn section(&self) -> serde_json::Value {
        serde_json::json!({"certFile": self.cert, "keyFile": self.key, "caFile": self.ca})
    }
}

/// Encrypts a watcher's gRPC port, with files in `folder`. Workers whose certificates have a name below
/// `workers` may run everything.
///
/// # Errors
/// When files cannot be written.
pub fn secure_watcher(config: &mut Value, authority: &Authority, folder: &Path) -> Result<()> {
    let files = authority.issue(&["localhost"])?;
    let files = files.write(folder, "watcher", authority)?;
    set(config, "grpc.plaintext", false);
    set(config, "grpc.tls", files.section());
    let everything = json!([{"identities": ["*.workers"], "services": ["*"]}]);
    set(config, "grpc.workers", everything);
    Ok(())
}

/// Lets a worker use the encrypted port, with a certificate of that name.
///
/// # Errors
/// When files cannot be written.
pub fn secure_worker(
    config: &mut Value,
    authority: &Authority,
    folder: &Path,
    identity: &str,
) -> Result<()> {
    let name = config["name"].as_str().unwrap_or("worker").to_owned();
    let files = authority.issue(&[identity])?;
    let files = files.write(folder, &name, authority)?;
    let address = config["watcher"].as_str().unwrap_or_default();
    let (_, port) = address.rsplit_once(':').context("the watcher's port")?;
    let address = format!("https://localhost:{port}");
    set(config, "watcher", address);
    set(config, "watcherTls", files.section());
    Ok(())
}

/// Encrypts a connection to the broker, with a password.
pub fn secure_broker(config: &mut Value, broker: &Broker, vhost: &str) {
    let address = format!("localhost:{}", broker.amqps.port());
    let url = format!("amqps://isc:{}@{address}/{vhost}", broker.password);
    set(config, "amqp.url", url);
    let ca = broker.authority.join("ca.crt");
    set(config, "amqp.tls", json!({"caFile": ca}));
}
