//! Feeds a trace to an engine and checks what holds at each step.

use std::collections::{HashMap, HashSet};

use super::{
    super::*,
    ops::{Op, Report},
};
use crate::{
    api::Progress,
    life::{FailureClass, Life, Outcome},
    reason::Reason,
    status,
};

const UIDS: [&str; 3] = ["a", "bb", "ccc"];

/// An engine, what the API holds, and the writes on their way.
pub(super) struct Trace {
    engine: Engine,
    now: Duration,
    api: HashMap<Uid, (u64, bool, Option<RequestStatus>)>,
    writes: Vec<Write>,
    /// Every end that was ever sent to the API by this engine.
    ends: HashMap<Uid, RequestStatus>,
    gone: HashSet<Uid>,
    sessions: [Option<SessionId>; 2],
    next: u64,
}

// === impl Trace ===

impl Trace {
    pub(super) fn new(settled_first: bool) -> Self {
        let (engine, now) = if settled_first {
            settled()
        } else {
            (Engine::new(config(), at(Duration::ZERO)), Duration::ZERO)
        };
        Self {
            engine,
            now,
            api: UIDS
                .iter()
                .map(|uid| (Uid::new(uid), (1, false, None)))
                .collect(),
            writes: vec![],
            ends: HashMap::new(),
            gone: HashSet::new(),
            sessions: [None, None],
            next: 1,
        }
    }

    pub(super) fn life(&self, uid: &Uid) -> Option<Life> {
        self.engine.live(uid).map(|request| request.life.clone())
    }

    fn observation(&self, uid: &Uid) -> Observation {
        let (version, cancel, status) = &self.api[uid];
        shown(uid, *version, *cancel, status.clone())
    }

    pub(super) fn id(&self, uid: usize, attempt: u32) -> AttemptId {
        let uid = Uid::new(UIDS[uid]);
        let current = self.life(&uid).map_or(1, |life| life.attempt());
        AttemptId {
            uid,
            attempt: if attempt == 0 { current } else { attempt },
        }
    }

    pub(super) fn step(&mut self, event: Event) -> Vec<Effect> {
        let before: HashMap<Uid, Life> = UIDS
            .iter()
            .filter_map(|uid| Some((Uid::new(uid), self.life(&Uid::new(uid))?)))
            .collect();
        let happened = event.clone();
        let effects = self.engine.step(event, at(self.now));
        for effect in &effects {
            if let Effect::Write(write) = effect {
                self.check_write(write);
                self.writes.push((**write).clone());
            }
        }
        invariants::books_agree(&self.engine);
        for (uid, before) in before {
            if let Some(after) = self.life(&uid) {
                invariants::lives_on(&before, &after, &happened);
            }
        }
        effects
    }

