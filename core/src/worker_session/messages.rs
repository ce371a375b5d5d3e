//! What each event does: the edges of the table in the parent module.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Effects, Live, Stream, Worker,
    attempt::{Attempt, Phase, Why},
    types::{Effect, End, Ignored, Message, Outcome, Progress, Settlement, TicketNo, Welcome},
};
use crate::{ids::AttemptId, rules::Rule};

// === impl Worker: the broker ===

impl<O: Clone> Worker<O> {
    pub(super) fn ticket<A>(
        &mut self,
        ticket: TicketNo,
        id: AttemptId,
        service: String,
        now: Duration,
        effects: &mut Effects<A, O>,
    ) {
        if self.attempts.contains_key(&id) {
            // A copy of what this worker holds; the run it has goes on.
            let how = Settlement::Done;
            effects.push(Effect::Settle { ticket, how });
            return;
        }
        let lease = self.live().map(|live| live.lease);
        match lease {
            Some(lease) if self.lease_valid(now) && !self.draining && self.free() > 0 => {
                let attempt = Attempt::claimed(ticket, now + lease, &self.policy);
                self.attempts.insert(id.clone(), attempt);
                effects.push(Effect::Send(Message::Claim { id, service }));
            }
            _ => {
                let how = Settlement::Return;
                effects.push(Effect::Settle { ticket, how });
            }
        }
    }

    pub(super) fn broker_lost(&mut self) {
        self.attempts.values_mut().for_each(Attempt::lose_ticket);
    }
}

// === impl Worker: the stream ===

impl<O: Clone> Worker<O> {
    pub(super) fn opening<A>(
        &mut self,
        now: Duration,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        if !self.may_greet() {
            return Err(Ignored::StillDying);
        }
        self.lose_stream(effects);
        self.stream = Stream::Greeting { hello_sent: now };
        self.greetings += 1;
        let rules = self.rules;
        let listed = |attempt: &Attempt<O>| {
            let claimed = matches!(attempt.phase, Phase::Claimed { .. });
            !claimed || rules.hold(Rule::AssignmentOnItsStream)
        };
        let ids = |runs: bool| {
            let listed = self.attempts.iter().filter(|(_, a)| listed(a));
            let wanted = listed.filter(|(_, a)| a.runs() == runs);
            wanted.map(|(id, _)| id.clone()).collect()
        };
        effects.push(Effect::Send(Message::Hello {
            running: ids(true),
            outcomes: ids(false),
            greeting: self.greetings,
        }));
        Ok(())
    }

    pub(super) fn welcome<A>(
        &mut self,
        welcome: &Welcome,
        now: Duration,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        let Stream::Greeting { hello_sent } = self.stream else {
            return Err(Ignored::NoSession);
        };
        self.stream = Stream::Live(Live {
            lease: welcome.lease,
            interval: welcome.heartbeat,
            next_heartbeat: now + welcome.heartbeat,
            seq: 0,
            unanswered: BTreeMap::new(),
        });
        self.lease_end = Some(hello_sent + welcome.lease);
        for id in &welcome.stop {
            self.stop_and_forget(id, effects);
        }
        for (id, attempt) in &self.attempts {
            if let Phase::Ended(outcome) = &attempt.phase {
                let (id, outcome) = (id.clone(), outcome.clone());
                effects.push(Effect::Send(Message::Outcome { id, outcome }));
            }
        }
        Ok(())
    }

    pub(super) fn disconnected<A>(&mut self, effects: &mut Effects<A, O>) -> Result<(), Ignored> {
        if matches!(self.stream, Stream::Down) {
            return Err(Ignored::NoSession);
        }
        self.lose_stream(effects);
        Ok(())
    }

    /// Jobs go on, but a bid counts only on the stream that it was sent on.
    pub(super) fn lose_stream<A>(&mut self, effects: &mut Effects<A, O>) {
        self.stream = Stream::Down;
        let rules = self.rules;
        self.attempts.retain(|_, attempt| {
            let claimed = matches!(attempt.phase, Phase::Claimed { .. })
                && rules.hold(Rule::GreetingDropsClaims)
                && rules.hold(Rule::AssignmentOnItsStream);
            if claimed {
                attempt.settle(Settlement::Return, effects);
            }
            !claimed
        });
    }

    pub(super) fn heartbeat_ack(&mut self, seq: u64) -> Result<(), Ignored> {
        let Stream::Live(live) = &mut self.stream else {
            return Err(Ignored::NoSession);
        };
        let sent = live.unanswered.remove(&seq).ok_or(Ignored::Unknown)?;
        live.unanswered.retain(|other, _| *other > seq);
        self.lease_end = self.lease_end.max(Some(sent + live.lease));
        Ok(())
    }

