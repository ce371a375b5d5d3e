//! The streams between workers and watchers: in order, slow, stalled, cut, and found out late.

use super::{
    super::*,
    action::{Action, Order, Process},
    tale,
    world::World,
};
use crate::{rules::Rule, worker_session as ws};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) worker: Process,
    pub(super) watcher: Process,
    /// What is on its way is lost, both ways.
    cut: bool,
    /// The watcher takes nothing from it any more.
    closed: bool,
    /// When the newest message of each direction arrives.
    up: Duration,
    down: Duration,
}

/// How long a worker waits for the answer to its greeting.
const GREETING_MS: u64 = 10_000;

// === impl World ===

impl World {
    pub(super) fn open_stream(&mut self, worker: Process, watcher: Process) -> SessionId {
        let session = SessionId(self.streams.len() as u64 + 1);
        let stands = if self.bad_luck(self.plan.slow_greetings) {
            self.dice.between(9000, 30_000)
        } else {
            Duration::ZERO
        };
        self.streams.push(Stream {
            worker,
            watcher,
            cut: false,
            closed: false,
            up: self.now + stands,
            down: self.now,
        });
        let give_up = Action::Worker(worker, Order::GiveUp(session));
        self.later(GREETING_MS, GREETING_MS, give_up);
        session
    }

    pub(super) fn stream(&mut self, session: SessionId) -> &mut Stream {
        let index = usize::try_from(session.0).unwrap() - 1;
        &mut self.streams[index]
    }

    /// Each end hears of it when it hears of it.
    pub(super) fn cut_stream(&mut self, session: SessionId) {
        self.stream(session).cut = true;
        let slow = self.slow(30, 40_000, 500);
        self.later(0, slow, Action::UpEnds { session });
        let slow = self.slow(30, 40_000, 500);
        self.later(0, slow, Action::DownEnds { session });
    }

    /// One direction stands still: everything on it arrives later, in order.
    pub(super) fn stall_stream(&mut self, session: SessionId) {
        let (from, to) = self.plan.stall;
        let (until, up) = (self.now + self.dice.between(from, to), self.dice.chance(50));
        let stream = self.stream(session);
        let direction = if up { &mut stream.up } else { &mut stream.down };
        *direction = until.max(*direction);
        let (worker, which) = (stream.worker, if up { "from" } else { "to" });
        self.tell(None, || {
            let worker = tale::worker(worker);
            format!("the stream {which} {worker} stalls until {until:?}")
        });
    }

    /// The worker's end: what it sent still arrives, then the watcher finds the end.
    pub(super) fn leave_stream(&mut self, session: SessionId) {
        let delay = self.dice.between(0, 500);
        let at = (self.now + delay).max(self.stream(session).up);
        self.at(at, Action::UpEnds { session });
    }

    /// The watcher's end, or its process's: what it sent still arrives, then the worker finds the end.
    pub(super) fn close_stream(&mut self, session: SessionId) {
        let delay = self.dice.between(0, 500);
        let now = self.now;
        let stream = self.stream(session);
        stream.closed = true;
        let at = (now + delay).max(stream.down);
        self.at(at, Action::DownEnds { session });
    }

    pub(super) fn send_up(&mut self, worker: Process, event: impl FnOnce(SessionId) -> Event) {
        let Some(session) = self.workers[worker.slot].stream else {
            return;
        };
        let event = event(session);
        let (now, delay) = (self.now, self.dice.between(1, 60));
        let stream = self.stream(session);
        let at = (now + delay).max(stream.up);
        stream.up = at;
        // Heartbeats have a lane of their own: what was sent just behind one may overtake it.
        let beat = matches!(event, Event::Heartbeat { .. });
        let late = if beat && self.dice.chance(30) { 30 } else { 0 };
        let event = Box::new(event);
        self.at(
            at + Duration::from_millis(late),
            Action::Up { session, event },
        );
    }

    pub(super) fn send_down(&mut self, session: SessionId, message: ToWorker) {
        let (now, delay) = (self.now, self.dice.between(1, 60));
        let stream = self.stream(session);
        stream.down = (now + delay).max(stream.down);
        let (at, message) = (stream.down, Box::new(message));
        self.at(at, Action::Down { session, message });
    }

    pub(super) fn up(&mut self, session: SessionId, event: Event) {
        let stream = self.stream(session);
        let (worker, watcher) = (stream.worker, stream.watcher);
        if !stream.cut && !stream.closed && self.is_watcher(watcher) {
            self.tale.about(self.now, || {
                let (about, text) = tale::event(&event);
                let (hears, says) = (tale::watcher(watcher), tale::worker(worker));
                (about, format!("{hears} hears: {says} {text}"))
            });
            self.watcher_step(watcher, event);
        }
    }

    pub(super) fn up_ends(&mut self, session: SessionId) {
        let stream = self.stream(session);
        let watcher = stream.watcher;
        if !std::mem::replace(&mut stream.closed, true) && self.is_watcher(watcher) {
            self.watcher_step(watcher, Event::SessionClosed(session));
        }
    }

    pub(super) fn down(&mut self, session: SessionId, message: ToWorker) {
        let stream = self.stream(session);
        let (worker, cut) = (stream.worker, stream.cut);
        if cut || !self.is_worker(worker) {
            return;
        }
        let its_own = self.workers[worker.slot].stream == Some(session);
        if its_own || !self.rules.hold(Rule::AssignmentOnItsStream) {
            self.tale.about(self.now, || {
                let (about, text) = tale::message(&message);
                (about, format!("{} {text}", tale::worker(worker)))
            });
            self.worker_hears(worker, message);
        }
    }

    pub(super) fn down_ends(&mut self, session: SessionId) {
        let worker = self.stream(session).worker;
        if !self.is_worker(worker) || self.workers[worker.slot].stream != Some(session) {
            return;
        }
        self.tell(None, || {
            format!("the stream of {} has ended", tale::worker(worker))
        });
        self.loses_stream(worker);
        self.worker_step(worker, ws::Event::Disconnected);
    }
}
