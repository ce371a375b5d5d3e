//! The simulated world: one clock, one agenda, and everything that passes between the parts.

use std::collections::{BTreeMap, VecDeque};

use super::{
    super::*,
    api::Api,
    dice::Dice,
    watcher::Watcher,
    worker::{JobEnd, Process, new_process},
};
use crate::{life::Outcome, worker_session as ws};

pub(super) const WORKERS: usize = 3;
/// So much of the past is told when something fails.
const LOG: usize = 100;

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Action {
    ToWatcher {
        session: SessionId,
        event: Box<Event>,
    },
    ToWorker {
        session: SessionId,
        message: Box<ToWorker>,
    },
    ClosedAtWatcher {
        session: SessionId,
    },
    ClosedAtWorker {
        session: SessionId,
    },
    /// Of the watcher process with that number: answers, watch events, time.
    Watcher {
        generation: u32,
        event: Box<Event>,
    },
    WriteLands {
        generation: u32,
        write: Box<Write>,
    },
    Wake {
        generation: u32,
    },
    List {
        generation: u32,
        epoch: u32,
    },
    EndpointBack {
        generation: u32,
    },
    StopWatcher {
        generation: u32,
    },
    StartWatcher,
    Connect {
        worker: usize,
        incarnation: u32,
    },
    Tick {
        worker: usize,
        incarnation: u32,
    },
    Job {
        worker: usize,
        incarnation: u32,
        event: ws::Event<(), Outcome>,
    },
    JobEnds {
        worker: usize,
        incarnation: u32,
        id: AttemptId,
        end: JobEnd,
    },
    Warden {
        worker: usize,
        incarnation: u32,
    },
    StartWorker {
        worker: usize,
    },
    Ticket(AttemptId),
    Dispatch,
    Create(Uid),
    Cancel(Uid),
    Delete(Uid),
    Hide {
        uid: Uid,
        hidden: bool,
    },
    Fault,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) worker: usize,
    pub(super) incarnation: u32,
    pub(super) generation: u32,
    broken: bool,
    up: Duration,
    down: Duration,
}

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

    fn is_current(&self, worker: usize, incarnation: u32) -> bool {
        let process = &self.workers[worker];
        process.incarnation == incarnation && !process.down
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ToWatcher { session, event } => {
                if self.streams.get(&session).is_some_and(|s| !s.broken) {
                    self.watcher_step(*event);
                }
            }
            Action::ToWorker { session, message } => {
                let Some(stream) = self.streams.get(&session).filter(|s| !s.broken) else {
                    return;
                };
                let worker = stream.worker;
                if self.workers[worker].stream == Some(session) {
                    self.hears(worker, *message);
                }
            }
            Action::ClosedAtWatcher { session } => {
                if self.streams[&session].generation == self.generation {
                    self.watcher_step(Event::SessionClosed(session));
                }
            }
            Action::ClosedAtWorker { session } => self.closed_at_worker(session),
            Action::Watcher { generation, event } if generation == self.generation => {
                self.watcher_step(*event);
            }
            Action::WriteLands { generation, write } => self.write_lands(generation, &write),
            Action::Wake { generation } if generation == self.generation => self.wake(),
            Action::List { generation, epoch } if generation == self.generation => self.list(epoch),
            Action::EndpointBack { generation } if generation == self.generation => {
                self.endpoint_back()
            }
            Action::StopWatcher { generation } if generation == self.generation => {
                self.stop_watcher()
            }
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
            Action::Watcher { .. }
            | Action::Wake { .. }
            | Action::List { .. }
            | Action::EndpointBack { .. }
            | Action::StopWatcher { .. } => {}
            of_worker => self.worker_act(of_worker),
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

    pub(super) fn open_stream(&mut self, worker: usize) -> SessionId {
        let session = SessionId(self.streams.len() as u64 + 1);
        let stream = Stream {
            worker,
            incarnation: self.workers[worker].incarnation,
            generation: self.generation,
            broken: false,
            up: self.now,
            down: self.now,
        };
        self.streams.insert(session, stream);
        session
    }

    /// What is on its way is lost; each end hears of it when it hears of it.
    pub(super) fn break_stream(
        &mut self,
        session: SessionId,
        tell_worker: bool,
        tell_watcher: bool,
    ) {
        let stream = self.streams.get_mut(&session).expect("it was opened");
        stream.broken = true;
        let slow = if self.dice.chance(30) { 40_000 } else { 500 };
        if tell_watcher {
            self.later(0, slow, |_| Action::ClosedAtWatcher { session });
        }
        if tell_worker {
            self.later(0, slow, |_| Action::ClosedAtWorker { session });
        }
    }

    fn closed_at_worker(&mut self, session: SessionId) {
        let stream = &self.streams[&session];
        let (worker, incarnation) = (stream.worker, stream.incarnation);
        if self.is_current(worker, incarnation) && self.workers[worker].stream == Some(session) {
            self.workers[worker].stream = None;
            self.worker_step(worker, ws::Event::Disconnected);
            self.later(100, 3000, |w| Action::Connect {
                worker,
                incarnation: w,
            });
        }
    }

    pub(super) fn send_up(&mut self, worker: usize, event: impl FnOnce(SessionId) -> Event) {
        let Some(session) = self.workers[worker].stream else {
            return;
        };
        let event = event(session);
        let delay = self.dice.between(1, 60);
        let stream = self.streams.get_mut(&session).expect("it was opened");
        let at = (self.now + delay).max(stream.up);
        // Heartbeats have a lane of their own: what was sent just behind one may overtake it.
        let overtaken = matches!(event, Event::Heartbeat { .. }) && self.dice.chance(30);
        stream.up = at;
        let event = Box::new(event);
        let at = if overtaken {
            at + Duration::from_millis(30)
        } else {
            at
        };
        self.at(at, Action::ToWatcher { session, event });
    }

    pub(super) fn send_down(&mut self, session: SessionId, message: ToWorker) {
        let delay = self.dice.between(1, 60);
        let stream = self.streams.get_mut(&session).expect("it was opened");
        stream.down = (self.now + delay).max(stream.down);
        let at = stream.down;
        self.at(
            at,
            Action::ToWorker {
                session,
                message: Box::new(message),
            },
        );
    }

    /// Gives tickets to workers that take some.
    fn dispatch(&mut self) {
        while !self.queue.is_empty() {
            let takes = |w: &&usize| {
                let process = &self.workers[**w];
                process.intake > 0 && !process.down && process.frozen_until <= self.now
            };
            let takers: Vec<usize> = (0..WORKERS)
                .collect::<Vec<_>>()
                .iter()
                .filter(takes)
                .copied()
                .collect();
            if takers.is_empty() {
                return;
            }
            let worker = takers[self.dice.below(takers.len())];
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
