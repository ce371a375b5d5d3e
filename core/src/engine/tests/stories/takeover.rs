//! Who may hold what at a start, and what another watcher did.

use super::*;

/// A request as it was created that many seconds after this watcher's start.
fn created(story: &mut Story, uid: &str, seconds: i64) -> Observation {
    let start = at(Duration::ZERO).wall;
    let mut observation = story.observation(uid, None, false);
    observation.created = Some(start + jiff::SignedDuration::from_secs(seconds));
    observation
}

#[test]
fn a_request_that_was_unbound_during_the_first_list_may_be_held_already() {
    let mut story = Story::starts();
    story.greets(ONE, &[], &[]);
    story.listed(&[]);
    story.wait(5000);
    let older = created(&mut story, "a", -60);
    assert_eq!(
        published(&story.tell(Event::Observed(Box::new(older)))),
        vec![]
    );
    let newer = created(&mut story, "bb", 2);
    let offered = published(&story.tell(Event::Observed(Box::new(newer))));
    assert_eq!(offered, vec![attempt("bb", 1)]);
    // An earlier watcher granted it, and its worker comes late.
    story.greets(TWO, &[attempt("a", 1)], &[]);
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
}

#[test]
fn an_api_whose_clock_is_ahead_does_not_make_an_old_request_new() {
    let mut story = Story::starts_attended();
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    let newest = created(&mut story, "bb", 60);
    story.tell(Event::Observed(Box::new(newest)));
    story.tell(Event::Listed(source()));
    let unbound = created(&mut story, "a", 50);
    let effects = story.tell(Event::Observed(Box::new(unbound)));
    assert_eq!(published(&effects), vec![]);
    let new = created(&mut story, "ddd", 61);
    let effects = story.tell(Event::Observed(Box::new(new)));
    assert_eq!(published(&effects), vec![attempt("ddd", 1)]);
}

#[test]
fn what_nobody_held_after_all_goes_when_the_take_over_ends() {
    let mut story = Story::starts_attended();
    story.listed(&[]);
    let older = created(&mut story, "a", -60);
    story.tell(Event::Observed(Box::new(older)));
    assert_eq!(published(&story.wait(34_999)), vec![]);
    assert_eq!(published(&story.wait(1)), vec![attempt("a", 1)]);
    let older = created(&mut story, "bb", -60);
    let offered = published(&story.tell(Event::Observed(Box::new(older))));
    assert_eq!(offered, vec![attempt("bb", 1)], "its lease would be over");
}

#[test]
fn a_request_that_moves_while_it_is_taken_over_does_not_wait_for_ever() {
    let mut story = Story::starts_attended();
    let there = elsewhere();
    story.tell(Event::Endpoints(vec![source(), there.clone()]));
    story.tell(Event::ListStarted(there.clone()));
    story.tell(Event::Listed(there.clone()));
    story.tell(Event::ListStarted(source()));
    story.seen("a", None, false);
    // The list of its endpoint never ends.
    story.wait(35_000);
    assert!(
        story.state("a").contains("Recovering"),
        "{}",
        story.state("a")
    );
    let mut moved = story.observation("a", None, false);
    moved.address.endpoint = there.endpoint;
    let effects = story.tell(Event::Observed(Box::new(moved)));
    assert_eq!(published(&effects), vec![attempt("a", 1)]);
}

#[test]
fn a_late_deletion_at_the_endpoint_that_a_request_left_says_nothing() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    let there = elsewhere();
    story.tell(Event::Endpoints(vec![source(), there.clone()]));
    let mut moved = story.observation("a", None, false);
    moved.address.endpoint = there.endpoint.clone();
    story.tell(Event::Observed(Box::new(moved)));
    assert_eq!(sent(&story.tell(gone(&Uid::new("a"))), ONE), vec![]);
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
    let (uid, source) = (Uid::new("a"), there);
    let effects = story.tell(Event::Gone { uid, source });
    assert_eq!(sent(&effects, ONE), vec![ToWorker::Cancel(id, "gone")]);
}

