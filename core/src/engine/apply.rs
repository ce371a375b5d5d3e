//! Gives an event to a request's life and carries out what it decides.

use std::time::Duration;

use super::{Effect, Engine, Entry, Measure, ToWorker, audit::Before, clocks, keyed::Stage};
use crate::{
    audit::What,
    decide::decide,
    ids::{AttemptId, Holder, Now, Uid},
    keys::Ending,
    life::{Act, Life, LifeEvent, State},
    rules::Rule,
    writes::Urgency,
};

// === impl Engine ===

impl Engine {
    /// Applies an event to a live request and carries out what follows.
    pub(super) fn apply(&mut self, uid: &Uid, event: LifeEvent, now: Now) {
        let taking_over = self.is_held_back(uid) || self.keyed.is_open(uid);
        let config = &self.config;
        let Some(Entry::Live(request)) = self.entries.get_mut(uid) else {
            if event == LifeEvent::Gone {
                self.forget_finished(uid);
            }
            return;
        };
        let policy = request.policy(uid, config, taking_over);
        let (was_offered, was_held) = (request.offered_since(), request.life.holder().cloned());
        let was_done = matches!(request.life.state, State::Done(_));
        let counts = counts(&event).then_some((request.life.failed, request.life.lost));
        let (stage, shared) = (
            Stage::of(&request.life.state),
            matches!(event, LifeEvent::Shared(_)),
        );
        let before = (config.audit).then(|| Before::of(&request.life, &event));
        let acts = match decide(&mut request.life, event, policy, now) {
            Ok(acts) => acts,
            Err(ignored) => return self.measure(Measure::Ignored(ignored.0)),
        };
        request.keep_mirror(stage, shared);
        if !was_done {
            let finished = request.finished(config);
            self.effects.extend(finished.map(Effect::Measure));
        }
        let told = before.map(|before| before.changes(request, &acts));
        let told = told.into_iter().flatten();
        self.effects
            .extend(told.map(|what| request.audit(uid, what)));
        let missed = counts.and_then(|before| missed(&request.life, before));
        self.effects.extend(missed.map(|outcome| {
            let service = request.known_service(config);
            Effect::Measure(Measure::Attempt { service, outcome })
        }));
        let is_offered = request.offered_since();
        self.sessions
            .track(uid, was_held.as_ref(), request.life.holder());
        self.track_offer(uid, was_offered, is_offered);
        self.track_clock(uid);
        self.keep_place(uid);
        for act in acts {
            self.act(uid, act, now);
        }
        self.key_follows(uid, stage);
        #[cfg(test)]
        self.break_rules(uid, now);
    }

    fn track_offer(&mut self, uid: &Uid, was: Option<Duration>, is: Option<Duration>) {
        clocks::reindex(&mut self.offered, uid, was, is);
    }

    pub(super) fn act(&mut self, uid: &Uid, act: Act, now: Now) {
        let Some(Entry::Live(request)) = self.entries.get_mut(uid) else {
            return;
        };
        let (id, address) = (request.id(uid), request.address.clone());
        match act {
            Act::Enqueue => {
                if self.may_enqueue(uid, now) {
                    self.enqueue(uid);
                }
            }
            Act::EnqueueLater => self.enqueue_later(uid, now),
            Act::Publish => {
                let (service, trace) = (request.service.clone(), request.trace.clone());
                self.effects.push(Effect::Publish {
                    id,
                    service,
                    address,
                    trace,
                });
            }
            Act::ReadParams => self.effects.push(Effect::ReadParams { id, address }),
            Act::Grant(by) => {
                let assignment = request.assignment(id, &self.config, now);
                self.measure(Measure::Claim("granted"));
                self.audit(uid, What::started(&assignment, &by));
                self.tell(&by, ToWorker::Assignment(Box::new(assignment)));
            }
            Act::Save => self.dirty(uid, Urgency::Live, now),
            Act::SaveNow => {
                let urgency = if request.life.is_reported() {
                    Urgency::Held
                } else {
                    Urgency::Now
                };
                self.dirty(uid, urgency, now);
            }
            Act::Forget => self.forget(uid),
            Act::Refuse(..) | Act::Stop(..) | Act::Record(..) | Act::Stale(..) => {
                self.answer(id, act);
            }
        }
    }

    fn answer(&mut self, id: AttemptId, act: Act) {
        let of = |attempt| AttemptId { attempt, ..id };
        match act {
            Act::Refuse(by, attempt, why) => {
                self.measure(Measure::Claim(why));
                self.tell(&by, ToWorker::Refusal(of(attempt), why));
            }
            Act::Stop(by, attempt, why) => self.tell(&by, ToWorker::Cancel(of(attempt), why)),
            Act::Record(by, attempt) => self.tell(&by, ToWorker::Recorded(of(attempt))),
            Act::Stale(by, attempt) => {
                self.measure(Measure::Ignored("stale_outcome"));
                self.tell(&by, ToWorker::Stale(of(attempt)));
            }
            _ => {}
        }
    }

    pub(super) fn forget(&mut self, uid: &Uid) {
        let Some(Entry::Live(request)) = self.entries.remove(uid) else {
            return;
        };
        let recovering = request.life.state == State::Recovering;
        if recovering
            && !self.is_recovered(&request.address.source())
            && self.rules.hold(Rule::OlderIsWaitedFor)
        {
            self.ghosts.insert(uid.clone());
        }
        self.writes.forget(uid);
        self.clocks.set(uid, request.clock, None);
        self.sessions.track(uid, request.life.holder(), None);
        self.track_offer(uid, request.offered_since(), None);
        self.schedule.remove(uid);
        self.leaves_key(uid, Ending::Dropped);
    }

    pub(super) fn dirty(&mut self, uid: &Uid, urgency: Urgency, now: Now) {
        if let Some(Entry::Live(request)) = self.entries.get_mut(uid) {
            request.revision += 1;
            if self.draining && !request.life.must_be_told() {
                return;
            }
            self.writes
                .want(uid, &request.address.source(), urgency, now.mono);
        }
        for other in self.mirrors_of(uid) {
            self.dirty(&other, Urgency::Live, now);
        }
    }

    /// Sends to the session of a worker process; without one, the next greeting brings it up again.
    pub(super) fn tell(&mut self, to: &Holder, message: ToWorker) {
        if let Some(session) = self.sessions.session_of(to) {
            self.effects.push(Effect::Send(session, message));
        }
    }
}

/// Whether what it changes in the counts happened now; a status that tells of more tells of the past.
fn counts(event: &LifeEvent) -> bool {
    matches!(
        event,
        LifeEvent::Ended { .. } | LifeEvent::LeaseEnded { .. } | LifeEvent::TakeoverEnded
    )
}

/// How the attempt that just ended was counted.
fn missed(life: &Life, (failed, lost): (u32, u32)) -> Option<&'static str> {
    if life.failed > failed {
        Some("failed")
    } else {
        (life.lost > lost).then_some("lost")
    }
}
