//! What is counted.

use super::*;

/// Of which service an attempt was counted, and as what.
fn attempts(effects: &[Effect]) -> Vec<(Option<&str>, &'static str)> {
    let attempt = |effect| match effect {
        &Effect::Measure(Measure::Attempt {
            ref service,
            outcome,
        }) => Some((service.as_deref(), outcome)),
        _ => None,
    };
    effects.iter().filter_map(attempt).collect()
}

#[test]
fn a_failed_attempt_counts_once_whether_or_not_another_one_follows() {
    let mut story = Story::settled();
    let first = story.asked_and_runs("a", ONE, |spec| spec.retries = Some(1));
    assert_eq!(
        attempts(&story.fails(ONE, &first)),
        [(Some("sign"), "failed")]
    );
    assert_eq!(attempts(&story.fails(ONE, &first)), vec![], "sent again");
    story.written("a");
    let Some(State::Backoff { until }) = story.life("a").map(|life| life.state.clone()) else {
        panic!("{}", story.state("a"));
    };
    story.now = until;
    story.tell(Event::Wake);
    let second = story.claims("a", ONE);
    assert_eq!(
        attempts(&story.fails(ONE, &second)),
        [(Some("sign"), "failed")]
    );
}

#[test]
fn an_attempt_whose_worker_fell_silent_counts_as_lost() {
    let mut story = Story::starts_attended();
    story.listed(&[("a", Some(running_on("w1")))]);
    assert_eq!(attempts(&story.wait(34_999)), vec![]);
    assert_eq!(attempts(&story.wait(1)), [(Some("sign"), "lost")]);
    assert_eq!(attempts(&story.written("a")), vec![]);
}

#[test]
fn what_ends_with_a_service_that_is_not_there_counts_for_none() {
    let mut story = Story::settled();
    let effects = story.asked("a", |spec| spec.service = "x".repeat(63));
    let of_service = |effect: &Effect| match effect {
        Effect::Measure(Measure::Finished { service, .. }) => Some(service.clone()),
        _ => None,
    };
    let services: Vec<_> = effects.iter().filter_map(of_service).collect();
    assert_eq!(services, [None]);
}

#[test]
fn the_oldest_is_the_one_that_has_waited_longest_and_never_ran() {
    let mut story = Story::settled();
    let oldest = |story: &Story| {
        let oldest = story.engine.snapshot().oldest;
        oldest.get("sign").map(|since| since.as_second())
    };
    let start = at(story.now).wall.as_second();
    story.seen("a", None, false);
    story.wait(5_000);
    story.seen("b", None, false);
    assert_eq!(oldest(&story), Some(start));
    story.claims("a", ONE);
    assert_eq!(oldest(&story), Some(start + 5));
    story.claims("b", ONE);
    assert_eq!(oldest(&story), None);
}
