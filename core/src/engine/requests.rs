//! What the API shows of requests: new ones, changed ones, written statuses.

use super::{Engine, Entry, Observation, Params, Request, WriteResult, clocks::dues, keyed::Asked};
use crate::{
    admit::Rejection,
    api::RequestStatus,
    ids::{Now, Source, Uid},
    life::{Act, Done, End, Life, LifeEvent, Moment, State, Stop},
    rules::Rule,
    status::{self, Recovered},
};

impl Engine {
    pub(super) fn observed(&mut self, observation: Observation, now: Now) {
        let source = observation.address.source();
        let list = self.shown_in(&source);
        let Some(entry) = self.entries.get_mut(&observation.uid) else {
            return self.discovered(observation, list, now);
        };
        let moved = !entry.is_at(&source);
        entry.see(&observation, list);
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
            self.apply(uid, LifeEvent::Gone, now);
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

    /// A request that was unknown: it is new, or an earlier watcher's.
    fn discovered(&mut self, observation: Observation, list: u32, now: Now) {
        let uid = observation.uid.clone();
        let moment = Moment::at(now);
        let (life, known) = match status::recover(observation.status.as_ref(), moment) {
            Recovered::Ended { attempt, completed } => {
                let since = completed.map_or(moment, Moment::told);
                return self.found_ended(observation, attempt, since, list, now);
            }
            Recovered::Live(life) => (*life, true),
            Recovered::New => (Life::accepted(moment), false),
        };
        let admitted = self.admitted(&observation, known);
        let cancel = wants_cancel(&observation);
        let limits = match &admitted {
            Ok(limits) => *limits,
            Err(_) => self.rejected_limits(&observation),
        };
        let asked = Asked::of(&observation, known);
        let lists = self.sources.get(&observation.address.source());
        if lists.is_none_or(|lists| !lists.listed) {
            self.leader.found_at_start(&observation);
        }
        let older =
            self.leader.may_have_missed(&observation) && self.rules.hold(Rule::OlderIsWaitedFor);
        let dues = dues(&limits, &life, now);
        let mut request = Request::new(observation, life, limits, list);
        request.dues = dues;
        let known_before = self.ghosts.remove(&uid) || known || older;
        request.inherited = self.is_inherited(&request, known_before);
        self.entries
            .insert(uid.clone(), Entry::Live(Box::new(request)));
        if let Err(Rejection { reason, message }) = admitted {
            self.reject(&uid, End::Rejected { reason, message }, now);
        } else {
            // One that is cancelled already stands in nobody's way, unless some worker has it.
            let inherited = self.live(&uid).is_some_and(|request| request.inherited);
            let asked = asked.filter(|_| !cancel || inherited);
            self.enter(&uid, known, asked, now);
        }
        self.track_clock(&uid);
        if cancel {
            self.apply(&uid, LifeEvent::Stop(Stop::Cancelled), now);
        }
    }

    /// Whether a request that was unknown may be held already: an earlier watcher granted it, and the
    /// worker has had no time to say so.
    fn is_inherited(&self, request: &Request, known_before: bool) -> bool {
        let lists = self.sources.get(&request.address.source());
        let (listed, recovered) = lists.map_or((false, false), |e| (e.listed, e.recovered));
        let told = self.leader.handed_over && request.life.worker.is_none();
        !listed || (known_before && !recovered && !told)
    }

    fn enter(&mut self, uid: &Uid, known: bool, asked: Option<Asked>, now: Now) {
        let Some(request) = self.live_mut(uid) else {
            return;
        };
        let inherited = request.inherited;
        if inherited || asked.is_some() {
            request.life.state = State::Recovering;
            self.keep_place(uid);
        }
        if let Some(asked) = asked {
            self.asks(uid, asked, now);
        } else if inherited {
            // It waits for the end of the take-over.
        } else if known {
            // Live in the API, unknown here, and the take-over is over: nobody holds it.
            self.apply(uid, LifeEvent::TakeoverEnded, now);
        } else {
            self.act(uid, Act::Enqueue, now);
            self.act(uid, Act::Save, now);
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
