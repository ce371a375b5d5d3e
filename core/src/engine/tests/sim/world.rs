//! The simulated world: one clock, one agenda, and everything that passes between the parts.

use std::collections::{BTreeMap, VecDeque};

use super::{
    super::*,
    action::Action,
    api::Api,
    dice::Dice,
    streams::Stream,
    watcher::Watcher,
    worker::{Process, new_process},
};
use crate::{life::Outcome, worker_session as ws};

pub(super) const WORKERS: usize = 3;
/// So much of the past is told when something fails.
const LOG: usize = 100;

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: Duration,
    seq: u64,
    agenda: BTreeMap<(Duration, u64), Action>,
    pub(super) api: Api,
    pub(super) queue: VecDeque<AttemptId>,
    next_ticket: u64,
    pub(super) watcher: Option<Watcher>,
    pub(super) generation: u32,
    pub(super) workers: Vec<Process>,
    pub(super) streams: BTreeMap<SessionId, Stream>,
    /// What truly runs: worker, incarnation and attempt, by request.
    pub(super) running: BTreeMap<Uid, (usize, u32, u32)>,
    /// Outcomes that workers reported, by worker, incarnation and attempt.
    pub(super) outcomes: BTreeMap<(usize, u32, AttemptId), Outcome>,
    /// How jobs that ended by themselves did.
    pub(super) finished: BTreeSet<(Uid, &'static str)>,
    pub(super) faults_until: Duration,
    /// The newest happenings, for a failure's report.
    pub(super) log: VecDeque<String>,
}

// === impl World ===

impl World {
    pub(super) fn new(seed: u64, faults_until: Duration) -> Self {
        let mut dice = Dice::new(seed);
        let workers = (0..WORKERS)
            .map(|_| new_process(1, 1 + u32::from(dice.chance(50))))
            .collect();
        Self {
            dice,
            now: Duration::ZERO,
            seq: 0,
            agenda: BTreeMap::new(),
            api: Api::default(),
            queue: VecDeque::new(),
            next_ticket: 0,
            watcher: None,
            generation: 0,
            workers,
            streams: BTreeMap::new(),
            running: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            finished: BTreeSet::new(),
            faults_until,
            log: VecDeque::new(),
        }
    }

    pub(super) fn at(&mut self, at: Duration, action: Action) {
        self.seq += 1;
        self.agenda.insert((at, self.seq), action);
    }

    /// After some milliseconds; the action may name the present incarnation of its worker.
    pub(super) fn later(&mut self, from: u64, to: u64, action: impl FnOnce(u32) -> Action) {
        let at = self.now + self.dice.between(from, to);
        let mut action = action(0);
        if let Action::Connect {
            worker,
            incarnation,
        }
        | Action::Job {
            worker,
            incarnation,
            ..
        } = &mut action
        {
            *incarnation = self.workers[*worker].incarnation;
        }
        self.at(at, action);
    }

    /// Runs until nothing is left to do, or that time.
    pub(super) fn run(&mut self, until: Duration, done: impl Fn(&Self) -> bool) {
        while let Some(((at, seq), action)) = self.agenda.pop_first() {
            if at > until || done(self) {
                self.agenda.insert((at, seq), action);
                return;
            }
            self.now = at;
            if let Some(frozen_until) = self.frozen(&action) {
                self.at(frozen_until, action);
                continue;
            }
            if !matches!(
                action,
                Action::Tick { .. } | Action::Wake { .. } | Action::Dispatch
            ) {
                self.log.push_back(format!("{at:?} {action:?}"));
                if self.log.len() > LOG {
                    self.log.pop_front();
                }
            }
            self.act(action);
        }
    }

    /// A process that stands still takes nothing in until it goes on.
    fn frozen(&self, action: &Action) -> Option<Duration> {
        let worker = match action {
            Action::ToWorker { session, .. } | Action::ClosedAtWorker { session } => {
                self.streams.get(session)?.worker
            }
            Action::Connect { worker, .. }
            | Action::Tick { worker, .. }
            | Action::Job { worker, .. } => *worker,
            _ => return None,
        };
        Some(self.workers[worker].frozen_until).filter(|until| *until > self.now)
    }

    pub(super) fn is_current(&self, worker: usize, incarnation: u32) -> bool {
        let process = &self.workers[worker];
        process.incarnation == incarnation && !process.down
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ToWatcher { session, event } => self.watcher_hears(session, *event),
            Action::ToWorker { session, message } => self.worker_hears(session, *message),
            Action::ClosedAtWatcher { session } => self.closed_at_watcher(session),
            Action::ClosedAtWorker { session } => self.closed_at_worker(session),
            Action::WriteLands { generation, write } => self.write_lands(generation, &write),
            Action::StartWatcher => self.start_watcher(),
            Action::StartWorker { worker } => self.start_worker(worker),
            Action::Ticket(id) => {
                self.queue.push_back(id);
                self.dispatch();
            }
            Action::Dispatch => self.dispatch(),
            Action::Create(_) | Action::Cancel(_) | Action::Delete(_) | Action::Hide { .. } => {
                self.object_changes(action);
            }
            Action::Fault => self.fault(),
            Action::Watcher { generation, .. }
            | Action::Wake { generation }
            | Action::List { generation, .. }
            | Action::EndpointBack { generation }
            | Action::StopWatcher { generation } => {
                if generation == self.generation {
                    self.watcher_act(action);
                }
            }
            of_worker => self.worker_act(of_worker),
        }
    }

    fn watcher_act(&mut self, action: Action) {
        match action {
            Action::Watcher { event, .. } => self.watcher_step(*event),
            Action::Wake { .. } => self.wake(),
            Action::List { epoch, .. } => self.list(epoch),
            Action::EndpointBack { .. } => self.endpoint_back(),
            Action::StopWatcher { .. } => self.stop_watcher(),
            _ => {}
        }
    }

    fn worker_act(&mut self, action: Action) {
        let (Action::Connect {
            worker,
            incarnation,
        }
        | Action::Tick {
            worker,
            incarnation,
        }
        | Action::Job {
            worker,
            incarnation,
            ..
        }
        | Action::JobEnds {
            worker,
            incarnation,
            ..
        }
        | Action::Warden {
            worker,
            incarnation,
        }) = action
        else {
            return;
        };
        if !self.is_current(worker, incarnation) {
            return;
        }
        match action {
            Action::Connect { .. } => self.connect(worker),
            Action::Tick { .. } => self.tick(worker),
            Action::Job { event, .. } => self.worker_step(worker, event),
            Action::JobEnds { id, end, .. } => self.job_ends(worker, id, end),
            Action::Warden { .. } => self.warden(worker),
            _ => {}
        }
    }

    /// Gives tickets to workers that take some.
    fn dispatch(&mut self) {
        while !self.queue.is_empty() {
            let takes = |worker: &usize| {
                let process = &self.workers[*worker];
                process.intake > 0 && !process.down && process.frozen_until <= self.now
            };
            let able: Vec<usize> = (0..WORKERS).filter(takes).collect();
            if able.is_empty() {
                return;
            }
            let worker = able[self.dice.below(able.len())];
            let id = self.queue.pop_front().expect("checked above");
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            self.workers[worker].tickets.insert(ticket, id.clone());
            let (ticket, service) = (ws::TicketNo(ticket), "sign".to_owned());
            self.worker_step(
                worker,
                ws::Event::Ticket {
                    ticket,
                    id,
                    service,
                },
            );
        }
    }
}
