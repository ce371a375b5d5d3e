//! The Lease as this candidate reads and writes it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, api::PostParams};

use super::rival::HANDED_OVER;

/// The Lease of an instance, and who writes it.
pub(super) struct Seal {
    leases: Api<Lease>,
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) lease: Duration,
}

/// What a write says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// This process leads.
    Mine,
    /// Nobody does; whether everything that this process granted is written.
    Free {
        /// It is.
        clean: bool,
    },
}

// === impl Seal ===

impl Seal {
    pub(super) fn new(leases: Api<Lease>, instance: &str, lease: Duration) -> Self {
        Self {
            leases,
            name: format!("isc-{instance}-leader"),
            identity: identity(),
            lease,
        }
    }

    pub(super) async fn read(&self) -> kube::Result<Option<Lease>> {
        self.within(self.leases.get_opt(&self.name)).await
    }

    /// Writes it over the version that was found; a 409 says that somebody else did.
    pub(super) async fn write(&self, found: Option<Lease>, word: Word) -> kube::Result<()> {
        let (exists, params) = (found.is_some(), PostParams::default());
        let lease = self.with(found.unwrap_or_default(), word);
        if exists {
            let replaced = self.leases.replace(&self.name, &params, &lease);
            self.within(replaced).await.map(drop)
        } else {
            let created = self.leases.create(&params, &lease);
            self.within(created).await.map(drop)
        }
    }

    fn with(&self, mut lease: Lease, word: Word) -> Lease {
        let old = lease.spec.take().unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let holder = match word {
            Word::Mine => self.identity.clone(),
            Word::Free { .. } => String::new(),
        };
        let is_new = old.holder_identity.as_ref() != Some(&holder);
        let won = i32::from(is_new && word == Word::Mine);
        let annotations = lease.metadata.annotations.get_or_insert_default();
        if word == (Word::Free { clean: true }) {
            annotations.insert(HANDED_OVER.to_owned(), now.0.to_string());
        } else {
            annotations.remove(HANDED_OVER);
        }
        lease.metadata.name = Some(self.name.clone());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder),
            lease_duration_seconds: i32::try_from(self.lease.as_secs()).ok(),
            acquire_time: old.acquire_time.filter(|_| !is_new).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(
                old.lease_transitions
                    .unwrap_or_default()
                    .saturating_add(won),
            ),
            ..LeaseSpec::default()
        });
        lease
    }

    /// No call takes longer than a part of the lease, so that another one can follow.
    async fn within<T>(&self, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
        let limit = self.lease / 3;
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let why = format!("no answer within {:.1} s", limit.as_secs_f32());
                Err(kube::Error::Service(why.into()))
            }
        }
    }

    /// What went wrong, and what helps.
    pub(super) fn explain(&self, error: &kube::Error) -> String {
        let remedy = match error {
            kube::Error::Api(status) if status.code == 403 => {
                "; let this process get, create and update leases there (deploy/kustomize/components/election/rbac.yaml)"
            }
            _ => "",
        };
        format!("the Lease {}: {error}{remedy}", self.name)
    }
}

/// Unlike any other process's, also after a restart: a process that comes back is not the leader that it
/// was.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", host.trim(), rand::random::<u64>())
}
