//! One attempt that a worker holds.

use std::time::Duration;

use super::types::{Effect, End, Outcome, Policy, Progress, Settlement, TicketNo};
use crate::throttle::Throttle;

/// An attempt and its ticket, while the broker still has that one outstanding.
#[derive(Clone, Debug)]
pub(super) struct Attempt<O> {
    pub(super) phase: Phase<O>,
    ticket: Option<TicketNo>,
    /// Until when the ticket is held, once the claim is granted.
    hold_end: Option<Duration>,
    progress: Throttle<Progress>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase<O> {
    /// A bid is out, to be answered by then.
    Claimed { answer_by: Duration },
    /// The job runs.
    Running,
    /// The job was told to stop.
    Stopping(Why),
    /// The lease ended: the job was killed and nothing will be said of it.
    Killed,
    /// The job is over, the outcome not recorded.
    Ended(Outcome<O>),
}

/// Why a job was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Cancelled,
    Leaving,
}

// === impl Attempt ===

impl<O: Clone> Attempt<O> {
    pub(super) fn claimed(ticket: TicketNo, answer_by: Duration, policy: &Policy) -> Self {
        Self {
            phase: Phase::Claimed { answer_by },
            ticket: Some(ticket),
            hold_end: None,
            progress: Throttle::new(policy.progress_interval),
        }
    }

    /// The claim is granted: the job runs, and its ticket is held until `hold_end` at the longest.
    pub(super) fn grant(&mut self, hold_end: Duration) {
        self.phase = Phase::Running;
        self.hold_end = Some(hold_end);
    }

    /// Whether a process of the job may be alive.
    pub(super) fn runs(&self) -> bool {
        match self.phase {
            Phase::Running | Phase::Stopping(_) | Phase::Killed => true,
            Phase::Claimed { .. } | Phase::Ended(_) => false,
        }
    }

    /// Marks it as killed; false when there is nothing to kill.
    pub(super) fn kill(&mut self) -> bool {
        let alive = matches!(self.phase, Phase::Running | Phase::Stopping(_));
        if alive {
            self.phase = Phase::Killed;
        }
        alive
    }

    /// Marks it as told to stop; false when it does not run or was told before.
    pub(super) fn stop(&mut self, why: Why) -> bool {
        let runs = matches!(self.phase, Phase::Running);
        if runs {
            self.phase = Phase::Stopping(why);
        }
        runs
    }

    /// The job is over. `None` when nothing is to be said of it.
    pub(super) fn end(&mut self, end: End<O>) -> Option<Outcome<O>> {
        let outcome = match (&self.phase, end) {
            (Phase::Running | Phase::Stopping(_), End::Done(outcome)) => Outcome::Done(outcome),
            (Phase::Stopping(Why::Cancelled), End::Stopped) => Outcome::Cancelled,
            // A job that stops without being told was stopped from outside the session.
            (Phase::Stopping(Why::Leaving) | Phase::Running, End::Stopped) => Outcome::Interrupted,
            (Phase::Killed | Phase::Claimed { .. } | Phase::Ended(_), _) => return None,
        };
        self.phase = Phase::Ended(outcome.clone());
        Some(outcome)
    }

    pub(super) fn settle<A>(&mut self, how: Settlement, effects: &mut Vec<Effect<A, O>>) {
        if let Some(ticket) = self.ticket.take() {
            effects.push(Effect::Settle { ticket, how });
        }
    }

    /// The broker took the ticket back.
    pub(super) fn lose_ticket(&mut self) {
        self.ticket = None;
    }

    pub(super) fn put_progress(&mut self, progress: Progress) {
        self.progress.put(progress);
    }

    pub(super) fn progress_due(&mut self, now: Duration) -> Option<Progress> {
        match self.phase {
            Phase::Running | Phase::Stopping(_) => self.progress.take(now),
            Phase::Claimed { .. } | Phase::Killed | Phase::Ended(_) => None,
        }
    }

    /// A ticket is never held for the length of a long job.
    pub(super) fn hold_due<A>(&mut self, now: Duration, effects: &mut Vec<Effect<A, O>>) {
        if self.ticket.is_some() && self.hold_end.is_some_and(|end| now >= end) {
            self.settle(Settlement::StillRunning, effects);
        }
    }

    pub(super) fn claim_overdue(&self, now: Duration) -> bool {
        matches!(self.phase, Phase::Claimed { answer_by } if now >= answer_by)
    }

    pub(super) fn wake_up(&self, live: bool) -> Option<Duration> {
        let hold = self.ticket.and(self.hold_end);
        let other = match self.phase {
            Phase::Claimed { answer_by } => Some(answer_by),
            Phase::Running | Phase::Stopping(_) if live => self.progress.due(),
            _ => None,
        };
        hold.into_iter().chain(other).min()
    }
}
