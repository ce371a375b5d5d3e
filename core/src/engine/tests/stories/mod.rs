//! Single stories, one rule each.

mod api;
mod audit;
mod claims;
mod clocks;
mod handover;
mod hostile;
mod instances;
mod keys;
mod leases;
mod measures;
mod missing;
mod refusals;
mod results;
mod retries;
mod schedule;
mod sources;
mod takeover;
mod traced;
mod ttl;

use super::*;
use crate::{
    life::{FailureClass, Life, Outcome, State},
    reason::Reason,
    status,
};

/// An engine that was told things at certain times.
struct Story {
    engine: Engine,
    now: Duration,
    version: u64,
    /// [`BYSTANDER`] is there.
    attended: bool,
}

const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);
/// A worker that lives and is busy with other things: with it there is somebody to offer requests to.
const BYSTANDER: SessionId = SessionId(8);

// === impl Story ===

impl Story {
    /// A watcher that has just started and has listed nothing yet.
    fn starts() -> Self {
        Self {
            engine: Engine::new(config(), at(Duration::ZERO)),
            now: Duration::ZERO,
            version: 0,
            attended: false,
        }
    }

    /// The same, and the bystander has greeted.
    fn starts_attended() -> Self {
        let mut story = Self::starts();
        story.greets(BYSTANDER, &[], &[]);
        story.attended = true;
        story
    }

    /// A watcher whose take-over period is over, with a worker on session one.
    fn settled() -> Self {
        let (engine, now) = settled();
        let mut story = Self {
            engine,
            now,
            version: 0,
            attended: false,
        };
        story.greets(ONE, &[], &[]);
        story
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.engine.step(event, at(self.now));
        invariants::books_agree(&self.engine);
        effects
    }

    fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.now += Duration::from_millis(ms);
        let mut effects = Vec::new();
        if self.attended {
            effects = self.tell(Event::Heartbeat {
                session: BYSTANDER,
                seq: 1,
                held: vec![],
                free: 0,
                draining: false,
            });
        }
        effects.extend(self.tell(Event::Wake));
        effects
    }

    /// The worker with the session's number greets.
    fn greets(
        &mut self,
        session: SessionId,
        runs: &[AttemptId],
        ended: &[AttemptId],
    ) -> Vec<Effect> {
        let worker = holder(&format!("w{}", session.0 % 10), 1);
        let hello = hello(&worker, 2, runs.to_vec(), ended.to_vec());
        self.tell(Event::Hello(session, hello))
    }

    fn beats(&mut self, session: SessionId, held: &[AttemptId]) -> Vec<Effect> {
        let held = held.to_vec();
        self.tell(Event::Heartbeat {
            session,
            seq: 1,
            held,
            free: 1,
            draining: false,
        })
    }

    fn seen(&mut self, uid: &str, status: Option<RequestStatus>, cancel: bool) -> Vec<Effect> {
        let observation = self.observation(uid, status, cancel);
        self.tell(Event::Observed(Box::new(observation)))
    }

    /// A new request that asks for something.
    fn asked(&mut self, uid: &str, change: impl FnOnce(&mut RequestSpec)) -> Vec<Effect> {
        let mut observation = self.observation(uid, None, false);
        change(observation.spec.as_mut().unwrap());
        self.tell(Event::Observed(Box::new(observation)))
    }

    /// A request that asks for something, and that the worker of that session was granted.
    fn asked_and_runs(
        &mut self,
        uid: &str,
        session: SessionId,
        change: impl FnOnce(&mut RequestSpec),
    ) -> AttemptId {
        self.asked(uid, change);
        self.claims(uid, session)
    }

    fn observation(
        &mut self,
        uid: &str,
        status: Option<RequestStatus>,
        cancel: bool,
    ) -> Observation {
        self.version += 1;
        shown(&Uid::new(uid), self.version, cancel, status)
    }

    /// A full list that holds these.
    fn listed(&mut self, uids: &[(&str, Option<RequestStatus>)]) -> Vec<Effect> {
        self.tell(Event::Endpoints(vec![source()]));
        self.tell(Event::ListStarted(source()));
        for (uid, status) in uids {
            self.seen(uid, status.clone(), false);
        }
        self.tell(Event::Listed(source()))
    }

    /// A request that the worker of that session was granted.
    fn runs(&mut self, uid: &str, session: SessionId) -> AttemptId {
        self.seen(uid, None, false);
        self.claims(uid, session)
    }

    fn claims(&mut self, uid: &str, session: SessionId) -> AttemptId {
        let id = attempt(uid, self.attempt_of(uid));
        let mut effects = self.tell(Event::Claim(session, id.clone()));
        if reads_params(&effects) {
            effects = self.tell(Event::ParamsRead(id.clone(), Some("{}".into())));
        }
        let granted = |message: &ToWorker| matches!(message, ToWorker::Assignment(_));
        assert!(sent(&effects, session).iter().any(granted), "{effects:?}");
        id
    }

    fn attempt_of(&self, uid: &str) -> u32 {
        self.engine
            .live(&Uid::new(uid))
            .map_or(1, |request| request.life.attempt())
    }

    fn life(&self, uid: &str) -> Option<&Life> {
        self.engine
            .live(&Uid::new(uid))
            .map(|request| &request.life)
    }

    /// The only service.
    fn service(&mut self) -> &mut ServiceLimits {
        self.engine.config.catalogue.get_mut("sign").unwrap()
    }

    fn state(&self, uid: &str) -> String {
        let request = self.engine.live(&Uid::new(uid));
        request.map_or_else(
            || "none".into(),
            |request| format!("{:?}", request.life.state),
        )
    }

    fn written(&mut self, uid: &str) -> Vec<Effect> {
        self.version += 1;
        self.tell(Event::Written(
            Uid::new(uid),
            WriteResult::Ok(self.version.to_string()),
        ))
    }

    /// It reports a failure that another try may mend.
    fn fails(&mut self, session: SessionId, id: &AttemptId) -> Vec<Effect> {
        let outcome = Outcome::Failed {
            class: FailureClass::Retryable,
            reason: Reason::JobFailed,
            message: "exit code 75".into(),
        };
        self.tell(Event::Outcome(session, id.clone(), outcome))
    }

    fn succeeds(&mut self, session: SessionId, id: &AttemptId) -> Vec<Effect> {
        self.tell(Event::Outcome(session, id.clone(), success()))
    }
}

fn success() -> Outcome {
    Outcome::Succeeded {
        result: None,
        artifacts: vec![],
    }
}

fn reads_params(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::ReadParams { .. }))
}

fn reason(status: &RequestStatus) -> &str {
    &status.conditions[0].reason
}

fn published(effects: &[Effect]) -> Vec<AttemptId> {
    let ticket = |effect: &Effect| match effect {
        Effect::Publish { id, .. } => Some(id.clone()),
        _ => None,
    };
    effects.iter().filter_map(ticket).collect()
}

fn writes(effects: &[Effect]) -> Vec<RequestStatus> {
    let write = |effect: &Effect| match effect {
        Effect::Write(write) => Some(write.status.clone()),
        _ => None,
    };
    effects.iter().filter_map(write).collect()
}

/// The status of a request that an earlier watcher gave to that worker.
fn running_on(worker: &str) -> RequestStatus {
    RequestStatus {
        phase: Some(crate::api::Phase::Running),
        attempt: Some(1),
        worker: Some(worker.into()),
        ..RequestStatus::default()
    }
}
