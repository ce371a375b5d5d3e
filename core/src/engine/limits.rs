//! The limits of a request: decided when it is accepted, and told by its status from then on.

use std::time::Duration;

use super::{Effect, Engine, Entry, Observation};
use crate::{
    admit::{self, Limits, Rejection},
    api::{Effective, RequestSpec, RequestStatus},
    ids::{Now, Uid},
    life::{Act, Done, End, Moment, State},
    reason::Reason,
};

/// The time of an attempt when neither status nor service tells one any more.
const TIMEOUT: Duration = Duration::from_secs(300);

// === impl Engine ===

impl Engine {
    /// Decided once: what an earlier watcher accepted stays accepted.
    pub(super) fn admitted(
        &self,
        observation: &Observation,
        known: bool,
    ) -> Result<Limits, Rejection> {
        let spec = observation.spec.as_ref().map_err(unreadable)?;
        if known {
            return Ok(self.recovered_limits(spec, observation.status.as_ref()));
        }
        let limits = self.decided(observation)?;
        self.may_wait(observation)?;
        Ok(limits)
    }

    /// What is decided on a new request, apart from whether there is room for it.
    pub(super) fn decided(&self, observation: &Observation) -> Result<Limits, Rejection> {
        let spec = observation.spec.as_ref().map_err(unreadable)?;
        // Before anything that would tell whoever may not ask what there is.
        if let Some(refusal) = &observation.refusal {
            return Err(refusal.clone());
        }
        let bytes = observation.params.len();
        let limits = admit::admit(spec, bytes, &self.config.catalogue)?;
        if let Err(why) = &observation.flow_key {
            let message = format!("spec.params give no concurrency key: {why}");
            return Err(Rejection {
                reason: Reason::InvalidParams,
                message,
            });
        }
        Ok(limits)
    }

    pub(super) fn may_wait(&self, observation: &Observation) -> Result<(), Rejection> {
        let (tenant, params) = (&observation.address.cluster, &observation.params);
        if self.schedule.may_wait(tenant, params.bytes()) {
            return Ok(());
        }
        let limits = self.config.tenants;
        Err(Rejection {
            reason: Reason::TooManyWaiting,
            message: format!(
                "at most {} requests with {} bytes of parameters of one workspace may wait: \
                 create it again when some have ended",
                limits.waiting, limits.waiting_bytes
            ),
        })
    }

    /// What the status tells was decided when the request was accepted; an older status tells less.
    fn recovered_limits(&self, spec: &RequestSpec, status: Option<&RequestStatus>) -> Limits {
        if let Some(told) = status.and_then(|status| status.effective.as_ref()) {
            return Limits {
                timeout: seconds(told.timeout_seconds),
                queue_timeout: told.queue_timeout_seconds.map(seconds),
                deadline: told.deadline_seconds.map(seconds),
                retries: told.retries,
                ttl: told.ttl_seconds_after_finished.map(seconds),
            };
        }
        let service = self.config.catalogue.get(spec.service.as_str());
        service.map_or_else(unknown, |service| admit::limits(spec, service))
    }

    /// The limits of a request that is not accepted: it only waits for its deletion.
    pub(super) fn rejected_limits(&self, observation: &Observation) -> Limits {
        Limits {
            ttl: self.ttl(observation),
            ..unknown()
        }
    }

    /// How long an ended request is kept.
    pub(super) fn ttl(&self, observation: &Observation) -> Option<Duration> {
        let status = observation.status.as_ref();
        if let Some(told) = status.and_then(|status| status.effective.as_ref()) {
            return told.ttl_seconds_after_finished.map(seconds);
        }
        let spec = observation.spec.as_ref().ok()?;
        let service = self.config.catalogue.get(spec.service.as_str());
        let asked = spec.ttl_seconds_after_finished.map(seconds);
        asked.or_else(|| service?.ttl)
    }

    /// It ends before it began.
    pub(super) fn reject(&mut self, uid: &Uid, end: End, now: Now) {
        self.audit_rejected(uid, &end);
        if let Some(Entry::Live(request)) = self.entries.get_mut(uid) {
            let done = Done {
                end,
                at: Moment::at(now),
                attempt: 1,
                by: None,
                written: false,
            };
            request.life.state = State::Done(done);
            let finished = request.finished(&self.config);
            self.effects.extend(finished.map(Effect::Measure));
            self.track_clock(uid);
            self.keep_place(uid);
            self.act(uid, Act::SaveNow, now);
        }
    }
}

/// What a status tells of the limits in force.
pub(super) fn effective(limits: &Limits) -> Effective {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    Effective {
        timeout_seconds: seconds(limits.timeout),
        queue_timeout_seconds: limits.queue_timeout.map(seconds),
        deadline_seconds: limits.deadline.map(seconds),
        retries: limits.retries,
        ttl_seconds_after_finished: limits.ttl.map(seconds),
    }
}

fn seconds(told: u32) -> Duration {
    Duration::from_secs(told.into())
}

fn unreadable(error: &String) -> Rejection {
    Rejection {
        reason: Reason::InvalidRequest,
        message: format!("the spec cannot be read: {error}"),
    }
}

fn unknown() -> Limits {
    Limits {
        timeout: TIMEOUT,
        ..Limits::default()
    }
}
