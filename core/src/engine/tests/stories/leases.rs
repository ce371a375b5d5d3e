//! Greetings, heartbeats, leases and the take-over after a restart.

use super::*;

#[test]
fn a_request_that_appears_after_the_first_list_is_dispatched_at_once() {
    let mut story = Story::starts_attended();
    story.listed(&[("a", None)]);
    assert!(story.state("a").contains("Recovering"));
    assert_eq!(
        published(&story.seen("bb", None, false)),
        vec![attempt("bb", 1)]
    );
    let offered = published(&story.wait(35_000));
    assert_eq!(
        offered,
        vec![attempt("a", 1)],
        "an earlier watcher may have granted that one"
    );
}

#[test]
fn what_a_worker_greets_with_before_the_list_is_kept_and_its_outcome_counts() {
    let (run, done) = (attempt("a", 1), attempt("bb", 1));
    let mut story = Story::starts();
    let runs = [run.clone(), attempt("gone", 1)];
    let effects = story.greets(ONE, &runs, std::slice::from_ref(&done));
    assert!(
        matches!(sent(&effects, ONE)[..], [ToWorker::Welcome { .. }]),
        "{effects:?}"
    );
    assert_eq!(sent(&story.succeeds(ONE, &done), ONE), vec![]);
    let effects = story.listed(&[
        ("a", Some(running_on("w1"))),
        ("bb", Some(running_on("w1"))),
    ]);
    let stop = ToWorker::Cancel(attempt("gone", 1), "unknown");
    assert_eq!(sent(&effects, ONE), vec![stop]);
    assert_eq!(writes(&effects).len(), 1, "the end of bb");
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
    assert_eq!(
        sent(&story.written("bb"), ONE),
        vec![ToWorker::Recorded(done)]
    );
}

#[test]
fn an_outcome_that_comes_while_the_list_is_under_way_counts() {
    let mut story = Story::starts();
    story.greets(ONE, &[attempt("a", 1)], &[]);
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    story.seen("a", Some(running_on("w1")), false);
    let effects = story.succeeds(ONE, &attempt("a", 1));
    assert_eq!(writes(&effects).len(), 1, "{effects:?}");
}

#[test]
fn a_run_that_nobody_greets_with_is_lost_when_the_take_over_ends() {
    let mut story = Story::starts_attended();
    story.listed(&[("a", Some(running_on("w1")))]);
    assert_eq!(writes(&story.wait(34_999)), vec![]);
    let status = writes(&story.wait(1)).remove(0);
    assert_eq!((status.lost, status.attempt), (1, Some(2)));
    assert_eq!(
        published(&story.written("a")),
        vec![attempt("a", 2)],
        "after the count is durable"
    );
}

#[test]
fn a_leftover_outcome_does_not_give_away_what_another_worker_may_run() {
    // w1 was interrupted and never heard Recorded; then w2 was granted the same attempt, unwritten.
    let id = attempt("a", 1);
    let mut story = Story::starts();
    story.listed(&[("a", None)]);
    story.greets(ONE, &[], std::slice::from_ref(&id));
    story.tell(Event::Outcome(ONE, id.clone(), Outcome::Interrupted));
    let effects = story.written("a");
    assert_eq!(
        (sent(&effects, ONE), published(&effects)),
        (vec![ToWorker::Recorded(id.clone())], vec![])
    );
    story.greets(TWO, std::slice::from_ref(&id), &[]);
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
    assert_eq!(sent(&story.wait(35_000), TWO), vec![]);
}

#[test]
fn a_foreign_run_is_waited_for_before_its_request_is_granted() {
    let (run, next) = (attempt("a", 1), attempt("a", 2));
    let mut story = Story::settled();
    story.greets(TWO, std::slice::from_ref(&run), &[]);
    // It appears with the status of another time: nobody is known to have it, so it counts as lost.
    let effects = story.seen("a", Some(running_on("w2")), false);
    assert_eq!(writes(&effects)[0].lost, 1);
    assert_eq!(published(&story.written("a")), vec![next.clone()]);
    let refused = ToWorker::Refusal(next.clone(), "still_stopping");
    assert_eq!(
        sent(&story.tell(Event::Claim(ONE, next.clone())), ONE),
        vec![refused]
    );
    assert_eq!(published(&story.wait(1000)), vec![next]);
    story.beats(TWO, &[]);
    story.claims("a", ONE);
}

