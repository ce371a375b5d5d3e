//! The mark of a clean end: a Lease in the provider workspace, or in the
//! namespace of a plain cluster that KUBECONFIG names, that says "all that was decided is in the
//! statuses". Whoever takes it knows so too, and need not wait for what workers might say.
//!
//! It is true only until something is granted. So it is taken and cleared in one update before anything
//! can be granted, and it is not believed for long.

use std::time::Duration;

use isc_runtime::{backoff::Backoff, nag::Nag};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, api::PostParams};

use super::{
    client::{CallError, Home, within},
    explain::explain,
    follow::BACKOFF,
};

/// A mark that is older says nothing: one that could not be cleared must not last.
const VALID: Duration = Duration::from_secs(600);
/// One call may take so long.
const CALL: Duration = Duration::from_secs(5);
/// So many refusals of another kind than "forbidden" and "not found" are tried again.
const REFUSALS: u32 = 5;
/// What the missing permission costs, and how to give it.
const REMEDY: &str = "without the hand-over mark, a watcher waits one lease period before it grants what it \
     finds; let its user get, create and update leases in the namespace default of the provider \
     workspace (deploy/kcp/rbac-controller.yaml), or of a plain cluster in the namespace that its kubeconfig \
     names (deploy/kubernetes/rbac.yaml)";

/// Where the mark of an instance is.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    name: String,
}

/// What the mark said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The watcher before this one ended clean, and nothing was granted since.
    HandedOver,
    /// There is no mark (any more).
    Nothing,
    /// It could not be read or cleared: one may be there.
    Unknown,
}

// === impl Mark ===

impl Mark {
    /// The mark of that instance.
    #[must_use]
    pub(crate) fn new(instance: &str) -> Self {
        Self {
            name: format!("isc-{instance}-handover"),
        }
    }

    /// The name of its Lease.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes and clears the mark. While kcp does not answer, nothing can be granted either: so that is
    /// waited for, and `waiting` hears why. A refusal is an answer.
    pub(super) async fn take(&self, home: &Home, waiting: impl Fn(&str)) -> Taken {
        let api = api(home);
        let mut nag = Nag::new("kcp");
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut refusals = 0;
        loop {
            let error = match self.try_take(&api).await {
                Ok(taken) => {
                    nag.well();
                    if taken == Taken::HandedOver {
                        tracing::info!("the watcher before this one ended clean: going on at once");
                    }
                    return taken;
                }
                Err(error) => error,
            };
            let text = explain(&error);
            match error.code() {
                403 | 404 => {
                    tracing::info!("no hand-over mark: {}; {REMEDY}", error.plain());
                    return Taken::Unknown;
                }
                // No answer at all, or nobody knows us.
                0 | 401 => {
                    waiting(&text);
                    nag.trouble(&text);
                }
                _ => refusals += 1,
            }
            if refusals >= REFUSALS {
                tracing::warn!("no hand-over mark: {text}; {REMEDY}");
                return Taken::Unknown;
            }
            tokio::time::sleep(backoff.delay()).await;
        }
    }

    /// Clears a mark that could not be taken, as long as one could be believed.
    pub(super) async fn forget(self, home: Home) {
        let api = api(&home);
        let mut backoff = Backoff::new(BACKOFF.1, VALID / 10);
        let clear = async {
            while self.try_take(&api).await.is_err() {
                tokio::time::sleep(backoff.delay()).await;
            }
        };
        // What is left then is too old to be believed.
        let _too_old = tokio::time::timeout(VALID, clear).await;
    }

    async fn try_take(&self, api: &Api<Lease>) -> Result<Taken, CallError> {
        let Some(mut lease) = within(CALL, api.get_opt(&self.name)).await? else {
            return Ok(Taken::Nothing);
        };
        let Some(left) = left_at(&lease) else {
            return Ok(Taken::Nothing);
        };
        lease.spec = Some(LeaseSpec::default());
        // With the version that was read: whoever changed it meanwhile has taken it.
        let params = PostParams::default();
        within(CALL, api.replace(&self.name, &params, &lease)).await?;
        let valid = is_valid(left, Timestamp::now());
        Ok(if valid {
            Taken::HandedOver
        } else {
            Taken::Nothing
        })
    }

    /// Leaves the mark, if that is possible within `limit`. Nothing may be granted any more.
    pub(crate) async fn leave(&self, home: &Home, limit: Duration) {
        let api = api(home);
        match tokio::time::timeout(limit, self.try_leave(&api)).await {
            Ok(Ok(())) => tracing::info!("ended clean, and said so for the next watcher"),
            Ok(Err(error)) if matches!(error.code(), 403 | 404) => {
                tracing::info!("no hand-over mark is left: {}; {REMEDY}", error.plain());
            }
            Ok(Err(error)) => {
                tracing::warn!("no hand-over mark is left: {}", explain(&error));
            }
            Err(_elapsed) => tracing::warn!("no hand-over mark is left: kcp does not answer"),
        }
    }

    async fn try_leave(&self, api: &Api<Lease>) -> Result<(), CallError> {
        let mut lease = within(CALL, api.get_opt(&self.name))
            .await?
            .unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some("clean".into()),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        });
        let params = PostParams::default();
        if lease.metadata.resource_version.is_some() {
            within(CALL, api.replace(&self.name, &params, &lease)).await?;
        } else {
            lease.metadata.name = Some(self.name.clone());
            within(CALL, api.create(&params, &lease)).await?;
        }
        Ok(())
    }
}

fn api(home: &Home) -> Api<Lease> {
    Api::namespaced(home.client.clone(), &home.namespace)
}

/// When the mark was left; none when there is none.
fn left_at(lease: &Lease) -> Option<Timestamp> {
    let spec = lease.spec.as_ref()?;
    spec.holder_identity.as_ref()?;
    Some(spec.renew_time.as_ref()?.0)
}

/// Clocks of two machines may differ a little.
pub(crate) fn is_valid(left: Timestamp, now: Timestamp) -> bool {
    now.duration_since(left).unsigned_abs() < VALID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_believed_for_ten_minutes_and_a_cleared_one_never() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let left = at("2026-01-01T10:00:00Z");
        assert!(is_valid(left, at("2026-01-01T10:09:00Z")));
        assert!(is_valid(left, at("2026-01-01T09:59:00Z")), "clocks differ");
        assert!(!is_valid(left, at("2026-01-01T10:11:00Z")));
        let mut lease = Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some("clean".into()),
                renew_time: Some(MicroTime(left)),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert_eq!(left_at(&lease), Some(left));
        lease.spec = Some(LeaseSpec::default());
        assert_eq!(left_at(&lease), None);
    }
}
