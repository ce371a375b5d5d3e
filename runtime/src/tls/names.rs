//! What a certificate says: its names, and when it ends.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

/// The most names of one certificate that are looked at.
const NAMES_MAX: usize = 64;

/// The longest URI that is looked at, bytes; SPIFFE allows no longer ones.
const URI_MAX: usize = 2048;

/// What matters of a certificate that a handshake has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
}

// === impl Certificate ===

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, read) = X509Certificate::from_der(der)
            .map_err(|error| format!("holds a certificate that cannot be read: {error}"))?;
        let names = read
            .subject_alternative_name()
            .map_err(|error| format!("holds a certificate with unreadable names: {error}"))?
            .map(|names| {
                let names = names.value.general_names.iter();
                names.take(NAMES_MAX).filter_map(text).collect()
            })
            .unwrap_or_default();
        Ok(Self {
            names,
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
        })
    }

    /// Its DNS names and URIs, as in `sign.workers` and `spiffe://corp/ns/isc/sa/sign`. The subject's common
    /// name is none of them, as everywhere today.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its last second, Unix time.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// How long it still lasts; zero when it has ended.
    #[must_use]
    pub fn lasts(&self) -> std::time::Duration {
        let left = self.not_after.saturating_sub(Timestamp::now().as_second());
        std::time::Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }

    /// Why it cannot be used now, as the end of a sentence.
    pub(super) fn untimely(&self) -> Option<String> {
        let now = Timestamp::now().as_second();
        let show = |second| {
            Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
        };
        if now > self.not_after {
            return Some(format!(
                "holds a certificate that ended at {}: renew it",
                show(self.not_after)
            ));
        }
        (now < self.not_before).then(|| {
            format!(
                "holds a certificate that begins at {}: check this machine's clock",
                show(self.not_before)
            )
        })
    }
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    let plain = |c: char| c.is_ascii_graphic();
    let host = |c: char| c.is_ascii_alphanumeric() || "._*-".contains(c);
    // They stand in logs and answers, and a rule for hosts is none for URIs.
    match name {
        GeneralName::DNSName(name) if name.chars().all(host) => Some((*name).to_owned()),
        GeneralName::URI(name) if name.len() <= URI_MAX && name.chars().all(plain) => {
            Some((*name).to_owned())
        }
        _ => None,
    }
}