    /// One end, and the same one however often it is written.
    fn check_write(&mut self, write: &Write) {
        let under_way = self.writes.iter().any(|other| other.uid == write.uid);
        assert!(!under_way, "two writes of {} at once", write.uid);
        if let Some(end) = self
            .ends
            .get(&write.uid)
            .filter(|_| !self.gone.contains(&write.uid))
        {
            assert_eq!(&write.status, end, "another end");
        }
        if status::has_ended(&write.status) {
            self.ends.insert(write.uid.clone(), write.status.clone());
        }
    }

    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::Observe { uid, cancel } => self.observe(&Uid::new(UIDS[uid]), cancel),
            Op::ForeignEnd { uid } => self.foreign_end(&Uid::new(UIDS[uid])),
            Op::Gone { uid } => self.gone(Uid::new(UIDS[uid])),
            Op::Relist { present } => self.relist(present),
            Op::Slice { there } => {
                self.step(Event::Endpoints(if there { vec![url()] } else { vec![] }));
            }
            Op::Hello {
                worker,
                runs,
                ended,
            } => self.hello(worker, runs, ended),
            Op::Close { worker } => self.close(worker),
            Op::Beat { worker, honest } => self.beat(worker, honest),
            Op::Answer { how } => self.answer(how),
            Op::ParamsRead { uid, attempt, ok } => {
                let id = self.id(uid, attempt);
                self.step(Event::ParamsRead(id, ok.then(|| "{}".into())));
            }
            Op::Unplaced { uid, attempt } => {
                let id = self.id(uid, attempt);
                self.step(Event::Unplaced(id));
            }
            Op::BrokerUp => drop(self.step(Event::BrokerUp)),
            Op::Wait { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.step(Event::Wake);
            }
            Op::Report {
                worker,
                uid,
                attempt,
                what,
            } => self.report(worker, uid, attempt, what),
        }
    }

    fn gone(&mut self, uid: Uid) {
        self.gone.insert(uid.clone());
        self.step(gone(&uid));
    }

    fn close(&mut self, worker: usize) {
        if let Some(session) = self.sessions[worker].take() {
            self.step(Event::SessionClosed(session));
        }
    }

    fn report(&mut self, worker: usize, uid: usize, attempt: u32, what: Report) {
        let Some(session) = self.sessions[worker] else {
            return;
        };
        let id = self.id(uid, attempt);
        self.step(match what {
            Report::Claim => Event::Claim(session, id),
            Report::Progress(percent) => Event::Progress(
                session,
                id,
                Progress {
                    percent,
                    message: String::new(),
                },
            ),
            Report::Outcome(how) => Event::Outcome(session, id, outcome(how)),
        });
    }

    /// The caller may have cancelled. Observed twice is once.
    fn observe(&mut self, uid: &Uid, cancel: bool) {
        self.api.get_mut(uid).unwrap().1 |= cancel;
        self.step(Event::Observed(Box::new(self.observation(uid))));
        let once = self.life(uid);
        let effects = self.step(Event::Observed(Box::new(self.observation(uid))));
        assert_eq!(once, self.life(uid), "observed twice");
        let quiet = effects
            .iter()
            .all(|effect| matches!(effect, Effect::Measure(_)));
        assert!(quiet, "observed twice: {effects:?}");
    }

    fn foreign_end(&mut self, uid: &Uid) {
        let known = self.api.get_mut(uid).unwrap();
        if !known.2.as_ref().is_some_and(status::has_ended) {
            let phase = Some(crate::api::Phase::Failed);
            let end = RequestStatus {
                phase,
                ..RequestStatus::default()
            };
            (known.0, known.2) = (known.0 + 1, Some(end));
        }
        self.observe(uid, false);
    }

    fn relist(&mut self, present: [bool; 3]) {
        self.step(Event::Endpoints(vec![url()]));
        self.step(Event::ListStarted(url()));
        for (uid, present) in UIDS.iter().zip(present) {
            if present {
                self.step(Event::Observed(Box::new(self.observation(&Uid::new(uid)))));
            } else {
                self.gone.insert(Uid::new(uid));
            }
        }
        self.step(Event::Listed(url()));
    }

    fn hello(&mut self, worker: usize, runs: [bool; 3], ended: bool) {
        let listed: Vec<AttemptId> = (0..3)
            .filter(|uid| runs[*uid])
            .map(|uid| self.id(uid, 0))
            .collect();
        let (running, outcomes) = if ended {
            (vec![], listed)
        } else {
            (listed, vec![])
        };
        let session = SessionId(self.next);
        self.next += 1;
        self.sessions[worker] = Some(session);
        let hello = hello(&holder(&format!("w{worker}"), 1), 2, running, outcomes);
        let effects = self.step(Event::Hello(session, hello));
        assert!(
            matches!(sent(&effects, session)[0], ToWorker::Welcome { .. }),
            "{effects:?}"
        );
    }

    fn beat(&mut self, worker: usize, honest: bool) {
        let Some(session) = self.sessions[worker] else {
            return;
        };
        let held = if honest {
            (0..3).map(|uid| self.id(uid, 0)).collect()
        } else {
            vec![]
        };
        let effects = self.step(Event::Heartbeat {
            session,
            seq: 7,
            held,
            free: 1,
            draining: false,
        });
        let answers = sent(&effects, session);
        let open = self.engine.sessions.open.contains_key(&session);
        assert_eq!(answers.contains(&ToWorker::HeartbeatAck(7)), open);
    }

    /// The oldest write is answered: mostly well, landed or not.
    fn answer(&mut self, how: u8) {
        if self.writes.is_empty() {
            return;
        }
        let write = self.writes.remove(0);
        let known = self.api.get_mut(&write.uid).unwrap();
        let current = known.0.to_string() == write.resource_version;
        if current && how < 6 {
            assert!(
                !known.2.as_ref().is_some_and(status::has_ended),
                "an end is written over"
            );
            (known.0, known.2) = (known.0 + 1, Some(write.status));
        }
        let result = match how {
            0..5 if current => WriteResult::Ok(known.0.to_string()),
            0..5 => WriteResult::Conflict(Box::new(self.observation(&write.uid))),
            _ => WriteResult::Retry,
        };
        self.step(Event::Written(write.uid, result));
    }
}

pub(super) fn outcome(how: u8) -> Outcome {
    let (reason, message) = (Reason::JobFailed, "exit code 1".to_owned());
    match how {
        0 => Outcome::Succeeded {
            result: None,
            artifacts: vec![],
        },
        1 => Outcome::Failed {
            class: FailureClass::Permanent,
            reason,
            message,
        },
        2 => Outcome::Cancelled,
        _ => Outcome::Interrupted,
    }
}
