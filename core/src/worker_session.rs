//! The worker's session: what a worker may hold, run, report and take next.
//!
//! [`Worker::step`] is `(state, event, now) -> effects`; the worker's shell feeds it everything that
//! happens (tickets, messages of the watcher, ends of jobs, time) and carries its effects out in order.
//! It never reads a clock and never sees a job, a message or an outcome from inside: assignments (`A`)
//! and outcomes (`O`) pass through it.
//!
//! | attempt is | ticket | session lost | lease ends | cancel, stop list | drain over | job ends |
//! |---|---|---|---|---|---|---|
//! | claimed | held | dropped, ticket returned | session dropped | - | - | - |
//! | running | held for a while | goes on | killed, forgotten | stopping: cancelled | stopping: interrupted | ended |
//! | stopping | as before | goes on | killed, forgotten | - | - | ended |
//! | killed | settled | - | - | - | - | forgotten |
//! | ended | as before | outcome sent again | stays | forgotten by the stop list | - | - |
//!
//! Every attempt in that table takes a slot. A slot is free again only when the claim was refused or
//! dropped, the outcome is `Recorded` or `Stale`, or a killed job is dead.

mod attempt;
mod messages;
#[cfg(test)]
mod tests;
mod types;

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use crate::{
    ids::AttemptId,
    rules::{Rule, Rules},
};
use attempt::{Attempt, Phase};
pub use types::{
    Effect, End, Event, Ignored, Message, Outcome, Policy, Progress, Settlement, TicketNo, Welcome,
};

/// A worker process: its slots and its session with the watcher.
#[derive(Clone, Debug)]
pub struct Worker<O> {
    policy: Policy,
    stream: Stream,
    lease_end: Option<Duration>,
    attempts: BTreeMap<AttemptId, Attempt<O>>,
    /// Rises with each greeting.
    greetings: u64,
    draining: bool,
    intake: u32,
    left: bool,
    rules: Rules,
}

/// The one stream to the watcher.
#[derive(Clone, Debug)]
enum Stream {
    Down,
    /// Hello went out at that moment.
    Greeting {
        hello_sent: Duration,
    },
    Live(Live),
}

#[derive(Clone, Debug)]
struct Live {
    lease: Duration,
    interval: Duration,
    next_heartbeat: Duration,
    seq: u64,
    /// Heartbeats without an answer: number and when they went out.
    unanswered: BTreeMap<u64, Duration>,
}

/// A watcher that leaves a heartbeat unanswered for that part of the lease stands still: another one may
/// lead, and there is time to find it before the lease ends.
const SILENCE: u32 = 4;
/// But not sooner: a busy watcher is no dead one.
const SILENCE_MIN: Duration = Duration::from_secs(2);

type Effects<A, O> = Vec<Effect<A, O>>;

/// What one event brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step<A, O> {
    /// To be carried out in this order.
    pub effects: Vec<Effect<A, O>>,
    /// Why the event itself changed nothing, if so; the effects are then those of passing time.
    pub ignored: Option<Ignored>,
}

// === impl Worker ===

