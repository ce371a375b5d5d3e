//! The metrics of certificates: the same in both programs.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// When certificates end, and whether what is in their files is in force.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    not_after: Family<UseLabel, Gauge>,
    stale: Family<UseLabel, Gauge>,
}

/// The metrics of one use.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub(super) not_after: Gauge,
    pub(super) stale: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabel {
    r#use: &'static str,
}

// === impl CertificateMetrics ===

impl CertificateMetrics {
    /// Registers both.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "isc_certificate_not_after_seconds",
            "Unix time of the end of the certificate that is shown to peers",
            self.not_after.clone(),
        );
        registry.register(
            "isc_certificate_stale",
            "1 while the files cannot be used and the last good ones are",
            self.stale.clone(),
        );
    }

    /// Those of one use, which is a word of a closed list, as in `grpc`. `own` says whether a certificate is
    /// shown to peers, so that there is an end to tell.
    #[must_use]
    pub fn of(&self, r#use: &'static str, own: bool) -> Shown {
        let label = UseLabel { r#use };
        let not_after = if own {
            self.not_after.get_or_create(&label).clone()
        } else {
            Gauge::default()
        };
        Shown {
            not_after,
            stale: self.stale.get_or_create(&label).clone(),
        }
    }

    /// Tells when the certificate ends that is shown in a use whose files are read elsewhere: Unix time, or
    /// none where none is shown any more.
    pub fn ends(&self, r#use: &'static str, not_after: Option<i64>) {
        let label = UseLabel { r#use };
        match not_after {
            Some(second) => drop(self.not_after.get_or_create(&label).set(second)),
            None => drop(self.not_after.remove(&label)),
        }
    }
}