#[test]
fn a_greeting_without_a_granted_claim_voids_it_and_a_heartbeat_only_the_second_time() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.beats(ONE, &[]);
    assert!(
        story.state("a").contains("Running"),
        "a claim may have overtaken the heartbeat"
    );
    story.beats(ONE, &[]);
    assert!(
        story.state("a").contains("Running"),
        "two heartbeats may have stood still together"
    );
    story.beats(ONE, std::slice::from_ref(&id));
    story.beats(ONE, &[]);
    assert!(story.state("a").contains("Running"), "once again");
    story.now += Duration::from_secs(10);
    story.beats(ONE, &[]);
    assert!(story.state("a").contains("Saving"), "{}", story.state("a"));
    assert_eq!(
        published(&story.written("a")),
        vec![id.clone()],
        "the same attempt, uncounted"
    );
    story.claims("a", ONE);
    // The API names nobody yet, so there is nothing to make durable.
    let effects = story.greets(SessionId(11), &[], &[attempt("a", 7)]);
    assert_eq!(published(&effects), vec![id]);
}

#[test]
fn a_greeting_that_arrives_after_a_newer_one_voids_nothing() {
    let mut story = Story::settled();
    let (worker, late) = (holder("w1", 1), SessionId(21));
    let hello = |greeting| Hello {
        greeting,
        ..hello(&worker, 2, vec![], vec![])
    };
    story.tell(Event::Hello(SessionId(11), hello(2)));
    story.runs("a", SessionId(11));
    let effects = story.tell(Event::Hello(late, hello(1)));
    assert!(
        matches!(effects[..], [Effect::Measure(_), Effect::Close(id)] if id == late),
        "{effects:?}"
    );
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
    story.tell(Event::Hello(SessionId(31), hello(3)));
    assert!(!story.state("a").contains("Running"), "that one is newer");
}

#[test]
fn silence_for_a_whole_lease_loses_the_attempt_and_closes_the_session() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    assert_eq!(writes(&story.wait(30_000)).len(), 1);
    story.written("a");
    assert_eq!(
        sent(&story.beats(ONE, &[id]), ONE),
        vec![ToWorker::HeartbeatAck(1)]
    );
    assert_eq!(story.engine.snapshot().sessions, 1);
    story.wait(34_999);
    let effects = story.wait(1);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Close(ONE))),
        "{effects:?}"
    );
    assert_eq!(writes(&effects)[0].lost, 1);
    assert_eq!(
        sent(&story.beats(ONE, &[]), ONE),
        vec![],
        "no acknowledgement without a session"
    );
}

#[test]
fn a_worker_that_stopped_a_job_of_a_deleted_request_hears_that_its_slot_is_free() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.tell(gone(&Uid::new("a")));
    let effects = story.tell(Event::Outcome(ONE, id.clone(), Outcome::Cancelled));
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Stale(id)]);
    assert_eq!(story.state("a"), "none");
}

#[test]
fn a_cancel_reaches_the_worker_again_after_every_greeting() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let stop = ToWorker::Cancel(id.clone(), "cancelled");
    assert_eq!(sent(&story.seen("a", None, true), ONE), vec![stop.clone()]);
    let again = SessionId(11);
    let effects = story.greets(again, std::slice::from_ref(&id), &[]);
    assert!(sent(&effects, again).contains(&stop), "{effects:?}");
    let effects = story.tell(Event::Outcome(again, id, Outcome::Cancelled));
    assert_eq!(
        writes(&effects)[0].phase,
        Some(crate::api::Phase::Cancelled)
    );
}

#[test]
fn a_cancel_that_an_earlier_watcher_wrote_holds() {
    let phase = Some(crate::api::Phase::Cancelling);
    let status = RequestStatus {
        phase,
        ..running_on("w1")
    };
    let mut story = Story::starts();
    story.listed(&[("a", Some(status.clone())), ("bb", Some(status))]);
    let effects = story.greets(ONE, &[attempt("a", 1)], &[]);
    let stop = ToWorker::Cancel(attempt("a", 1), "cancelled");
    assert!(sent(&effects, ONE).contains(&stop), "{effects:?}");
    let ends = writes(&story.wait(35_000));
    assert!(
        ends.iter()
            .all(|end| end.phase == Some(crate::api::Phase::Cancelled)),
        "{ends:?}"
    );
}

#[test]
fn a_busy_worker_counts_as_busy_without_its_stream_too_and_one_that_ends_for_nothing() {
    let mut story = Story::settled();
    story.runs("a", ONE);
    let busy = |story: &Story| -> Vec<u32> {
        let workers = story.engine.snapshot().workers;
        workers.iter().map(|load| load.busy).collect()
    };
    assert_eq!(busy(&story), [1]);
    story.tell(Event::SessionClosed(ONE));
    assert_eq!(busy(&story), [1], "its lease has not ended");
    story.wait(40_000);
    assert_eq!(busy(&story), [0u32; 0]);
}
