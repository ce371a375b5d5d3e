//! A watcher process: the real engine, its effects carried out late, wrongly or not at all.

use super::{
    super::trails::Trails,
    super::*,
    action::{Action, Input, Process},
    tale,
    watch::Watch,
    world::World,
};
use crate::rules::Rule;

/// How long a call to the API server is waited for.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One of the watchers, in its present process.
#[derive(Default)]
pub(super) struct Watcher {
    pub(super) number: u32,
    pub(super) up: bool,
    /// Only a leader has one.
    pub(super) engine: Option<Engine>,
    pub(super) lead_until: Option<Duration>,
    pub(super) frozen_until: Duration,
    /// Its engine's task stands still.
    pub(super) stalled_until: Duration,
    pub(super) lease_cut_until: Duration,
    pub(super) api_cut_until: Duration,
    /// The API server says that it does not serve the kind.
    pub(super) unserved_until: Duration,
    /// The leader before it left the mark.
    pub(super) mark: bool,
    pub(super) watch: Watch,
    wake: Option<Duration>,
    trails: Trails,
    draining: bool,
    pub(super) wakes: u32,
}

// === impl World ===

impl World {
    pub(super) fn is_watcher(&self, process: Process) -> bool {
        let watcher = &self.watchers[process.slot];
        watcher.up && watcher.number == process.number
    }

    pub(super) fn watcher_process(&self, slot: usize) -> Process {
        let number = self.watchers[slot].number;
        Process { slot, number }
    }

    pub(super) fn start_watcher(&mut self, slot: usize) {
        if self.watchers[slot].up {
            return;
        }
        let number = self.watchers[slot].number + 1;
        self.watchers[slot] = Watcher {
            number,
            up: true,
            wakes: self.watchers[slot].wakes,
            ..Watcher::default()
        };
        let process = Process { slot, number };
        self.tell(None, || format!("{} starts", tale::watcher(process)));
        if self.plan.watchers == 1 {
            self.watchers[slot].mark = std::mem::take(&mut self.lease.mark);
            self.start_engine(process);
        } else {
            self.later(1, 2000, Action::Watcher(process, Input::Ask));
        }
    }

    /// It leads from now on.
    pub(super) fn start_engine(&mut self, process: Process) {
        let watcher_had_mark = std::mem::take(&mut self.watchers[process.slot].mark);
        self.excuse_dropped_claims();
        let mut engine =
            Engine::new(self.config.clone(), at(self.now)).under(self.rules, at(self.now));
        let watcher = &mut self.watchers[process.slot];
        engine.lead_until(watcher.lead_until);
        watcher.engine = Some(engine);
        self.tell(None, || format!("{} leads", tale::watcher(process)));
        if watcher_had_mark {
            self.tell(None, || "everything was handed over".into());
            self.watcher_step(process, Event::HandedOver);
        }
        self.watcher_step(process, Event::Endpoints(vec![source()]));
        self.lose_watch(process.slot, 3000);
        let up = Box::new(Event::BrokerUp);
        self.later(1, 3000, Action::Watcher(process, Input::Event(up)));
    }

    /// It ends at once, whatever it was doing, and another process starts some time.
    pub(super) fn end_watcher(&mut self, slot: usize) {
        let process = self.watcher_process(slot);
        let watcher = &mut self.watchers[slot];
        if !std::mem::replace(&mut watcher.up, false) {
            return;
        }
        watcher.engine = None;
        self.tell(None, || format!("{} ends", tale::watcher(process)));
        let number = self.streams.len() as u64;
        for session in (1..=number).map(SessionId) {
            if self.stream(session).watcher == process {
                self.close_stream(session);
            }
        }
        self.later(100, 10_000, Action::StartWatcher { slot });
    }

    pub(super) fn wake(&mut self, process: Process, due: Duration) {
        let watcher = &mut self.watchers[process.slot];
        if watcher.wake != Some(due) {
            return;
        }
        watcher.wake = None;
        watcher.wakes += 1;
        self.watcher_step(process, Event::Wake);
    }

    pub(super) fn wake_up_in_time(&mut self, process: Process) {
        let now = self.now;
        let watcher = &mut self.watchers[process.slot];
        let Some(engine) = &watcher.engine else {
            return;
        };
        let wake = engine.wake_at(now).map(|at| at.max(now));
        if let Some(at) = wake.filter(|at| watcher.wake.is_none_or(|wake| *at < wake)) {
            watcher.wake = Some(at);
            self.at(at, Action::Watcher(process, Input::Wake { due: at }));
        }
    }

    pub(super) fn watcher_step(&mut self, process: Process, event: Event) {
        let now = self.now;
        let Some(engine) = &mut self.watchers[process.slot].engine else {
            return;
        };
        let effects = engine.step(event, at(now));
        if self.all_rules {
            invariants::books_agree(engine);
        }
        if self.all_rules {
            self.watchers[process.slot].trails.hear(&effects);
        }
        self.check_effects(&effects);
        self.wake_up_in_time(process);
        if self.ends_cleanly(process) {
            return self.watcher_effects(process, effects);
        }
        let freezes = self.is_faulty() && self.dice.below(10_000) < self.plan.mid_step;
        if freezes && !effects.is_empty() {
            let until = self.freeze_watcher(process.slot);
            self.at(until, Action::Watcher(process, Input::Effects(effects)));
        } else {
            self.watcher_effects(process, effects);
        }
    }

