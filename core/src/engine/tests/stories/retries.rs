//! Failed and lost attempts, pauses and budgets.

use super::*;

fn retries(n: u32) -> impl FnOnce(&mut RequestSpec) {
    move |spec| spec.retries = Some(n)
}

/// Waits for the end of the pause.
fn pause_ends(story: &mut Story, uid: &str) -> Vec<Effect> {
    let Some(State::Backoff { until }) = story.life(uid).map(|life| life.state.clone()) else {
        panic!("{} does not pause", story.state(uid));
    };
    assert!(story.engine.wake_at(story.now).unwrap() <= until);
    story.now = until;
    story.tell(Event::Wake)
}

#[test]
fn a_retry_costs_one_write_which_shows_the_count_and_the_pause() {
    let mut story = Story::settled();
    let first = story.asked_and_runs("a", ONE, retries(1));
    let effects = story.fails(ONE, &first);
    let status = writes(&effects).remove(0);
    assert_eq!((reason(&status), status.failed), ("Backoff", 1));
    assert_eq!(status.attempt, Some(2));
    let message = &status.conditions[0].message;
    assert!(
        ["attempt 1", "exit code 75", "attempt 2"]
            .iter()
            .all(|words| message.contains(words)),
        "{message}"
    );
    assert_eq!(sent(&effects, ONE), vec![], "it is not durable yet");
    let effects = story.written("a");
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Recorded(first)]);
    assert_eq!(published(&effects), vec![], "it pauses");
    let effects = pause_ends(&mut story, "a");
    let second = attempt("a", 2);
    assert_eq!(published(&effects), vec![second.clone()]);
    story.claims("a", ONE);
    let end = writes(&story.succeeds(ONE, &second)).remove(0);
    assert_eq!((end.failed, end.attempt), (1, Some(2)));
    let past = &end.previous_attempts[0];
    assert_eq!(
        (past.attempt, &*past.worker, &*past.reason),
        (1, "w1", "JobFailed")
    );
    assert!(end.first_start_time <= end.start_time);
    assert_eq!(
        sent(&story.written("a"), ONE),
        vec![ToWorker::Recorded(second)]
    );
}

#[test]
fn a_retry_that_waits_for_a_worker_says_so_when_its_pause_is_over() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, retries(1));
    story.fails(ONE, &id);
    story.written("a");
    pause_ends(&mut story, "a");
    let mut queued = vec![];
    for _ in 0..3 {
        queued.extend(writes(&story.wait(1000)));
    }
    assert_eq!(queued.iter().map(reason).collect::<Vec<_>>(), ["Queued"]);
}

#[test]
fn a_claim_during_the_pause_is_refused_by_its_own_number() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, retries(1));
    story.fails(ONE, &id);
    story.written("a");
    for (number, why) in [(1, "other_attempt"), (2, "pausing")] {
        let claim = attempt("a", number);
        let effects = story.tell(Event::Claim(TWO, claim.clone()));
        assert_eq!(sent(&effects, TWO), vec![], "no such session");
        let effects = story.tell(Event::Claim(ONE, claim.clone()));
        assert_eq!(sent(&effects, ONE), vec![ToWorker::Refusal(claim, why)]);
    }
}

#[test]
fn a_failure_over_the_budget_ends_the_request_with_its_own_reason() {
    let mut story = Story::settled();
    let first = story.asked_and_runs("a", ONE, retries(1));
    story.fails(ONE, &first);
    story.written("a");
    pause_ends(&mut story, "a");
    let second = story.claims("a", ONE);
    let end = writes(&story.fails(ONE, &second)).remove(0);
    assert_eq!(
        (reason(&end), end.failed, end.attempt),
        ("JobFailed", 2, Some(2))
    );
    assert_eq!(
        end.previous_attempts.len(),
        1,
        "the last one is the end itself"
    );
}

#[test]
fn the_service_limits_the_retries_and_the_status_tells_what_holds() {
    let mut story = Story::settled();
    story.service().max_retries = 2;
    story.asked("a", retries(50));
    let status = writes(&story.wait(1000)).remove(0);
    assert_eq!(status.effective.unwrap().retries, 2);
}

#[test]
fn an_outcome_that_is_sent_again_while_its_count_is_written_is_recorded_once_by_its_number() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, retries(1));
    story.fails(ONE, &id);
    let again = SessionId(11);
    let effects = story.greets(again, &[], std::slice::from_ref(&id));
    assert!(matches!(
        sent(&effects, again)[..],
        [ToWorker::Welcome { .. }]
    ));
    assert_eq!(sent(&story.fails(again, &id), again), vec![]);
    assert_eq!(
        sent(&story.written("a"), again),
        vec![ToWorker::Recorded(id)]
    );
}

#[test]
fn after_a_restart_a_pause_starts_anew_without_a_write() {
    let mut story = Story::settled();
    let id = story.asked_and_runs("a", ONE, retries(1));
    let backoff = writes(&story.fails(ONE, &id)).remove(0);
    let mut next = Story::starts_attended();
    next.listed(&[("a", Some(backoff))]);
    let effects = next.wait(35_000);
    assert_eq!((published(&effects), writes(&effects)), (vec![], vec![]));
    let effects = pause_ends(&mut next, "a");
    assert_eq!(published(&effects), vec![attempt("a", 2)]);
}

#[test]
fn a_pause_that_ends_during_the_take_over_is_not_followed_by_another() {
    let id = attempt("a", 1);
    let mut story = Story::starts();
    story.service().retries = 1;
    story.listed(&[("a", Some(running_on("w1")))]);
    story.greets(ONE, &[], std::slice::from_ref(&id));
    story.fails(ONE, &id);
    story.written("a");
    let effects = pause_ends(&mut story, "a");
    assert!(story.now < config().own_lease());
    assert_eq!(published(&effects), vec![attempt("a", 2)]);
}

#[test]
fn a_lost_attempt_is_followed_at_once_and_told_with_its_worker() {
    let mut story = Story::settled();
    story.runs("a", ONE);
    let status = writes(&story.wait(35_000)).remove(0);
    assert_eq!(
        (status.lost, status.failed, reason(&status)),
        (1, 0, "NoWorkers")
    );
    let past = &status.previous_attempts[0];
    assert_eq!(
        (past.attempt, &*past.worker, &*past.reason),
        (1, "w1", "WorkerLost")
    );
    story.greets(TWO, &[], &[]);
    assert_eq!(published(&story.written("a")), vec![attempt("a", 2)]);
}
