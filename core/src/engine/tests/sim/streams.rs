//! The streams between workers and watcher: in order, slow, and broken at any time.

use super::{super::*, action::Action, world::World};
use crate::worker_session as ws;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) worker: usize,
    pub(super) incarnation: u32,
    pub(super) generation: u32,
    broken: bool,
    up: Duration,
    down: Duration,
}

// === impl World ===

impl World {
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

    pub(super) fn watcher_hears(&mut self, session: SessionId, event: Event) {
        if self
            .streams
            .get(&session)
            .is_some_and(|stream| !stream.broken)
        {
            self.watcher_step(event);
        }
    }

    pub(super) fn worker_hears(&mut self, session: SessionId, message: ToWorker) {
        let stream = &self.streams[&session];
        if !stream.broken && self.workers[stream.worker].stream == Some(session) {
            self.hears(stream.worker, message);
        }
    }

    pub(super) fn closed_at_watcher(&mut self, session: SessionId) {
        if self.streams[&session].generation == self.generation {
            self.watcher_step(Event::SessionClosed(session));
        }
    }

    pub(super) fn closed_at_worker(&mut self, session: SessionId) {
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
}