    pub(super) fn heartbeat_due<A>(&mut self, now: Duration, effects: &mut Effects<A, O>) {
        let (free, draining, rules) = (self.free(), self.draining, self.rules);
        let Stream::Live(live) = &mut self.stream else {
            return;
        };
        if now < live.next_heartbeat {
            return;
        }
        live.seq += 1;
        live.next_heartbeat = now + live.interval;
        live.unanswered.insert(live.seq, now);
        let listed = |attempt: &Attempt<O>| {
            let claimed = matches!(attempt.phase, Phase::Claimed { .. });
            !claimed || rules.hold(Rule::HeartbeatListsClaims)
        };
        let held = self.attempts.iter().filter(|(_, a)| listed(a));
        let held = held.map(|(id, _)| id.clone()).collect();
        effects.push(Effect::Send(Message::Heartbeat {
            seq: live.seq,
            held,
            free,
            draining,
        }));
    }
}

// === impl Worker: attempts ===

impl<O: Clone> Worker<O> {
    pub(super) fn assigned<A>(
        &mut self,
        id: AttemptId,
        assignment: A,
        now: Duration,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        let hold_end = now + self.policy.hold;
        let attempt = self.attempts.get_mut(&id).ok_or(Ignored::Unknown)?;
        if !matches!(attempt.phase, Phase::Claimed { .. }) {
            return Err(Ignored::Late);
        }
        attempt.grant(hold_end);
        if self.draining {
            return self.job_ended(id, End::Stopped, effects);
        }
        // A claim lives only on a live stream, and that one ends with the lease: it is valid here.
        effects.push(Effect::Start { id, assignment });
        Ok(())
    }

    pub(super) fn refused<A>(
        &mut self,
        id: &AttemptId,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        let attempt = self.attempts.get(id).ok_or(Ignored::Unknown)?;
        if !matches!(attempt.phase, Phase::Claimed { .. }) {
            return Err(Ignored::Late);
        }
        self.forget(id, effects);
        Ok(())
    }

    pub(super) fn cancel<A>(
        &mut self,
        id: &AttemptId,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        let attempt = self.attempts.get_mut(id).ok_or(Ignored::Unknown)?;
        if !attempt.stop(Why::Cancelled) {
            return Err(Ignored::Late);
        }
        effects.push(Effect::Stop { id: id.clone() });
        Ok(())
    }

    fn stop_and_forget<A>(&mut self, id: &AttemptId, effects: &mut Effects<A, O>) {
        match self.attempts.get(id).map(|attempt| &attempt.phase) {
            Some(Phase::Ended(_)) => self.forget(id, effects),
            Some(_) => self.cancel(id, effects).unwrap_or_default(),
            None => {}
        }
    }

    pub(super) fn recorded<A>(
        &mut self,
        id: &AttemptId,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        let attempt = self.attempts.get(id).ok_or(Ignored::Unknown)?;
        if !matches!(attempt.phase, Phase::Ended(_)) {
            return Err(Ignored::Late);
        }
        self.forget(id, effects);
        Ok(())
    }

    pub(super) fn progress(&mut self, id: &AttemptId, progress: Progress) -> Result<(), Ignored> {
        let attempt = self.attempts.get_mut(id).ok_or(Ignored::Unknown)?;
        if !matches!(attempt.phase, Phase::Running | Phase::Stopping(_)) {
            return Err(Ignored::Late);
        }
        attempt.put_progress(progress);
        Ok(())
    }

    pub(super) fn job_ended<A>(
        &mut self,
        id: AttemptId,
        end: End<O>,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        let live = self.is_live();
        let attempt = self.attempts.get_mut(&id).ok_or(Ignored::Unknown)?;
        if matches!(attempt.phase, Phase::Killed) {
            self.forget(&id, effects);
            return Ok(());
        }
        let outcome: Outcome<O> = attempt.end(end).ok_or(Ignored::Late)?;
        if live {
            effects.push(Effect::Send(Message::Outcome { id, outcome }));
        }
        Ok(())
    }

    fn forget<A>(&mut self, id: &AttemptId, effects: &mut Effects<A, O>) {
        if let Some(mut attempt) = self.attempts.remove(id) {
            attempt.settle(Settlement::Done, effects);
        }
    }

    /// Says so with a heartbeat at once.
    pub(super) fn drain(&mut self, now: Duration) -> Result<(), Ignored> {
        if self.draining {
            return Err(Ignored::Late);
        }
        self.draining = true;
        if let Stream::Live(live) = &mut self.stream {
            live.next_heartbeat = now;
        }
        Ok(())
    }

    pub(super) fn drain_over<A>(&mut self, effects: &mut Effects<A, O>) {
        for (id, attempt) in &mut self.attempts {
            if attempt.stop(Why::Leaving) {
                effects.push(Effect::Stop { id: id.clone() });
            }
        }
    }
}
