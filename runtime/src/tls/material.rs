//! Reading certificates, keys and authorities from files, whole or not at all.

use std::path::{Path, PathBuf};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::Certificate;

/// Why a connection cannot be secured; the message names the key, the file and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A key of the configuration is missing.
    #[error("`{key}` is missing: {remedy}")]
    Missing {
        /// The key.
        key: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read `{key}` {path}: {source}")]
    Read {
        /// The configuration's key.
        key: String,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{key}` {path} {why}")]
    Content {
        /// The configuration's key.
        key: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the end of a sentence.
        why: String,
    },
    /// What the files hold cannot be used together.
    #[error("the files of `{section}` cannot be used: {why}")]
    Unusable {
        /// The configuration's section.
        section: String,
        /// The cause.
        why: String,
    },
}

/// A file that a key of the configuration names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) key: String,
    pub(super) path: PathBuf,
}

/// What a named file held.
#[derive(Clone, Debug)]
pub(super) struct Read {
    named: Named,
    bytes: Vec<u8>,
}

/// A certificate with its key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) leaf: Certificate,
}

// === impl Named ===

impl Named {
    /// The file of `section.key`.
    pub(super) fn new(section: &str, key: &str, path: &Path) -> Self {
        Self {
            key: format!("{section}.{key}"),
            path: path.to_owned(),
        }
    }

    /// Reads a small file.
    pub(super) fn read(&self) -> Result<Read, TlsError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Read {
                named: self.clone(),
                bytes,
            }),
            Err(source) => Err(TlsError::Read {
                key: self.key.clone(),
                path: self.path.clone(),
                source,
            }),
        }
    }
}

// === impl Read ===

impl Read {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn wrong(&self, why: impl Into<String>) -> TlsError {
        TlsError::Content {
            key: self.named.key.clone(),
            path: self.named.path.clone(),
            why: why.into(),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|error| {
            self.wrong(format!(
                "is not whole: {error}; it must hold certificates in PEM form"
            ))
        })?;
        if found.is_empty() {
            return Err(self.wrong("holds no certificate in PEM form"));
        }
        Ok(found)
    }

    /// The authorities in it.
    pub(super) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots
                .add(certificate)
                .map_err(|error| self.wrong(format!("holds no usable authority: {error}")))?;
        }
        Ok(roots)
    }

    /// The certificate in it, with the key in another file.
    pub(super) fn identity(&self, key: &Self) -> Result<Identity, TlsError> {
        let chain = self.certificates()?;
        let leaf = Certificate::read(&chain[0]).map_err(|why| self.wrong(why))?;
        if let Some(why) = leaf.untimely() {
            return Err(self.wrong(why));
        }
        let private = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|_not_shown| {
            key.wrong("holds no private key in PEM form that is not encrypted")
        })?;
        Ok(Identity {
            chain,
            key: private,
            leaf,
        })
    }
}
