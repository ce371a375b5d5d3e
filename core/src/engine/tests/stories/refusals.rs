//! What the operators do not accept, and when that counts.

use super::*;
use crate::{
    admit::Rejection,
    api::{OnConflict, Phase},
};

const MESSAGE: &str = "ask the operators";

fn refusal() -> Rejection {
    Rejection {
        reason: Reason::NotAccepted,
        message: MESSAGE.into(),
    }
}

impl Story {
    /// A request that the operators do not accept.
    fn refused(
        &mut self,
        uid: &str,
        status: Option<RequestStatus>,
        change: impl FnOnce(&mut Observation),
    ) -> Vec<Effect> {
        let mut observation = self.observation(uid, status, false);
        observation.refusal = Some(refusal());
        change(&mut observation);
        self.tell(Event::Observed(Box::new(observation)))
    }
}

#[test]
fn a_request_that_is_not_accepted_ends_at_once_and_reaches_no_worker() {
    let mut story = Story::settled();
    let effects = story.refused("a", None, |_| ());
    let status = writes(&effects).remove(0);
    assert_eq!(status.phase, Some(Phase::Rejected));
    assert_eq!(reason(&status), "NotAccepted");
    assert_eq!(status.conditions[0].message, MESSAGE);
    assert_eq!(published(&effects), vec![]);
    assert_eq!(published(&story.wait(60_000)), vec![]);
}

#[test]
fn who_is_not_accepted_learns_nothing_of_services_and_limits() {
    let mut story = Story::settled();
    let effects = story.refused("a", None, |seen| {
        seen.spec.as_mut().unwrap().service = "rocket".into();
        seen.params = Params::Large(10_000_000);
        seen.flow_key = Err("no `repo`".into());
    });
    assert_eq!(reason(&writes(&effects)[0]), "NotAccepted");
    // A spec that cannot be read cannot be judged either.
    let effects = story.refused("b", None, |seen| {
        seen.spec = Err("no service".into());
        seen.refusal = None;
    });
    assert_eq!(reason(&writes(&effects)[0]), "InvalidRequest");
}

#[test]
fn what_was_accepted_is_not_judged_again() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.refused("a", None, |_| ());
    assert!(story.state("a").starts_with("Running"));
    story.succeeds(ONE, &id);
    story.written("a");

    // Nor while its first status is on its way, nor by the answer to a write.
    story.seen("b", None, false);
    story.refused("b", None, |_| ());
    let mut found = story.observation("b", None, false);
    found.refusal = Some(refusal());
    assert_eq!(writes(&story.wait(1000)).len(), 1);
    story.tell(Event::Written(
        Uid::new("b"),
        WriteResult::Conflict(Box::new(found)),
    ));
    story.claims("b", ONE);
}

#[test]
fn what_an_earlier_watcher_accepted_stays_accepted() {
    let queued = || RequestStatus {
        phase: Some(Phase::Queued),
        ..RequestStatus::default()
    };
    let mut story = Story::starts();
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    story.refused("waits", Some(queued()), |_| ());
    story.refused("runs", Some(running_on("w1")), |_| ());
    story.refused("new", None, |_| ());
    story.tell(Event::Listed(source()));
    story.greets(ONE, &[attempt("runs", 1)], &[]);
    assert!(story.state("runs").starts_with("Running"));
    assert!(story.state("new").starts_with("Done"));
    story.wait(60_000);
    story.greets(ONE, &[], &[]);
    story.claims("waits", ONE);
}

#[test]
fn a_request_that_is_not_accepted_holds_no_key_and_hurts_no_other() {
    let mut story = Story::settled();
    let keyed = |on_conflict| {
        move |seen: &mut Observation| {
            let spec = seen.spec.as_mut().unwrap();
            (spec.idempotency_key, spec.on_conflict) = (Some("k".into()), Some(on_conflict));
            seen.digest = Some([1; 16]);
            seen.address.cluster = "1".into();
        }
    };
    story.refused("a", None, keyed(OnConflict::Reject));
    let mut first = story.observation("b", None, false);
    keyed(OnConflict::Reject)(&mut first);
    story.tell(Event::Observed(Box::new(first)));
    story.claims("b", ONE);
    let effects = story.refused("c", None, keyed(OnConflict::Replace));
    assert_eq!(reason(&writes(&effects)[0]), "NotAccepted");
    assert!(story.state("b").starts_with("Running"), "it replaced it");
}
