//! Jobs: what truly runs, whatever the others believe.

use super::{
    super::*,
    action::{Action, Order, Process},
    tale,
    worker::Happens,
    world::World,
};
use crate::{
    life::{FailureClass, Outcome},
    reason::Reason,
    rules::Rule,
    worker_session as ws,
};

/// A job whose processes live.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) worker: Process,
    pub(super) id: AttemptId,
}

/// How a job's processes end.
#[derive(Clone, Debug)]
pub(super) enum JobEnd {
    Done(Outcome),
    Stopped,
}

// === impl World ===

impl World {
    /// The warden lets a job start only under a lease.
    pub(super) fn start_job(&mut self, worker: Process, id: AttemptId) {
        let late = self.workers[worker.slot].lease_until <= self.now;
        if late && self.rules.hold(Rule::StartsUnderLease) {
            return self.hears_end(worker, id, JobEnd::Stopped);
        }
        self.tale.about(self.now, || {
            let text = format!("{} STARTS the job {id}", tale::worker(worker));
            (Some(id.uid.clone()), text)
        });
        self.check_start(worker, &id);
        self.runs += 1;
        let run = self.runs;
        let long = self.dice.chance(self.plan.long_jobs);
        let (from, to) = if long {
            (5000, self.plan.longest_job)
        } else {
            (10, 2000)
        };
        let outcome = self.outcome();
        let progress = ws::Progress {
            percent: 50,
            message: String::new(),
        };
        let told = Happens::Progress {
            id: id.clone(),
            progress,
        };
        let told = Action::Worker(worker, Order::Session(told));
        self.jobs.insert(run, Job { worker, id });
        self.later(10, 5000, told);
        let end = JobEnd::Done(outcome);
        self.later(from, to, Action::JobOver { run, end });
    }

    fn outcome(&mut self) -> Outcome {
        let (reason, message) = (Reason::JobFailed, "exit code 1".to_owned());
        let class = match self.dice.below(8) {
            0 => FailureClass::Permanent,
            1 => FailureClass::TimedOut,
            2 => FailureClass::Retryable,
            _ => {
                return Outcome::Succeeded {
                    result: None,
                    artifacts: vec![],
                };
            }
        };
        Outcome::Failed {
            class,
            reason,
            message,
        }
    }

    fn run_of(&self, worker: Process, id: &AttemptId) -> Option<u64> {
        let mut jobs = self.jobs.iter();
        let found = jobs.find(|(_, job)| job.worker == worker && job.id == *id);
        found.map(|(run, _)| *run)
    }

    /// It ends within so many milliseconds, unless it ends by itself before.
    pub(super) fn stop_job(&mut self, worker: Process, id: &AttemptId, within_ms: u64) {
        // One that ended or was killed already is only still to be heard of.
        if let Some(run) = self.run_of(worker, id) {
            let end = JobEnd::Stopped;
            self.later(0, within_ms, Action::JobOver { run, end });
        }
    }

    pub(super) fn kill_jobs_of(&mut self, worker: Process, within_ms: u64) {
        let of = |job: &&Job| job.worker == worker;
        let ids: Vec<AttemptId> = self
            .jobs
            .values()
            .filter(of)
            .map(|j| j.id.clone())
            .collect();
        for id in ids {
            self.stop_job(worker, &id, within_ms);
        }
    }

    /// At the end of the lease that it was told, it kills what runs, whatever the worker does.
    pub(super) fn warden(&mut self, worker: Process) {
        let process = &self.workers[worker.slot];
        let over = self.is_worker(worker) && process.lease_until <= self.now;
        if over && self.rules.hold(Rule::WardenKills) && self.rules.hold(Rule::WorkerFencesItself) {
            self.excuse_losses(worker.slot);
            let quick = self.rules.hold(Rule::KillIsQuick);
            self.kill_jobs_of(worker, if quick { 3000 } else { 20_000 });
        }
    }

    /// Its session hears of it when its process is there and not frozen.
    pub(super) fn job_over(&mut self, run: u64, end: JobEnd) {
        let Some(job) = self.jobs.remove(&run) else {
            return;
        };
        let (worker, id) = (job.worker, job.id);
        self.tale.about(self.now, || {
            let how = match &end {
                JobEnd::Done(outcome) => tale::outcome(outcome),
                JobEnd::Stopped => "stopped",
            };
            let text = format!("the job {id} on {} is over: {how}", tale::worker(worker));
            (Some(id.uid.clone()), text)
        });
        if let JobEnd::Done(outcome) = &end {
            self.finished
                .insert((id.uid.clone(), tale::outcome(outcome)));
        }
        self.hears_end(worker, id, end);
    }
}
