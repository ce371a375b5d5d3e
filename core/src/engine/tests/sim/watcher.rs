//! The watcher process: the real engine, its effects carried out late, wrongly or not at all.

use super::LOST_MAX;
use super::{super::*, action::Action, world::World};
use crate::{api::Phase, life::Outcome, status};

pub(super) struct Watcher {
    pub(super) engine: Engine,
    wake: Option<Duration>,
    /// When the newest event of the watch arrives.
    watch: Duration,
    /// The number of the newest watch; none while there is none.
    epoch: u32,
    watching: bool,
    pub(super) wakes: u32,
}

// === impl World ===

impl World {
    pub(super) fn start_watcher(&mut self) {
        if self.watcher.is_some() {
            return;
        }
        // Not covered: a request that is granted, not written yet, unbound while the watcher starts
        // anew, and bound again within one lease looks like a new one.
        for object in self.api.objects.values_mut() {
            object.hidden = false;
        }
        self.generation += 1;
        let (now, generation) = (self.now, self.generation);
        self.watcher = Some(Watcher {
            engine: Engine::new(
                Config {
                    lost_max: LOST_MAX,
                    ..config()
                },
                at(now),
            ),
            wake: None,
            watch: now,
            epoch: 0,
            watching: false,
            wakes: 0,
        });
        self.watcher_step(Event::Endpoints(vec![url()]));
        self.later(1, 3000, |_| Action::List {
            generation,
            epoch: 0,
        });
        let event = Box::new(Event::BrokerUp);
        self.later(1, 3000, |_| Action::Watcher { generation, event });
    }

