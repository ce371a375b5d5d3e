//! What the API shows of requests: new ones, changed ones, written statuses.

use std::time::Duration;

use super::{Effect, Engine, Entry, Observation, Params, Request, WriteResult};
use crate::{
    admit::{self, Limits, Rejection},
    api::{RequestSpec, RequestStatus},
    ids::{Now, Uid},
    life::{Act, Done, End, Life, LifeEvent, Moment, State, Stop},
    reason::Reason,
    status::{self, Recovered},
};

/// The time of an attempt when neither status nor service tells one any more.
const TIMEOUT: Duration = Duration::from_secs(300);

impl Engine {
    pub(super) fn observed(&mut self, observation: Observation, now: Now) {
        let url = &observation.address.endpoint;
        let list = self.endpoints.entry(url.clone()).or_default().list;
        let Some(entry) = self.entries.get_mut(&observation.uid) else {
            return self.discovered(observation, list, now);
        };
        if entry.endpoint() != url {
            self.writes.moved(&observation.uid, url);
        }
        entry.see(&observation, list);
        self.changed(&observation, now);
    }

    /// A known request changed: did it come back, did someone end it, did the caller cancel?
    fn changed(&mut self, observation: &Observation, now: Now) {
        let uid = &observation.uid;
        let Some(request) = self.live(uid) else {
            return;
        };
        if matches!(request.life.state, State::Stopping { back: false, .. }) {
            self.apply(uid, LifeEvent::Seen, now);
        }
        let Some(request) = self.live(uid) else {
            return;
        };
        let done = matches!(request.life.state, State::Done(_));
        if let Some(found) = observation
            .status
            .as_ref()
            .filter(|status| status::has_ended(status))
        {
            if done && status::same_end(found, &request.wanted_status(None)) {
                // Our own write, seen before its answer.
                self.end_is_durable(uid, now);
            } else {
                self.apply(uid, LifeEvent::ForeignEnd, now);
                self.retire(uid);
            }
        } else if wants_cancel(observation) && request.life.stop.is_none() && !done {
            self.apply(uid, LifeEvent::Stop(Stop::Cancelled), now);
        }
    }

    /// A request that was unknown: it is new, or an earlier watcher's.
    fn discovered(&mut self, observation: Observation, list: u32, now: Now) {
        let uid = observation.uid.clone();
        let moment = Moment::at(now);
        let (life, known) = match status::recover(observation.status.as_ref(), moment) {
            Recovered::Ended { attempt } => {
                let endpoint = observation.address.endpoint;
                self.entries
                    .insert(uid, Entry::finished(endpoint, attempt, list));
                return;
            }
            Recovered::Live(life) => (*life, true),
            Recovered::New => (Life::accepted(moment), false),
        };
        let admitted = self.admitted(&observation, known);
        let cancel = wants_cancel(&observation);
        let endpoint = self.endpoints.get(&observation.address.endpoint);
        let (listed, recovered) = endpoint.map_or((false, false), |e| (e.listed, e.recovered));
        let limits = admitted.as_ref().ok().copied().unwrap_or(Limits {
            timeout: TIMEOUT,
            ..Limits::default()
        });
        let mut request = Request::new(observation, life, limits, list);
        let known_before = self.ghosts.remove(&uid) || known;
        request.inherited = !listed || (known_before && !recovered);
        self.entries
            .insert(uid.clone(), Entry::Live(Box::new(request)));
        match admitted {
            Err(Rejection { reason, message }) => {
                self.reject(&uid, End::Rejected { reason, message }, now);
            }
            Ok(_) => self.enter(&uid, known, now),
        }
        if cancel {
            self.apply(&uid, LifeEvent::Stop(Stop::Cancelled), now);
        }
    }

