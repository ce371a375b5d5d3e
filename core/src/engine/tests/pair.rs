//! Two instances whose selections overlap, on one API, in any order of events: labels change, views are
//! late, answers to writes are lost. No request has two runs at once, none succeeds twice, and no instance
//! writes over another's name.

use std::collections::VecDeque;

use super::{invariants::books_agree, *};
use crate::life::Outcome;

const SESSION: SessionId = SessionId(1);
const STEPS: u32 = 400;
const OBJECTS: usize = 5;

struct Object {
    version: u64,
    status: Option<RequestStatus>,
    selected: [bool; 2],
}

/// One instance and its worker.
struct Side {
    engine: Engine,
    name: Arc<str>,
    views: VecDeque<Observation>,
    writes: Vec<Write>,
    tickets: Vec<AttemptId>,
    runs: Vec<AttemptId>,
    told_to_stop: Vec<AttemptId>,
}

struct Pair {
    sides: [Side; 2],
    objects: BTreeMap<Uid, Object>,
    version: u64,
    now: Duration,
    seed: u64,
    succeeded: BTreeMap<Uid, u32>,
    broken: Option<String>,
}

// === impl Side ===

impl Side {
    fn new(name: &str, claims: bool) -> Self {
        let config = Config {
            instance: name.into(),
            claims,
            ..config()
        };
        Self {
            engine: Engine::new(config, at(Duration::ZERO)),
            name: name.into(),
            views: VecDeque::new(),
            writes: vec![],
            tickets: vec![],
            runs: vec![],
            told_to_stop: vec![],
        }
    }
}

// === impl Pair ===

impl Pair {
    fn new(seed: u64, claims: bool) -> Self {
        let mut pair = Self {
            sides: [Side::new("a", claims), Side::new("b", claims)],
            objects: BTreeMap::new(),
            version: 0,
            now: Duration::ZERO,
            seed,
            succeeded: BTreeMap::new(),
            broken: None,
        };
        for side in 0..2 {
            pair.tell(side, Event::Endpoints(vec![source()]));
            pair.tell(side, Event::ListStarted(source()));
            pair.tell(side, Event::Listed(source()));
        }
        pair.now = config().own_lease();
        for side in 0..2 {
            pair.tell(side, Event::Wake);
            let hello = hello(&holder(&format!("w{side}"), 1), 3, vec![], vec![]);
            pair.tell(side, Event::Hello(SESSION, hello));
        }
        pair
    }

