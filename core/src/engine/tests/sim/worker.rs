//! A worker process: the real session around simulated jobs.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::*,
    action::Action,
    jobs::{Job, JobEnd},
    world::World,
};
use crate::{life::Outcome, worker_session as ws};

type Session = ws::Worker<Outcome>;
pub(super) type Happens = ws::Event<(), Outcome>;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) incarnation: u32,
    pub(super) session: Session,
    pub(super) stream: Option<SessionId>,
    pub(super) intake: u32,
    pub(super) tickets: BTreeMap<u64, AttemptId>,
    pub(super) jobs: BTreeMap<AttemptId, Job>,
    pub(super) frozen_until: Duration,
    /// What the warden was told: jobs die then, even when the process stands still.
    pub(super) lease_until: Duration,
    pub(super) sent: BTreeMap<u64, Duration>,
    tick: Option<Duration>,
    pub(super) down: bool,
    slots: u32,
}

pub(super) fn new_process(incarnation: u32, slots: u32) -> Process {
    let policy = ws::Policy {
        slots,
        hold: Duration::from_secs(20),
        progress_interval: Duration::from_secs(1),
    };
    Process {
        incarnation,
        session: Session::new(policy),
        stream: None,
        intake: 0,
        tickets: BTreeMap::new(),
        jobs: BTreeMap::new(),
        frozen_until: Duration::ZERO,
        lease_until: Duration::ZERO,
        sent: BTreeMap::new(),
        tick: None,
        down: false,
        slots,
    }
}

// === impl World ===

impl World {
    pub(super) fn worker_name(worker: usize) -> String {
        format!("w{worker}")
    }

    pub(super) fn connect(&mut self, worker: usize) {
        let process = &mut self.workers[worker];
        if process.stream.is_some() || process.down {
            return;
        }
        if self.watcher.is_none() || !process.session.may_greet() {
            return self.later(500, 2000, |w| Action::Connect {
                worker,
                incarnation: w,
            });
        }
        let session = self.open_stream(worker);
        self.workers[worker].stream = Some(session);
        self.worker_step(worker, Happens::Opening);
    }

    /// A message of the watcher.
    pub(super) fn hears(&mut self, worker: usize, message: ToWorker) {
        let process = &mut self.workers[worker];
        let event = match message {
            ToWorker::Welcome {
                lease,
                heartbeat,
                stop,
                ..
            } => {
                process.lease_until = process.sent[&0] + lease;
                Happens::Welcome(ws::Welcome {
                    lease,
                    heartbeat,
                    stop,
                })
            }
            ToWorker::HeartbeatAck(seq) => {
                if let Some(sent) = process.sent.get(&seq) {
                    process.lease_until = process.lease_until.max(*sent + LEASE);
                }
                Happens::HeartbeatAck { seq }
            }
            ToWorker::Assignment(a) => Happens::Assigned {
                id: a.id,
                assignment: (),
            },
            ToWorker::Refusal(id, _) => Happens::Refused { id },
            ToWorker::Cancel(id, _) => Happens::Cancel { id },
            ToWorker::Recorded(id) => Happens::Recorded { id },
            ToWorker::Stale(id) => Happens::Stale { id },
            ToWorker::Drain => Happens::Drain,
        };
        self.worker_step(worker, event);
    }

    pub(super) fn worker_step(&mut self, worker: usize, event: Happens) {
        let step = self.workers[worker].session.step(event, self.now);
        for effect in step.effects {
            self.worker_effect(worker, effect);
        }
        let process = &mut self.workers[worker];
        let wake = process.session.wake_up().map(|at| at.max(self.now));
        if let Some(at) = wake.filter(|at| process.tick.is_none_or(|tick| *at < tick)) {
            process.tick = Some(at);
            let incarnation = process.incarnation;
            self.at(
                at,
                Action::Tick {
                    worker,
                    incarnation,
                },
            );
        }
    }

    pub(super) fn tick(&mut self, worker: usize) {
        self.workers[worker].tick = None;
        self.worker_step(worker, Happens::Tick);
    }

    fn worker_effect(&mut self, worker: usize, effect: ws::Effect<(), Outcome>) {
        match effect {
            ws::Effect::Send(message) => self.says(worker, message),
            ws::Effect::Progress { id, progress } => {
                let (percent, message) = (progress.percent, progress.message);
                let progress = crate::api::Progress { percent, message };
                self.send_up(worker, |session| Event::Progress(session, id, progress));
            }
            ws::Effect::Settle { ticket, how } => {
                let ticket = self.workers[worker].tickets.remove(&ticket.0);
                if let (Some(id), ws::Settlement::Return) = (ticket, how) {
                    self.later(1, 20, |_| Action::Ticket(id));
                }
            }
            ws::Effect::Intake { free } => {
                self.workers[worker].intake = free;
                self.at(self.now, Action::Dispatch);
            }
            ws::Effect::Start { id, .. } => self.start_job(worker, id),
            ws::Effect::Stop { id } => {
                self.end_job_in(worker, id, (0, 15_000), JobEnd::Stopped);
            }
            // Faster than the watcher's lease is longer than the worker's.
            ws::Effect::Kill { id } => self.end_job_in(worker, id, (0, 3000), JobEnd::Stopped),
            ws::Effect::Disconnect => {
                if let Some(session) = self.workers[worker].stream.take() {
                    self.break_stream(session, false, true);
                }
                self.later(100, 3000, |w| Action::Connect {
                    worker,
                    incarnation: w,
                });
            }
            ws::Effect::Leave => {}
        }
    }

    fn says(&mut self, worker: usize, message: ws::Message<Outcome>) {
        let (now, process) = (self.now, &mut self.workers[worker]);
        match message {
            ws::Message::Hello {
                running,
                outcomes,
                greeting,
            } => {
                process.sent = BTreeMap::from([(0, now)]);
                let holder = holder(&Self::worker_name(worker), process.incarnation);
                let hello = Hello {
                    greeting,
                    ..hello(&holder, process.slots, running, outcomes)
                };
                self.send_up(worker, |session| Event::Hello(session, hello));
            }
            ws::Message::Heartbeat {
                seq,
                held,
                free,
                draining,
            } => {
                process.sent.insert(seq, now);
                self.send_up(worker, |session| Event::Heartbeat {
                    session,
                    seq,
                    held,
                    free,
                    draining,
                });
            }
            ws::Message::Claim { id, .. } => {
                self.send_up(worker, |session| Event::Claim(session, id));
            }
            ws::Message::Outcome { id, outcome } => {
                let outcome = match outcome {
                    ws::Outcome::Done(outcome) => outcome,
                    ws::Outcome::Cancelled => Outcome::Cancelled,
                    ws::Outcome::Interrupted => Outcome::Interrupted,
                };
                let key = (worker, process.incarnation, id.clone());
                self.outcomes.insert(key, outcome.clone());
                self.send_up(worker, |session| Event::Outcome(session, id, outcome));
            }
        }
    }
}
