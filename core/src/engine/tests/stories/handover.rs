//! A clean end and what the next watcher makes of it.

use super::*;
use crate::api::Phase;

fn queued() -> RequestStatus {
    RequestStatus {
        phase: Some(Phase::Queued),
        ..RequestStatus::default()
    }
}

/// Its predecessor left a mark.
fn after_a_mark() -> Story {
    let mut story = Story::starts();
    story.tell(Event::HandedOver);
    story.greets(ONE, &[], &[]);
    story
}

#[test]
fn what_waited_goes_as_soon_as_the_list_is_complete_and_what_runs_waits_for_its_worker() {
    let mut story = after_a_mark();
    story.tell(Event::Endpoints(vec![source()]));
    story.tell(Event::ListStarted(source()));
    let effects = story.seen("a", Some(queued()), false);
    assert_eq!(published(&effects), vec![], "the list is not complete");
    story.seen("bb", Some(running_on("w2")), false);
    story.seen("ccc", None, false);
    let mut ids = published(&story.tell(Event::Listed(source())));
    ids.sort();
    assert_eq!(ids, vec![attempt("a", 1), attempt("ccc", 1)]);
    story.claims("a", ONE);
    assert!(
        story.state("bb").contains("Recovering"),
        "{}",
        story.state("bb")
    );
    story.greets(TWO, &[attempt("bb", 1)], &[]);
    assert!(
        story.state("bb").contains("Running"),
        "{}",
        story.state("bb")
    );
}

#[test]
fn a_ticket_that_was_spent_during_the_take_over_is_followed_by_another_after_a_mark() {
    let mut story = after_a_mark();
    story.listed(&[("a", Some(queued()))]);
    story.tell(Event::Unplaced(attempt("a", 1)));
    assert_eq!(published(&story.wait(1000)), vec![attempt("a", 1)]);
}

#[test]
fn what_its_worker_could_not_finish_goes_on_at_once_after_a_mark() {
    let id = attempt("a", 1);
    let mut story = after_a_mark();
    story.listed(&[("a", Some(running_on("w2")))]);
    story.greets(TWO, &[], std::slice::from_ref(&id));
    story.tell(Event::Outcome(TWO, id.clone(), Outcome::Interrupted));
    assert_eq!(published(&story.written("a")), vec![id]);
}

#[test]
fn a_run_that_nobody_greets_with_is_lost_after_a_lease_also_after_a_mark() {
    let mut story = after_a_mark();
    story.listed(&[("a", Some(running_on("w2")))]);
    assert_eq!(writes(&story.wait(34_999)), vec![]);
    assert_eq!(writes(&story.wait(1))[0].lost, 1);
}

#[test]
fn a_mark_is_left_only_when_every_grant_and_every_count_is_written() {
    let mut story = Story::settled();
    story.runs("a", ONE);
    let failed = story.asked_and_runs("bb", ONE, |spec| spec.retries = Some(1));
    story.fails(ONE, &failed);
    let hands_over = |story: &Story| story.engine.hands_over(story.now);
    assert!(!hands_over(&story), "it is not asked to end");
    story.tell(Event::Drain);
    assert!(!hands_over(&story));
    let statuses = writes(&story.written("bb"));
    assert!(!hands_over(&story), "the grant of a is on its way");
    assert!(!story.engine.is_clean());
    drop(statuses);
    story.written("a");
    assert!(story.engine.is_clean() && hands_over(&story));
    // A count that comes now is not written yet.
    story.wait(35_000);
    assert!(!hands_over(&story));
}

#[test]
fn the_grant_of_a_draining_watcher_is_in_the_status_before_it_is_clean() {
    let mut story = Story::settled();
    story.runs("a", ONE);
    let effects = story.tell(Event::Drain);
    let status = writes(&effects).remove(0);
    assert_eq!(
        (status.phase, status.worker.as_deref()),
        (Some(Phase::Running), Some("w1"))
    );
}

#[test]
fn a_claim_whose_parameters_come_after_the_drain_is_refused() {
    let mut story = Story::settled();
    story.seen("ccc", None, false);
    let id = attempt("ccc", 1);
    assert!(reads_params(&story.tell(Event::Claim(ONE, id.clone()))));
    story.tell(Event::Drain);
    let effects = story.tell(Event::ParamsRead(id.clone(), Some("{}".into())));
    let refused = ToWorker::Refusal(id, "params_unreadable");
    assert_eq!(sent(&effects, ONE), vec![refused]);
}

#[test]
fn no_mark_is_left_during_a_take_over_without_one() {
    for marked in [true, false] {
        let mut story = Story::starts();
        if marked {
            story.tell(Event::HandedOver);
        }
        story.listed(&[("a", Some(queued()))]);
        story.tell(Event::Drain);
        story.written("a");
        assert!(story.engine.is_clean());
        assert_eq!(story.engine.hands_over(story.now), marked);
        story.wait(35_000);
        story.written("a");
        assert!(story.engine.hands_over(story.now));
    }
}

#[test]
fn no_mark_is_left_while_a_worker_runs_what_no_status_tells() {
    // Deleted, and its worker has not stopped yet.
    let mut story = Story::settled();
    story.runs("a", ONE);
    story.tell(gone(&Uid::new("a")));
    story.tell(Event::Drain);
    assert!(!story.engine.hands_over(story.now));
    story.written("a");
    assert!(!story.engine.hands_over(story.now));
    story.tell(Event::Outcome(ONE, attempt("a", 1), Outcome::Cancelled));
    assert!(story.engine.hands_over(story.now));
    // Unknown here, and told to stop.
    story.greets(ONE, &[attempt("unknown", 1)], &[]);
    assert!(!story.engine.hands_over(story.now));
    story.beats(ONE, &[]);
    assert!(story.engine.hands_over(story.now));
}

#[test]
fn what_only_waits_does_not_hold_up_a_clean_end() {
    let mut story = Story::settled();
    for n in 0..100 {
        story.seen(&format!("r{n:03}"), None, false);
    }
    let effects = story.tell(Event::Drain);
    assert_eq!(writes(&effects), vec![], "nothing that the next one needs");
    assert!(story.engine.hands_over(story.now));
}
