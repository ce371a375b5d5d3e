//! What an engine does that does not keep one of the rules: for the simulation, which has to notice.

use super::{Effect, Engine, ToWorker};
use crate::{
    ids::{Now, Uid},
    life::{Act, LifeEvent, State},
    rules::{Rule, Rules},
};

// === impl Engine ===

impl Engine {
    /// An engine that keeps only these rules.
    pub(crate) fn under(mut self, rules: Rules, now: Now) -> Self {
        if !rules.hold(Rule::TakeoverWaits) {
            self.takeover_until = now.mono;
        }
        self.rules = rules;
        self
    }

    /// After each transition: goes on where a rule would have waited.
    pub(super) fn break_rules(&mut self, uid: &Uid, now: Now) {
        let off = |rule| !self.rules.hold(rule);
        let request = self.live(uid);
        // Our name is waited for all the same: it is not durable by itself, so the wait would start again.
        let named = request.is_some_and(|request| request.owned);
        match request.map(|request| &request.life.state) {
            Some(State::Stopping { back: false, .. }) if off(Rule::GoneIsWaitedFor) => {
                self.forget(uid);
            }
            Some(State::Saving { .. }) if named && off(Rule::DurableBeforeTicket) => {
                self.apply(uid, LifeEvent::Written, now);
            }
            Some(State::Done(done)) if !done.written && off(Rule::DurableBeforeRecorded) => {
                if let Some(told) = done.by.clone() {
                    self.act(uid, Act::Record(told.by, told.attempt), now);
                }
            }
            _ => {}
        }
    }

    /// Past the lead, only what the part of the rule that is off would have prevented goes on.
    pub(super) fn suppress_past_the_lead(&mut self, now: Now) {
        let over = self.leader.until.is_some_and(|until| until <= now.mono);
        if !over || !self.rules.hold(Rule::LeadIsChecked) {
            return;
        }
        let off = |rule| !self.rules.hold(rule);
        self.effects.retain(|effect| match effect {
            Effect::Write(_) => off(Rule::LeadIsCheckedBeforeWrites),
            Effect::Send(_, ToWorker::Assignment(_)) => off(Rule::LeadIsCheckedBeforeGrants),
            Effect::Send(_, ToWorker::HeartbeatAck(_)) => off(Rule::LeadIsCheckedBeforeAcks),
            _ => true,
        });
    }
}
