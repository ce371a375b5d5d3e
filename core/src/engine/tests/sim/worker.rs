//! A worker process: the real session around simulated jobs.

use std::collections::BTreeMap;

use super::{
    super::*,
    action::{Action, Order, Process},
    tale,
    world::World,
};
use crate::{life::Outcome, worker_session as ws};

pub(super) type Happens = ws::Event<(), Outcome>;

/// One of the workers, in its present process.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: u32,
    pub(super) up: bool,
    pub(super) session: ws::Worker<Outcome>,
    pub(super) stream: Option<SessionId>,
    /// Whose its newest stream is, or was.
    pub(super) watcher: Option<Process>,
    pub(super) intake: u32,
    pub(super) tickets: BTreeMap<ws::TicketNo, AttemptId>,
    pub(super) frozen_until: Duration,
    /// What the warden was told: jobs die then, even when the process stands still.
    pub(super) lease_until: Duration,
    /// When greeting (0) and heartbeats went out.
    pub(super) sent: BTreeMap<u64, Duration>,
    pub(super) tick: Option<Duration>,
    pub(super) slots: u32,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(number: u32, slots: u32) -> Self {
        let policy = ws::Policy {
            slots,
            hold: Duration::from_secs(20),
            progress_interval: Duration::from_secs(1),
        };
        Self {
            number,
            up: true,
            session: ws::Worker::new(policy),
            stream: None,
            watcher: None,
            intake: 0,
            tickets: BTreeMap::new(),
            frozen_until: Duration::ZERO,
            lease_until: Duration::ZERO,
            sent: BTreeMap::new(),
            tick: None,
            slots,
        }
    }
}

// === impl World ===

impl World {
    pub(super) fn is_worker(&self, process: Process) -> bool {
        let worker = &self.workers[process.slot];
        worker.up && worker.number == process.number
    }

    pub(super) fn worker_process(&self, slot: usize) -> Process {
        let number = self.workers[slot].number;
        Process { slot, number }
    }

    /// A new process in the place of the old one.
    pub(super) fn start_worker(&mut self, slot: usize) {
        self.end_worker(slot);
        let (number, slots) = (self.workers[slot].number + 1, self.workers[slot].slots);
        let mut worker = Worker::new(number, slots);
        worker.session = worker.session.under(self.rules);
        self.workers[slot] = worker;
        let process = Process { slot, number };
        self.tell(None, || format!("{} starts", tale::worker(process)));
        self.later(1, 1000, Action::Worker(process, Order::Connect));
    }

    /// It ends at once; its warden sees that and kills what runs.
    pub(super) fn end_worker(&mut self, slot: usize) {
        let process = self.worker_process(slot);
        if !std::mem::replace(&mut self.workers[slot].up, false) {
            return;
        }
        self.tell(None, || format!("{} ends", tale::worker(process)));
        self.excuse_losses(slot);
        self.kill_jobs_of(process, 1000);
        if let Some(session) = self.workers[slot].stream.take() {
            self.leave_stream(session);
        }
        for id in std::mem::take(&mut self.workers[slot].tickets).into_values() {
            self.later(1, 100, Action::Ticket(id));
        }
    }

    /// It tries all addresses; whoever thinks that it leads takes the stream.
    pub(super) fn connect(&mut self, process: Process) {
        let worker = &self.workers[process.slot];
        if worker.stream.is_some() {
            return;
        }
        let leads = |slot: &usize| self.watchers[*slot].up && self.watchers[*slot].engine.is_some();
        let leaders: Vec<usize> = (0..self.watchers.len()).filter(leads).collect();
        if leaders.is_empty() || !worker.session.may_greet() {
            return self.later(300, 2000, Action::Worker(process, Order::Connect));
        }
        let leader = leaders[self.dice.below(leaders.len())];
        let watcher = self.watcher_process(leader);
        let session = self.open_stream(process, watcher);
        self.tell(None, || {
            let (worker, watcher) = (tale::worker(process), tale::watcher(watcher));
            format!("{worker} connects to {watcher}")
        });
        self.workers[process.slot].stream = Some(session);
        self.workers[process.slot].watcher = Some(watcher);
        self.worker_step(process, Happens::Opening);
    }

    pub(super) fn give_up_greeting(&mut self, process: Process, session: SessionId) {
        let worker = &self.workers[process.slot];
        if worker.stream == Some(session) && !worker.session.is_live() {
            self.leave_stream(session);
            self.loses_stream(process);
            self.worker_step(process, Happens::Disconnected);
        }
    }

    pub(super) fn loses_stream(&mut self, process: Process) {
        self.workers[process.slot].stream = None;
        self.later(100, 3000, Action::Worker(process, Order::Connect));
    }

    /// A message of the watcher.
    pub(super) fn worker_hears(&mut self, process: Process, message: ToWorker) {
        let worker = &mut self.workers[process.slot];
        let event = match message {
            ToWorker::Welcome {
                lease,
                heartbeat,
                stop,
                ..
            } => {
                self.renewed(process, 0);
                self.is_welcome(process.slot);
                Happens::Welcome(ws::Welcome {
                    lease,
                    heartbeat,
                    stop,
                })
            }
            ToWorker::HeartbeatAck(seq) => {
                if worker.session.is_live() {
                    self.renewed(process, seq);
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
        self.worker_step(process, event);
    }

    /// The warden is told of every renewal.
    fn renewed(&mut self, process: Process, seq: u64) {
        let worker = &mut self.workers[process.slot];
        if let Some(sent) = worker.sent.get(&seq) {
            worker.lease_until = worker.lease_until.max(*sent + LEASE);
            let at = worker.lease_until.max(self.now);
            self.at(at, Action::Warden(process));
        }
    }
}
