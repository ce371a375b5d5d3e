//! Carries out what is decided on the requests with a key.

use super::{
    super::request::Mirror, End, Engine, Entry, LifeEvent, Now, Reason, State, Uid, Verdict,
};
use crate::life::Stop;

impl Engine {
    /// Everything that was decided, and what follows from that.
    pub(in crate::engine) fn follow_keys(&mut self, now: Now) {
        self.settle_keys(now);
        self.release_lingering();
        self.carry_out(now);
    }

    /// Whether something is decided that is not carried out yet.
    pub(in crate::engine) fn has_verdicts(&self) -> bool {
        !self.keyed.verdicts.is_empty()
    }

    pub(super) fn carry_out(&mut self, now: Now) {
        while let Some(verdict) = self.keyed.verdicts.pop_front() {
            match verdict {
                Verdict::Runs(uid) => self.runs(&uid, now),
                Verdict::Waits {
                    uid,
                    earlier,
                    attached,
                } => self.stands_behind(&uid, &earlier, attached, now),
                Verdict::Shares { uid, of } => self.shares(&uid, &of, now),
                Verdict::Rejected(uid, reason) => self.reject_for(&uid, reason, now),
                Verdict::Replaced(uid) => {
                    self.apply(&uid, LifeEvent::Stop(Stop::Replaced), now);
                    // Nobody has it, and it takes part in nothing any more.
                    if self.is_recovering(&uid) && !self.is_held_back(&uid) {
                        self.apply(&uid, LifeEvent::TakeoverEnded, now);
                    }
                }
            }
        }
    }

    fn runs(&mut self, uid: &Uid, now: Now) {
        match self.live(uid).map(|request| &request.life.state) {
            Some(State::Behind { .. }) => self.apply(uid, LifeEvent::Free, now),
            Some(State::Recovering) if !self.is_held_back(uid) => {
                self.apply(uid, LifeEvent::TakeoverEnded, now);
            }
            _ => {}
        }
    }

    /// It waits for an earlier one, unless it is under way: then it does once it is not any more. How an
    /// earlier one ended that is not at hand is read.
    pub(in crate::engine) fn stands_behind(
        &mut self,
        uid: &Uid,
        earlier: &Uid,
        attached: bool,
        now: Now,
    ) {
        let event = LifeEvent::Behind {
            earlier: earlier.clone(),
            attached,
        };
        self.apply(uid, event, now);
        let name = self.name_of(earlier).filter(|_| attached);
        let Some(request) = self.live_mut(uid) else {
            return;
        };
        if !matches!(&request.life.state, State::Behind { earlier: found, .. } if found == earlier)
        {
            return;
        }
        request.mirror = name.map(|name| Box::new(Mirror { name, run: None }));
        if matches!(self.entries.get(earlier), Some(Entry::Finished(_))) {
            self.reads.want(earlier, now);
        }
    }

    /// It ends as an earlier one has: at once while that is at hand, else when its status was read.
    fn shares(&mut self, uid: &Uid, of: &Uid, now: Now) {
        self.stands_behind(uid, of, true, now);
        let Some((end, run)) = self.live(of).and_then(|earlier| {
            let end = earlier.end().filter(|end| **end != End::Foreign)?;
            Some((end.clone(), earlier.run()))
        }) else {
            return self.reads.want(of, now);
        };
        if let Some(mirror) = self.live_mut(uid).and_then(|r| r.mirror.as_mut()) {
            mirror.run = Some(run);
        }
        self.apply(uid, LifeEvent::Shared(end), now);
    }

    /// Unless it has ended meanwhile: an end stands.
    fn reject_for(&mut self, uid: &Uid, reason: Reason, now: Now) {
        if self.live(uid).is_none_or(|request| request.end().is_some()) {
            return;
        }
        let message = if reason == Reason::KeyReused {
            "an earlier request with the same idempotencyKey has other params: use another key"
        } else {
            "an earlier request with the same idempotencyKey waits, runs or has succeeded"
        };
        let message = message.into();
        self.reject(uid, End::Rejected { reason, message }, now);
    }

    /// Brings what an attached request shows up to date.
    pub(in crate::engine) fn mirror(&mut self, uid: &Uid) {
        let Some(State::Behind {
            earlier,
            attached: true,
        }) = self.live(uid).map(|request| &request.life.state)
        else {
            return;
        };
        let earlier = self.live(earlier);
        // One that has ended shows what it showed, until that is shared.
        let run = match earlier.map(|earlier| &earlier.life.state) {
            Some(State::Done(_)) => return,
            Some(State::Running { .. }) => earlier.filter(|e| e.life.stop.is_none()),
            _ => None,
        }
        .map(super::super::Request::run);
        if let Some(mirror) = self.live_mut(uid).and_then(|r| r.mirror.as_mut()) {
            mirror.run = run;
        }
    }

    fn is_recovering(&self, uid: &Uid) -> bool {
        let state = self.live(uid).map(|request| &request.life.state);
        state == Some(&State::Recovering)
    }
}
