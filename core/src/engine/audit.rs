//! Telling an audit what is decided. Nothing is decided here: what happened to a request is read from its
//! life before and after an event.

use std::sync::Arc;

use super::{Assignment, Effect, Engine, Request, request::Shown};
use crate::{
    audit::{AttemptEnd, Audit, Cancel, Judged, What},
    ids::{Holder, Now, Uid},
    life::{Act, Done, End, Life, LifeEvent, Outcome, State, Stop},
};

/// What of a life an event may change, as far as it is told.
#[derive(Debug)]
pub(super) struct Before {
    attempt: u32,
    worker: Option<Arc<str>>,
    stop: Option<Stop>,
    /// A worker has it, as far as is known.
    ran: bool,
    /// Its end is not in the API.
    unwritten: bool,
    /// How the event would end a run.
    how: Option<AttemptEnd>,
    /// Who speaks of a run of it.
    by: Option<Holder>,
    foreign_end: bool,
}

// === impl Before ===

impl Before {
    pub(super) fn of(life: &Life, event: &LifeEvent) -> Self {
        let recovering = life.state == State::Recovering;
        Self {
            attempt: life.attempt(),
            worker: life.worker.clone(),
            stop: life.stop,
            ran: has_run(life),
            unwritten: !is_written(life),
            how: ending(event),
            by: speaker(event).filter(|_| recovering).cloned(),
            foreign_end: *event == LifeEvent::ForeignEnd,
        }
    }

    /// What is to be told of a request after the event, in order.
    pub(super) fn changes(self, request: &Request, acts: &[Act]) -> Vec<What> {
        let life = &request.life;
        let mut told = vec![];
        let adopted = self.by.filter(|_| life.state != State::Recovering);
        let forgotten = acts.contains(&Act::Forget);
        let left = forgotten || !has_run(life) || self.how == Some(AttemptEnd::Overtaken);
        let over = left && (self.ran || adopted.is_some());
        let worker = adopted.as_ref().map(|by| by.worker.clone()).or(self.worker);
        if let Some(by) = adopted {
            let attempt = self.attempt;
            told.push(What::Adopted { attempt, by });
        }
        if let Some(how) = self.how.filter(|_| over) {
            told.push(What::AttemptEnded {
                attempt: self.attempt,
                worker: worker.unwrap_or_default(),
                how,
            });
        }
        if self.stop.is_none() {
            told.extend(life.stop.map(|why| What::Cancelled(why.into())));
        }
        if self.unwritten && is_written(life) {
            told.extend(request.told_end(self.foreign_end));
        }
        told
    }
}

impl What {
    pub(super) fn started(assignment: &Assignment, by: &Holder) -> Self {
        Self::Started {
            attempt: assignment.id.attempt,
            by: by.clone(),
            params: assignment.params.clone(),
        }
    }
}

impl From<Stop> for Cancel {
    fn from(why: Stop) -> Self {
        match why {
            Stop::Cancelled => Self::Asked,
            Stop::Replaced => Self::Replaced,
            Stop::Deadline => Self::Deadline,
        }
    }
}

// === impl Request ===

impl Request {
    pub(super) fn audit(&self, uid: &Uid, what: What) -> Effect {
        Effect::Audit(Box::new(Audit {
            uid: uid.clone(),
            address: self.address.clone(),
            service: self.service.clone(),
            requester: self.requester.clone(),
            what,
        }))
    }

    /// Its end, which is in the API now. A rejection was told when it was decided.
    fn told_end(&self, foreign: bool) -> Option<What> {
        if matches!(self.end(), Some(End::Rejected { .. })) {
            return None;
        }
        let status = if foreign {
            let end = self.shown.as_ref().and_then(Shown::end);
            end.cloned().unwrap_or_default()
        } else {
            self.wanted_status(None)
        };
        let status = Box::new(status);
        Some(What::Ended { status, foreign })
    }
}

// === impl Engine ===

impl Engine {
    /// Tells the audit of a request, where there is an audit.
    pub(super) fn audit(&mut self, uid: &Uid, what: What) {
        if self.config.audit
            && let Some(told) = self.live(uid).map(|request| request.audit(uid, what))
        {
            self.effects.push(told);
        }
    }

    /// It may run.
    pub(super) fn audit_accepted(&mut self, uid: &Uid) {
        let judged = self.take_judged(uid);
        self.audit(uid, What::Accepted(judged));
    }

    /// It may not.
    pub(super) fn audit_rejected(&mut self, uid: &Uid, end: &End) {
        if let End::Rejected { reason, .. } = end {
            let judged = self.take_judged(uid);
            self.audit(uid, What::Rejected(*reason, judged));
        }
    }

    fn take_judged(&mut self, uid: &Uid) -> Option<Arc<Judged>> {
        self.live_mut(uid)?.judged.take()
    }

    /// Its object is gone for this instance.
    pub(super) fn leaves(&mut self, uid: &Uid, why: Cancel, now: Now) {
        let here = |request: &Request| {
            let left = matches!(request.life.state, State::Stopping { back: false, .. });
            !left && !is_written(&request.life)
        };
        if self.live(uid).is_some_and(here) {
            self.audit(uid, What::Cancelled(why));
        }
        self.apply(uid, LifeEvent::Gone, now);
    }
}

/// Whether a worker has it, or had when the status was written.
fn has_run(life: &Life) -> bool {
    match life.state {
        State::Running { .. } | State::Stopping { .. } => true,
        State::Recovering => life.worker.is_some(),
        _ => false,
    }
}

fn is_written(life: &Life) -> bool {
    matches!(life.state, State::Done(Done { written: true, .. }))
}

fn ending(event: &LifeEvent) -> Option<AttemptEnd> {
    Some(match event {
        LifeEvent::Ended { outcome, .. } => match outcome {
            Outcome::Succeeded { .. } => AttemptEnd::Succeeded,
            Outcome::Failed { reason, .. } => AttemptEnd::Failed(*reason),
            Outcome::Cancelled => AttemptEnd::Cancelled,
            Outcome::Interrupted => AttemptEnd::Interrupted,
        },
        LifeEvent::LeaseEnded { .. } | LifeEvent::TakeoverEnded => AttemptEnd::Lost,
        LifeEvent::Missing { .. } => AttemptEnd::Void,
        LifeEvent::ForeignEnd | LifeEvent::Overtaken(_) => AttemptEnd::Overtaken,
        _ => return None,
    })
}

fn speaker(event: &LifeEvent) -> Option<&Holder> {
    match event {
        LifeEvent::Greeted { by, .. } | LifeEvent::Ended { by, .. } => Some(by),
        _ => None,
    }
}
