//! Random events, sensible or not, in any order.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::{
    api::Progress,
    life::{End, FailureClass, Life, Outcome, State},
    reason::Reason,
    status,
};

const UIDS: [&str; 3] = ["a", "bb", "ccc"];

#[derive(Clone, Debug)]
enum Op {
    Observe {
        uid: usize,
        cancel: bool,
    },
    ForeignEnd {
        uid: usize,
    },
    Gone {
        uid: usize,
    },
    Relist {
        present: [bool; 3],
    },
    Slice {
        there: bool,
    },
    Hello {
        worker: usize,
        runs: [bool; 3],
        ended: bool,
    },
    Close {
        worker: usize,
    },
    Beat {
        worker: usize,
        honest: bool,
    },
    Claim {
        worker: usize,
        uid: usize,
        attempt: u32,
    },
    Progress {
        worker: usize,
        uid: usize,
        attempt: u32,
        percent: u32,
    },
    Outcome {
        worker: usize,
        uid: usize,
        attempt: u32,
        how: u8,
    },
    Answer {
        how: u8,
    },
    ParamsRead {
        uid: usize,
        attempt: u32,
        ok: bool,
    },
    Unplaced {
        uid: usize,
        attempt: u32,
    },
    BrokerUp,
    Wait {
        seconds: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (uid, worker) = (|| 0..3usize, || 0..2usize);
    // The current attempt more often than not: 0 stands for it.
    let attempt = || prop_oneof![4 => Just(0u32), 1 => 1..4u32];
    let b = any::<bool>;
    prop_oneof![
        4 => (uid(), prop::bool::weighted(0.1)).prop_map(|(uid, cancel)| Op::Observe { uid, cancel }),
        1 => uid().prop_map(|uid| Op::ForeignEnd { uid }),
        1 => uid().prop_map(|uid| Op::Gone { uid }),
        1 => [b(), b(), b()].prop_map(|present| Op::Relist { present }),
        1 => b().prop_map(|there| Op::Slice { there }),
        2 => (worker(), [b(), b(), b()], b())
            .prop_map(|(worker, runs, ended)| Op::Hello { worker, runs, ended }),
        1 => worker().prop_map(|worker| Op::Close { worker }),
        3 => (worker(), prop::bool::weighted(0.8))
            .prop_map(|(worker, honest)| Op::Beat { worker, honest }),
        6 => (worker(), uid(), attempt())
            .prop_map(|(worker, uid, attempt)| Op::Claim { worker, uid, attempt }),
        2 => (worker(), uid(), attempt(), 0..100u32)
            .prop_map(|(worker, uid, attempt, percent)| Op::Progress { worker, uid, attempt, percent }),
        4 => (worker(), uid(), attempt(), 0..4u8)
            .prop_map(|(worker, uid, attempt, how)| Op::Outcome { worker, uid, attempt, how }),
        6 => (0..8u8).prop_map(|how| Op::Answer { how }),
        4 => (uid(), attempt(), prop::bool::weighted(0.8))
            .prop_map(|(uid, attempt, ok)| Op::ParamsRead { uid, attempt, ok }),
        1 => (uid(), attempt()).prop_map(|(uid, attempt)| Op::Unplaced { uid, attempt }),
        1 => Just(Op::BrokerUp),
        5 => prop_oneof![3 => 0..3u64, 1 => 10..60u64].prop_map(|seconds| Op::Wait { seconds }),
    ]
}

/// An engine, what the API holds, and the writes on their way.
struct Trace {
    engine: Engine,
    now: Duration,
    api: HashMap<Uid, (u64, bool, Option<RequestStatus>)>,
    writes: Vec<Box<Write>>,
    /// Every end that was ever sent to the API by this engine.
    ends: HashMap<Uid, RequestStatus>,
    gone: HashSet<Uid>,
    sessions: [Option<SessionId>; 2],
    next: u64,
}

// === impl Trace ===

impl Trace {
    fn new(settled_first: bool) -> Self {
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

    fn life(&self, uid: &Uid) -> Option<Life> {
        self.engine.live(uid).map(|request| request.life.clone())
    }

    fn observation(&self, uid: &Uid) -> Observation {
        let (version, cancel, status) = &self.api[uid];
        shown(uid, *version, *cancel, status.clone())
    }

    fn id(&self, uid: usize, attempt: u32) -> AttemptId {
        let uid = Uid::new(UIDS[uid]);
        let current = self.life(&uid).map_or(1, |life| life.attempt());
        AttemptId {
            uid,
            attempt: if attempt == 0 { current } else { attempt },
        }
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let before: HashMap<Uid, Life> = UIDS
            .iter()
            .filter_map(|uid| Some((Uid::new(uid), self.life(&Uid::new(uid))?)))
            .collect();
        let effects = self.engine.step(event.clone(), at(self.now));
        for effect in &effects {
            if let Effect::Write(write) = effect {
                self.check_write(write);
                self.writes.push(write.clone());
            }
        }
        invariants::books_agree(&self.engine);
        for (uid, before) in before {
            if let Some(after) = self.life(&uid) {
                lives_on(&before, &after, &event);
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

    fn run(&mut self, op: Op) {
        match op {
            Op::Observe { uid, cancel } => {
                let uid = Uid::new(UIDS[uid]);
                let known = self.api.get_mut(&uid).unwrap();
                known.1 |= cancel;
                self.observe_twice(&uid);
            }
            Op::ForeignEnd { uid } => {
                let uid = Uid::new(UIDS[uid]);
                let known = self.api.get_mut(&uid).unwrap();
                let phase = Some(crate::api::Phase::Failed);
                let end = RequestStatus {
                    phase,
                    ..RequestStatus::default()
                };
                let ended = known.2.as_ref().is_some_and(status::has_ended);
                if !ended {
                    (known.0, known.2) = (known.0 + 1, Some(end));
                }
                self.observe_twice(&uid);
            }
            Op::Gone { uid } => {
                let uid = Uid::new(UIDS[uid]);
                self.gone.insert(uid.clone());
                self.step(Event::Gone(uid));
            }
            Op::Relist { present } => self.relist(present),
            Op::Slice { there } => {
                self.step(Event::Endpoints(if there { vec![url()] } else { vec![] }));
            }
            Op::Hello {
                worker,
                runs,
                ended,
            } => self.hello(worker, runs, ended),
            Op::Close { worker } => {
                if let Some(session) = self.sessions[worker].take() {
                    self.step(Event::SessionClosed(session));
                }
            }
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
            op => self.report(op),
        }
    }

    fn report(&mut self, op: Op) {
        let (worker, uid, attempt) = match op {
            Op::Claim {
                worker,
                uid,
                attempt,
            }
            | Op::Progress {
                worker,
                uid,
                attempt,
                ..
            }
            | Op::Outcome {
                worker,
                uid,
                attempt,
                ..
            } => (worker, uid, attempt),
            _ => return,
        };
        let Some(session) = self.sessions[worker] else {
            return;
        };
        let id = self.id(uid, attempt);
        self.step(match op {
            Op::Claim { .. } => Event::Claim(session, id),
            Op::Progress { percent, .. } => Event::Progress(
                session,
                id,
                Progress {
                    percent,
                    message: String::new(),
                },
            ),
            Op::Outcome { how, .. } => Event::Outcome(session, id, outcome(how)),
            _ => return,
        });
    }

    fn observe_twice(&mut self, uid: &Uid) {
        self.step(Event::Observed(Box::new(self.observation(uid))));
        let once = self.life(uid);
        let effects = self.step(Event::Observed(Box::new(self.observation(uid))));
        assert_eq!(once, self.life(uid), "observed twice");
        let quiet = effects
            .iter()
            .all(|effect| matches!(effect, Effect::Measure(_)));
        assert!(quiet, "observed twice: {effects:?}");
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

fn outcome(how: u8) -> Outcome {
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

/// What no event may do to a life.
fn lives_on(before: &Life, after: &Life, event: &Event) {
    assert!(
        after.attempt() >= before.attempt(),
        "{event:?}: {before:?} -> {after:?}"
    );
    assert!(
        after.cancel >= before.cancel,
        "{event:?}: {before:?} -> {after:?}"
    );
    if let State::Done(done) = &before.state {
        let State::Done(now) = &after.state else {
            panic!("{event:?} woke the dead: {before:?} -> {after:?}");
        };
        assert!(
            now.end == done.end || now.end == End::Foreign,
            "{event:?}: {done:?} -> {now:?}"
        );
    }
    if let (Event::Outcome(..) | Event::Progress(..), State::Waiting | State::Offered { .. }) =
        (event, &before.state)
    {
        assert_eq!(before, after, "nobody holds it, but {event:?} changed it");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_books_agree_and_an_end_is_the_end(
        settled_first in any::<bool>(), ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut trace = Trace::new(settled_first);
        for op in ops {
            trace.run(op);
        }
    }

    #[test]
    fn a_foreign_fence_changes_nothing(
        ops in prop::collection::vec(op(), 1..60), uid in 0..3usize, how in 0..4u8, other in 1..4u32,
    ) {
        let mut trace = Trace::new(true);
        for op in ops {
            trace.run(op);
        }
        trace.run(Op::Relist { present: [true; 3] });
        let session = SessionId(999);
        let stranger = hello(&holder("stranger", 1), 1, vec![], vec![]);
        trace.step(Event::Hello(session, stranger));
        for attempt in [0, other] {
            let id = trace.id(uid, attempt);
            let before = trace.life(&id.uid).filter(|life| life.state != State::Recovering);
            let Some(before) = before else { return Ok(()) };
            let progress = Progress { percent: 1, message: String::new() };
            trace.step(Event::Progress(session, id.clone(), progress));
            let effects = trace.step(Event::Outcome(session, id.clone(), outcome(how)));
            prop_assert_eq!(trace.life(&id.uid), Some(before));
            prop_assert_eq!(sent(&effects, session), vec![ToWorker::Stale(id)]);
        }
    }
}
