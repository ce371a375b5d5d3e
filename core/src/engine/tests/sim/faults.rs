//! What goes wrong, and what people do.

use super::{
    super::*,
    action::Action,
    jobs::JobEnd,
    worker::new_process,
    world::{WORKERS, World},
};
use crate::worker_session as ws;

// === impl World ===

impl World {
    pub(super) fn object_changes(&mut self, action: Action) {
        let objects = &mut self.api.objects;
        let uid = match action {
            Action::Create(uid) => {
                self.api.create(&uid);
                uid
            }
            Action::Cancel(uid) => {
                let Some(object) = objects.get_mut(&uid) else {
                    return;
                };
                object.cancel = true;
                uid
            }
            Action::Delete(uid) => {
                objects.remove(&uid);
                uid
            }
            Action::Hide { uid, hidden } => {
                let Some(object) = objects.get_mut(&uid) else {
                    return;
                };
                object.hidden = hidden;
                uid
            }
            _ => return,
        };
        self.changed(&uid);
    }

    pub(super) fn fault(&mut self) {
        if self.now >= self.faults_until {
            return;
        }
        self.later(500, 8000, |_| Action::Fault);
        let worker = self.dice.below(WORKERS);
        match self.dice.below(20) {
            0..4 => self.break_any_stream(worker),
            4..7 => self.crash_worker(worker),
            7..10 => self.freeze(worker),
            10..12 => self.stop_watcher(),
            12 => {
                // A clean end, or one that is cut short.
                self.watcher_step(Event::Drain);
                let generation = self.generation;
                self.later(0, 5000, |_| Action::StopWatcher { generation });
            }
            13 | 14 => self.lose_watch(),
            15 => self.lose_broker(),
            16 => self.lose_endpoint(),
            17 => self.drain_worker(worker),
            _ => self.hide_any(),
        }
    }

    fn break_any_stream(&mut self, worker: usize) {
        if let Some(session) = self.workers[worker].stream {
            self.break_stream(session, true, true);
        }
    }

    fn crash_worker(&mut self, worker: usize) {
        self.end_process(worker);
        self.later(500, 20_000, |_| Action::StartWorker { worker });
    }

    /// The warden sees the pipe close and kills what runs.
    fn end_process(&mut self, worker: usize) {
        let jobs = std::mem::take(&mut self.workers[worker].jobs);
        for (id, job) in jobs {
            if job.alive {
                self.job_dies(worker, &id);
            }
        }
        self.break_any_stream(worker);
        self.return_tickets(worker);
        self.workers[worker].down = true;
    }

    fn return_tickets(&mut self, worker: usize) {
        for id in std::mem::take(&mut self.workers[worker].tickets).into_values() {
            self.later(1, 100, |_| Action::Ticket(id));
        }
    }

    pub(super) fn start_worker(&mut self, worker: usize) {
        self.end_process(worker);
        let incarnation = self.workers[worker].incarnation + 1;
        self.workers[worker] = new_process(incarnation, 2);
        self.later(1, 1000, |_| Action::Connect {
            worker,
            incarnation,
        });
    }

    /// The process stands still, for less or more than its lease; its warden does not.
    fn freeze(&mut self, worker: usize) {
        let length = self.dice.between(1000, 60_000);
        let process = &mut self.workers[worker];
        process.frozen_until = process.frozen_until.max(self.now + length);
        let (at, incarnation) = (process.lease_until, process.incarnation);
        self.at(
            at.max(self.now),
            Action::Warden {
                worker,
                incarnation,
            },
        );
    }

    pub(super) fn warden(&mut self, worker: usize) {
        let process = &self.workers[worker];
        if process.lease_until > self.now || process.frozen_until <= self.now {
            return;
        }
        let alive = process.jobs.iter().filter(|(_, job)| job.alive);
        let ids: Vec<AttemptId> = alive.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.job_dies(worker, &id);
            let incarnation = self.workers[worker].incarnation;
            if let Some(job) = self.workers[worker].jobs.get_mut(&id) {
                job.alive = false;
            }
            self.at(
                self.now,
                Action::JobEnds {
                    worker,
                    incarnation,
                    id,
                    end: JobEnd::Stopped,
                },
            );
        }
    }

    /// The slice lacks the endpoint for a while, once in a while for so long that it is given up.
    fn lose_endpoint(&mut self) {
        self.watcher_step(Event::Endpoints(vec![]));
        self.stop_watch();
        let (generation, gone) = (
            self.generation,
            if self.dice.chance(20) {
                400_000
            } else {
                20_000
            },
        );
        self.later(100, gone, |_| Action::EndpointBack { generation });
    }

    pub(super) fn endpoint_back(&mut self) {
        self.watcher_step(Event::Endpoints(vec![url()]));
        self.lose_watch();
    }

    fn lose_broker(&mut self) {
        self.queue.clear();
        for worker in 0..WORKERS {
            self.workers[worker].tickets.clear();
            if self.workers[worker].frozen_until <= self.now {
                self.worker_step(worker, ws::Event::BrokerLost);
            }
        }
        let (event, generation) = (Box::new(Event::BrokerUp), self.generation);
        self.later(100, 5000, |_| Action::Watcher { generation, event });
    }

    /// It finishes or interrupts what it runs and starts again.
    fn drain_worker(&mut self, worker: usize) {
        let process = &self.workers[worker];
        if process.down || process.frozen_until > self.now {
            return;
        }
        self.worker_step(worker, ws::Event::Drain);
        self.later(0, 5000, |w| Action::Job {
            worker,
            incarnation: w,
            event: ws::Event::DrainOver,
        });
        // Back in service, as if a new process had come: the session's drain is for good.
        self.at(
            self.now + Duration::from_secs(25),
            Action::StartWorker { worker },
        );
    }

    /// A workspace is unbound for a while.
    fn hide_any(&mut self) {
        let uids: Vec<Uid> = self.api.objects.keys().cloned().collect();
        if uids.is_empty() {
            return;
        }
        let uid = uids[self.dice.below(uids.len())].clone();
        self.object_changes(Action::Hide {
            uid: uid.clone(),
            hidden: true,
        });
        self.later(50, 10_000, |_| Action::Hide { uid, hidden: false });
    }
}
