//! Requests that were unknown: new ones, and those of an earlier watcher.

use std::time::Duration;

use super::{
    Engine, Entry, Observation, Request, clocks::dues, keyed::Asked, requests::wants_cancel,
};
use crate::{
    admit::{Limits, Rejection},
    ids::{Now, Uid},
    life::{Act, End, Life, LifeEvent, Moment, State, Stop},
    rules::Rule,
    status::{self, Recovered},
};

// === impl Engine ===

impl Engine {
    /// A request that was unknown: it is new, or an earlier watcher's.
    pub(super) fn discovered(&mut self, observation: Observation, list: u32, now: Now) {
        let moment = Moment::at(now);
        match status::recover(observation.status.as_ref(), moment) {
            Recovered::Ended { attempt, completed } => {
                let since = completed.map_or(moment, Moment::told);
                self.found_ended(observation, attempt, since, list, now);
            }
            Recovered::Live(life) if undecided(&observation) => {
                let life = Life::accepted(life.queued);
                self.found_live(observation, (life, false), list, now);
            }
            Recovered::Live(life) => self.found_live(observation, (*life, true), list, now),
            Recovered::New => {
                self.found_live(observation, (Life::accepted(moment), false), list, now);
            }
        }
    }

    /// `known`: somebody has decided on it.
    fn found_live(
        &mut self,
        observation: Observation,
        (life, known): (Life, bool),
        list: u32,
        now: Now,
    ) {
        let uid = observation.uid.clone();
        let (admitted, pending) = self.judged(&observation, known, now);
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
        let mut request = Request::new(observation, life, limits, (list, &self.config));
        self.names.share_in(&mut request);
        (request.dues, request.pending) = (dues, pending);
        let known_before = self.ghosts.remove(&uid) || known || older;
        request.inherited = self.is_inherited(&request, known_before);
        self.entries
            .insert(uid.clone(), Entry::Live(Box::new(request)));
        if let Err(Rejection { reason, message }) = admitted {
            self.reject(&uid, End::Rejected { reason, message }, now);
        } else if pending.is_some() {
            self.keeps_waiting(&uid, now);
        } else {
            if !known {
                self.audit_accepted(&uid);
            }
            // One that is cancelled already stands in nobody's way, unless some worker has it.
            let inherited = self.live(&uid).is_some_and(|request| request.inherited);
            let asked = asked.filter(|_| !cancel || inherited);
            self.enter(&uid, known, asked, now);
            if known {
                self.put_name(&uid, now);
            }
        }
        self.track_clock(&uid);
        if cancel {
            self.apply(&uid, LifeEvent::Stop(Stop::Cancelled), now);
        }
    }

    /// Whether it is accepted, with its limits; and until when it waits for its service, when it has to, so
    /// that only its place is decided on.
    fn judged(
        &self,
        found: &Observation,
        known: bool,
        now: Now,
    ) -> (Result<Limits, Rejection>, Option<Duration>) {
        let pending = self.waits_for_service(found, now).filter(|_| !known);
        if pending.is_none() {
            return (self.admitted(found, known), None);
        }
        let admitted = self.may_wait(found).map(|()| self.rejected_limits(found));
        let pending = pending.filter(|_| admitted.is_ok());
        (admitted, pending)
    }

    /// Whether a request that was unknown may be held already: an earlier watcher granted it, and the
    /// worker has had no time to say so.
    pub(super) fn is_inherited(&self, request: &Request, known_before: bool) -> bool {
        let lists = self.sources.get(&request.address.source());
        let (listed, recovered) = lists.map_or((false, false), |e| (e.listed, e.recovered));
        let told = request.was_told(self.leader.handed_over);
        !listed || (known_before && !recovered && !told)
    }

    pub(super) fn enter(&mut self, uid: &Uid, known: bool, asked: Option<Asked>, now: Now) {
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
        } else if self.live(uid).is_some_and(|request| !request.owned) {
            // Our name first.
            self.live_mut(uid).expect("it is live").life.state = State::Recovering;
            self.apply(uid, LifeEvent::TakeoverEnded, now);
        } else {
            self.act(uid, Act::Enqueue, now);
            self.act(uid, Act::Save, now);
        }
    }
}

fn undecided(observation: &Observation) -> bool {
    observation
        .status
        .as_ref()
        .is_some_and(status::is_undecided)
}
