//! What the engine keeps of a request.

mod entry;
mod shown;

use std::{sync::Arc, time::Duration};

pub(super) use self::{entry::Entry, shown::Shown};
use super::{
    Assignment, Config, Measure, Observation, Params, expiry::expiry, finished::Finished,
    limits::effective,
};
pub(super) use crate::status::Mirror;
use crate::{
    admit::Limits,
    api::{Phase, Priority, RequestStatus},
    audit::Judged,
    decide::{Backoff, Policy},
    ids::{Address, AttemptId, Now, Uid},
    keys::Ending,
    life::{Dues, End, Life, State},
    reason::Reason,
    schedule::Ask,
    status::{self, About},
    trace::Trace,
};

/// A request that has not ended, or whose end is not in the API yet.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) address: Address,
    pub(super) resource_version: String,
    generation: Option<i64>,
    /// The live status of that version, when it is known.
    pub(super) shown: Option<Shown>,
    /// The live status of the write under way.
    pub(super) sent: Option<Shown>,
    pub(super) service: Arc<str>,
    pub(super) requester: Arc<str>,
    pub(super) params: Params,
    /// Parameters that were read for the claim under way.
    pub(super) loaded: Option<Arc<str>>,
    pub(super) idempotency_key: Option<Arc<str>>,
    pub(super) limits: Limits,
    /// Nobody has decided on it: until when it waits for its service.
    pub(super) pending: Option<Duration>,
    /// Our name, where it goes into the status.
    pub(super) controller: Option<Arc<str>>,
    /// Nothing is started before this holds: our name is in the API, or need not be.
    pub(super) owned: bool,
    /// It was another instance's when it was found.
    pub(super) adopted: bool,
    /// When its clocks run out.
    pub(super) dues: Dues,
    /// Until an audit is told how it was judged.
    pub(super) judged: Option<Arc<Judged>>,
    /// Its place among the clocks.
    pub(super) clock: Option<Duration>,
    pub(super) life: Life,
    /// What it shows of the request that it is attached to.
    pub(super) mirror: Option<Box<Mirror>>,
    /// An earlier watcher may have granted it.
    pub(super) inherited: bool,
    priority: Priority,
    /// What of its service it needs for itself.
    pub(super) flow_key: Option<Arc<str>>,
    /// Rises with each change that a status shows.
    pub(super) revision: u64,
    /// The revision that the newest write shows; 0 before the first.
    pub(super) writing: u64,
    /// The caller's trace, as it was when the request was found.
    pub(super) trace: Option<Arc<Trace>>,
    /// The number of the last full list that had it.
    list: u32,
}

/// The pause of a service whose file is missing.
const BACKOFF: Duration = Duration::from_secs(5);

/// Resource versions of one source are numbers that rise (Kubernetes KEP-5504); where they are not,
/// the watch is believed.
fn newer(found: &str, known: &str) -> bool {
    match (found.parse::<u64>(), known.parse::<u64>()) {
        (Ok(found), Ok(known)) => found > known,
        _ => true,
    }
}

// === impl Request ===

impl Request {
    pub(super) fn new(
        found: Observation,
        life: Life,
        limits: Limits,
        (list, config): (u32, &Config),
    ) -> Self {
        let spec = found.spec.unwrap_or_default();
        let named = found.status.as_ref().and_then(|s| s.controller.as_deref());
        let named_us = named == Some(&*config.instance);
        let adopted = named.is_some() && !named_us;
        Self {
            address: found.address,
            resource_version: found.resource_version,
            generation: found.generation,
            shown: found
                .status
                .as_ref()
                .map(|s| Shown::of(s, Some(&config.instance))),
            sent: None,
            service: spec.service.into(),
            requester: spec.requester.unwrap_or_default().into(),
            params: found.params,
            loaded: None,
            idempotency_key: spec.idempotency_key.map(Into::into),
            limits,
            pending: None,
            controller: (config.claims || named_us).then(|| config.instance.clone()),
            owned: named_us || !config.claims,
            adopted,
            dues: Dues::default(),
            judged: found.judged,
            clock: None,
            life,
            mirror: None,
            inherited: false,
            priority: spec.priority.unwrap_or_default(),
            flow_key: found.flow_key.unwrap_or_default(),
            revision: 0,
            writing: 0,
            trace: found.trace,
            list,
        }
    }

    /// Nothing was decided on it: what counts is what it says now.
    pub(super) fn asks_anew(&mut self, found: &Observation) {
        if let Ok(spec) = found.spec.clone() {
            self.service = spec.service.into();
            self.requester = spec.requester.unwrap_or_default().into();
            self.idempotency_key = spec.idempotency_key.map(Into::into);
            self.priority = spec.priority.unwrap_or_default();
        }
        self.params = found.params.clone();
        self.judged.clone_from(&found.judged);
        self.flow_key = found.flow_key.clone().unwrap_or_default();
    }

