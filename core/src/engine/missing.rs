//! Requests for a service that does not exist here, or not yet: they wait a while before they are rejected,
//! so that requests may come before the file of their service does.
//!
//! Nothing is decided on such a request. When its service is there, it is admitted as if it were new: by a
//! fresh look at it, since what is computed from its parameters depends on the service.

use std::time::Duration;

use super::{Engine, Observation, Request, clocks::dues, keyed::Asked};
use crate::{
    admit::{self, Limits, Rejection},
    api::PARAMS_MAX_BYTES,
    ids::{Now, Uid},
    life::{Act, End, Moment, State},
};

/// The service is there, but who looked at the request did not know it yet: it will look again at once.
const LOOKS_AGAIN: Duration = Duration::from_secs(60);

// === impl Engine ===

impl Engine {
    /// Until when a request that nobody has decided on waits for its service; none when it need not or
    /// need no longer.
    pub(super) fn waits_for_service(&self, found: &Observation, now: Now) -> Option<Duration> {
        let spec = found.spec.as_ref().ok()?;
        if found.refusal.is_some() || found.params.len() > PARAMS_MAX_BYTES {
            return None;
        }
        if self.config.catalogue.contains_key(spec.service.as_str()) {
            return (!found.service_known).then(|| now.mono + LOOKS_AGAIN);
        }
        let queued = || found.status.as_ref()?.queued_time;
        let since = found.created.or_else(queued).map(Moment::told);
        let age = since.map_or(Duration::ZERO, |since| since.age(now));
        let left = self.config.unknown_service.checked_sub(age)?;
        (!left.is_zero()).then(|| now.mono + left)
    }

    /// It is there and waits for its service.
    pub(super) fn keeps_waiting(&mut self, uid: &Uid, now: Now) {
        self.set_aside(uid);
        self.act(uid, Act::Save, now);
    }

    /// Another look at a request that waits for its service.
    pub(super) fn looked_again(&mut self, found: &Observation, now: Now) {
        if self.waits_for_service(found, now).is_some() {
            return;
        }
        let uid = &found.uid;
        let older = self.leader.may_have_missed(found);
        self.schedule.remove(uid);
        let (admitted, rejected) = (self.decided(found), self.rejected_limits(found));
        let Some(request) = self.live_mut(uid) else {
            return;
        };
        request.pending = None;
        request.asks_anew(found);
        match admitted {
            Ok(limits) => {
                request.admit(limits, now);
                let inherited = self.live(uid).is_some_and(|r| self.is_inherited(r, older));
                if let Some(request) = self.live_mut(uid) {
                    request.inherited = inherited;
                }
                self.track_clock(uid);
                self.audit_accepted(uid);
                self.enter(uid, false, Asked::of(found, false), now);
            }
            Err(Rejection { reason, message }) => {
                request.limits = rejected;
                self.reject(uid, End::Rejected { reason, message }, now);
            }
        }
    }

    /// Its service did not come, or nobody has looked at it again since.
    pub(super) fn gives_up_waiting(&mut self, uid: &Uid, now: Now) {
        let catalogue = &self.config.catalogue;
        let Some(request) = super::live_in(&mut self.entries, uid) else {
            return;
        };
        if catalogue.contains_key(&request.service) {
            request.pending = Some(now.mono + LOOKS_AGAIN);
            return self.track_clock(uid);
        }
        let Rejection { reason, message } = admit::unknown_service(&request.service);
        self.reject(uid, End::Rejected { reason, message }, now);
    }

    /// Whether a request waits for its service, and has done so for long enough.
    pub(super) fn has_waited(&self, uid: &Uid, now: Now) -> bool {
        let due = self.live(uid).and_then(Request::waits_until);
        due.is_some_and(|due| due <= now.mono)
    }
}

// === impl Request ===

impl Request {
    /// Until when it waits for its service.
    pub(super) fn waits_until(&self) -> Option<Duration> {
        self.pending.filter(|_| self.life.state == State::Waiting)
    }

    /// When its next clock runs out.
    pub(super) fn clock_at(&self) -> Option<Duration> {
        let clocks = [self.waits_until(), self.life.clock_at(self.dues)];
        clocks.into_iter().flatten().min()
    }

    /// It is accepted after all.
    fn admit(&mut self, limits: Limits, now: Now) {
        self.limits = limits;
        self.dues = dues(&limits, &self.life, now);
    }
}
