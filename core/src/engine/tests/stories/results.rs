//! What becomes of parameters and results that are not what the service promises.

use serde_json::{Map, Value, json};

use super::*;
use crate::admit::{Rejection, ResultCheck};

/// A watcher whose only service gives back a `signature`.
fn promising() -> Story {
    let mut story = Story::settled();
    let check = |result: &Map<String, Value>| match result.get("signature") {
        Some(_) => Ok(()),
        None => Err("the job's result: /signature is missing".into()),
    };
    story.service().result_check = Some(ResultCheck::new("signature", check));
    story.service().retries = 3;
    story
}

fn gives(result: Option<Value>) -> Outcome {
    Outcome::Succeeded {
        result: result.and_then(|result| result.as_object().cloned()),
        artifacts: vec![],
    }
}

#[test]
fn a_result_that_breaks_its_promise_fails_the_request_for_good_and_is_not_published() {
    for result in [Some(json!({"sig": "s3cr3t"})), None] {
        let mut story = promising();
        let id = story.runs("a", ONE);
        let effects = story.tell(Event::Outcome(ONE, id.clone(), gives(result.clone())));
        let status = writes(&effects).remove(0);
        assert_eq!(reason(&status), "InvalidResult", "{result:?}");
        let message = "the job's result: /signature is missing";
        assert_eq!(status.conditions[0].message, message);
        assert_eq!(
            (status.phase, status.failed),
            (Some(crate::api::Phase::Failed), 1)
        );
        let text = format!("{status:?}");
        assert!(
            status.result.is_none() && !text.contains("s3cr3t"),
            "{text}"
        );
        assert_eq!(sent(&story.written("a"), ONE), vec![ToWorker::Recorded(id)]);
    }
}

#[test]
fn a_result_that_keeps_its_promise_is_published() {
    let mut story = promising();
    let id = story.runs("a", ONE);
    let effects = story.tell(Event::Outcome(
        ONE,
        id,
        gives(Some(json!({"signature": "s"}))),
    ));
    let status = writes(&effects).remove(0);
    assert_eq!(reason(&status), "Succeeded");
    assert_eq!(status.result.unwrap()["signature"], "s");
}

#[test]
fn a_request_that_was_to_be_stopped_is_cancelled_when_its_result_is_no_result() {
    let mut story = promising();
    let id = story.runs("a", ONE);
    story.seen("a", None, true);
    let effects = story.tell(Event::Outcome(ONE, id, gives(None)));
    assert_eq!(reason(&writes(&effects)[0]), "Cancelled");
}

#[test]
fn a_new_promise_holds_for_what_runs() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.service().result_check = Some(ResultCheck::new("no", |_| Err("no".into())));
    let effects = story.tell(Event::Outcome(ONE, id, gives(None)));
    assert_eq!(reason(&writes(&effects)[0]), "InvalidResult");
}

#[test]
fn a_refused_request_is_rejected_with_the_reason_when_it_is_new() {
    let mut story = Story::settled();
    let refusal = Rejection {
        reason: Reason::InvalidParams,
        message: "spec.params: /digest is missing".into(),
    };
    let mut new = story.observation("a", None, false);
    new.refusal = Some(refusal.clone());
    let effects = story.tell(Event::Observed(Box::new(new)));
    let status = writes(&effects).remove(0);
    assert_eq!(status.phase, Some(crate::api::Phase::Rejected));
    assert_eq!(reason(&status), "InvalidParams");
    assert_eq!(status.conditions[0].message, refusal.message);
    assert_eq!(published(&effects), vec![]);

    let mut accepted = story.observation("b", Some(running_on("w9")), false);
    accepted.refusal = Some(refusal);
    story.tell(Event::Observed(Box::new(accepted)));
    assert_ne!(story.state("b"), "none", "what was accepted stays so");
    assert!(
        !story.state("b").starts_with("Done"),
        "{}",
        story.state("b")
    );
}
