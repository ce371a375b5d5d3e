//! What an audit is told.

use super::{
    super::trails::{Trails, told},
    *,
};
use crate::audit::{Judged, What};

/// A story that is told to an audit, and what the audit heard so far.
struct Audited {
    story: Story,
    heard: Vec<Effect>,
    trails: Trails,
}

/// A settled story with an audit and a worker on session one.
fn audited() -> Audited {
    audit(Story::settled())
}

fn audit(mut story: Story) -> Audited {
    story.engine.config.audit = true;
    Audited {
        story,
        heard: vec![],
        trails: Trails::default(),
    }
}

// === impl Audited ===

impl Audited {
    fn hears(&mut self, act: impl FnOnce(&mut Story) -> Vec<Effect>) -> Vec<Effect> {
        let effects = act(&mut self.story);
        self.trails.hear(&effects);
        self.heard.extend(effects.clone());
        effects
    }

    /// A worker gets it; returns the attempt.
    fn starts(&mut self, uid: &str, session: SessionId) -> AttemptId {
        let id = attempt(uid, self.story.attempt_of(uid));
        let claim = Event::Claim(session, id.clone());
        let effects = self.hears(|story| story.tell(claim));
        if reads_params(&effects) {
            let read = Event::ParamsRead(id.clone(), Some("{}".into()));
            self.hears(|story| story.tell(read));
        }
        id
    }

    /// What the audit was told since it was asked last, in short.
    fn told(&mut self) -> Vec<String> {
        let heard = std::mem::take(&mut self.heard);
        let short = |what: &What| match what {
            What::Accepted(_) => "accepted".into(),
            What::Rejected(reason, _) => format!("rejected {}", reason.as_str()),
            What::Started { attempt, by, .. } => format!("started {attempt} {}", by.worker),
            What::Adopted { attempt, by } => format!("adopted {attempt} {}", by.worker),
            What::AttemptEnded {
                attempt,
                worker,
                how,
            } => format!("over {attempt} {worker} {how:?}"),
            What::Cancelled(why) => format!("cancelled {why:?}"),
            What::Ended { status, foreign } => {
                let foreign = if *foreign { " foreign" } else { "" };
                let phase = status.phase.map(|phase| format!("{phase:?}"));
                format!("ended {}{foreign}", phase.unwrap_or_default())
            }
        };
        told(&heard).iter().map(|told| short(&told.what)).collect()
    }
}

#[test]
fn without_an_audit_nothing_is_told() {
    let mut story = Story::settled();
    let mut effects = story.seen("a", None, false);
    let id = story.claims("a", ONE);
    effects.extend(story.succeeds(ONE, &id));
    effects.extend(story.written("a"));
    assert_eq!(told(&effects), vec![]);
}

#[test]
fn a_request_is_told_from_its_acceptance_to_the_end_that_is_in_the_api() {
    let mut audited = audited();
    let judged = Arc::new(Judged {
        rule: "everybody".into(),
        params: [7; 32],
    });
    let mut observation = audited.story.observation("a", None, false);
    observation.spec.as_mut().unwrap().requester = Some("alice".into());
    observation.judged = Some(judged.clone());
    let address = observation.address.clone();
    let effects = audited.hears(|story| story.tell(Event::Observed(Box::new(observation))));
    let accepted = told(&effects).remove(0);
    assert_eq!(accepted.what, What::Accepted(Some(judged)));
    assert_eq!((accepted.uid, accepted.address), (Uid::new("a"), address));
    assert_eq!(
        (&*accepted.service, &*accepted.requester),
        ("sign", "alice")
    );
    assert_eq!(audited.told(), ["accepted"]);

    let id = audited.starts("a", ONE);
    assert_eq!(audited.told(), ["started 1 w1"]);
    audited.hears(|story| story.succeeds(ONE, &id));
    assert_eq!(audited.told(), ["over 1 w1 Succeeded"], "it is not durable");
    audited.hears(|story| story.written("a"));
    assert_eq!(audited.told(), ["ended Succeeded"]);
    let status = running_on("w1");
    audited.hears(|story| story.succeeds(ONE, &id));
    audited.hears(|story| story.seen("a", Some(status), false));
    assert_eq!(audited.told(), Vec::<String>::new(), "once");
}

#[test]
fn a_write_that_landed_without_an_answer_is_told_once() {
    let mut audited = audited();
    audited.hears(|story| story.seen("a", None, false));
    let id = audited.starts("a", ONE);
    let effects = audited.hears(|story| story.succeeds(ONE, &id));
    let end = writes(&effects).remove(0);
    audited.told();
    audited.hears(|story| story.seen("a", Some(end), false));
    audited.hears(|story| story.written("a"));
    assert_eq!(audited.told(), ["ended Succeeded"]);
}