    /// What its transitions depend on.
    pub(super) fn policy(&self, uid: &Uid, config: &Config, taking_over: bool) -> Policy {
        let service = config.catalogue.get(&self.service);
        Policy {
            lost_max: config.lost_max,
            retries: self.limits.retries,
            backoff: Backoff {
                base: service.map_or(BACKOFF, |service| service.backoff),
                max: service.map_or(BACKOFF, |service| service.max_backoff),
                seed: Backoff::seed(uid),
            },
            dues: self.dues,
            taking_over,
            unclaimed: !self.owned,
        }
    }

    /// Whether that is an older view of it than is known here.
    pub(super) fn is_newer_than(&self, found: &Observation) -> bool {
        let (found, known) = (&found.resource_version, &self.resource_version);
        found != known && !newer(found, known)
    }

    /// What the API has now.
    pub(super) fn show(&mut self, observation: &Observation) {
        self.resource_version
            .clone_from(&observation.resource_version);
        let ours = self.controller.as_ref();
        self.shown = observation.status.as_ref().map(|s| Shown::of(s, ours));
    }

    /// What it wants of the schedule.
    pub(super) fn ask(&self) -> Ask {
        Ask {
            // Any word may be the name of a service that is not there.
            service: self
                .pending
                .map_or_else(|| self.service.clone(), |_| "".into()),
            tenant: self.address.cluster.clone(),
            priority: self.priority,
            key: self.flow_key.clone(),
            bytes: self.params.bytes(),
        }
    }

    /// The attempt that is under way or next.
    pub(super) fn id(&self, uid: &Uid) -> AttemptId {
        AttemptId {
            uid: uid.clone(),
            attempt: self.life.attempt(),
        }
    }

    pub(super) fn offered_since(&self) -> Option<Duration> {
        match self.life.state {
            State::Offered { since } => Some(since),
            _ => None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        status::phase(&self.life)
    }

    pub(super) fn assignment(&mut self, id: AttemptId, config: &Config, now: Now) -> Assignment {
        let params = match (&self.params, self.loaded.take()) {
            (_, Some(loaded)) => loaded,
            (Params::Inline(inline), None) => inline.clone(),
            (Params::Large(_), None) => "{}".into(),
        };
        let service = config.catalogue.get(&self.service);
        Assignment {
            id,
            failed: self.life.failed,
            service: self.service.clone(),
            params,
            timeout: self.limits.timeout,
            time_left: self.dues.deadline.map(|due| due.saturating_sub(now.mono)),
            address: self.address.clone(),
            requester: self.requester.clone(),
            idempotency_key: self.idempotency_key.clone().unwrap_or_else(|| "".into()),
            result_max_bytes: service.map_or(64 * 1024, |service| service.result_max_bytes),
            trace: self.trace.clone(),
            due: self.life.due(),
        }
    }

    /// The status that the API should show.
    pub(super) fn wanted_status(&self, waiting_for: Option<Reason>) -> RequestStatus {
        let about = About {
            generation: self.generation,
            controller: self.named().map(Into::into),
            effective: self.pending.is_none().then(|| effective(&self.limits)),
            waiting_for,
            mirror: self.mirror.as_deref().cloned(),
        };
        status::render(&self.life, &about)
    }

    /// Our name, where it goes into the status. Who only waits for its service is anybody's who has that.
    fn named(&self) -> Option<&str> {
        let ours = self.owned || self.waits_until().is_none();
        self.controller.as_deref().filter(|_| ours)
    }

    /// Whether that status tells another phase or reason than the API shows.
    pub(super) fn is_news(&self, status: &RequestStatus) -> bool {
        self.shown
            .as_ref()
            .is_none_or(|shown| shown.differs(status))
    }

    /// What is kept once the end is in the API: what a late report and a deletion need.
    pub(super) fn retired(&self, now: Now) -> Option<Finished> {
        let State::Done(done) = &self.life.state else {
            return None;
        };
        let recorded = done.by.as_ref().map_or(done.attempt, |by| by.attempt);
        let at = expiry(self.limits.ttl, done.at, now);
        let finished = Finished::new(self.address.clone(), recorded, self.list, at);
        let holds_key = self.ending() == Some(Ending::Succeeded);
        Some(if holds_key {
            finished.with_place(self.address.clone())
        } else {
            finished
        })
    }

    /// Its service, unless it names one that is not there.
    pub(super) fn known_service(&self, config: &Config) -> Option<Arc<str>> {
        let known = config.catalogue.contains_key(&self.service);
        known.then(|| self.service.clone())
    }

    /// What a finished request's life measured.
    pub(super) fn finished(&self, config: &Config) -> Option<Measure> {
        let State::Done(done) = &self.life.state else {
            return None;
        };
        if done.end == End::Foreign {
            return None;
        }
        let between =
            |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
        let started = self.life.started.and_then(|moment| moment.mono);
        let (queued, end) = (self.life.queued.mono, done.at.mono);
        Some(Measure::Finished {
            service: self.known_service(config),
            reason: status::reason(&self.life)?,
            queued: between(queued, started),
            ran: between(started, end),
            total: between(queued, end),
        })
    }
}
