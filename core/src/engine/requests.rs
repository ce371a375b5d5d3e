//! What the API shows of known requests: changed ones, written statuses.

use super::{Engine, Observation, Params, Request, WriteResult};
use crate::{
    api::RequestStatus,
    audit::Cancel,
    ids::{Now, Source, Uid},
    life::{Done, LifeEvent, Moment, State, Stop},
    rules::Rule,
    status::{self, Recovered},
};

impl Engine {
    pub(super) fn observed(&mut self, observation: Observation, now: Now) {
        if !self.is_ours(&observation) {
            return self.let_go(&observation, now);
        }
        let source = observation.address.source();
        let list = self.shown_in(&source);
        let Some(entry) = self.entries.get_mut(&observation.uid) else {
            return self.discovered(observation, list, now);
        };
        let moved = !entry.is_at(&source);
        entry.see(&observation, list);
        self.note_owner(&observation.uid);
        if moved {
            self.writes.moved(&observation.uid, &source);
            self.moved(&observation.uid, now);
        }
        self.changed(&observation, now);
    }

    /// Where it lives now, the take-over may be over.
    fn moved(&mut self, uid: &Uid, now: Now) {
        let Some(request) = self.live(uid) else {
            return;
        };
        let recovered = self.is_recovered(&request.address.source());
        if request.life.state == State::Recovering && recovered {
            if self.keyed.is_open(uid) {
                self.keyed.unsettled = true;
                return;
            }
            self.apply(uid, LifeEvent::TakeoverEnded, now);
        }
    }

    /// A deletion at a source where it does not live any more says nothing.
    pub(super) fn gone(&mut self, uid: &Uid, source: &Source, now: Now) {
        let entry = self.entries.get(uid);
        if entry.is_some_and(|entry| entry.is_at(source)) {
            self.leaves(uid, Cancel::Deleted, now);
        }
    }

    /// A known request changed: did it come back, did someone end it, did the caller cancel?
    fn changed(&mut self, observation: &Observation, now: Now) {
        let uid = &observation.uid;
        let Some(request) = self.live(uid) else {
            return;
        };
        if matches!(request.life.state, State::Stopping { back: false, .. }) {
            if !self.rules.hold(Rule::ReturnedIsWaitedFor) {
                self.forget(uid);
                return self.observed(observation.clone(), now);
            }
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
            .filter(|_| self.rules.hold(Rule::ForeignEndStands))
        {
            if done && status::same_end(found, &request.wanted_status(None)) {
                // Our own write, seen before its answer.
                self.end_is_durable(uid, now);
            } else {
                self.leave_run(uid);
                self.apply(uid, LifeEvent::ForeignEnd, now);
                self.retire(uid, now);
            }
            return;
        }
        if let Some(found) = &observation.status
            && self.rules.hold(Rule::ForeignLiveIsBase)
        {
            self.counted_elsewhere(uid, found, now);
        }
        let live = self.live(uid);
        let may_stop = |request: &Request| {
            request.life.stop.is_none() && !matches!(request.life.state, State::Done(_))
        };
        if wants_cancel(observation) && live.is_some_and(may_stop) {
            self.apply(uid, LifeEvent::Stop(Stop::Cancelled), now);
        } else if live.is_some_and(|request| request.waits_until().is_some()) {
            self.looked_again(observation, now);
        }
    }

    /// A live status that counts more than is known here is of another watcher, and what holds.
    fn counted_elsewhere(&mut self, uid: &Uid, found: &RequestStatus, now: Now) {
        let Some(request) = self.live_mut(uid) else {
            return;
        };
        if found.failed <= request.life.failed && found.lost <= request.life.lost {
            return;
        }
        let Recovered::Live(life) = status::recover(Some(found), Moment::at(now)) else {
            return;
        };
        request.inherited = true;
        self.leave_run(uid);
        self.apply(uid, LifeEvent::Overtaken(life), now);
    }

    /// What a worker runs of it counts for nothing any more, but is to be waited for.
    fn leave_run(&mut self, uid: &Uid) {
        let Some(request) = self.live(uid) else {
            return;
        };
        let id = request.id(uid);
        if let State::Running { by } | State::Stopping { by, .. } = &request.life.state {
            let by = by.clone();
            self.stray(&by, &id);
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
                request.owned |= request.is_named_ours();
                self.landed(uid, now);
            }
            WriteResult::Conflict(observation) => {
                // A live read is the newest word, whatever the numbers say.
                request.show(&observation);
                self.observed(*observation, now);
                if !self.rules.hold(Rule::OwnWriteIsKnown)
                    && let Some(request) = self.live_mut(uid)
                {
                    request.shown = None;
                }
                self.writes.failed(uid, true, now.mono);
            }
            WriteResult::Gone => {
                self.writes.done(uid, now.mono);
                self.writes.forget(uid);
                self.leaves(uid, Cancel::Deleted, now);
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
        self.retire(uid, now);
    }

    /// Keeps of an ended request only what a late report needs.
    fn retire(&mut self, uid: &Uid, now: Now) {
        let durable = |request: &&Request| {
            matches!(request.life.state, State::Done(Done { written: true, .. }))
        };
        let ended = self.live(uid).filter(durable);
        if let Some(retired) = ended.and_then(|request| request.retired(now)) {
            self.writes.forget(uid);
            self.key_retires(uid, now);
            self.keep_finished(uid, retired);
        }
    }
}

pub(super) fn wants_cancel(observation: &Observation) -> bool {
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

    /// The same, for the schedule.
    pub(super) fn bytes(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is no text at all; even no parameters are `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