    /// It was to end and owes nothing any more: it ends, and says so to the next where that is true.
    fn ends_cleanly(&mut self, process: Process) -> bool {
        let watcher = &self.watchers[process.slot];
        let Some(engine) = watcher
            .engine
            .as_ref()
            .filter(|e| watcher.draining && e.is_clean())
        else {
            return false;
        };
        let mark = engine.hands_over(self.now) || !self.rules.hold(Rule::MarkIsTrue);
        self.at(self.now, Action::Watcher(process, Input::Left { mark }));
        true
    }

    pub(super) fn drain_watcher(&mut self, process: Process) {
        self.watchers[process.slot].draining = true;
        if self.watchers[process.slot].engine.is_some() {
            self.watcher_step(process, Event::Drain);
        }
    }

    pub(super) fn watcher_effects(&mut self, process: Process, effects: Vec<Effect>) {
        for effect in effects {
            if self.is_watcher(process) {
                self.watcher_effect(process, effect);
            }
        }
    }

    fn watcher_effect(&mut self, by: Process, effect: Effect) {
        let answer = |event| Action::Watcher(by, Input::Event(Box::new(event)));
        match effect {
            Effect::Publish { id, .. } => self.publish(by, id),
            Effect::ReadParams { id, .. } => {
                let ok = self.reads(by, &id.uid) && !self.bad_luck(20);
                self.later(
                    5,
                    500,
                    answer(Event::ParamsRead(id, ok.then(|| "{}".into()))),
                );
            }
            Effect::ReadStatus { uid, .. } => {
                let there = self.reads(by, &uid) && !self.bad_luck(20);
                let status = self.api.status(&uid).cloned().filter(|_| there);
                self.later(5, 500, answer(Event::StatusRead(uid, status.map(Box::new))));
            }
            Effect::Delete { uid, .. } => {
                let result = self.deletes(by, &uid);
                self.later(5, 500, answer(Event::Deleted(uid, result)));
            }
            Effect::Write(write) => self.sends_write(by, write),
            Effect::Send(session, message) => {
                let early = matches!(message, ToWorker::HeartbeatAck(_))
                    && !self.rules.hold(Rule::AckAfterRenewal);
                if !early {
                    self.send_down(session, message);
                }
            }
            Effect::Close(session) => self.close_stream(session),
            Effect::StepDown => self.end_watcher(by.slot),
            Effect::Measure(_) | Effect::Audit(_) => {}
        }
    }

    /// Whether the API server can be asked for that object.
    fn reads(&self, by: Process, uid: &Uid) -> bool {
        self.watchers[by.slot].api_cut_until <= self.now && self.api.see(uid).is_some()
    }

    fn deletes(&mut self, by: Process, uid: &Uid) -> DeleteResult {
        if self.watchers[by.slot].api_cut_until > self.now || self.bad_luck(20) {
            return DeleteResult::Retry;
        }
        self.check_deletion(uid);
        self.delete(uid);
        DeleteResult::Gone
    }

    /// A write is sent only while the lead lasts: what a freeze held up is not, and the engine hears so,
    /// since the lead may be renewed yet.
    fn sends_write(&mut self, by: Process, write: Box<Write>) {
        let watcher = &self.watchers[by.slot];
        let leads = watcher.lead_until.is_none_or(|until| self.now < until);
        let late = !leads
            && self.rules.hold(Rule::LeadIsChecked)
            && self.rules.hold(Rule::LeadIsCheckedBeforeWrites);
        let cut = late || watcher.api_cut_until > self.now || self.bad_luck(2);
        let no_answer = Event::Written(write.uid.clone(), WriteResult::Retry);
        let no_answer = Action::Watcher(by, Input::Event(Box::new(no_answer)));
        let slow = self.slow(self.plan.slow_writes, 20_000, 300);
        let delay = self.dice.between(5, slow);
        let heard = delay < CALL_TIMEOUT;
        if cut {
            return self.later(100, 10_000, no_answer);
        }
        if !heard {
            self.at(self.now + CALL_TIMEOUT, no_answer);
        }
        self.at(self.now + delay, Action::WriteLands { by, write, heard });
    }

    pub(super) fn write_lands(&mut self, by: Process, write: &Write, heard: bool) {
        let uid = write.uid.clone();
        self.tale.about(self.now, || {
            let what = tale::status(Some(&write.status));
            let text = format!("{} writes {uid} ({what})", tale::watcher(by));
            (Some(uid.clone()), text)
        });
        let result = match self.api.write(write) {
            Ok(result) => result,
            Err(wrong) => return self.fail(Some(&uid), wrong),
        };
        if matches!(result, WriteResult::Ok(_)) {
            self.watches_tell(&uid);
            self.check_end(&uid);
        }
        if !heard || !self.is_watcher(by) {
            return;
        }
        let lost = self.bad_luck(self.plan.lost_answers);
        let input = match result {
            WriteResult::Conflict(_) if !lost => Input::Read(uid),
            result => {
                let result = if lost { WriteResult::Retry } else { result };
                Input::Event(Box::new(Event::Written(uid, result)))
            }
        };
        self.later(1, 200, Action::Watcher(by, input));
    }

    /// A conflict is answered by what is there now.
    pub(super) fn read_again(&mut self, by: Process, uid: Uid) {
        let there = self.api.objects.contains_key(&uid);
        let result = match self.api.see(&uid) {
            _ if self.watchers[by.slot].api_cut_until > self.now => WriteResult::Retry,
            Some(seen) => WriteResult::Conflict(Box::new(seen)),
            None if there => WriteResult::Retry,
            None => WriteResult::Gone,
        };
        let event = Box::new(Event::Written(uid, result));
        self.later(1, 200, Action::Watcher(by, Input::Event(event)));
    }
}
