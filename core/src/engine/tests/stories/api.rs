//! What the API shows and what is written to it.

use super::*;

#[test]
fn a_short_request_costs_one_write_and_is_recorded_only_after_it() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.wait(500);
    let effects = story.succeeds(ONE, &id);
    assert_eq!(writes(&effects).len(), 1, "{effects:?}");
    assert_eq!(sent(&effects, ONE), vec![], "it is not durable yet");
    assert_eq!(
        sent(&story.written("a"), ONE),
        vec![ToWorker::Recorded(id.clone())]
    );
    assert_eq!(writes(&story.wait(60_000)), vec![]);
    let again = story.succeeds(ONE, &id);
    assert_eq!(
        sent(&again, ONE),
        vec![],
        "the lease ended meanwhile, so did the session"
    );
    story.greets(TWO, &[], std::slice::from_ref(&id));
    assert_eq!(
        sent(&story.succeeds(TWO, &id), TWO),
        vec![ToWorker::Recorded(id)]
    );
}

#[test]
fn our_own_end_seen_before_its_answer_is_ours() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let end = writes(&story.succeeds(ONE, &id)).remove(0);
    let effects = story.seen("a", Some(end), false);
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Recorded(id)]);
    assert_eq!(writes(&story.written("a")), vec![]);
}

#[test]
fn a_write_that_landed_without_an_answer_is_found_by_its_conflict() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let end = writes(&story.succeeds(ONE, &id)).remove(0);
    story.tell(Event::Written(Uid::new("a"), WriteResult::Retry));
    assert_eq!(writes(&story.wait(300)).len(), 1, "tried again");
    let found = story.observation("a", Some(end), false);
    let effects = story.tell(Event::Written(
        Uid::new("a"),
        WriteResult::Conflict(Box::new(found)),
    ));
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Recorded(id)]);
    assert_eq!(writes(&effects), vec![]);
}

#[test]
fn a_status_that_the_api_has_already_is_not_written_again() {
    let mut story = Story::starts_attended();
    story.listed(&[]);
    story.seen("a", None, false);
    let queued = writes(&story.wait(1000)).remove(0);
    let mut next = Story::starts_attended();
    next.listed(&[("a", Some(queued))]);
    assert_eq!(
        writes(&next.wait(40_000)),
        vec![],
        "the take-over is over, it waits as before"
    );
    assert!(next.state("a").contains("Offered"), "{}", next.state("a"));
}

#[test]
fn an_answer_about_a_request_that_is_gone_does_not_bring_it_back() {
    let mut story = Story::settled();
    story.seen("a", None, false);
    assert_eq!(writes(&story.wait(1000)).len(), 1);
    story.tell(gone(&Uid::new("a")));
    let found = story.observation("a", None, false);
    let effects = story.tell(Event::Written(
        Uid::new("a"),
        WriteResult::Conflict(Box::new(found)),
    ));
    assert_eq!(
        (published(&effects), story.state("a").as_str()),
        (vec![], "none")
    );
    assert!(story.engine.is_clean());
}

#[test]
fn a_foreign_end_stops_the_job_and_is_never_written_over() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let phase = Some(crate::api::Phase::Failed);
    let effects = story.seen(
        "a",
        Some(RequestStatus {
            phase,
            ..running_on("x")
        }),
        false,
    );
    assert_eq!(
        sent(&effects, ONE),
        vec![ToWorker::Cancel(id.clone(), "ended_elsewhere")]
    );
    assert_eq!(writes(&story.succeeds(ONE, &id)), vec![]);
    assert_eq!(writes(&story.wait(5000)), vec![]);
}

#[test]
fn a_rejected_request_is_written_once_and_never_offered() {
    let mut story = Story::settled();
    let mut observation = story.observation("a", None, false);
    observation.spec.as_mut().unwrap().service = "publish".into();
    let effects = story.tell(Event::Observed(Box::new(observation)));
    assert_eq!(published(&effects), vec![]);
    let statuses = writes(&effects);
    assert_eq!(statuses[0].conditions[0].reason, "UnknownService");
    let effects = story.tell(Event::Claim(ONE, attempt("a", 1)));
    assert!(
        matches!(sent(&effects, ONE)[..], [ToWorker::Refusal(_, _)]),
        "{effects:?}"
    );
    assert_eq!(writes(&story.written("a")), vec![]);
}

#[test]
fn a_request_that_went_away_and_came_back_runs_again_only_after_its_run_has_stopped() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let effects = story.tell(gone(&Uid::new("a")));
    assert_eq!(
        sent(&effects, ONE),
        vec![ToWorker::Cancel(id.clone(), "gone")]
    );
    let effects = story.seen("a", Some(running_on("w1")), false);
    assert_eq!((published(&effects), writes(&effects)), (vec![], vec![]));
    let effects = story.tell(Event::Outcome(ONE, id.clone(), Outcome::Cancelled));
    assert_eq!(
        (published(&effects), writes(&effects).len()),
        (vec![], 1),
        "counts first"
    );
    assert_eq!(published(&story.written("a")), vec![id]);
}

#[test]
fn a_cancel_while_its_run_stops_is_not_forgotten() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.tell(gone(&Uid::new("a")));
    story.seen("a", None, true);
    let effects = story.tell(Event::Outcome(ONE, id, Outcome::Interrupted));
    assert_eq!(
        writes(&effects)[0].phase,
        Some(crate::api::Phase::Cancelled)
    );
}

#[test]
fn an_end_of_a_request_that_moved_is_written_at_its_new_endpoint() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let there = elsewhere();
    story.tell(Event::Endpoints(vec![there.clone()]));
    assert_eq!(
        writes(&story.succeeds(ONE, &id)),
        vec![],
        "the old endpoint is suspect"
    );
    let mut moved = story.observation("a", None, false);
    moved.address.endpoint = there.endpoint;
    let effects = story.tell(Event::Observed(Box::new(moved)));
    assert!(status::has_ended(&writes(&effects)[0]), "{effects:?}");
}

#[test]
fn a_vanished_endpoint_starts_nothing_and_cancels_nothing_until_it_is_given_up() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.tell(Event::Endpoints(vec![]));
    assert_eq!(published(&story.seen("bb", None, false)), vec![]);
    let mut beaten = vec![];
    for _ in 0..29 {
        beaten.extend(story.wait(10_000));
        story.beats(ONE, std::slice::from_ref(&id));
    }
    assert_eq!(sent(&beaten, ONE), vec![], "290 s");
    // Back in the slice; its list takes long.
    story.tell(Event::Endpoints(vec![source()]));
    assert_eq!(sent(&story.wait(20_000), ONE), vec![], "310 s");
    let effects = story.listed(&[("a", None), ("bb", None)]);
    assert_eq!(published(&effects), vec![attempt("bb", 1)]);
    story.tell(Event::Endpoints(vec![]));
    for _ in 0..29 {
        story.wait(10_000);
        story.beats(ONE, std::slice::from_ref(&id));
    }
    assert_eq!(
        sent(&story.wait(10_000), ONE),
        vec![ToWorker::Cancel(id, "gone")]
    );
    assert_eq!(story.state("bb"), "none");
}
