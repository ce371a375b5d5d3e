//! Feeds a trace to an engine and checks what holds at each step.

use std::collections::{HashMap, HashSet};

use super::{
    super::*,
    keys::Family,
    ops::{Op, Report},
};
use crate::{
    api::Progress,
    life::{FailureClass, Life, Outcome},
    reason::Reason,
};

pub(super) const UIDS: [&str; 3] = ["a", "bb", "ccc"];

/// How often each may fail again.
pub(super) fn retries(uid: &Uid) -> u32 {
    u32::from(*uid.0 != *"a")
}

/// An engine, what the API holds, and the writes on their way.
pub(super) struct Trace {
    pub(super) engine: Engine,
    pub(super) now: Duration,
    pub(super) api: HashMap<Uid, (u64, bool, Option<RequestStatus>)>,
    pub(super) writes: Vec<Write>,
    /// Deletions that were asked for.
    pub(super) deletions: Vec<Uid>,
    /// Every end that was ever sent to the API by this engine.
    pub(super) ends: HashMap<Uid, RequestStatus>,
    pub(super) gone: HashSet<Uid>,
    /// What they ask for, when they share a key.
    pub(super) family: Option<Family>,
    /// Reads of a status that were asked for.
    pub(super) reads: Vec<Uid>,
    sessions: [Option<SessionId>; 2],
    next: u64,
}

// === impl Trace ===

impl Trace {
    pub(super) fn new(settled_first: bool) -> Self {
        let (mut engine, now) = if settled_first {
            settled()
        } else {
            (Engine::new(config(), at(Duration::ZERO)), Duration::ZERO)
        };
        engine.config.lost_max = 1;
        Self {
            engine,
            now,
            api: UIDS
                .iter()
                .map(|uid| (Uid::new(uid), (1, false, None)))
                .collect(),
            writes: vec![],
            deletions: vec![],
            ends: HashMap::new(),
            gone: HashSet::new(),
            family: None,
            reads: vec![],
            sessions: [None, None],
            next: 1,
        }
    }

    pub(super) fn life(&self, uid: &Uid) -> Option<Life> {
        self.engine.live(uid).map(|request| request.life.clone())
    }

    /// One has a deadline, one a queue clock too, one a time to live; all retry once.
    pub(super) fn observation(&self, uid: &Uid) -> Observation {
        let (version, cancel, status) = &self.api[uid];
        let mut observation = shown(uid, *version, *cancel, status.clone());
        let spec = observation.spec.as_mut().expect("it can be read");
        spec.retries = Some(retries(uid));
        spec.deadline_seconds = Some(120);
        spec.queue_timeout_seconds = (*uid.0 == *"bb").then_some(20);
        spec.ttl_seconds_after_finished = (*uid.0 == *"ccc").then_some(15);
        self.keyed(&mut observation);
        observation
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
            match effect {
                Effect::Write(write) => {
                    self.check_write(write);
                    self.writes.push((**write).clone());
                }
                Effect::Delete { uid, .. } => self.check_deletion(uid),
                Effect::ReadStatus { uid, .. } => self.reads.push(uid.clone()),
                Effect::Send(_, ToWorker::Assignment(granted)) => {
                    self.check_grant(&granted.id.uid);
                }
                _ => {}
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

    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::Observe { uid, cancel } => self.observe(&Uid::new(UIDS[uid]), cancel),
            Op::ForeignEnd { uid } => self.foreign_end(&Uid::new(UIDS[uid])),
            Op::Gone { uid } => self.gone(&Uid::new(UIDS[uid])),
            Op::Relist { present } => self.relist(present),
            Op::Slice { there } => {
                self.step(Event::Endpoints(if there {
                    vec![source()]
                } else {
                    vec![]
                }));
            }
            Op::Hello {
                worker,
                runs,
                ended,
            } => self.hello(worker, runs, ended),
            Op::Close { worker } => self.close(worker),
            Op::Beat { worker, honest } => self.beat(worker, honest),
            Op::Answer { how } => self.answer(how),
            Op::ForeignCount { uid, lost } => self.foreign_count(&Uid::new(UIDS[uid]), lost),
            Op::Runs { worker, uid, how } => self.runs(worker, uid, how),
            Op::Deleted { gone } => self.deleted(gone),
            Op::StatusRead { ok } => self.status_read(ok),
            Op::HandedOver => drop(self.step(Event::HandedOver)),
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

    fn gone(&mut self, uid: &Uid) {
        self.gone.insert(uid.clone());
        self.step(gone(uid));
    }

    pub(super) fn close(&mut self, worker: usize) {
        if let Some(session) = self.sessions[worker].take() {
            self.step(Event::SessionClosed(session));
        }
    }

    fn runs(&mut self, worker: usize, uid: usize, how: u8) {
        if self.sessions[worker].is_none() {
            self.run(Op::Hello {
                worker,
                runs: [false; 3],
                ended: false,
            });
        }
        self.observe(&Uid::new(UIDS[uid]), false);
        self.report(worker, uid, 0, Report::Claim);
        let (attempt, ok) = (0, true);
        self.run(Op::ParamsRead { uid, attempt, ok });
        self.report(worker, uid, 0, Report::Outcome(how));
        (0..self.writes.len()).for_each(|_| self.answer(0));
        self.now += Duration::from_secs(6);
        self.step(Event::Wake);
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
    pub(super) fn observe(&mut self, uid: &Uid, cancel: bool) {
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
}

pub(super) fn outcome(how: u8) -> Outcome {
    let (reason, message) = (Reason::JobFailed, "exit code 1".to_owned());
    match how {
        0 => Outcome::Succeeded {
            result: None,
            artifacts: vec![],
        },
        1 | 4 => Outcome::Failed {
            class: if how == 1 {
                FailureClass::Permanent
            } else {
                FailureClass::Retryable
            },
            reason,
            message,
        },
        2 => Outcome::Cancelled,
        _ => Outcome::Interrupted,
    }
}
