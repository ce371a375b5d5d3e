//! What is due happens, unless the process that it happens to stands still.

use super::{
    super::*,
    action::{Action, Input, Order, Process},
    tale,
    world::World,
};
use crate::rules::Rule;

// === impl World ===

impl World {
    /// A process that stands still takes nothing in until it goes on.
    pub(super) fn waits(&mut self, action: &Action) -> Option<Duration> {
        let until = match action {
            Action::Watcher(process, Input::Ask | Input::Leads { .. } | Input::Ends) => {
                self.frozen(*process)
            }
            Action::Watcher(process, _) => self.stalled(*process),
            Action::Up { session, event } => {
                let (session, watcher) = (*session, self.stream(*session).watcher);
                if let Event::Heartbeat { seq, .. } = **event {
                    self.acknowledge_early(session, seq);
                }
                self.stalled(watcher)
            }
            Action::UpEnds { session } => {
                let watcher = self.stream(*session).watcher;
                self.stalled(watcher)
            }
            Action::Down { session, .. } | Action::DownEnds { session } => {
                let worker = self.stream(*session).worker;
                self.workers[worker.slot].frozen_until
            }
            Action::Worker(process, _) => self.workers[process.slot].frozen_until,
            _ => return None,
        };
        (until > self.now).then_some(until)
    }

    fn frozen(&self, watcher: Process) -> Duration {
        self.watchers[watcher.slot].frozen_until
    }

    fn stalled(&self, watcher: Process) -> Duration {
        let watcher = &self.watchers[watcher.slot];
        watcher.frozen_until.max(watcher.stalled_until)
    }

    /// What a stream's own task would do that does not wait for the engine.
    fn acknowledge_early(&mut self, session: SessionId, seq: u64) {
        let watcher = self.stream(session).watcher;
        let lives = self.is_watcher(watcher) && self.frozen(watcher) <= self.now;
        if lives && !self.rules.hold(Rule::AckAfterRenewal) {
            self.send_down(session, ToWorker::HeartbeatAck(seq));
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Watcher(process, input) if self.is_watcher(process) => {
                self.watcher_act(process, input);
            }
            Action::Worker(process, order) if self.is_worker(process) => {
                self.worker_act(process, order);
            }
            Action::Up { session, event } => self.up(session, *event),
            Action::UpEnds { session } => self.up_ends(session),
            Action::Down { session, message } => self.down(session, *message),
            Action::DownEnds { session } => self.down_ends(session),
            Action::LeaseAsked { by, sent } if self.is_watcher(by) => self.lease_asked(by, sent),
            Action::Watcher(..)
            | Action::Worker(..)
            | Action::LeaseAsked { .. }
            | Action::Survey => {}
            Action::WriteLands { by, write, heard } => self.write_lands(by, &write, heard),
            Action::JobOver { run, end } => self.job_over(run, end),
            Action::Warden(process) => self.warden(process),
            Action::CrashWatcher { slot } => self.end_watcher(slot),
            Action::StartWatcher { slot } => self.start_watcher(slot),
            Action::StartWorker { slot } => self.start_worker(slot),
            Action::Ticket(id) => self.ticket(id),
            Action::Dispatch => self.dispatch(),
            Action::Object(change) => self.changes(&change),
            Action::Unpause => self.pause(false),
            Action::Fault => self.fault(),
        }
    }

    fn watcher_act(&mut self, process: Process, input: Input) {
        match input {
            Input::Watched { epoch, .. } if self.watchers[process.slot].watch.epoch() != epoch => {}
            Input::Event(event) | Input::Watched { event, .. } => {
                self.tale.about(self.now, || {
                    let (about, text) = tale::event(&event);
                    (about, format!("{} {text}", tale::watcher(process)))
                });
                self.watcher_step(process, *event);
            }
            Input::Effects(effects) => self.watcher_effects(process, effects),
            Input::Wake { due } => self.wake(process, due),
            Input::List { epoch } => self.list(process, epoch),
            Input::Read(uid) => self.read_again(process, uid),
            Input::EndpointBack => {
                self.watcher_step(process, Event::Endpoints(vec![source()]));
                self.lose_watch(process.slot, 8000);
            }
            Input::Ask => self.ask(process),
            Input::Leads { sent } => self.leads(process, sent),
            Input::Drain => self.drain_watcher(process),
            Input::Left { mark } => self.leaves(process, mark),
            Input::Ends => self.leaves(process, !self.rules.hold(Rule::MarkIsTrue)),
        }
    }

    fn worker_act(&mut self, process: Process, order: Order) {
        match order {
            Order::Session(event) => self.worker_step(process, event),
            Order::Effects(effects) => self.worker_effects(process, effects),
            Order::Tick { due } => self.tick(process, due),
            Order::Connect => self.connect(process),
            Order::GiveUp(session) => self.give_up_greeting(process, session),
        }
    }
}
