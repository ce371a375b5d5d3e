//! A worker process at work: the steps of its session, and what becomes of their effects.

use std::collections::BTreeMap;

use super::{
    super::*,
    action::{Action, Order, Process},
    jobs::JobEnd,
    tale,
    worker::Happens,
    world::World,
};
use crate::{life::Outcome, rules::Rule, worker_session as ws};

// === impl World ===

impl World {
    pub(super) fn worker_step(&mut self, process: Process, event: Happens) {
        let held = self.held_by(process.slot);
        let step = self.workers[process.slot].session.step(event, self.now);
        self.drops_claims(process.slot, &held);
        let worker = &mut self.workers[process.slot];
        let wake = worker.session.wake_up().map(|at| at.max(self.now));
        if let Some(at) = wake.filter(|at| worker.tick.is_none_or(|tick| *at < tick)) {
            worker.tick = Some(at);
            self.at(at, Action::Worker(process, Order::Tick { due: at }));
        }
        let starts = |effect: &ws::Effect<(), Outcome>| matches!(effect, ws::Effect::Start { .. });
        let odds = if step.effects.iter().any(starts) {
            10
        } else {
            1
        };
        let freezes = self.is_faulty() && self.dice.below(10_000) < self.plan.mid_step * odds;
        if freezes && !step.effects.is_empty() {
            let until = self.freeze_worker(process.slot);
            let effects = Order::Effects(step.effects);
            self.at(until, Action::Worker(process, effects));
        } else {
            self.worker_effects(process, step.effects);
        }
    }

    pub(super) fn worker_effects(
        &mut self,
        process: Process,
        effects: Vec<ws::Effect<(), Outcome>>,
    ) {
        for effect in effects {
            self.worker_effect(process, effect);
        }
    }

    pub(super) fn tick(&mut self, process: Process, due: Duration) {
        if self.workers[process.slot].tick != Some(due) {
            return;
        }
        self.workers[process.slot].tick = None;
        self.worker_step(process, Happens::Tick);
    }

    fn worker_effect(&mut self, process: Process, effect: ws::Effect<(), Outcome>) {
        match effect {
            ws::Effect::Send(message) => self.says(process, message),
            ws::Effect::Progress { id, progress } => {
                let (percent, message) = (progress.percent, progress.message);
                let progress = crate::api::Progress { percent, message };
                self.send_up(process, |session| Event::Progress(session, id, progress));
            }
            ws::Effect::Settle { ticket, how } => {
                let ticket = self.workers[process.slot].tickets.remove(&ticket);
                if let (Some(id), ws::Settlement::Return) = (ticket, how) {
                    self.later(1, 20, Action::Ticket(id));
                }
            }
            ws::Effect::Intake { free } => {
                self.workers[process.slot].intake = free;
                self.at(self.now, Action::Dispatch);
            }
            ws::Effect::Start { id, .. } => self.start_job(process, id),
            ws::Effect::Stop { id } => self.stop_job(process, &id, 15_000),
            ws::Effect::Kill { id } => {
                let quick = self.rules.hold(Rule::KillIsQuick);
                self.stop_job(process, &id, if quick { 3000 } else { 20_000 });
            }
            ws::Effect::Disconnect => {
                if let Some(session) = self.workers[process.slot].stream {
                    self.leave_stream(session);
                    self.loses_stream(process);
                }
            }
            ws::Effect::Leave => {
                self.tell(None, || format!("{} has left", tale::worker(process)));
            }
        }
    }

    fn says(&mut self, process: Process, message: ws::Message<Outcome>) {
        let (now, worker) = (self.now, &mut self.workers[process.slot]);
        match message {
            ws::Message::Hello {
                running,
                outcomes,
                greeting,
            } => {
                worker.sent = BTreeMap::from([(0, now)]);
                let holder = holder(&format!("w{}", process.slot), process.number);
                let hello = Hello {
                    greeting,
                    ..hello(&holder, worker.slots, running, outcomes)
                };
                self.send_up(process, |session| Event::Hello(session, hello));
            }
            ws::Message::Heartbeat {
                seq,
                held,
                free,
                draining,
            } => {
                worker.sent.insert(seq, now);
                self.send_up(process, |session| Event::Heartbeat {
                    session,
                    seq,
                    held,
                    free,
                    draining,
                });
            }
            ws::Message::Claim { id, .. } => {
                self.send_up(process, |session| Event::Claim(session, id));
            }
            ws::Message::Outcome { id, outcome } => {
                let outcome = match outcome {
                    ws::Outcome::Done(outcome) => outcome,
                    ws::Outcome::Cancelled => Outcome::Cancelled,
                    ws::Outcome::Interrupted => Outcome::Interrupted,
                };
                self.reported(process, &id, &outcome);
                self.send_up(process, |session| Event::Outcome(session, id, outcome));
            }
        }
    }

    /// Jobs whose end the session waits for.
    pub(super) fn hears_end(&mut self, process: Process, id: AttemptId, end: JobEnd) {
        let end = match end {
            JobEnd::Done(outcome) => ws::End::Done(outcome),
            JobEnd::Stopped => ws::End::Stopped,
        };
        let order = Order::Session(Happens::JobEnded { id, end });
        self.at(self.now, Action::Worker(process, order));
    }
}