    pub(super) fn stop_watcher(&mut self) {
        self.watcher = None;
        let open: Vec<SessionId> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.generation == self.generation)
            .map(|(session, _)| *session)
            .collect();
        for session in open {
            self.break_stream(session, true, false);
        }
        self.later(100, 10_000, |_| Action::StartWatcher);
    }

    /// The watch is lost; a new list comes later.
    pub(super) fn lose_watch(&mut self) {
        self.stop_watch();
        let generation = self.generation;
        let Some(watcher) = &self.watcher else { return };
        let epoch = watcher.epoch;
        self.later(100, 8000, |_| Action::List { generation, epoch });
    }

    pub(super) fn stop_watch(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.watching = false;
            watcher.epoch += 1;
        }
    }

    pub(super) fn list(&mut self, epoch: u32) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if watcher.epoch != epoch {
            return;
        }
        watcher.watching = true;
        watcher.watch = watcher.watch.max(self.now);
        self.watched(Event::ListStarted(url()));
        let uids: Vec<Uid> = self.api.objects.keys().cloned().collect();
        for uid in uids {
            if let Some(observation) = self.api.see(&uid) {
                self.watched(Event::Observed(Box::new(observation)));
            }
        }
        self.watched(Event::Listed(url()));
    }

    /// An object changed: the watch tells, in order.
    pub(super) fn changed(&mut self, uid: &Uid) {
        self.api.touch(uid);
        self.watch_tells(uid);
    }

    fn watch_tells(&mut self, uid: &Uid) {
        let event = match self.api.see(uid) {
            Some(observation) => Event::Observed(Box::new(observation)),
            None => gone(uid),
        };
        if self
            .watcher
            .as_ref()
            .is_some_and(|watcher| watcher.watching)
        {
            self.watched(event);
        }
    }

    fn watched(&mut self, event: Event) {
        let (delay, generation) = (self.dice.between(1, 80), self.generation);
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        watcher.watch = watcher.watch.max(self.now + delay);
        let (at, event) = (watcher.watch, Box::new(event));
        self.at(at, Action::Watcher { generation, event });
    }

    pub(super) fn wake(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.wake = None;
            watcher.wakes += 1;
            self.watcher_step(Event::Wake);
        }
    }

    pub(super) fn watcher_step(&mut self, event: Event) {
        let now = self.now;
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let effects = watcher.engine.step(event, at(now));
        invariants::books_agree(&watcher.engine);
        let wake = watcher.engine.wake_at(now).map(|at| at.max(now));
        if let Some(at) = wake.filter(|at| watcher.wake.is_none_or(|wake| *at < wake)) {
            watcher.wake = Some(at);
            let generation = self.generation;
            self.at(at, Action::Wake { generation });
        }
        for effect in effects {
            self.watcher_effect(effect);
        }
    }

    fn watcher_effect(&mut self, effect: Effect) {
        let (generation, faulty) = (self.generation, self.now < self.faults_until);
        match effect {
            Effect::Publish { id, .. } => self.publish(id, faulty),
            Effect::ReadParams { id, .. } => {
                let ok = self.api.see(&id.uid).is_some() && !(faulty && self.dice.chance(20));
                let event = Box::new(Event::ParamsRead(id, ok.then(|| "{}".into())));
                self.later(5, 500, |_| Action::Watcher { generation, event });
            }
            Effect::Write(write) => {
                let slow = if faulty && self.dice.chance(10) {
                    15_000
                } else {
                    300
                };
                self.later(5, slow, |_| Action::WriteLands { generation, write });
            }
            Effect::Send(session, message) => {
                if let ToWorker::Recorded(id) = &message {
                    self.check_recorded(session, id);
                }
                if self.streams[&session].generation == generation {
                    self.send_down(session, message);
                }
            }
            Effect::Close(session) => self.break_stream(session, true, false),
            Effect::Measure(_)
            | Effect::Delete { .. }
            | Effect::ReadStatus { .. }
            | Effect::StepDown => {}
        }
    }

    fn publish(&mut self, id: AttemptId, faulty: bool) {
        let durable = self.api.next_attempt(&id.uid);
        let there = self.api.see(&id.uid).is_some();
        assert!(
            !there || durable == id.attempt,
            "{id} is on offer, the API knows of {durable}"
        );
        let generation = self.generation;
        match self.dice.below(if faulty { 10 } else { 1 }) {
            7 => {}
            8 => {
                let event = Box::new(Event::Unplaced(id));
                self.later(5, 500, |_| Action::Watcher { generation, event });
            }
            9 => {
                self.later(5, 500, |_| Action::Ticket(id.clone()));
                self.later(5, 9000, |_| Action::Ticket(id));
            }
            _ => self.later(1, 50, |_| Action::Ticket(id)),
        }
    }

    /// A worker forgets what is recorded, so the API must have it.
    fn check_recorded(&self, session: SessionId, id: &AttemptId) {
        let stream = &self.streams[&session];
        let Some(status) = self.api.status(&id.uid) else {
            assert!(
                !self.api.objects.contains_key(&id.uid),
                "{id} is recorded nowhere"
            );
            return;
        };
        let key = (stream.worker, stream.incarnation, id.clone());
        let again = match &self.outcomes[&key] {
            Outcome::Cancelled | Outcome::Interrupted => status.phase == Some(Phase::Queued),
            _ => false,
        };
        assert!(
            again || status::has_ended(status),
            "{id} is recorded, but the API has {status:?}"
        );
    }

    pub(super) fn write_lands(&mut self, generation: u32, write: &Write) {
        let faulty = self.now < self.faults_until;
        let luck = if faulty { self.dice.below(20) } else { 0 };
        let uid = write.uid.clone();
        // A dead watcher's write may still land; nobody waits for its answer.
        if luck == 19 || (generation != self.generation && luck > 9) {
            return self.answer(generation, uid, WriteResult::Retry);
        }
        let result = self.api.write(write);
        if matches!(result, WriteResult::Ok(_)) {
            self.watch_tells(&uid);
        }
        let lost = luck >= 17;
        self.answer(
            generation,
            uid,
            if lost { WriteResult::Retry } else { result },
        );
    }

    fn answer(&mut self, generation: u32, uid: Uid, result: WriteResult) {
        let event = Box::new(Event::Written(uid, result));
        self.later(1, 200, |_| Action::Watcher { generation, event });
    }
}