#[test]
fn larger_counts_of_another_watcher_hold_and_its_attempt_is_not_run_beside_ours() {
    let mut story = Story::settled();
    let ours = story.runs("a", ONE);
    assert_eq!(writes(&story.wait(1000)).len(), 1);
    let foreign = RequestStatus {
        lost: 1,
        attempt: Some(2),
        phase: Some(crate::api::Phase::Queued),
        ..RequestStatus::default()
    };
    let found = story.observation("a", Some(foreign), false);
    let conflict = WriteResult::Conflict(Box::new(found));
    let effects = story.tell(Event::Written(Uid::new("a"), conflict));
    let stop = ToWorker::Cancel(ours.clone(), "foreign");
    assert_eq!(sent(&effects, ONE), vec![stop]);
    assert!(writes(&effects).iter().all(|status| status.lost == 1));
    let next = attempt("a", 2);
    assert_eq!(published(&effects), vec![next.clone()]);
    let effects = story.tell(Event::Claim(ONE, next.clone()));
    let refused = ToWorker::Refusal(next.clone(), "still_stopping");
    assert_eq!(sent(&effects, ONE), vec![refused]);
    let late = story.succeeds(ONE, &ours);
    assert_eq!(sent(&late, ONE), vec![ToWorker::Stale(ours)]);
    assert_eq!(published(&story.wait(1000)), vec![next]);
    story.claims("a", ONE);
}

#[test]
fn a_run_that_another_watcher_granted_is_counted_as_lost_when_nobody_has_it() {
    let mut story = Story::settled();
    story.seen("a", None, false);
    let foreign = RequestStatus {
        lost: 1,
        attempt: Some(2),
        ..running_on("w2")
    };
    let effects = story.seen("a", Some(foreign), false);
    assert_eq!(writes(&effects)[0].lost, 2);
    assert_eq!(published(&story.written("a")), vec![attempt("a", 3)]);
}

#[test]
fn a_leader_whose_lease_is_over_leaves_everything_alone_and_says_so_once() {
    let mut story = Story::settled();
    let id = story.runs("a", ONE);
    story.seen("bb", None, false);
    let end = story.now + Duration::from_secs(10);
    story.engine.lead_until(Some(end));
    assert!(story.engine.wake_at(story.now).unwrap() <= end);
    story.wait(9000);
    let acknowledged = sent(&story.beats(ONE, std::slice::from_ref(&id)), ONE);
    assert_eq!(acknowledged, vec![ToWorker::HeartbeatAck(1)]);
    story.engine.lead_until(Some(end + Duration::from_secs(1)));
    let effects = story.wait(2000);
    assert!(matches!(effects[..], [Effect::StepDown]), "{effects:?}");
    let effects = [
        story.beats(ONE, std::slice::from_ref(&id)),
        story.succeeds(ONE, &id),
        story.tell(Event::Claim(ONE, attempt("bb", 1))),
        story.wait(60_000),
    ];
    assert!(effects.iter().all(Vec::is_empty), "{effects:?}");
    assert_eq!(story.engine.wake_at(story.now), None);
    assert!(!story.engine.hands_over(story.now));
}

#[test]
fn a_run_goes_on_while_its_endpoint_is_away_that_was_not_listed_yet() {
    let mut story = Story::starts();
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::Endpoints(vec![]));
    let run = attempt("a", 1);
    let effects = story.greets(ONE, std::slice::from_ref(&run), &[]);
    assert!(
        matches!(sent(&effects, ONE)[..], [ToWorker::Welcome { .. }]),
        "{effects:?}"
    );
    let mut told = vec![];
    for _ in 0..30 {
        told.extend(sent(&story.beats(ONE, std::slice::from_ref(&run)), ONE));
        told.extend(sent(&story.wait(10_000), ONE));
    }
    let stop = ToWorker::Cancel(run, "unknown");
    assert!(
        told.contains(&stop),
        "given up after five minutes: {told:?}"
    );
}

#[test]
fn a_run_that_was_greeted_before_the_list_is_held_though_its_stream_broke_meanwhile() {
    let run = attempt("a", 1);
    let mut story = Story::starts();
    story.greets(ONE, std::slice::from_ref(&run), &[]);
    story.wait(30_000);
    story.beats(ONE, std::slice::from_ref(&run));
    story.tell(Event::SessionClosed(ONE));
    story.wait(5000);
    let effects = story.listed(&[("a", Some(running_on("w1")))]);
    assert_eq!(writes(&effects), vec![], "its lease goes on");
    assert!(story.state("a").contains("Running"), "{}", story.state("a"));
    let status = writes(&story.wait(30_000)).remove(0);
    assert_eq!(status.lost, 1, "now it has ended");
}