    /// Decided once: what an earlier watcher accepted stays accepted.
    fn admitted(&self, observation: &Observation, known: bool) -> Result<Limits, Rejection> {
        let spec = match &observation.spec {
            Ok(spec) => spec,
            Err(error) => {
                let message = format!("the spec cannot be read: {error}");
                return Err(Rejection {
                    reason: Reason::InvalidRequest,
                    message,
                });
            }
        };
        if known {
            return Ok(self.recovered_limits(spec, observation.status.as_ref()));
        }
        admit::admit(spec, observation.params.len(), &self.config.catalogue)
    }

    /// What the status tells was decided when the request was accepted; an older status tells less.
    fn recovered_limits(&self, spec: &RequestSpec, status: Option<&RequestStatus>) -> Limits {
        let seconds = |s: u32| Duration::from_secs(s.into());
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
        service.map_or(
            Limits {
                timeout: TIMEOUT,
                ..Limits::default()
            },
            |service| admit::limits(spec, service),
        )
    }

    fn enter(&mut self, uid: &Uid, known: bool, now: Now) {
        let Some(request) = self.live_mut(uid) else {
            return;
        };
        if request.inherited {
            request.life.state = State::Recovering;
        } else if known {
            // Live in the API, unknown here, and the take-over is over: nobody holds it.
            self.apply(uid, LifeEvent::TakeoverEnded, now);
        } else {
            self.act(uid, Act::Enqueue, now);
            self.act(uid, Act::Save, now);
        }
    }

    fn reject(&mut self, uid: &Uid, end: End, now: Now) {
        if let Some(request) = self.live_mut(uid) {
            let done = Done {
                end,
                at: Moment::at(now),
                attempt: 1,
                by: None,
                written: false,
            };
            request.life.state = State::Done(done);
            let finished = request.finished();
            self.effects.extend(finished.map(Effect::Measure));
            self.act(uid, Act::SaveNow, now);
        }
    }

    pub(super) fn written(&mut self, uid: &Uid, result: WriteResult, now: Now) {
        let Some(request) = self.live_mut(uid).filter(|request| request.writing > 0) else {
            // The request ended or went away meanwhile, so this answer is about nothing.
            return self.writes.done(uid, now.mono);
        };
        match result {
            WriteResult::Ok(version) => {
                (request.resource_version, request.shown) = (version, request.sent.take());
                self.landed(uid, now);
            }
            WriteResult::Conflict(observation) => {
                // A live read is the newest word, whatever the numbers say.
                request.show(&observation);
                self.observed(*observation, now);
                self.writes.failed(uid, true, now.mono);
            }
            WriteResult::Gone => {
                self.writes.done(uid, now.mono);
                self.writes.forget(uid);
                self.apply(uid, LifeEvent::Gone, now);
            }
            WriteResult::Retry => self.writes.failed(uid, false, now.mono),
        }
    }

    /// What the write under way shows is in the API.
    pub(super) fn landed(&mut self, uid: &Uid, now: Now) {
        self.writes.done(uid, now.mono);
        let Some(request) = self.live(uid) else {
            return;
        };
        let waits = matches!(request.life.state, State::Saving { .. } | State::Done(_));
        if waits && request.writing == request.revision {
            self.end_is_durable(uid, now);
        }
    }

    fn end_is_durable(&mut self, uid: &Uid, now: Now) {
        self.apply(uid, LifeEvent::Written, now);
        self.retire(uid);
    }

    /// Keeps of an ended request only what a late report needs.
    fn retire(&mut self, uid: &Uid) {
        let Some(request) = self.live(uid) else {
            return;
        };
        if let State::Done(Done { written: true, .. }) = request.life.state {
            let retired = request.retired();
            self.writes.forget(uid);
            self.entries.insert(uid.clone(), retired);
        }
    }
}

fn wants_cancel(observation: &Observation) -> bool {
    matches!(&observation.spec, Ok(spec) if spec.cancel == Some(true))
}

// === impl Params ===

impl Params {
    /// Bytes of JSON text.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Inline(text) => text.len(),
            Self::Large(bytes) => *bytes,
        }
    }

    /// Whether there is no text at all; even no parameters are `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
