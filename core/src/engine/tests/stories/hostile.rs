//! Workers that break the rules which they should keep by themselves.

use serde_json::{Map, Value};

use super::*;

fn result(bytes: usize) -> Outcome {
    let empty = r#"{"text":""}"#.len();
    let text = Value::String("x".repeat(bytes - empty));
    Outcome::Succeeded {
        result: Some(Map::from_iter([("text".to_owned(), text)])),
        artifacts: vec![],
    }
}

#[test]
fn a_result_over_the_services_limit_fails_the_request_whoever_sends_it() {
    for (bytes, wanted) in [(1000, "Succeeded"), (1001, "ResultTooLarge")] {
        let mut story = Story::settled();
        story.service().result_max_bytes = 1000;
        let id = story.runs("a", ONE);
        let effects = story.tell(Event::Outcome(ONE, id, result(bytes)));
        let status = writes(&effects).remove(0);
        assert_eq!(reason(&status), wanted, "{status:?}");
        assert_eq!(status.result.is_some(), wanted == "Succeeded");
    }
}

#[test]
fn of_outcomes_that_nobody_can_judge_yet_no_more_are_kept_than_a_worker_has_slots() {
    let mut story = Story::starts();
    story.greets(ONE, &[], &[]);
    for number in 0..100 {
        let id = attempt(&format!("unknown-{number}"), 1);
        story.tell(Event::Outcome(ONE, id, success()));
    }
    let kept = &story.engine.sessions.open[&ONE].unjudged_outcomes;
    assert_eq!(kept.len(), 2);
}

#[test]
fn the_message_of_a_condition_is_clean_whoever_worded_it() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let outcome = Outcome::Failed {
        class: FailureClass::Permanent,
        reason: Reason::JobFailed,
        message: "a\nb\u{1b}[2J\u{202e}".into(),
    };
    let status = writes(&story.tell(Event::Outcome(ONE, id, outcome))).remove(0);
    assert_eq!(status.conditions[0].message, "a b\u{fffd}[2J\u{fffd}");
}

#[test]
fn a_greeting_with_a_run_of_another_service_is_told_to_stop() {
    let mut story = Story::starts();
    story.listed(&[("a", None)]);
    let mut said = hello(&holder("w1", 1), 2, vec![attempt("a", 1)], vec![]);
    said.services = vec!["another".into()];
    let effects = story.tell(Event::Hello(ONE, said));
    let stopped = |effect: &Effect| matches!(effect, Effect::Send(ONE, ToWorker::Cancel(id, "not_your_service")) if *id == attempt("a", 1));
    assert!(effects.iter().any(stopped), "{effects:?}");
    assert!(
        !story.state("a").contains("Running"),
        "{}",
        story.state("a")
    );
    // Who says that it runs the service may have it, as ever.
    let mut story = Story::starts();
    story.listed(&[("a", None)]);
    story.greets(ONE, &[attempt("a", 1)], &[]);
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
}
