//! Jobs: what truly runs, whatever the others believe.

use super::{super::*, action::Action, worker::Happens, world::World};
use crate::{
    life::{FailureClass, Outcome},
    reason::Reason,
    worker_session as ws,
};

#[derive(Debug)]
pub(super) struct Job {
    /// Its processes live.
    pub(super) alive: bool,
}

/// How a job's processes end.
#[derive(Clone, Debug)]
pub(super) enum JobEnd {
    Done(Outcome),
    Stopped,
}

// === impl World ===

impl World {
    pub(super) fn start_job(&mut self, worker: usize, id: AttemptId) {
        let here = (worker, self.workers[worker].incarnation, id.attempt);
        let elsewhere = self.running.insert(id.uid.clone(), here);
        assert_eq!(elsewhere, None, "{id} starts on {here:?} while it runs");
        self.workers[worker]
            .jobs
            .insert(id.clone(), Job { alive: true });
        let (reason, message) = (Reason::JobFailed, "exit code 1".to_owned());
        let outcome = match self.dice.below(4) {
            0 => Outcome::Failed {
                class: FailureClass::Permanent,
                reason,
                message,
            },
            _ => Outcome::Succeeded {
                result: None,
                artifacts: vec![],
            },
        };
        let length = if self.dice.chance(30) {
            (5000, 60_000)
        } else {
            (10, 2000)
        };
        let progress = ws::Progress {
            percent: 50,
            message: String::new(),
        };
        let event = Happens::Progress {
            id: id.clone(),
            progress,
        };
        self.later(10, 5000, |w| Action::Job {
            worker,
            incarnation: w,
            event,
        });
        self.end_job_in(worker, id, length, JobEnd::Done(outcome));
    }

    pub(super) fn end_job_in(&mut self, worker: usize, id: AttemptId, ms: (u64, u64), end: JobEnd) {
        let incarnation = self.workers[worker].incarnation;
        let at = self.now + self.dice.between(ms.0, ms.1);
        self.at(
            at,
            Action::JobEnds {
                worker,
                incarnation,
                id,
                end,
            },
        );
    }

    /// The processes of a job are over; the session hears of it when its process is not frozen.
    pub(super) fn job_ends(&mut self, worker: usize, id: AttemptId, end: JobEnd) {
        let Some(job) = self.workers[worker].jobs.remove(&id) else {
            return;
        };
        if job.alive {
            self.job_dies(worker, &id);
        }
        let end = match end {
            JobEnd::Done(outcome) if job.alive => {
                self.finished
                    .insert((id.uid.clone(), outcome_name(&outcome)));
                ws::End::Done(outcome)
            }
            _ => ws::End::Stopped,
        };
        let incarnation = self.workers[worker].incarnation;
        let event = Happens::JobEnded { id, end };
        self.at(
            self.now,
            Action::Job {
                worker,
                incarnation,
                event,
            },
        );
    }

    pub(super) fn job_dies(&mut self, worker: usize, id: &AttemptId) {
        let here = (worker, self.workers[worker].incarnation, id.attempt);
        assert_eq!(
            self.running.remove(&id.uid),
            Some(here),
            "{id} ran on {here:?}"
        );
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "Succeeded",
        Outcome::Failed { .. } => "Failed",
        Outcome::Cancelled | Outcome::Interrupted => "nothing",
    }
}