#[test]
fn a_rejection_is_told_when_it_is_decided() {
    let mut audited = audited();
    audited.hears(|story| story.asked("a", |spec| spec.service = "rocket".into()));
    assert_eq!(audited.told(), ["rejected UnknownService"]);
    audited.hears(|story| story.written("a"));
    assert_eq!(audited.told(), Vec::<String>::new());
}

#[test]
fn each_attempt_is_told_and_how_it_ended() {
    let mut audited = audited();
    audited.hears(|story| story.asked("a", |spec| spec.retries = Some(1)));
    let first = audited.starts("a", ONE);
    audited.hears(|story| story.fails(ONE, &first));
    audited.hears(|story| story.written("a"));
    audited.hears(|story| story.wait(60_000));
    audited.hears(|story| story.greets(TWO, &[], &[]));
    audited.starts("a", TWO);
    let lease = u64::try_from(config().own_lease().as_millis()).unwrap();
    audited.hears(|story| story.wait(lease));
    assert_eq!(
        audited.told(),
        [
            "accepted",
            "started 1 w1",
            "over 1 w1 Failed(JobFailed)",
            "started 2 w2",
            "over 2 w2 Lost"
        ]
    );
}

#[test]
fn it_is_told_why_a_request_is_to_end_before_its_job_has() {
    let mut audited = audited();
    audited.hears(|story| story.seen("a", None, false));
    let id = audited.starts("a", ONE);
    audited.told();
    audited.hears(|story| story.seen("a", None, true));
    audited.hears(|story| story.seen("a", None, true));
    let stopped = Event::Outcome(ONE, id, Outcome::Cancelled);
    audited.hears(|story| story.tell(stopped));
    audited.hears(|story| story.written("a"));
    assert_eq!(
        audited.told(),
        ["cancelled Asked", "over 1 w1 Cancelled", "ended Cancelled"]
    );

    audited.hears(|story| story.asked("b", |spec| spec.deadline_seconds = Some(5)));
    audited.starts("b", ONE);
    audited.told();
    audited.hears(|story| story.wait(5000));
    assert_eq!(audited.told(), ["cancelled Deadline"]);
}

#[test]
fn a_run_of_a_deleted_request_is_told_to_its_end() {
    let mut audited = audited();
    audited.hears(|story| story.seen("a", None, false));
    let id = audited.starts("a", ONE);
    audited.told();
    audited.hears(|story| story.tell(gone(&Uid::new("a"))));
    audited.hears(|story| story.tell(gone(&Uid::new("a"))));
    assert_eq!(audited.told(), ["cancelled Deleted"]);
    // It could not be stopped any more: the work was done, and nobody can read so elsewhere.
    audited.hears(|story| story.succeeds(ONE, &id));
    assert_eq!(audited.told(), ["over 1 w1 Succeeded"]);
}

#[test]
fn who_runs_what_an_earlier_watcher_gave_is_told_and_what_nobody_runs_too() {
    let mut audited = audit(Story::starts());
    let id = attempt("a", 1);
    audited.story.greets(ONE, std::slice::from_ref(&id), &[]);
    let found = [("a", Some(running_on("w1"))), ("b", Some(running_on("w9")))];
    audited.hears(|story| story.listed(&found));
    assert_eq!(audited.told(), ["adopted 1 w1"]);
    for _ in 0..4 {
        audited.story.beats(ONE, std::slice::from_ref(&id));
        audited.hears(|story| story.wait(9000));
    }
    assert_eq!(audited.told(), ["over 1 w9 Lost"]);
    audited.hears(|story| story.succeeds(ONE, &id));
    assert_eq!(audited.told(), ["over 1 w1 Succeeded"]);
}

#[test]
fn an_end_that_somebody_else_wrote_is_told_as_such() {
    let mut audited = audited();
    audited.hears(|story| story.seen("a", None, false));
    audited.starts("a", ONE);
    audited.told();
    let foreign = RequestStatus {
        phase: Some(crate::api::Phase::Failed),
        ..running_on("x")
    };
    audited.hears(|story| story.seen("a", Some(foreign), false));
    assert_eq!(
        audited.told(),
        ["over 1 w1 Overtaken", "ended Failed foreign"]
    );
}

#[test]
fn a_workspace_that_stays_away_is_told_apart_from_a_deletion() {
    let mut audited = audited();
    audited.hears(|story| story.seen("a", None, false));
    audited.told();
    audited.hears(|story| story.tell(Event::Endpoints(vec![])));
    audited.hears(|story| story.wait(300_000));
    assert_eq!(audited.told(), ["cancelled Vanished"]);
}