impl<O: Clone> Worker<O> {
    /// A worker that holds nothing and knows no watcher.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            stream: Stream::Down,
            lease_end: None,
            attempts: BTreeMap::new(),
            greetings: 0,
            draining: false,
            intake: 0,
            left: false,
            rules: Rules::default(),
        }
    }

    /// Takes one event in. `now` is any monotonic clock that goes on while the machine sleeps.
    pub fn step<A>(&mut self, event: Event<A, O>, now: Duration) -> Step<A, O> {
        let mut effects = Vec::new();
        // A renewal that is here already counts before the lease is judged.
        let taken = match event {
            Event::HeartbeatAck { seq } => {
                let taken = self.heartbeat_ack(seq);
                self.judge_lease(now, &mut effects);
                taken
            }
            other => {
                self.judge_lease(now, &mut effects);
                self.take(other, now, &mut effects)
            }
        };
        self.due(now, &mut effects);
        self.settle_intake(now, &mut effects);
        Step {
            effects,
            ignored: taken.err(),
        }
    }

    /// When [`Event::Tick`] is due next.
    #[must_use]
    pub fn wake_up(&self) -> Option<Duration> {
        let live = self.live();
        let heartbeat = live.map(|live| live.next_heartbeat);
        let silence = live.and_then(Live::silent_at);
        let attempts = self
            .attempts
            .values()
            .filter_map(|attempt| attempt.wake_up(live.is_some()));
        heartbeat
            .into_iter()
            .chain(silence)
            .chain(self.lease_end)
            .chain(attempts)
            .min()
    }

    /// Whether a greeting may be sent: not while a job that was killed at the lease's end still dies,
    /// since a greeting without it says that it is gone.
    #[must_use]
    pub fn may_greet(&self) -> bool {
        !self
            .attempts
            .values()
            .any(|attempt| matches!(attempt.phase, Phase::Killed))
    }

    /// When the lease ends; `None` when there is none or it has ended. Until then jobs may run.
    #[must_use]
    pub fn lease_end(&self) -> Option<Duration> {
        self.lease_end
    }

    /// Slots that nothing takes.
    #[must_use]
    pub fn free(&self) -> u32 {
        let taken = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        self.policy.slots.saturating_sub(taken)
    }

    /// Whether the watcher has welcomed this worker on the present stream.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live().is_some()
    }

    /// A worker that keeps only these rules.
    #[cfg(test)]
    pub(crate) fn under(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// All that takes a slot.
    #[cfg(test)]
    pub(crate) fn holds(&self) -> impl Iterator<Item = &AttemptId> {
        self.attempts.keys()
    }

    fn live(&self) -> Option<&Live> {
        match &self.stream {
            Stream::Live(live) => Some(live),
            Stream::Down | Stream::Greeting { .. } => None,
        }
    }

    fn lease_valid(&self, now: Duration) -> bool {
        self.lease_end.is_some_and(|end| now < end)
    }

    fn take<A>(
        &mut self,
        event: Event<A, O>,
        now: Duration,
        effects: &mut Effects<A, O>,
    ) -> Result<(), Ignored> {
        match event {
            Event::Ticket {
                ticket,
                id,
                service,
            } => {
                self.ticket(ticket, id, service, now, effects);
                Ok(())
            }
            Event::BrokerLost => {
                self.broker_lost();
                Ok(())
            }
            Event::Opening => self.opening(now, effects),
            Event::Welcome(welcome) => self.welcome(&welcome, now, effects),
            Event::Disconnected => self.disconnected(effects),
            Event::Assigned { id, assignment } => self.assigned(id, assignment, now, effects),
            Event::Refused { id } => self.refused(&id, effects),
            Event::Cancel { id } => self.cancel(&id, effects),
            Event::Recorded { id } | Event::Stale { id } => self.recorded(&id, effects),
            Event::Progress { id, progress } => self.progress(&id, progress),
            Event::JobEnded { id, end } => self.job_ended(id, end, effects),
            Event::Drain => self.drain(now),
            Event::DrainOver => {
                self.drain_over(effects);
                Ok(())
            }
            Event::HeartbeatAck { seq } => self.heartbeat_ack(seq),
            Event::Tick => Ok(()),
        }
    }

    /// At its lease's end a worker kills what it runs: from then on another may be given it.
    fn judge_lease<A>(&mut self, now: Duration, effects: &mut Effects<A, O>) {
        if self.lease_end.is_none_or(|end| now < end) {
            return;
        }
        self.lease_end = None;
        let mut killed = false;
        for (id, attempt) in &mut self.attempts {
            if self.rules.hold(Rule::WorkerFencesItself) && attempt.kill() {
                killed = true;
                effects.push(Effect::Kill { id: id.clone() });
                attempt.settle(Settlement::Done, effects);
            }
        }
        let stale_greeting = killed && matches!(self.stream, Stream::Greeting { .. });
        if self.is_live() || stale_greeting {
            effects.push(Effect::Disconnect);
            self.lose_stream(effects);
        }
    }

    /// What only the passing of time brings about.
    fn due<A>(&mut self, now: Duration, effects: &mut Effects<A, O>) {
        let overdue = |attempt: &Attempt<O>| attempt.claim_overdue(now);
        let silent = |live: &Live| live.silent_at().is_some_and(|at| at <= now);
        let unclaimed = self.is_live() && self.attempts.values().any(overdue);
        if unclaimed || self.live().is_some_and(silent) {
            effects.push(Effect::Disconnect);
            self.lose_stream(effects);
        }
        #[cfg(test)]
        self.attempts.retain(|_, attempt| {
            self.rules.hold(Rule::AssignmentOnItsStream) || !attempt.claim_overdue(now)
        });
        self.heartbeat_due(now, effects);
        let live = self.is_live();
        for (id, attempt) in &mut self.attempts {
            attempt.hold_due(now, effects);
            if live && let Some(progress) = attempt.progress_due(now) {
                let id = id.clone();
                effects.push(Effect::Progress { id, progress });
            }
        }
    }

    /// Tells the intake how many tickets it may bring, when that has changed.
    fn settle_intake<A>(&mut self, now: Duration, effects: &mut Effects<A, O>) {
        let open = self.is_live() && self.lease_valid(now) && !self.draining;
        let free = if open { self.free() } else { 0 };
        match free.cmp(&self.intake) {
            // Consumers stop before anything is returned to the queue,
            Ordering::Less => effects.insert(0, Effect::Intake { free }),
            Ordering::Equal => {}
            // and a ticket that is done makes room before the next one is asked for.
            Ordering::Greater => effects.push(Effect::Intake { free }),
        }
        self.intake = free;
        if self.draining && self.attempts.is_empty() && !self.left {
            self.left = true;
            effects.push(Effect::Leave);
        }
    }
}

// === impl Live ===

impl Live {
    /// When the oldest heartbeat has waited too long for its answer.
    fn silent_at(&self) -> Option<Duration> {
        let (_, sent) = self.unanswered.first_key_value()?;
        Some(*sent + (self.lease / SILENCE).max(SILENCE_MIN))
    }
}