    fn below(&mut self, n: usize) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.seed >> 33).unwrap() % n
    }

    /// One of a list, taken out.
    fn any<T>(&mut self, of: impl Fn(&mut Self) -> &mut Vec<T>) -> Option<T> {
        let len = of(self).len();
        let at = (len > 0).then(|| self.below(len))?;
        Some(of(self).swap_remove(at))
    }

    fn view(&self, uid: &Uid, side: usize) -> Observation {
        let object = &self.objects[uid];
        Observation {
            selected: object.selected[side],
            ..shown(uid, object.version, false, object.status.clone())
        }
    }

    /// Both will see it as it is now.
    fn changed(&mut self, uid: &Uid) {
        self.version += 1;
        let version = self.version;
        self.objects.get_mut(uid).expect("it is there").version = version;
        for side in 0..2 {
            let view = self.view(uid, side);
            self.sides[side].views.push_back(view);
        }
    }

    fn tell(&mut self, side: usize, event: Event) {
        let effects = self.sides[side].engine.step(event, at(self.now));
        books_agree(&self.sides[side].engine);
        for effect in effects {
            match effect {
                Effect::Publish { id, .. } => self.sides[side].tickets.push(id),
                Effect::Write(write) => self.sides[side].writes.push(*write),
                Effect::ReadParams { id, .. } => {
                    self.tell(side, Event::ParamsRead(id, Some("{}".into())));
                }
                Effect::Send(_, ToWorker::Assignment(assignment)) => {
                    self.starts(side, assignment.id);
                }
                Effect::Send(_, ToWorker::Cancel(id, _)) => {
                    self.sides[side].told_to_stop.push(id);
                }
                _ => {}
            }
        }
    }

    fn starts(&mut self, side: usize, id: AttemptId) {
        let mut runs = self.sides.iter().flat_map(|side| &side.runs);
        if runs.any(|run| run.uid == id.uid) || self.succeeded.contains_key(&id.uid) {
            self.broken = Some(format!("{id} is run by {side} though it ran or runs"));
        }
        self.sides[side].runs.push(id);
    }

    fn ends(&mut self, side: usize, id: AttemptId, outcome: Outcome) {
        if matches!(outcome, Outcome::Succeeded { .. }) {
            *self.succeeded.entry(id.uid.clone()).or_default() += 1;
        }
        self.tell(side, Event::Outcome(SESSION, id, outcome));
    }

    fn write(&mut self, side: usize, write: Write, answered: bool) {
        let object = self.objects.get_mut(&write.uid).expect("none is deleted");
        let uid = write.uid.clone();
        if object.version.to_string() != write.resource_version {
            let found = Box::new(self.view(&uid, side));
            return self.tell(side, Event::Written(uid, WriteResult::Conflict(found)));
        }
        let named = object.status.as_ref().and_then(|s| s.controller.as_deref());
        if named.is_some_and(|name| *name != *self.sides[side].name) {
            self.broken = Some(format!("{uid} is written over by {side}"));
        }
        object.status = Some(write.status);
        self.changed(&uid);
        let result = if answered {
            WriteResult::Ok(self.version.to_string())
        } else {
            WriteResult::Retry
        };
        self.tell(side, Event::Written(uid, result));
    }

    fn step(&mut self) {
        let (side, dice) = (self.below(2), self.below(12));
        match dice {
            0 if self.objects.len() < OBJECTS => {
                let uid = Uid::new(&"x".repeat(self.objects.len() + 1));
                let selected = [self.below(4) > 0, self.below(4) > 0];
                let new = Object {
                    version: 0,
                    status: None,
                    selected,
                };
                self.objects.insert(uid.clone(), new);
                self.changed(&uid);
            }
            1 => {
                let uids: Vec<Uid> = self.objects.keys().cloned().collect();
                if !uids.is_empty() {
                    let uid = uids[self.below(uids.len())].clone();
                    let object = self.objects.get_mut(&uid).expect("it is there");
                    object.selected[side] = !object.selected[side];
                    self.changed(&uid);
                }
            }
            2..=4 => {
                if let Some(view) = self.sides[side].views.pop_front() {
                    self.tell(side, Event::Observed(Box::new(view)));
                }
            }
            5..=7 => {
                if let Some(write) = self.any(|pair| &mut pair.sides[side].writes) {
                    let answered = self.below(4) > 0;
                    self.write(side, write, answered);
                }
            }
            8 => {
                if let Some(id) = self.any(|pair| &mut pair.sides[side].tickets) {
                    self.tell(side, Event::Claim(SESSION, id));
                }
            }
            9 => {
                if let Some(id) = self.any(|pair| &mut pair.sides[side].runs) {
                    let told = self.sides[side].told_to_stop.contains(&id);
                    let outcome = if told { Outcome::Cancelled } else { success() };
                    self.ends(side, id, outcome);
                }
            }
            _ => self.time_passes(),
        }
    }

    fn time_passes(&mut self) {
        self.now += Duration::from_millis(500);
        for side in 0..2 {
            let beat = Event::Heartbeat {
                session: SESSION,
                seq: 1,
                held: self.sides[side].runs.clone(),
                free: 3,
                draining: false,
            };
            self.tell(side, beat);
            self.tell(side, Event::Wake);
        }
    }

    /// Everything that is on its way arrives, and every job ends well.
    fn settles(&mut self) {
        for _ in 0..200 {
            for side in 0..2 {
                while let Some(view) = self.sides[side].views.pop_front() {
                    self.tell(side, Event::Observed(Box::new(view)));
                }
                while let Some(write) = self.any(|pair| &mut pair.sides[side].writes) {
                    self.write(side, write, true);
                }
                while let Some(id) = self.any(|pair| &mut pair.sides[side].tickets) {
                    self.tell(side, Event::Claim(SESSION, id));
                }
                while let Some(id) = self.any(|pair| &mut pair.sides[side].runs) {
                    self.ends(side, id, success());
                }
            }
            self.time_passes();
        }
    }

    /// What is wrong once everything has arrived.
    fn leftover(&self) -> Option<String> {
        let wrong = |(uid, object): (&Uid, &Object)| {
            let ended = object.status.as_ref().is_some_and(crate::status::has_ended);
            let runs = self.succeeded.get(uid).copied().unwrap_or_default();
            let wanted = object.status.is_some() || object.selected.contains(&true);
            (ended != wanted || runs != u32::from(wanted)).then(|| {
                format!(
                    "{uid}: {runs} runs, selected {:?}, {:?}",
                    object.selected, object.status
                )
            })
        };
        self.objects.iter().find_map(wrong)
    }
}

fn success() -> Outcome {
    Outcome::Succeeded {
        result: None,
        artifacts: vec![],
    }
}

fn broken_after(seed: u64, claims: bool) -> Option<String> {
    let mut pair = Pair::new(seed, claims);
    for _ in 0..STEPS {
        pair.step();
    }
    pair.settles();
    let leftover = pair.leftover();
    pair.broken.or(leftover)
}

#[test]
fn no_request_of_two_overlapping_instances_runs_twice_and_each_ends() {
    for seed in 0..300 {
        let broken = broken_after(seed, true);
        assert_eq!(broken, None, "seed {seed}");
    }
}

#[test]
fn without_a_durable_name_requests_run_twice() {
    assert!((0..50).any(|seed| broken_after(seed, false).is_some()));
}
